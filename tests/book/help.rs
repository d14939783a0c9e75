//! `autopack help`: the list of pages, a page, a command, and what is neither.

use super::book;
use crate::support::Project;
use crate::support::golden::COLUMNS;

fn golden(name: &str, text: &str) {
    insta::with_settings!({snapshot_path => "../snapshots/golden", prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn help_lists_the_pages() {
    let project = Project::bare_folder();
    let list = project.autopack(["help"]).succeeded().stdout;
    let topics = list.lines().filter(|line| line.starts_with("  ")).count();
    assert!(topics >= book().len(), "{list}");
    golden("help_topics", &list);
}

#[test]
fn a_page_is_shown_as_text_that_fits_a_terminal() {
    let project = Project::bare_folder();
    let page = project.autopack(["help", "limit-the-cost"]).succeeded().stdout;
    assert!(
        page.lines().all(|line| unicode_width::UnicodeWidthStr::width(line) <= COLUMNS),
        "{page}"
    );
    golden("help_limit_the_cost", &page);
    assert_eq!(project.autopack(["help", "limit"]).succeeded().stdout, page, "a unique start");
    assert_eq!(project.autopack(["help", "limit", "the", "cost"]).succeeded().stdout, page);
    assert_eq!(project.autopack(["help", "budget"]).succeeded().stdout, page, "a keyword");
    let shown = project.autopack(["--color", "always", "help", "limit"]).succeeded().stdout;
    assert!(shown.contains("\x1b[") && console::strip_ansi_codes(&shown) == page, "{shown}");
}

#[test]
fn the_name_of_a_command_shows_its_help() {
    let project = Project::bare_folder();
    for verb in [&["drain"][..], &["phases", "list"]] {
        let help = project.autopack([&["help"], verb].concat()).succeeded().stdout;
        assert_eq!(help, project.autopack([verb, &["--help"]].concat()).succeeded().stdout);
    }
    let ran = project.autopack(["phases", "help", "list"]).exited(2);
    assert!(
        ran.stderr.ends_with("hint: `autopack help COMMAND` shows the help of a command\n"),
        "{ran:#?}"
    );
    let help = project.autopack(["help", "telemetry"]).succeeded().stdout;
    assert!(help.ends_with("Page: see `autopack help telemetry-page`\n"), "{help}");
    let page = project.autopack(["help", "telemetry-page"]).succeeded().stdout;
    assert!(page.starts_with("TELEMETRY\n"), "{page}");
}

#[test]
fn an_unknown_topic_names_the_nearest_and_the_pages_about_it() {
    let project = Project::bare_folder();
    let error = |words: &[&str]| {
        let ran = project.autopack([&["help"], words].concat()).exited(2);
        assert_eq!(ran.stdout, "");
        ran.stderr
    };
    let said = [
        &["glosary"][..],
        &["drian"],
        &["enable-linger"],
        &["xyzzy plugh"],
        &["phases", "lst"],
        &["\u{1b}[31m"],
    ];
    golden("help_unknown", &said.map(error).concat());
}
