//! Searches the worktree with a regular expression, within limits of time, files and matches.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use super::super::edit::Refusal;
use super::super::edit_bench::Bench;
use super::super::worktree::clean;
use super::read_files::{entries, find_directory};

const MATCHES: usize = 200;
const FILES: usize = 50_000;
const LONGEST: Duration = Duration::from_secs(20);
const LARGEST_FILE: u64 = 2 * 1024 * 1024;
const LONGEST_LINE: usize = 300;
/// Generated directories: searched only if the path leads into them.
const PASSED_OVER: [&str; 6] =
    ["node_modules", "target", "__pycache__", ".venv", "venv", ".pytest_cache"];

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(in crate::agent::builtin) struct Search {
    pub(super) pattern: String,
    path: Option<String>,
    #[serde(default)]
    ignore_case: bool,
}

pub(super) fn search(search: &Search, bench: &Bench, limit: usize) -> Result<String, Refusal> {
    let pattern = RegexBuilder::new(&search.pattern)
        .case_insensitive(search.ignore_case)
        .size_limit(1 << 20)
        .build()
        .map_err(|error| {
            Refusal(format!("the pattern is not a valid regular expression: {error}"))
        })?;
    let path = clean(search.path.as_deref().unwrap_or(""))?;
    let mut file_search = FileSearch::new(pattern, bench, limit);
    match !path.is_empty() && bench.worktree.read(&path).is_ok_and(|text| text.is_some()) {
        true => file_search.file(&path),
        false => file_search.search_directory(&find_directory(bench, &path)?, &path),
    }
    Ok(file_search.render())
}

struct FileSearch<'a> {
    pattern: Regex,
    bench: &'a Bench,
    began: Instant,
    files: usize,
    found: Vec<String>,
    room: usize,
    cut: Option<&'static str>,
}

impl<'a> FileSearch<'a> {
    fn new(pattern: Regex, bench: &'a Bench, limit: usize) -> Self {
        let (began, found) = (Instant::now(), Vec::new());
        Self { pattern, bench, began, files: 0, found, room: limit, cut: None }
    }

    fn search_directory(&mut self, directory: &Path, path: &str) {
        for (name, kind) in entries(directory) {
            if self.cut.is_some() {
                return;
            }
            let below = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            if kind.is_dir() && !PASSED_OVER.contains(&name.as_str()) {
                self.search_directory(&directory.join(&name), &below);
            } else if kind.is_file() && is_small(&directory.join(&name)) {
                self.file(&below);
            }
        }
    }

    fn file(&mut self, path: &str) {
        self.files += 1;
        if self.files > FILES || self.began.elapsed() > LONGEST || self.bench.is_over() {
            self.cut = Some("there are too many files: search in a directory");
            return;
        }
        let Ok(Some(text)) = self.bench.worktree.read(path) else { return };
        // A single pass over the whole text is much cheaper than line by line, and most files have no match.
        if text.contains('\0') || !text.lines().any(|line| self.pattern.is_match(line)) {
            return;
        }
        let shown = self.bench.secrets.redact(&text);
        for (index, line) in shown.lines().enumerate() {
            if self.pattern.is_match(line) {
                self.add(path, index + 1, line);
            }
        }
    }

    fn add(&mut self, path: &str, number: usize, line: &str) {
        let line = match line.char_indices().nth(LONGEST_LINE) {
            Some((cut, _)) => &line[..cut],
            None => line,
        };
        let line = format!("{path}:{number}: {line}");
        if self.found.len() >= MATCHES || self.room < line.len() {
            self.cut = Some("there is more: narrow the pattern or the path");
            return;
        }
        self.room = self.room.saturating_sub(line.len() + 1);
        self.found.push(line);
    }

    fn render(self) -> String {
        let mut text = self.found.join("\n");
        if self.found.is_empty() {
            text = format!("nothing matches in {} files", self.files);
        }
        if let Some(why) = self.cut {
            text.push_str(&format!("\n... {why}"));
        }
        text
    }
}

fn is_small(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.len() <= LARGEST_FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bench: &Bench, pattern: &str, path: Option<&str>, limit: usize) -> String {
        let (pattern, path) = (pattern.to_owned(), path.map(str::to_owned));
        let wanted = Search { pattern, path, ignore_case: true };
        search(&wanted, bench, limit).unwrap_or_else(|why| why.0)
    }

    #[test]
    fn lines_are_found_where_the_model_may_look() {
        let at = tempfile::tempdir().unwrap();
        let bench = Bench::sample(at.path());
        for file in ["src/b.rs", ".git/config", "target/made", "src/deep/c.rs"] {
            fs::create_dir_all(at.path().join(file).parent().unwrap()).unwrap();
            fs::write(at.path().join(file), "first\nNEEDLE here\n").unwrap();
        }
        fs::write(at.path().join("binary"), b"needle\0").unwrap();
        std::os::unix::fs::symlink("src", at.path().join("link")).unwrap();
        let both = "src/b.rs:2: NEEDLE here\nsrc/deep/c.rs:2: NEEDLE here";
        assert_eq!(found(&bench, "needle h", None, 1_000), both);
        assert_eq!(found(&bench, "needle", Some("target"), 1_000), "target/made:2: NEEDLE here");
        assert_eq!(found(&bench, "needle", Some("src/b.rs"), 1_000), "src/b.rs:2: NEEDLE here");
        assert_eq!(found(&bench, "key =", None, 1_000), "src/a.rs:2: key = [redacted: MODEL_KEY]");
        assert!(
            found(&bench, "needle", None, 30)
                .ends_with("... there is more: narrow the pattern or the path")
        );
        assert!(found(&bench, "needle", Some("link"), 1_000).contains("is a link"));
        assert!(found(&bench, "(", None, 1_000).contains("not a valid regular expression"));
        assert!(found(&bench, "nowhere", None, 1_000).starts_with("nothing matches in"));
    }
}
