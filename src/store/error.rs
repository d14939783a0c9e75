//! Errors of the store, as far as callers distinguish them.

use std::borrow::Cow;

use crate::config::suggestion::nearest;
use crate::phase::cycle;
use crate::phase::state::{IllegalStep, PhaseState};
use crate::phase::{PhaseId, RunId};

use super::backend::{DatabaseErrorKind, RESTORE_IT, USE_THE_PRIMARY};
use super::database_name::DatabaseName;
use super::owner_id::OwnerId;

const PLAN_MAKES_ONE: &str = "import and drain a plan with `autopack drain plan.yaml`";
const MOVE_IT: &str = "move it away, or choose another with --database-url";
const START_AGAIN: &str =
    "restore it from a copy, or import the plan again; landed commits are on the branch";
const MAKE_IT_WRITABLE: &str = "make it writable or choose another with --database-url";
const NAME_OURS: &str = "choose autopack's own with --database-url or AUTOPACK_DATABASE_URL";
const WAIT_FOR_THE_UNDO: &str =
    "wait for its end, or start a drain to settle it if the process is dead";
const BE_NEWER: &str = "use a newer autopack";
const MIGRATE_IT: &str = "migrate it with `autopack db migrate`; older versions cannot use it then";
const STOP_THEM: &str =
    "stop them with that autopack, or let them fail with `autopack db migrate --force`";

fn import_hint(path: &DatabaseName) -> String {
    format!(
        "import its backlog with `autopack import {path}` and choose another database with --database-url"
    )
}

