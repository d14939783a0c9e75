//! Applies edits to the worktree, after checks of paths, scope and secrets.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use similar::TextDiff;

use super::edit::{FileChange, Hunk, HunkLine, Refusal, Staged, plan};
use super::known_secrets::{MARKER, Secrets, markers};
use super::worktree::{Worktree, clean};
use crate::phase::FixedSpec;
use crate::phase::scope::{Change, ChangeKind, breaches};

/// Working state shared by the tools.
pub(super) struct Bench {
    pub worktree: Worktree,
    pub secrets: Secrets,
    spec: FixedSpec,
    protected: Vec<String>,
    /// Files added by this attempt: nonexistent for the scope check.
    added: Mutex<HashSet<String>>,
    /// The session is over: long work may stop anywhere.
    over: AtomicBool,
}

impl Bench {
    pub(super) fn new(
        worktree: Worktree,
        secrets: Secrets,
        spec: FixedSpec,
        protected: Vec<String>,
    ) -> Self {
        Self {
            worktree,
            secrets,
            spec,
            protected,
            added: Mutex::default(),
            over: AtomicBool::new(false),
        }
    }

    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Applies all changes or none; returns a line per file.
    pub(super) fn edit(&self, changes: Vec<FileChange>) -> Result<String, Refusal> {
        let changes: Vec<FileChange> =
            changes.into_iter().map(with_clean_paths).collect::<Result<_, _>>()?;
        changes.iter().try_for_each(|change| self.no_marker_sought(change))?;
        let staged = plan(&changes, &mut |path| self.worktree.read(path))?;
        self.in_scope(&staged)?;
        staged.iter().try_for_each(|file| self.no_secret(file))?;
        self.worktree.commit(&staged)?;
        self.remember(&staged);
        Ok(staged.iter().map(describe_change).collect::<Vec<_>>().join("\n"))
    }

    fn in_scope(&self, staged: &[Staged]) -> Result<(), Refusal> {
        let kind = |file: &Staged| match (&file.before, &file.after) {
            (None, _) => ChangeKind::Added,
            (_, None) => ChangeKind::Deleted,
            _ => ChangeKind::Modified,
        };
        let changes: Vec<Change> = staged
            .iter()
            .map(|file| Change {
                path: file.path.clone(),
                kind: kind(file),
                symlink_target: None,
                lets_out: None,
            })
            .collect();
        let added = self.added.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let existed = |path: &str| !added.contains(path) && self.worktree.exists(path);
        let breaches = breaches(&self.spec, &changes, &self.protected, &existed);
        if breaches.is_empty() {
            return Ok(());
        }
        let named: Vec<String> = breaches.iter().map(ToString::to_string).collect();
        Err(Refusal(format!(
            "nothing was changed, because the phase must not change {}",
            named.join("; ")
        )))
    }

    /// Refuses a search text with a marker in place of a secret.
    fn no_marker_sought(&self, change: &FileChange) -> Result<(), Refusal> {
        let sought: Vec<&str> = match change {
            FileChange::Replace { old, .. } => vec![old],
            FileChange::Update { hunks, .. } => hunks.iter().flat_map(old_side).collect(),
            _ => return Ok(()),
        };
        if !sought.iter().any(|text| text.contains(MARKER)) {
            return Ok(());
        }
        let text = self.worktree.read(change.path())?.unwrap_or_default();
        let is_there = |sought: &&str| !sought.contains(MARKER) || text.contains(sought);
        match sought.iter().all(is_there) {
            true => Ok(()),
            false => Err(Refusal(format!(
                "{}: `{MARKER}...]` stands for a secret that you are not shown; the file has a different text there. \
                 Change lines around it only",
                change.path()
            ))),
        }
    }

    fn no_secret(&self, file: &Staged) -> Result<(), Refusal> {
        let Some(after) = &file.after else { return Ok(()) };
        let before = file.before.as_deref().unwrap_or_default();
        if markers(after) > markers(before) && self.secrets.redact(before) != before {
            return Err(Refusal(format!(
                "{}: the text would put `{MARKER}...]` in the place of a secret; leave these lines unchanged",
                file.path
            )));
        }
        let diff = TextDiff::from_lines(before, after).unified_diff().to_string();
        match self.secrets.added_by(&diff) {
            None => Ok(()),
            Some(name) => Err(Refusal(format!(
                "{}: the text contains a secret ({name}); read it from the environment instead",
                file.path
            ))),
        }
    }

