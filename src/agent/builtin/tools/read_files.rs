//! Shows directories of the worktree, and files in windows of lines.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::super::edit::Refusal;
use super::super::edit_bench::Bench;
use super::super::worktree::clean;
use crate::phase::path::reserved;

const DEPTH: usize = 2;
const ENTRIES: usize = 400;
const WINDOW: usize = 400;
/// Longer lines are cut: data, or minified code.
const LONGEST_LINE: usize = 1_000;

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(in crate::agent::builtin) struct List {
    path: Option<String>,
    depth: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(in crate::agent::builtin) struct Read {
    pub(super) path: String,
    start_line: Option<usize>,
    lines: Option<usize>,
}

impl List {
    pub(super) fn place(&self) -> &str {
        self.path.as_deref().filter(|path| !path.is_empty()).unwrap_or(".")
    }
}

pub(super) fn list(list: &List, bench: &Bench) -> Result<String, Refusal> {
    let path = clean(list.place())?;
    let directory = find_directory(bench, &path)?;
    let mut found = Vec::new();
    walk(&directory, &path, list.depth.unwrap_or(DEPTH).clamp(1, 8), &mut found);
    let cut = found.len() > ENTRIES;
    found.truncate(ENTRIES);
    let mut text = found.join("\n");
    if found.is_empty() {
        text.push_str("the directory is empty");
    }
    if cut {
        text.push_str(&format!("\n... only the first {ENTRIES} are shown; list a subdirectory"));
    }
    Ok(bench.secrets.redact(&text))
}

/// Returns the real directory at a path without links.
pub(super) fn find_directory(bench: &Bench, path: &str) -> Result<std::path::PathBuf, Refusal> {
    let mut at = bench.worktree.root().to_owned();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        at.push(part);
        let kind = fs::symlink_metadata(&at).map(|meta| meta.file_type());
        match kind {
            Ok(kind) if kind.is_dir() => {}
            Ok(kind) if kind.is_symlink() => {
                return Err(Refusal(format!("{path}: {part} is a link; links are not followed")));
            }
            Ok(_) => return Err(Refusal(format!("{path} is not a directory"))),
            Err(_) => return Err(Refusal(format!("there is no directory {path}"))),
        }
    }
    Ok(at)
}

fn walk(directory: &Path, path: &str, depth: usize, found: &mut Vec<String>) {
    for (name, kind) in entries(directory) {
        if found.len() > ENTRIES {
            return;
        }
        let below = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        if !kind.is_dir() {
            found.push(if kind.is_symlink() { format!("{below} (a link)") } else { below });
            continue;
        }
        found.push(format!("{below}/"));
        if depth > 1 {
            walk(&directory.join(&name), &below, depth - 1, found);
        }
    }
}

/// Returns a directory's entries, sorted, without reserved names and names that are not text.
pub(super) fn entries(directory: &Path) -> Vec<(String, fs::FileType)> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut found: Vec<(String, fs::FileType)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name().into_string().ok()?, entry.file_type().ok()?))
        })
        .filter(|(name, _)| reserved(name).is_none())
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

pub(super) fn read(read: &Read, bench: &Bench, limit: usize) -> Result<String, Refusal> {
    let path = clean(&read.path)?;
    let text = bench.worktree.read(&path)?;
    let text = text.ok_or_else(|| Refusal(format!("there is no file {path}")))?;
    let shown = bench.secrets.redact(&text);
    let hidden = shown != text;
    let lines: Vec<&str> = shown.lines().collect();
    let first = read.start_line.unwrap_or(1).max(1);
    if first > lines.len().max(1) {
        return Err(Refusal(format!("{path} has {} lines only", lines.len())));
    }
    let wanted = read.lines.unwrap_or(WINDOW).max(1);
    let (window, last) = window(&lines, first, wanted, limit);
    let mut out = match (first, last) {
        (1, last) if last == lines.len() => format!("{path}, {last} lines:\n{window}"),
        _ => format!("{path}, lines {first} to {last} of {}:\n{window}", lines.len()),
    };
    if hidden {
        out.push_str("(secrets are shown as `[redacted: ...]`: leave these lines unchanged)\n");
    }
    Ok(out)
}

/// Returns numbered lines, as many as fit; at least one.
fn window(lines: &[&str], first: usize, wanted: usize, limit: usize) -> (String, usize) {
    let (mut out, mut last) = (String::new(), first - 1);
    for (index, line) in lines.iter().enumerate().skip(first - 1).take(wanted) {
        let number = index + 1;
        let line = match line.char_indices().nth(LONGEST_LINE) {
            Some((cut, _)) => {
                format!("{number} | {}... ({} more bytes)\n", &line[..cut], line.len() - cut)
            }
            None => format!("{number} | {line}\n"),
        };
        if !out.is_empty() && out.len() + line.len() > limit {
            break;
        }
        out.push_str(&line);
        last = number;
    }
    (out, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_where_its_room_does() {
        let lines = ["aaaa", "bbbb", "cccc"];
        assert_eq!(window(&lines, 2, 9, 100), ("2 | bbbb\n3 | cccc\n".to_owned(), 3));
        assert_eq!(window(&lines, 1, 9, 10), ("1 | aaaa\n".to_owned(), 1));
        assert_eq!(window(&lines, 1, 9, 0), ("1 | aaaa\n".to_owned(), 1));
        assert_eq!(window(&[], 1, 9, 10), (String::new(), 0));
        let long = "é".repeat(1_500);
        assert!(window(&[&long], 1, 1, 10).0.ends_with("... (1000 more bytes)\n"));
    }

    #[test]
    fn listings_omit_reserved_paths() {
        let at = tempfile::tempdir().unwrap();
        let bench = Bench::sample(at.path());
        fs::create_dir_all(at.path().join(".git/hooks")).unwrap();
        std::os::unix::fs::symlink("src", at.path().join("link")).unwrap();
        let listed = list(&List::default(), &bench).unwrap();
        assert_eq!(listed, "link (a link)\nsrc/\nsrc/a.rs");
        let shown = |path: &str, start_line| {
            let wanted = Read { path: path.to_owned(), start_line, lines: None };
            read(&wanted, &bench, 1_000).unwrap_or_else(|why| why.0)
        };
        let text = shown("./src/a.rs", None);
        assert!(
            text.starts_with(
                "src/a.rs, 2 lines:\n1 | one\n2 | key = [redacted: MODEL_KEY]\n(secrets"
            ),
            "{text}"
        );
        assert!(shown("src/a.rs", Some(2)).starts_with("src/a.rs, lines 2 to 2 of 2:"));
        assert_eq!(shown("src/a.rs", Some(3)), "src/a.rs has 2 lines only");
        assert_eq!(shown("src/b.rs", None), "there is no file src/b.rs");
        assert_eq!(shown("src", None), "src is a directory");
    }
}
