//! The report's page in a real browser: it opens from a file, prints nothing on the console, loads nothing, and is fast
//! with a thousand phases.
//!
//! `AUTOPACK_KEEP_PAGES=DIR` keeps the pages there for inspection.

use std::fs;
use std::path::{Path, PathBuf};

use crate::report::embedded;
use crate::support::browser::Browser;
use crate::support::{Project, big_run};
use crate::telemetry_summary::drained;

const DESKTOP: (u32, u32) = (1280, 900);
/// Headless Chromium makes no window narrower than 500 pixels.
const NARROW: (u32, u32) = (500, 800);
const LARGEST: u64 = 2_000_000;

fn keep(page: &Path, name: &str) {
    if let Some(dir) = std::env::var_os("AUTOPACK_KEEP_PAGES") {
        fs::copy(page, PathBuf::from(dir).join(name)).unwrap();
    }
}

/// Tests these tests: an error, a refused script and a refused image are noticed.
#[test]
fn errors_in_a_page_are_detected() {
    let Some(browser) = Browser::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("page.html");
    let policy = "<meta http-equiv=Content-Security-Policy content=\"img-src 'none'\">";
    let wrong = "<script>console.error('boo')</script><img src='https://example.invalid/x.png'>";
    fs::write(&page, format!("<!doctype html>{policy}{wrong}")).unwrap();
    let console = browser.open(&page, "", DESKTOP).console;
    assert!(console.iter().any(|line| line.contains("boo")), "{console:?}");
    assert!(console.iter().any(|line| line.contains("img-src")), "{console:?}");
}

/// The page with the tests' script after its own, allowed by an extended policy.
fn with_the_test(page: &Path) -> PathBuf {
    const SCRIPT: &str = include_str!("support/page_test.js");
    let html = fs::read_to_string(page).unwrap();
    let html = html.replacen("script-src '", "script-src 'nonce-test' '", 1);
    let (before, after) = html.rsplit_once("</body>").unwrap();
    let tested = page.with_extension("tested.html");
    let html = format!("{before}<script nonce=\"test\">{SCRIPT}</script></body>{after}");
    fs::write(&tested, html).unwrap();
    tested
}

/// Results of the tests' script on a page, whose figures must be the summary's.
fn check(browser: &Browser, page: &Path, phases: usize) -> serde_json::Value {
    let mut last = serde_json::Value::Null;
    let tested = with_the_test(page);
    for size in [DESKTOP, NARROW] {
        let opened = browser.open(&tested, "", size);
        assert!(opened.console.is_empty(), "{:#?}", opened.console);
        let result = opened.data("selftest");
        assert_eq!(result["errors"], serde_json::json!([]), "{size:?}: {result}");
        assert_eq!(result["phases"], phases);
        assert_eq!(embedded(&opened.dom)["phases"]["landed"], result["landed"]);
        last = result;
    }
    last
}

#[test]
fn a_page_works_without_a_word_on_the_console() {
    let Some(browser) = Browser::find() else { return };
    let project = drained();
    project.drain().exited(3);
    project.autopack(["report", "-o", "report.html"]).succeeded();
    let page = project.path("report.html");
    keep(&page, "small.html");
    check(&browser, &page, 5);
    let linked = browser.open(&page, "#p2", DESKTOP).dom;
    let entry = linked.split("id=\"p2\"").nth(1).unwrap();
    assert!(entry.split('>').next().unwrap().contains("open"), "a link to a phase opens it");
}

#[test]
fn a_thousand_phases_are_small_and_quick() {
    let project = Project::without_commits();
    big_run::make(&project, 1_000);
    project.autopack(["report", "-o", "report.html"]).succeeded();
    let page = project.path("report.html");
    keep(&page, "big.html");
    let size = fs::metadata(&page).unwrap().len();
    assert!(size < LARGEST, "{size}");
    let summary = project.json(["telemetry", "summary", "--json"]);
    assert_eq!(embedded(&fs::read_to_string(&page).unwrap()), summary);
    let Some(browser) = Browser::find() else { return };
    let result = check(&browser, &page, 1_000);
    // Printed for people: an assertion on time would fail on a machine that is busy otherwise.
    println!(
        "1,000 phases: {size} bytes, ready after {} ms, filters {} ms",
        result["ready_ms"], result["search_ms"]
    );
}
