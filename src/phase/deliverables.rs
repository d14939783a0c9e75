//! Check for missing deliverables of an attempt.

use std::fmt;

use super::matching::Matcher;
use super::path::file_name;
use super::scope::{Change, ChangeKind};
use super::spec::{FixedSpec, PathPattern};

/// State of a path after the attempt. Symbolic links are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Nothing exists at the path.
    Absent,
    /// A file without content.
    EmptyFile,
    /// A file with content.
    File,
    /// A directory without any file, at any depth.
    EmptyDirectory,
    /// A directory with at least a single file.
    Directory,
}

/// A missing deliverable and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingDeliverable {
    /// The deliverable as listed in the spec.
    pub deliverable: PathPattern,
    /// Why the deliverable counts as missing.
    pub why: MissingReason,
}

/// Reason why a deliverable counts as missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingReason {
    /// Nothing exists at the path.
    Absent,
    /// The file is empty.
    Empty,
    /// The path is a file, but a directory is expected.
    NotADirectory,
    /// The directory contains no file.
    NothingBeneath,
    /// No new or changed file matches the glob.
    NoNewMatch,
}

impl fmt::Display for MissingDeliverable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            MissingReason::Absent => "does not exist",
            MissingReason::Empty => "is empty",
            MissingReason::NotADirectory => "is a file, not a directory",
            MissingReason::NothingBeneath => "is a directory without a file",
            MissingReason::NoNewMatch => "no new or changed file matches it",
        };
        write!(f, "{}: {why}", self.deliverable.as_str())
    }
}

/// Files that are useful even if empty.
const MAY_BE_EMPTY: [&str; 3] = ["__init__.py", "py.typed", ".gitkeep"];

/// Checks whether a phase lists this file as a deliverable: by name, by a parent directory or by a glob.
pub fn delivers(spec: &FixedSpec, file: &str) -> bool {
    spec.deliverables
        .iter()
        .any(|deliverable| Matcher::new(deliverable.as_str().trim_end_matches('/')).covers(file))
}

/// Returns the missing deliverables. `changes` are the attempt's changes, `presence` inspects the resulting
/// tree; both use paths relative to the repository root, without a trailing slash.
pub fn find_missing(
    spec: &FixedSpec,
    changes: &[Change],
    presence: &dyn Fn(&str) -> Presence,
) -> Vec<MissingDeliverable> {
    let judge = |deliverable: &PathPattern| {
        let why = judge(deliverable, changes, presence)?;
        Some(MissingDeliverable { deliverable: deliverable.clone(), why })
    };
    spec.deliverables.iter().filter_map(judge).collect()
}

fn judge(
    deliverable: &PathPattern,
    changes: &[Change],
    presence: &dyn Fn(&str) -> Presence,
) -> Option<MissingReason> {
    let path = deliverable.as_str().trim_end_matches('/');
    if deliverable.is_glob() {
        return no_match(path, changes, presence);
    }
    match presence(path) {
        Presence::Absent => Some(MissingReason::Absent),
        Presence::EmptyFile | Presence::File if deliverable.is_dir() => {
            Some(MissingReason::NotADirectory)
        }
        Presence::EmptyFile => (!may_be_empty(path)).then_some(MissingReason::Empty),
        Presence::EmptyDirectory => Some(MissingReason::NothingBeneath),
        Presence::File | Presence::Directory => None,
    }
}

fn no_match(
    glob: &str,
    changes: &[Change],
    presence: &dyn Fn(&str) -> Presence,
) -> Option<MissingReason> {
    let matcher = Matcher::new(glob);
    let filled = |path: &str| match presence(path) {
        Presence::EmptyFile => may_be_empty(path),
        found => found != Presence::Absent,
    };
    let made =
        |change: &&Change| change.kind != ChangeKind::Deleted && matcher.covers(&change.path);
    let found = changes.iter().filter(made).any(|change| filled(&change.path));
    (!found).then_some(MissingReason::NoNewMatch)
}

fn may_be_empty(path: &str) -> bool {
    MAY_BE_EMPTY.contains(&file_name(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing_of(
        deliverable: &str,
        there: &[(&str, Presence)],
        changed: &[&str],
    ) -> Option<MissingReason> {
        let spec = FixedSpec::sample("p", deliverable);
        let change = |path: &&str| Change {
            path: (*path).to_owned(),
            kind: ChangeKind::Added,
            symlink_target: None,
            lets_out: None,
        };
        let changes: Vec<Change> = changed.iter().map(change).collect();
        let presence = |path: &str| {
            there.iter().find(|(there, _)| *there == path).map_or(Presence::Absent, |(_, is)| *is)
        };
        find_missing(&spec, &changes, &presence).pop().map(|missing| missing.why)
    }

    #[test]
    fn a_file_must_be_there_and_hold_something() {
        assert_eq!(missing_of("a.py", &[], &[]), Some(MissingReason::Absent));
        assert_eq!(
            missing_of("a.py", &[("a.py", Presence::EmptyFile)], &[]),
            Some(MissingReason::Empty)
        );
        assert_eq!(missing_of("a.py", &[("a.py", Presence::File)], &[]), None);
    }

    #[test]
    fn some_files_may_be_empty() {
        for path in ["src/x/__init__.py", "src/py.typed", "data/.gitkeep"] {
            assert_eq!(missing_of(path, &[(path, Presence::EmptyFile)], &[]), None, "{path}");
        }
    }

    #[test]
    fn a_directory_must_contain_a_file() {
        let with = |presence| missing_of("docs/", &[("docs", presence)], &[]);
        assert_eq!(with(Presence::Directory), None);
        assert_eq!(with(Presence::EmptyDirectory), Some(MissingReason::NothingBeneath));
        assert_eq!(with(Presence::File), Some(MissingReason::NotADirectory));
        assert_eq!(missing_of("docs", &[("docs", Presence::Directory)], &[]), None);
    }

    #[test]
    fn a_glob_needs_a_new_or_changed_match() {
        let there = [("v/1_a.py", Presence::File), ("v/2_b.py", Presence::EmptyFile)];
        assert_eq!(missing_of("v/*.py", &there, &["v/1_a.py"]), None);
        assert_eq!(missing_of("v/*.py", &there, &[]), Some(MissingReason::NoNewMatch));
        assert_eq!(missing_of("v/*.py", &there, &["v/2_b.py"]), Some(MissingReason::NoNewMatch));
        assert_eq!(missing_of("v/*.py", &there, &["w/1_a.py"]), Some(MissingReason::NoNewMatch));
    }

    #[test]
    fn missing_deliverables_are_described() {
        let missing = MissingDeliverable {
            deliverable: PathPattern("a.py".into()),
            why: MissingReason::Empty,
        };
        assert_eq!(missing.to_string(), "a.py: is empty");
    }
}
