//! What can go wrong with the store, as its users have to tell it apart.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::phase::state::{IllegalStep, PhaseState};
use crate::phase::{PhaseId, RunId};

use super::queue::owners::OwnerId;
use super::sqlite::Trouble;

const IMPORT_MAKES_ONE: &str = "`autopack import` makes one";
const START_AGAIN: &str =
    "restore it from a copy, or import the plan again; what landed is on the branch";
const MAKE_IT_WRITABLE: &str = "make it writable or name another with --database-url";
const NAME_OURS: &str = "name autopack's own with --database-url or AUTOPACK_DATABASE_URL";
const BE_NEWER: &str = "use a newer autopack";
pub(super) const RESTORE_IT: &str = "restore it from a backup";

fn take_over(path: &Path) -> String {
    let path = path.display();
    format!(
        "take its backlog over with `autopack import {path}` and name another database with --database-url"
    )
}

/// Nothing here is about a phase's work; it is about us, or about what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("there is no database at {}; {IMPORT_MAKES_ONE}", path.display())]
    NoDatabase { path: PathBuf },

    #[error(
        "the database {} was removed or replaced while it was in use, and what was recorded since is lost; {START_AGAIN}",
        path.display()
    )]
    Gone { path: PathBuf },

    #[error("cannot use the database {}: {why}", path.display())]
    CannotOpen { path: PathBuf, why: String },

    #[error(
        "cannot write the database {}: {what} is read-only; {MAKE_IT_WRITABLE}",
        path.display()
    )]
    ReadOnly { path: PathBuf, what: String },

    #[error(
        "refusing the database {}: it belongs to the Python Autopack; it was left as it is; {}",
        path.display(), take_over(path)
    )]
    PythonAutopack { path: PathBuf },

    #[error(
        "refusing the database {}: it belongs to another application ({what}); it was left as it is; {NAME_OURS}",
        path.display()
    )]
    OtherApplication { path: PathBuf, what: String },

    #[error(
        "refusing the database {}: its schema has version {found} and this autopack knows versions up to {known}; {BE_NEWER}",
        path.display()
    )]
    NewerSchema { path: PathBuf, found: i64, known: i64 },

    #[error(
        "refusing to run on SQLite {found}: it has a bug that corrupts databases; at least {needed} is needed"
    )]
    OldSqlite { found: String, needed: String },

    #[error("no run is called {:?} in the database {}; {}", run.as_str(), database.display(), known_runs(runs))]
    UnknownRun { database: PathBuf, run: RunId, runs: Vec<RunId> },

    #[error("run {run} has no phase called {:?}", phase.as_str())]
    UnknownPhase { run: RunId, phase: PhaseId },

    #[error("run {run}, phase {phase}: it depends on {:?}, which the run does not have", needs.as_str())]
    UnknownDependency { run: RunId, phase: PhaseId, needs: PhaseId },

    #[error(
        "the phases of run `{run}` wait for each other: {}; break the circle in `depends_on`",
        circle(cycle)
    )]
    Cycle { run: RunId, cycle: Vec<PhaseId> },

    #[error("run {run}, phase {phase}: {source}")]
    IllegalStep { run: RunId, phase: PhaseId, source: IllegalStep },

    #[error("run {run}, phase {phase}: it is {state}, so it {cannot}")]
    WrongState { run: RunId, phase: PhaseId, state: PhaseState, cannot: &'static str },

    /// By a drain, or by one that died and whose work nobody has taken up yet.
    #[error(
        "run {run} has phases at work ({}); stop its drain, or start one, which takes up what a dead one left",
        names(executing)
    )]
    RunIsBusy { run: RunId, executing: Vec<PhaseId> },

    /// Somebody else has the phase now: nothing that this attempt says counts any more.
    #[error(
        "run {run}, phase {phase}: attempt {attempt} is no longer ours; another drain took it over"
    )]
    LeaseLost { run: RunId, phase: PhaseId, attempt: u32 },

    /// Taken for dead and rescued, or never registered: this owner may claim nothing.
    #[error(
        "owner {owner} may not claim: it is not registered, or another drain took over its work"
    )]
    Fenced { owner: OwnerId },

    #[error("the database holds a value that cannot be read: {row}: {why}; {RESTORE_IT}")]
    BadRow { row: String, why: String },

    #[error("cannot {} the database{}: {trouble}", verb(*trouble), at(path.as_ref()))]
    Database { path: Option<PathBuf>, trouble: Trouble, source: sqlx::Error },
}

