//! The patch format between `*** Begin Patch` and `*** End Patch`.

use super::{FileChange, Hunk, HunkLine, Refusal};

pub(super) fn is_patch(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty());
    first.is_some_and(|line| {
        ["*** Begin Patch", "*** Update File:", "*** Add File:", "*** Delete File:"]
            .iter()
            .any(|start| line.starts_with(start))
    })
}

pub(super) fn parse(text: &str) -> Result<Vec<FileChange>, Refusal> {
    let mut changes = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim() == "*** End Patch" {
            break;
        }
        match section(line) {
            Some(begun) => changes.extend(begun),
            None if line.trim().is_empty() && changes.is_empty() => {}
            None => belongs(&mut changes, line).map_err(|why| {
                Refusal(format!("line {} of the patch, {line:?}: {why}", number + 1))
            })?,
        }
    }
    changes.iter_mut().for_each(tidy);
    Ok(changes)
}

/// Reads a line that begins a section; the inner value is `None` for a framing line.
fn section(line: &str) -> Option<Option<FileChange>> {
    if line.trim() == "*** Begin Patch" {
        return Some(None);
    }
    let path = |start: &str| line.strip_prefix(start).map(|path| path.trim().to_owned());
    if let Some(path) = path("*** Add File:") {
        return Some(Some(FileChange::Add { path, content: String::new() }));
    }
    if let Some(path) = path("*** Delete File:") {
        return Some(Some(FileChange::Delete { path }));
    }
    let path = path("*** Update File:")?;
    Some(Some(FileChange::Update { path, to: None, hunks: Vec::new() }))
}

fn belongs(changes: &mut [FileChange], line: &str) -> Result<(), &'static str> {
    match changes.last_mut() {
        None => {
            Err("a patch begins with `*** Update File:`, `*** Add File:` or `*** Delete File:`")
        }
        Some(FileChange::Add { content, .. }) => match line.strip_prefix('+') {
            Some(text) => {
                content.push_str(text);
                content.push('\n');
                Ok(())
            }
            None if line.trim().is_empty() => Ok(()),
            None => Err("every line of an added file begins with `+`"),
        },
        Some(FileChange::Update { to, hunks, .. }) => match line.strip_prefix("*** Move to:") {
            Some(path) => {
                *to = Some(path.trim().to_owned());
                Ok(())
            }
            None => hunk_line(hunks, line),
        },
        Some(_) if line.trim().is_empty() => Ok(()),
        Some(_) => Err("no lines may follow a deleted file"),
    }
}

fn hunk_line(hunks: &mut Vec<Hunk>, line: &str) -> Result<(), &'static str> {
    if line.trim() == "*** End of File" {
        hunks.last_mut().ok_or("there is no change above it")?.at_end = true;
        return Ok(());
    }
    if let Some(above) = line.strip_prefix("@@") {
        // Several `@@` in a row narrow down the same place.
        if hunks.last().is_none_or(|hunk| !hunk.lines.is_empty()) {
            hunks.push(Hunk::default());
        }
        let above = above.trim().trim_end_matches("@@").trim();
        if let Some(hunk) = hunks.last_mut().filter(|_| !above.is_empty()) {
            hunk.below.push(above.to_owned());
        }
        return Ok(());
    }
    let text = |from: usize| line[from..].to_owned();
    let line = match line.chars().next() {
        None => HunkLine::Keep(String::new()),
        Some(' ') => HunkLine::Keep(text(1)),
        Some('-') => HunkLine::Drop(text(1)),
        Some('+') => HunkLine::Add(text(1)),
        Some(_) => return Err("a line of a change begins with a space, `-` or `+`"),
    };
    if hunks.is_empty() {
        hunks.push(Hunk::default());
    }
    hunks.last_mut().into_iter().for_each(|hunk| hunk.lines.push(line.clone()));
    Ok(())
}

/// Drops empty lines between sections, and changes without lines.
fn tidy(change: &mut FileChange) {
    let FileChange::Update { hunks, .. } = change else { return };
    for hunk in hunks.iter_mut() {
        super::unified::drop_empty_end(&mut hunk.lines);
    }
    hunks.retain(|hunk| !hunk.lines.is_empty());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_section_is_read() {
        let patch = "*** Begin Patch\n*** Add File: a.txt\n+one\n+\n*** Update File: b.py\n\
                     *** Move to: c.py\n@@ class B\n@@ def f\n x\n-y\n+z\n\n*** Delete File: d\n*** End Patch\n";
        let lines =
            vec![HunkLine::Keep("x".into()), HunkLine::Drop("y".into()), HunkLine::Add("z".into())];
        let hunk = Hunk { below: vec!["class B".into(), "def f".into()], lines, ..Hunk::default() };
        assert_eq!(
            parse(patch).unwrap(),
            [
                FileChange::Add { path: "a.txt".into(), content: "one\n\n".into() },
                FileChange::Update {
                    path: "b.py".into(),
                    to: Some("c.py".into()),
                    hunks: vec![hunk]
                },
                FileChange::Delete { path: "d".into() },
            ]
        );
    }

    #[test]
    fn invalid_patch_lines_are_reported() {
        let why = |patch| parse(patch).unwrap_err().0;
        assert!(why("*** Begin Patch\nx\n").contains("line 2 of the patch, \"x\": a patch begins"));
        assert!(why("*** Add File: a\nx\n").contains("begins with `+`"));
        assert!(why("*** Update File: a\n@@\n?x\n").contains("a space, `-` or `+`"));
    }
}
