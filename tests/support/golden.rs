//! Golden texts: a command's output as a person sees it, without varying parts, and checks of its form.

use std::sync::LazyLock;

use regex::Regex;
use unicode_width::UnicodeWidthStr;

use super::Project;
use super::ran::{Ran, named};

/// A drain's line about the sandbox, without one.
const SANDBOX_OFF: &str = "sandbox: off; agents, setup and CI can read and write all that you can";

/// Widest line that autopack may print.
pub const COLUMNS: usize = 80;

/// The whole output, without varying parts.
pub fn golden(ran: &Ran) -> String {
    constant(ran.shown())
}

/// The same for a text printed by a project's program.
pub fn filtered(project: &Project, text: &str) -> String {
    constant(named(&project.root(), text))
}

/// Replaces times, commits and processes by names.
fn constant(mut text: String) -> String {
    for (pattern, instead) in FILTERS.iter() {
        text = pattern.replace_all(&text, *instead).into_owned();
    }
    text
}

static FILTERS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        // Padded to the same width, so that columns stay aligned.
        (r"\b\d+ h \d\d min|\b\d+ min \d\d s|\b\d+(\.\d)? s\b", "[T]"),
        (r" · \d+ phases/h", ""),
        (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[TIME]"),
        (r"\b[0-9a-f]{10}\b", "[COMMIT]"),
        (r"\b[0-9a-f]{40}\b", "[COMMIT]"),
        // The place of a checkout's slots depends on the place of the checkout.
        (r"/project-[0-9a-f]{8}/project-[0-9a-f]{4}-", "/project-[HASH]/project-[HASH]-"),
        (r"\(process \d+\)", "(process [PID])"),
        (r"\(looked for in [^)]*\)", "(looked for in [PATH])"),
        // `AUTOPACK_TEST_SANDBOX` runs all tests in another mode.
        (r"(?m)^sandbox: (namespaces|landlock)\b.*$", SANDBOX_OFF),
    ]
    .map(|(pattern, instead)| (Regex::new(pattern).unwrap(), instead))
    .into()
});

/// Lines that are too wide. Text by others does not count: paths, text in quotes or backticks, and the details after a
/// failure's kind. Errors, warnings and hints are one line each, however long, so that `grep` finds them whole.
pub fn too_wide(text: &str) -> Vec<&str> {
    static OTHERS: LazyLock<Regex> = LazyLock::new(|| {
        let path = r"\[(?:REPO|BESIDE)\]\S*|\S*/\S+";
        let message = r"(?:cannot be repaired|unfixable|[a-z]+(?:_[a-z]+)+): .*";
        Regex::new(&format!("{message}|`[^`]*`|\"[^\"]*\"|{path}")).unwrap()
    });
    let one_line = ["error:", "hint:", "warning:"];
    text.lines()
        .filter(|line| !one_line.iter().any(|start| line.trim_start().starts_with(start)))
        .filter(|line| OTHERS.replace_all(line, "").width() > COLUMNS)
        .collect()
}

/// Control characters that move a cursor, change a color or turn a line, which autopack must not print into a pipe.
pub fn tricks(text: &str) -> Vec<char> {
    let trick = |c: &char| {
        (c.is_control() && *c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().filter(trick).collect()
}