impl StoreError {
    /// Names the database in an error that came from it.
    pub(super) fn at(mut self, database: &Path) -> Self {
        if let Self::Database { path, .. } = &mut self {
            path.get_or_insert_with(|| database.to_owned());
        }
        self
    }

    pub(super) fn bad_row(row: impl Into<String>, why: impl ToString) -> Self {
        Self::BadRow { row: row.into(), why: why.to_string() }
    }

    /// What to do about it: what the text ends with, behind its last `; `.
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            Self::NoDatabase { .. } => Cow::Borrowed(IMPORT_MAKES_ONE),
            Self::Gone { .. } => Cow::Borrowed(START_AGAIN),
            Self::ReadOnly { .. } => Cow::Borrowed(MAKE_IT_WRITABLE),
            Self::PythonAutopack { path } => Cow::Owned(take_over(path)),
            Self::OtherApplication { .. } => Cow::Borrowed(NAME_OURS),
            Self::NewerSchema { .. } => Cow::Borrowed(BE_NEWER),
            Self::BadRow { .. } => Cow::Borrowed(RESTORE_IT),
            Self::Database { trouble, .. } => Cow::Borrowed(trouble.hint()?),
            _ => return None,
        })
    }

    /// What kind of trouble the database itself has, where it is that.
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Database { trouble, .. } => Some(*trouble),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(source: sqlx::Error) -> Self {
        Self::Database { path: None, trouble: Trouble::of(&source), source }
    }
}

fn verb(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Full | Trouble::ReadOnly => "write",
        Trouble::Corrupt => "read",
        Trouble::Busy | Trouble::Io | Trouble::CannotOpen | Trouble::Other => "use",
    }
}

fn at(path: Option<&PathBuf>) -> String {
    path.map(|path| format!(" {}", path.display())).unwrap_or_default()
}

fn names(ids: &[PhaseId]) -> String {
    ids.iter().map(PhaseId::as_str).collect::<Vec<_>>().join(", ")
}

fn circle(ids: &[PhaseId]) -> String {
    ids.iter().map(PhaseId::as_str).collect::<Vec<_>>().join(" -> ")
}

fn known_runs(runs: &[RunId]) -> String {
    if runs.is_empty() {
        return "it holds no run".to_owned();
    }
    let names: Vec<&str> = runs.iter().map(RunId::as_str).collect();
    format!("it holds {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_is_what_the_text_ends_with() {
        let path = PathBuf::from("/tmp/odd; name/a.db");
        let database = |code: Trouble| StoreError::Database {
            path: Some(path.clone()),
            trouble: code,
            source: sqlx::Error::PoolClosed,
        };
        let (what, why) = ("a table `x`".to_owned(), "no number".to_owned());
        for error in [
            StoreError::NoDatabase { path: path.clone() },
            StoreError::ReadOnly { path: path.clone(), what: what.clone() },
            StoreError::PythonAutopack { path: path.clone() },
            StoreError::OtherApplication { path: path.clone(), what },
            StoreError::NewerSchema { path: path.clone(), found: 9, known: 1 },
            StoreError::BadRow { row: "run r".to_owned(), why },
            database(Trouble::Busy),
            database(Trouble::Full),
        ] {
            let hint = error.hint().unwrap();
            assert!(error.to_string().ends_with(&format!("; {hint}")), "{error}: {hint}");
        }
        assert_eq!(database(Trouble::Other).hint(), None);
    }
}
