//! The pages: every link leads somewhere, and every source file they name exists.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The Markdown pages, each with its text.
fn pages() -> Vec<(PathBuf, String)> {
    let mut pages = Vec::new();
    let directories = ["", "docs", "docs/adr", "docs/explanation", "docs/guides", "docs/reference"];
    for directory in directories.map(|directory| root().join(directory)) {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).unwrap();
                pages.push((path, text));
            }
        }
    }
    assert!(pages.len() > 20, "the pages were not found");
    pages
}

/// The parts of a text between two marks.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> Vec<&'a str> {
    text.split(begin).skip(1).filter_map(|rest| Some(rest.split_once(end)?.0)).collect()
}

/// A text without its code blocks: a comment in one looks like a heading.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

fn has_anchor(page: &Path, wanted: &str) -> bool {
    let text = prose(&fs::read_to_string(page).unwrap());
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).any(|anchor| anchor == wanted)
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut broken = Vec::new();
    for (page, text) in pages() {
        for link in between(&prose(&text), "](", ")") {
            if link.contains("://") {
                continue;
            }
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => page.clone(),
                path => page.parent().unwrap().join(path),
            };
            if !target.exists() || !fragment.is_empty() && !has_anchor(&target, fragment) {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_source_file_named_by_the_architecture_exists() {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let named: Vec<&str> =
        between(&text, "`src/", "`").into_iter().filter(|path| !path.contains('`')).collect();
    assert!(named.len() > 80, "the table was not found");
    let missing: Vec<&&str> =
        named.iter().filter(|path| !root().join("src").join(path).exists()).collect();
    assert!(missing.is_empty(), "not in src/: {missing:#?}");
}

#[test]
fn anchors_match_github() {
    assert_eq!(anchor(" Failures, and what to do"), "failures-and-what-to-do");
    assert_eq!(
        anchor(" Fields of `telemetry summary --json`"),
        "fields-of-telemetry-summary---json"
    );
}
