//! Unified diffs in the format of `git diff` and `diff -u`. The counts in `@@` are not trusted: models
//! miscount.

use super::{FileChange, Hunk, HunkLine, Refusal};

pub(super) fn parse(text: &str) -> Result<Vec<FileChange>, Refusal> {
    let lines: Vec<&str> = text.lines().collect();
    let mut changes = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let begun = at;
        if is_file_header(&lines, at) {
            at = file(&lines, at, &mut changes)?;
        } else if lines[at].starts_with("diff --git ") {
            at = bare_git_header(&lines, at, &mut changes)?;
        } else if lines[at].starts_with("@@") {
            return Err(Refusal::new("a change appears before any `--- path` and `+++ path`"));
        } else {
            at += 1;
        }
        debug_assert!(at > begun, "every step advances");
    }
    match changes.is_empty() {
        true => Err(Refusal::new(
            "this is neither a unified diff (`--- a/path`, `+++ b/path`, `@@ ... @@`) nor a patch \
             between `*** Begin Patch` and `*** End Patch`",
        )),
        false => Ok(changes),
    }
}

/// Detects `--- a`, `+++ b` and `@@`: all three lines, since a removed `-- a` looks like the first.
fn is_file_header(lines: &[&str], at: usize) -> bool {
    lines[at].starts_with("--- ")
        && lines.get(at + 1).is_some_and(|line| line.starts_with("+++ "))
        && lines.get(at + 2).is_none_or(|line| line.starts_with("@@") || line.trim().is_empty())
}

fn file(lines: &[&str], at: usize, changes: &mut Vec<FileChange>) -> Result<usize, Refusal> {
    let (old, new) = paths(&lines[at][4..], &lines[at + 1][4..]);
    let (hunks, next) = hunks(lines, at + 2)?;
    changes.push(match (old, new) {
        (None, None) => return Err(Refusal::new("a change from /dev/null to /dev/null")),
        (None, Some(path)) => FileChange::Add { path, content: added(&hunks) },
        (Some(path), None) => FileChange::Delete { path },
        (Some(path), Some(new)) => {
            let to = (new != path).then_some(new);
            FileChange::Update { path, to, hunks }
        }
    });
    Ok(next)
}

/// Reads git's lines before `---`, or without `---`: modes, renames, binary files.
fn bare_git_header(
    lines: &[&str],
    at: usize,
    changes: &mut Vec<FileChange>,
) -> Result<usize, Refusal> {
    let mut next = at + 1;
    let (mut from, mut to) = (None, None);
    while next < lines.len() && !lines[next].starts_with("diff --git ") {
        let line = lines[next];
        if is_file_header(lines, next) || line.starts_with("@@") {
            return Ok(next);
        }
        if line.starts_with("GIT binary patch") || line.starts_with("Binary files ") {
            return Err(Refusal::new("binary patches are not supported"));
        }
        if line.starts_with("old mode ") || line.starts_with("new mode ") {
            return Err(Refusal::new("changes of a file's mode are not supported"));
        }
        from = line.strip_prefix("rename from ").or(from);
        to = line.strip_prefix("rename to ").or(to);
        next += 1;
    }
    if let (Some(from), Some(to)) = (from, to) {
        let (path, to) = (from.to_owned(), Some(to.to_owned()));
        changes.push(FileChange::Update { path, to, hunks: Vec::new() });
    }
    Ok(next)
}

/// Strips git's `a/` and `b/`; if only one of the prefixes is present, the name is a directory.
fn paths(old: &str, new: &str) -> (Option<String>, Option<String>) {
    let (old, new) = (bare(old), bare(new));
    let null = "/dev/null";
    let old_is_git = old.starts_with("a/") || old == null;
    let new_is_git = new.starts_with("b/") || new == null;
    let cut = |path: &str| match path {
        path if path == null => None,
        path if old_is_git && new_is_git => Some(path[2..].to_owned()),
        path => Some(path.to_owned()),
    };
    (cut(old), cut(new))
}

/// Strips the timestamp added by `diff -u`.
fn bare(path: &str) -> &str {
    path.split('\t').next().unwrap_or_default().trim()
}

fn hunks(lines: &[&str], mut at: usize) -> Result<(Vec<Hunk>, usize), Refusal> {
    let mut hunks: Vec<Hunk> = Vec::new();
    while let Some(line) = lines.get(at) {
        let ends = is_file_header(lines, at) || line.starts_with("diff --git ");
        if ends {
            break;
        }
        if line.starts_with("@@") {
            hunks.push(Hunk { at: first_line(line), ..Hunk::default() });
        } else if let Some(hunk) = hunks.last_mut() {
            hunk_line(hunk, line)
                .map_err(|why| Refusal(format!("line {} of the patch, {line:?}: {why}", at + 1)))?;
        }
        at += 1;
    }
    for hunk in &mut hunks {
        drop_empty_end(&mut hunk.lines);
    }
    hunks.retain(|hunk| !hunk.lines.is_empty());
    Ok((hunks, at))
}