    fn remember(&self, staged: &[Staged]) {
        let mut added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        let new = staged.iter().filter(|file| file.before.is_none());
        added.extend(new.map(|file| file.path.clone()));
    }
}

fn with_clean_paths(mut change: FileChange) -> Result<FileChange, Refusal> {
    let (path, to) = match &mut change {
        FileChange::Update { path, to, .. } => (path, to.as_mut()),
        FileChange::Write { path, .. }
        | FileChange::Replace { path, .. }
        | FileChange::Add { path, .. }
        | FileChange::Delete { path } => (path, None),
    };
    for path in [Some(path), to].into_iter().flatten() {
        *path = clean(path)?;
        if path.is_empty() {
            return Err(Refusal::new("the path is empty"));
        }
    }
    Ok(change)
}

fn old_side(hunk: &Hunk) -> impl Iterator<Item = &str> {
    hunk.lines.iter().filter_map(|line| match line {
        HunkLine::Keep(text) | HunkLine::Drop(text) => Some(text.as_str()),
        HunkLine::Add(_) => None,
    })
}

fn describe_change(file: &Staged) -> String {
    let path = &file.path;
    match (&file.before, &file.after) {
        (_, None) => format!("deleted {path}"),
        (None, Some(text)) => format!("created {path} ({} lines)", text.lines().count()),
        (Some(before), Some(after)) => {
            let diff = TextDiff::from_lines(before.as_str(), after.as_str());
            let count = |tag| diff.iter_all_changes().filter(|change| change.tag() == tag).count();
            let (more, less) =
                (count(similar::ChangeTag::Insert), count(similar::ChangeTag::Delete));
            format!("changed {path} (+{more} -{less} lines)")
        }
    }
}

#[cfg(test)]
impl Bench {
    pub(super) const KEY: &str = "correct-horse-battery";

    /// The scope is `src/`, without `src/locked`; `src/a.rs` contains a secret.
    pub(super) fn sample(root: &std::path::Path) -> Self {
        std::fs::create_dir_all(root.join("src")).unwrap();
        std::fs::write(root.join("src/a.rs"), format!("one\nkey = {}\n", Self::KEY)).unwrap();
        let known = crate::process::Redactor::formats_only();
        let secrets = Secrets::new(&known, Some(Self::KEY));
        let spec = FixedSpec::sample("p", "src/");
        Self::new(Worktree::new(root), secrets, spec, vec!["src/locked".into()])
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const KEY: &str = Bench::KEY;

    fn write(path: &str, content: &str) -> Vec<FileChange> {
        vec![FileChange::Write { path: path.to_owned(), content: content.to_owned() }]
    }

    #[test]
    fn edits_outside_the_bounds_are_refused() {
        let at = tempfile::tempdir().unwrap();
        let bench = Bench::sample(at.path());
        for path in ["../x", "/tmp/x", ".git/hooks/x", "src/locked", "other/x", ".", "src/.git/x"] {
            let mut changes = write("src/new.rs", "x");
            changes.extend(write(path, "x"));
            let why = bench.edit(changes).unwrap_err();
            assert!(!at.path().join("src/new.rs").exists(), "{path}: {why}");
        }
        assert_eq!(bench.edit(write("src/new.rs", "x")).unwrap(), "created src/new.rs (1 lines)");
    }

    #[test]
    fn secrets_are_neither_written_nor_overwritten_with_markers() {
        let at = tempfile::tempdir().unwrap();
        let bench = Bench::sample(at.path());
        let replace = |old: &str, new: &str| {
            let (path, old, new) = ("src/a.rs".to_owned(), old.to_owned(), new.to_owned());
            bench.edit(vec![FileChange::Replace { path, old, new }])
        };
        let shown = bench.secrets.redact(&bench.worktree.read("src/a.rs").unwrap().unwrap());
        assert_eq!(shown, "one\nkey = [redacted: MODEL_KEY]\n");
        let why = replace("key = [redacted: MODEL_KEY]", "x").unwrap_err().0;
        assert!(why.contains("stands for a secret"), "{why}");
        let why = bench.edit(write("src/a.rs", &shown.replace("one", "two"))).unwrap_err().0;
        assert!(why.contains("in the place of a secret"), "{why}");
        let why = bench.edit(write("src/b.rs", KEY)).unwrap_err().0;
        assert!(why.contains("contains a secret (MODEL_KEY)") && !why.contains(KEY), "{why}");
        replace("one", "two").unwrap();
        assert!(fs::read_to_string(at.path().join("src/a.rs")).unwrap().contains(KEY));
    }
}
