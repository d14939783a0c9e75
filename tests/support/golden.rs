//! Golden texts: what a person saw of a command, without what differs each time, and whether it is fit to be seen.

use std::sync::LazyLock;

use regex::Regex;
use unicode_width::UnicodeWidthStr;

use super::Project;
use super::ran::{Ran, named};

/// The widest that a line of ours may be.
pub const COLUMNS: usize = 80;

/// All that was seen, without what differs each time.
pub fn golden(ran: &Ran) -> String {
    constant(ran.shown())
}

/// The same of a text that a project's program printed.
pub fn filtered(project: &Project, text: &str) -> String {
    constant(named(&project.root(), text))
}

/// Times, commits and processes by their names.
fn constant(mut text: String) -> String {
    for (pattern, instead) in FILTERS.iter() {
        text = pattern.replace_all(&text, *instead).into_owned();
    }
    text
}

static FILTERS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        // Padded alike, so that columns stay what they are.
        (r"\b\d+ h \d\d min|\b\d+ min \d\d s|\b\d+(\.\d)? s\b", "[T]"),
        (r" · \d+ phases/h", ""),
        (r"\b[0-9a-f]{10}\b", "[COMMIT]"),
        (r"\b[0-9a-f]{40}\b", "[COMMIT]"),
        // Where the slots of a checkout lie depends on where it lies.
        (r"/project-[0-9a-f]{8}/project-[0-9a-f]{4}-", "/project-[HASH]/project-[HASH]-"),
        (r"\(process \d+\)", "(process [PID])"),
        (r"\(looked for in [^)]*\)", "(looked for in [PATH])"),
    ]
    .map(|(pattern, instead)| (Regex::new(pattern).unwrap(), instead))
    .into()
});

/// The lines that are too wide. What others wrote does not count: paths, what stands in quotes or backticks, and
/// what a failure's kind introduces. Errors, warnings and hints stand on one line each, however long, so that `grep` finds them whole.
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

/// What moves a cursor, changes a color or turns a line has no place in what we print into a pipe.
pub fn tricks(text: &str) -> Vec<char> {
    let trick = |c: &char| {
        (c.is_control() && *c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().filter(trick).collect()
}