fn hunk_line(hunk: &mut Hunk, line: &str) -> Result<(), &'static str> {
    let text = || line[1..].to_owned();
    hunk.lines.push(match line.chars().next() {
        // Editors and models strip the space of an empty line.
        None => HunkLine::Keep(String::new()),
        Some(' ') => HunkLine::Keep(text()),
        Some('-') => HunkLine::Drop(text()),
        Some('+') => HunkLine::Add(text()),
        Some('\\') => {
            match hunk.lines.last() {
                Some(HunkLine::Drop(_)) => hunk.old_unended = true,
                Some(HunkLine::Add(_)) => hunk.new_unended = true,
                _ => (hunk.old_unended, hunk.new_unended) = (true, true),
            }
            return Ok(());
        }
        Some(_) => return Err("a line of a change begins with a space, `-` or `+`"),
    });
    Ok(())
}

/// Returns the line in `@@ -3,7 +3,8 @@`: line 3, counted from 0. Without lines on the old side, the number
/// refers to the previous line.
fn first_line(header: &str) -> Option<usize> {
    let old = header.split_whitespace().find_map(|word| word.strip_prefix('-'))?;
    let (line, count) = old.split_once(',').unwrap_or((old, "1"));
    let line: usize = line.parse().ok()?;
    Some(if count == "0" { line } else { line.saturating_sub(1) })
}

fn added(hunks: &[Hunk]) -> String {
    let lines = hunks.iter().flat_map(|hunk| &hunk.lines);
    let text = |line: &HunkLine| match line {
        HunkLine::Add(text) | HunkLine::Keep(text) => Some(format!("{text}\n")),
        HunkLine::Drop(_) => None,
    };
    let mut content: String = lines.filter_map(text).collect();
    if hunks.iter().any(|hunk| hunk.new_unended) {
        content.pop();
    }
    content
}

/// Drops empty lines after the last change: they come from the text around the patch.
pub(super) fn drop_empty_end(lines: &mut Vec<HunkLine>) {
    while matches!(lines.last(), Some(HunkLine::Keep(text)) if text.is_empty()) {
        lines.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_changed_added_deleted_and_moved() {
        let patch = "some words\n--- a/x.py\n+++ b/x.py\n@@ -2,2 +2,2 @@ def f\n a\n-b\n+c\n\n\
                     diff --git a/n b/n\nnew file mode 100644\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+one\n\\ No newline at end of file\n\
                     --- a/old\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n\
                     diff --git a/p b/q\nsimilarity index 100%\nrename from p\nrename to q\n";
        let changes = parse(patch).unwrap();
        let lines =
            vec![HunkLine::Keep("a".into()), HunkLine::Drop("b".into()), HunkLine::Add("c".into())];
        let hunk = Hunk { at: Some(1), lines, ..Hunk::default() };
        assert_eq!(
            changes,
            [
                FileChange::Update { path: "x.py".into(), to: None, hunks: vec![hunk] },
                FileChange::Add { path: "n".into(), content: "one".into() },
                FileChange::Delete { path: "old".into() },
                FileChange::Update { path: "p".into(), to: Some("q".into()), hunks: vec![] },
            ]
        );
    }

    #[test]
    fn a_removed_line_that_looks_like_a_header_is_a_line() {
        let changes = parse("--- x\n+++ x\n@@ -1,2 +1 @@\n--- sql comment\n+++ y\n k\n").unwrap();
        let [FileChange::Update { hunks, path, .. }] = changes.as_slice() else { panic!() };
        assert_eq!((path.as_str(), hunks[0].lines.len()), ("x", 3));
    }

    #[test]
    fn binary_input_is_refused() {
        let why = |patch| parse(patch).unwrap_err().0;
        assert!(why("diff --git a/x b/x\nBinary files a/x and b/x differ\n").contains("binary"));
        assert!(why("diff --git a/x b/x\nold mode 100644\nnew mode 100755\n").contains("mode"));
        assert!(why("hello").contains("neither a unified diff"));
        assert!(why("@@ -1 +1 @@\n-a\n+b\n").contains("before any"));
        assert!(why("--- a/x\n+++ b/x\n@@\n*a\n").contains("line 4 of the patch"));
    }
}