/// Errors of the store. None concern the work of a phase; they concern autopack itself or the request.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no database file.
    #[error("there is no database at {}; {PLAN_MAKES_ONE}", path)]
    NoDatabase {
        /// The database.
        path: DatabaseName,
    },

    /// The file was removed or replaced while open.
    #[error(
        "the database {} was removed or replaced while in use, and everything recorded since is lost; {START_AGAIN}",
        path
    )]
    Gone {
        /// The database.
        path: DatabaseName,
    },

    /// The file is no usable SQLite database.
    #[error("cannot use the database {}: {why}", path)]
    CannotOpen {
        /// The database.
        path: DatabaseName,
        /// Reason.
        why: String,
    },

    /// The file is something else.
    #[error("cannot use the database {}: it is not an SQLite database; {MOVE_IT}", path)]
    NotSqlite {
        /// The file.
        path: DatabaseName,
    },

    /// The file or directory is read-only.
    #[error("cannot write the database {}: {what} is read-only; {MAKE_IT_WRITABLE}", path)]
    ReadOnly {
        /// The database.
        path: DatabaseName,
        /// Details.
        what: String,
    },

    /// The database belongs to the Python Autopack.
    #[error(
        "refusing the database {}: it belongs to the Python Autopack; it was not changed; {}",
        path,
        import_hint(path)
    )]
    PythonAutopack {
        /// The database.
        path: DatabaseName,
    },

    /// The database belongs to another application.
    #[error(
        "refusing the database {}: it belongs to another application ({what}); it was not changed; {NAME_OURS}",
        path
    )]
    OtherApplication {
        /// The database.
        path: DatabaseName,
        /// Details.
        what: String,
    },

    /// A newer autopack wrote the database.
    #[error(
        "refusing the database {}: its schema has version {found} and this autopack knows versions up to {known}; {BE_NEWER}",
        path
    )]
    NewerSchema {
        /// The database.
        path: DatabaseName,
        /// Version found.
        found: i64,
        /// Newest known version.
        known: i64,
    },

    /// The schema at a server is older, and the command does not migrate it.
    #[error(
        "the schema of the database {} has version {found}, and this autopack uses version {known}; {MIGRATE_IT}",
        path
    )]
    OlderSchema {
        /// The database.
        path: DatabaseName,
        /// Version found.
        found: i64,
        /// Version needed.
        known: i64,
    },

    /// Drains of an older autopack use the schema.
    #[error(
        "refusing to migrate the database {} from schema version {found} to {known}: drains of an older autopack run on {}; {STOP_THEM}",
        path,
        hosts.join(", ")
    )]
    OlderDrains {
        /// The database.
        path: DatabaseName,
        /// Version found.
        found: i64,
        /// Version needed.
        known: i64,
        /// Hosts of the drains.
        hosts: Vec<String>,
    },

    /// The server is a standby.
    #[error(
        "cannot write the database {}: the server is a standby{}; {USE_THE_PRIMARY}",
        path,
        primary.as_ref().map(|primary| format!(" of {primary}")).unwrap_or_default()
    )]
    Standby {
        /// The database.
        path: DatabaseName,
        /// Host and port of the primary, if the standby tells.
        primary: Option<String>,
    },

    /// The SQLite library has a known bug that corrupts databases.
    #[error(
        "refusing to run on SQLite {found}: this version can corrupt databases; use SQLite {needed} or newer"
    )]
    OldSqlite {
        /// Version found.
        found: String,
        /// Oldest accepted version.
        needed: String,
    },

    /// No run has this id.
    #[error("no run is called {:?} in the database {}; {}", run.as_str(), database, known_runs(run, runs))]
    UnknownRun {
        /// The database.
        database: DatabaseName,
        /// Id of the run.
        run: RunId,
        /// Existing runs.
        runs: Vec<RunId>,
    },

    /// The run has no phase with this id.
    #[error("run {run} has no phase called {:?}", phase.as_str())]
    UnknownPhase {
        /// Id of the run.
        run: RunId,
        /// Id of the phase.
        phase: PhaseId,
    },

    /// A phase depends on an unknown phase.
    #[error("run {run}, phase {phase}: it depends on {:?}, which the run does not have", needs.as_str())]
    UnknownDependency {
        /// Id of the run.
        run: RunId,
        /// Id of the phase.
        phase: PhaseId,
        /// Id of the unknown dependency.
        needs: PhaseId,
    },

    /// Dependencies form a cycle.
    #[error(
        "the phases of run `{run}` wait for each other: {}; break the cycle in `depends_on`",
        format_cycle(cycle)
    )]
    Cycle {
        /// Id of the run.
        run: RunId,
        /// Phases of the cycle.
        cycle: Vec<PhaseId>,
    },

    /// A phase would stand before a phase it depends on.
    #[error("run {run}: phase {phase} cannot run before {needs}, which it depends on")]
    OrderAgainstDependency {
        /// Id of the run.
        run: RunId,
        /// Id of the phase.
        phase: PhaseId,
        /// Id of the dependency.
        needs: PhaseId,
    },

    /// The state machine does not allow the step.
    #[error("run {run}, phase {phase}: {source}")]
    IllegalStep {
        /// Id of the run.
        run: RunId,
        /// Id of the phase.
        phase: PhaseId,
        /// Underlying error.
        source: IllegalStep,
    },

    /// The phase's state does not allow the action.
    #[error("run {run}, phase {phase}: it is {state}, so it {cannot}")]
    WrongState {
        /// Id of the run.
        run: RunId,
        /// Id of the phase.
        phase: PhaseId,
        /// Present state.
        state: PhaseState,
        /// The refused action, completing "so it".
        cannot: &'static str,
    },

    /// Phases are executing: claimed by a live drain, or by a dead drain and not yet reclaimed.
    #[error(
        "run {run} has running phases ({}); stop its drain; if the drain is dead, start another to reclaim them",
        names(executing)
    )]
    RunIsBusy {
        /// Id of the run.
        run: RunId,
        /// Executing phases.
        executing: Vec<PhaseId>,
    },

    /// `autopack undo` or `autopack update` works on the run, or was killed there.
    #[error(
        "an {} of run {run} is under way (process {}); {WAIT_FOR_THE_UNDO}",
        if *is_update { "update" } else { "undo" },
        process_of(owner)
    )]
    RunIsBeingUndone {
        /// Id of the run.
        run: RunId,
        /// Process with the undo.
        owner: OwnerId,
        /// Whether it is an update.
        is_update: bool,
    },

    /// Another drain has claimed or reclaimed the phase: the results of this attempt no longer count.
    #[error(
        "run {run}, phase {phase}: attempt {attempt} no longer counts; another drain reclaimed it"
    )]
    LeaseLost {
        /// Id of the run.
        run: RunId,
        /// Id of the phase.
        phase: PhaseId,
        /// Number of the attempt.
        attempt: u32,
    },

    /// The owner was reclaimed, or never registered, and must not claim.
    #[error(
        "owner {owner} may not claim: it is not registered, or another drain reclaimed its work"
    )]
    Fenced {
        /// Id of the owner.
        owner: OwnerId,
    },

    /// A stored value cannot be read.
    #[error("the database contains an unreadable value: {row}: {why}; {RESTORE_IT}")]
    BadRow {
        /// Name of the row.
        row: String,
        /// Reason.
        why: String,
    },

    /// SQLite or the file system reported an error.
    #[error("cannot {} the database{}: {kind}", verb(*kind), at(path.as_ref()))]
    Database {
        /// The database.
        path: Option<DatabaseName>,
        /// Kind of fault.
        kind: DatabaseErrorKind,
        /// Underlying error.
        source: sqlx::Error,
    },
}

impl StoreError {
    /// Adds the path of the database to an error without a path.
    pub(super) fn at(mut self, database: &DatabaseName) -> Self {
        if let Self::Database { path, .. } = &mut self {
            path.get_or_insert_with(|| database.clone());
        }
        self
    }

    pub(super) fn bad_row(row: impl Into<String>, why: impl ToString) -> Self {
        Self::BadRow { row: row.into(), why: why.to_string() }
    }

