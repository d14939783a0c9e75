//! Cleaning of untrusted text for the page: removes secrets, terminal control sequences and line breaks, and
//! limits the size.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use crate::process::Redactor;

/// Maximum line length in characters. Agent logs may contain whole files in a single line.
const LONGEST_LINE: usize = 400;

/// Terminal sequences: colors, titles, cursor moves.
static SEQUENCE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
        .expect("the pattern is constant")
});

/// Part of a text, with the size of the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excerpt {
    /// The text.
    pub text: String,
    /// Number of omitted lines within the read part.
    pub left_out: usize,
    /// Whether the source was longer than the read part.
    pub of_more: bool,
}

impl Excerpt {
    /// Checks whether the excerpt is complete.
    pub fn is_whole(&self) -> bool {
        self.left_out == 0 && !self.of_more
    }
}

/// Cleans a text to a single line: breaks and tabs become spaces.
pub fn line(text: &str, redactor: &Redactor) -> String {
    let clean = block(text, redactor);
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Cleans a text of several lines.
pub fn block(text: &str, redactor: &Redactor) -> String {
    let text = redactor.redact(text);
    let text = SEQUENCE.replace_all(&text, "");
    let clean: String = text.replace("\r\n", "\n").chars().filter_map(kept).collect();
    // Redacts again, since a color sequence within a secret may have hidden the secret.
    redactor.redact(&clean).into_owned()
}

fn kept(c: char) -> Option<char> {
    match c {
        '\n' | '\t' => Some(c),
        '\r' => Some('\n'),
        // Marks that change the displayed order of text.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => None,
        c if c.is_control() => None,
        c => Some(c),
    }
}

/// Returns the first lines of a text.
pub fn head(text: &str, lines: usize) -> Excerpt {
    let all: Vec<&str> = text.trim_end().lines().collect();
    let kept = all.len().min(lines);
    Excerpt { text: joined(&all[..kept]), left_out: all.len() - kept, of_more: false }
}

/// Returns the last lines of a text.
pub fn tail(text: &str, lines: usize) -> Excerpt {
    let all: Vec<&str> = text.trim_end().lines().collect();
    let from = all.len().saturating_sub(lines);
    Excerpt { text: joined(&all[from..]), left_out: from, of_more: false }
}

fn joined(lines: &[&str]) -> String {
    let cut = |line: &&str| match line.char_indices().nth(LONGEST_LINE) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => (*line).to_owned(),
    };
    lines.iter().map(cut).collect::<Vec<_>>().join("\n")
}

/// Reads the first bytes of a file, redacted and cleaned; `None` if there is no such file. Symbolic links are
/// not followed, since agents can write to attempt directories.
pub fn file_head(path: &Path, bytes: u64, lines: usize, redactor: &Redactor) -> Option<Excerpt> {
    let (mut file, length) = open(path)?;
    let text = read(&mut file, bytes).ok()?;
    // Drops the last line if cut: half a secret would not be recognized.
    let whole = match text.rsplit_once('\n') {
        Some((whole, _)) if length > bytes => whole,
        None if length > bytes => "",
        _ => &text,
    };
    Some(Excerpt { of_more: length > bytes, ..head(&block(whole, redactor), lines) })
}

/// Reads the last bytes of a file in the same way.
pub fn file_tail(path: &Path, bytes: u64, lines: usize, redactor: &Redactor) -> Option<Excerpt> {
    let (mut file, length) = open(path)?;
    let from = length.saturating_sub(bytes);
    file.seek(SeekFrom::Start(from)).ok()?;
    let text = read(&mut file, bytes).ok()?;
    let whole = match text.split_once('\n') {
        Some((_, rest)) if from > 0 => rest,
        None if from > 0 => "",
        _ => &text,
    };
    Some(Excerpt { of_more: from > 0, ..tail(&block(whole, redactor), lines) })
}

fn open(path: &Path) -> Option<(File, u64)> {
    let about = path.symlink_metadata().ok()?;
    about.is_file().then_some(())?;
    Some((File::open(path).ok()?, about.len()))
}

fn read(file: &mut File, bytes: u64) -> io::Result<String> {
    let mut text = Vec::new();
    file.take(bytes).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor() -> Redactor {
        Redactor::new([("MY_TOKEN".into(), "correct-horse-battery".into())])
    }

    #[test]
    fn colors_titles_and_control_characters_are_removed() {
        let text = "\u{1b}[31mred\u{1b}[0m \u{1b}]0;title\u{7}\u{202e}x\u{0}\r\nnext\tcell";
        assert_eq!(block(text, &redactor()), "red x\nnext\tcell");
        assert_eq!(line(text, &redactor()), "red x next cell");
    }

    #[test]
    fn secrets_of_this_process_are_redacted() {
        assert_eq!(line("a correct-horse-battery", &redactor()), "a [redacted: MY_TOKEN]");
        let coloured = "a correct-\u{1b}[1mhorse\u{1b}[0m-battery";
        assert_eq!(line(coloured, &redactor()), "a [redacted: MY_TOKEN]");
    }

    #[test]
    fn excerpts_report_omitted_lines() {
        let text = "1\n2\n3\n4\n";
        assert_eq!(head(text, 3), Excerpt { text: "1\n2\n3".into(), left_out: 1, of_more: false });
        assert_eq!(
            tail(text, 9),
            Excerpt { text: "1\n2\n3\n4".into(), left_out: 0, of_more: false }
        );
        assert!(tail(&"x".repeat(1000), 1).text.chars().count() == LONGEST_LINE + 1);
    }

    #[test]
    fn file_tail_starts_at_a_line_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.log");
        std::fs::write(&path, "correct-horse-battery\nlast\n").unwrap();
        let seen = file_tail(&path, 12, 9, &redactor()).unwrap();
        assert_eq!(seen, Excerpt { text: "last".into(), left_out: 0, of_more: true });
        let link = dir.path().join("changes.patch");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(file_head(&link, 99, 9, &redactor()), None);
        assert_eq!(file_head(&dir.path().join("none"), 99, 9, &redactor()), None);
    }
}
