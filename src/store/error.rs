//! What can go wrong with the store, as its users have to tell it apart.

use std::path::PathBuf;

use crate::phase::state::{IllegalStep, PhaseState};
use crate::phase::{PhaseId, RunId};

use super::owners::OwnerId;
use super::sqlite::Trouble;

/// Nothing here is about a phase's work; it is about us, or about what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("there is no database at {}; `autopack import` makes one", path.display())]
    NoDatabase { path: PathBuf },

    #[error("cannot use the database {}: {why}", path.display())]
    CannotOpen { path: PathBuf, why: String },

    #[error(
        "cannot write the database {}: {what} is read-only; make it writable or name another with --database-url",
        path.display()
    )]
    ReadOnly { path: PathBuf, what: String },

    #[error(
        "refusing the database {}: it belongs to the Python Autopack; it was left as it is; \
         take its backlog over with `autopack import {}` and name another database with --database-url",
        path.display(), path.display()
    )]
    PythonAutopack { path: PathBuf },

    #[error(
        "refusing the database {}: it belongs to another application ({what}); it was left as it is; \
         name autopack's own with --database-url or AUTOPACK_DATABASE_URL",
        path.display()
    )]
    OtherApplication { path: PathBuf, what: String },

    #[error(
        "refusing the database {}: its schema has version {found} and this autopack knows versions up to {known}; \
         use a newer autopack",
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

    #[error("run {run}: phases would wait for themselves: {}", names(phases))]
    Cycle { run: RunId, phases: Vec<PhaseId> },

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

    #[error(
        "the database holds a value that cannot be read: {row}: {why}; restore it from a backup"
    )]
    BadRow { row: String, why: String },

    #[error("cannot {} the database{}: {trouble}", verb(*trouble), at(path.as_ref()))]
    Database { path: Option<PathBuf>, trouble: Trouble, source: sqlx::Error },
}

impl StoreError {
    /// Names the database in an error that came from it.
    pub(super) fn at(mut self, database: &std::path::Path) -> Self {
        if let Self::Database { path, .. } = &mut self {
            path.get_or_insert_with(|| database.to_owned());
        }
        self
    }

    pub(super) fn bad_row(row: impl Into<String>, why: impl ToString) -> Self {
        Self::BadRow { row: row.into(), why: why.to_string() }
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

fn known_runs(runs: &[RunId]) -> String {
    if runs.is_empty() {
        return "it holds no run".to_owned();
    }
    let names: Vec<&str> = runs.iter().map(RunId::as_str).collect();
    format!("it holds {}", names.join(", "))
}