    /// Returns the remedy: the end of the message, after the last `; `.
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            Self::NoDatabase { .. } => Cow::Borrowed(PLAN_MAKES_ONE),
            Self::NotSqlite { .. } => Cow::Borrowed(MOVE_IT),
            Self::Gone { .. } => Cow::Borrowed(START_AGAIN),
            Self::ReadOnly { .. } => Cow::Borrowed(MAKE_IT_WRITABLE),
            Self::PythonAutopack { path } => Cow::Owned(import_hint(path)),
            Self::OtherApplication { .. } => Cow::Borrowed(NAME_OURS),
            Self::NewerSchema { .. } => Cow::Borrowed(BE_NEWER),
            Self::OlderSchema { .. } => Cow::Borrowed(MIGRATE_IT),
            Self::OlderDrains { .. } => Cow::Borrowed(STOP_THEM),
            Self::Standby { .. } => Cow::Borrowed(USE_THE_PRIMARY),
            Self::BadRow { .. } => Cow::Borrowed(RESTORE_IT),
            Self::RunIsBeingUndone { .. } => Cow::Borrowed(WAIT_FOR_THE_UNDO),
            Self::UnknownRun { run, runs, .. } => Cow::Owned(similar_run(run, runs)?),
            Self::Database { kind, .. } => Cow::Borrowed(kind.hint()?),
            _ => return None,
        })
    }

    /// Returns the kind of database fault, for [`StoreError::Database`].
    pub fn database_kind(&self) -> Option<DatabaseErrorKind> {
        match self {
            Self::Database { kind, .. } => Some(*kind),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(source: sqlx::Error) -> Self {
        Self::Database { path: None, kind: DatabaseErrorKind::of(&source), source }
    }
}

fn verb(kind: DatabaseErrorKind) -> &'static str {
    match kind {
        DatabaseErrorKind::Full | DatabaseErrorKind::ReadOnly => "write",
        DatabaseErrorKind::Corrupt => "read",
        DatabaseErrorKind::Busy
        | DatabaseErrorKind::Io
        | DatabaseErrorKind::CannotOpen
        | DatabaseErrorKind::Standby
        | DatabaseErrorKind::Unreachable
        | DatabaseErrorKind::Unanswered
        | DatabaseErrorKind::Other => "use",
    }
}

fn at(path: Option<&DatabaseName>) -> String {
    path.map(|path| format!(" {}", path)).unwrap_or_default()
}

/// Returns the process id in the name of an owner.
fn process_of(owner: &OwnerId) -> &str {
    owner.as_str().split('-').next().unwrap_or_default()
}

fn names(ids: &[PhaseId]) -> String {
    ids.iter().map(PhaseId::as_str).collect::<Vec<_>>().join(", ")
}

/// Suggests the run with the most similar id.
fn similar_run(run: &RunId, runs: &[RunId]) -> Option<String> {
    let names: Vec<&str> = runs.iter().map(RunId::as_str).collect();
    nearest(run.as_str(), &names).map(|near| format!("did you mean {near:?}?"))
}

fn format_cycle(ids: &[PhaseId]) -> String {
    cycle::describe(ids.iter().map(PhaseId::as_str))
}

fn known_runs(run: &RunId, runs: &[RunId]) -> String {
    if runs.is_empty() {
        return "it has no runs".to_owned();
    }
    let names: Vec<&str> = runs.iter().map(RunId::as_str).collect();
    let meant = similar_run(run, runs).map(|meant| format!("; {meant}")).unwrap_or_default();
    format!("existing runs: {}{meant}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn message_ends_with_the_hint() {
        let path = DatabaseName::from(Path::new("/tmp/odd; name/a.db"));
        let database = |code: DatabaseErrorKind| StoreError::Database {
            path: Some(path.clone()),
            kind: code,
            source: sqlx::Error::PoolClosed,
        };
        let (what, why) = ("a table `x`".to_owned(), "no number".to_owned());
        for error in [
            StoreError::NoDatabase { path: path.clone() },
            StoreError::NotSqlite { path: path.clone() },
            StoreError::ReadOnly { path: path.clone(), what: what.clone() },
            StoreError::PythonAutopack { path: path.clone() },
            StoreError::OtherApplication { path: path.clone(), what },
            StoreError::NewerSchema { path: path.clone(), found: 9, known: 1 },
            StoreError::BadRow { row: "run r".to_owned(), why },
            StoreError::UnknownRun {
                database: path.clone(),
                run: RunId::new("week1"),
                runs: vec![RunId::new("week2")],
            },
            StoreError::RunIsBeingUndone {
                run: RunId::new("week1"),
                owner: OwnerId::new("7-1"),
                is_update: false,
            },
            database(DatabaseErrorKind::Busy),
            database(DatabaseErrorKind::Full),
        ] {
            let hint = error.hint().unwrap();
            assert!(error.to_string().ends_with(&format!("; {hint}")), "{error}: {hint}");
        }
        assert_eq!(database(DatabaseErrorKind::Other).hint(), None);
    }
}
