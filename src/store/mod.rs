//! The store: runs, phases, attempts, owners and telemetry in one database: a file of SQLite,
//! or a Postgres server for several machines. All SQL of the backlog is here.
//!
//! The store records decisions and refuses contradictions: a step that [`crate::phase::state`] does not allow, or
//! finishing an attempt after another drain reclaimed the phase. Decisions about phases are made elsewhere.

/// The time by the clock of the database, in milliseconds.
macro_rules! database_now {
    () => {
        "CAST(unixepoch('subsec') * 1000 AS BIGINT)"
    };
}

mod admin;
mod artifacts;
mod backend;
mod columns;
mod database_name;
mod database_probe;
mod database_url;
mod engine;
mod error;
#[cfg(any(test, fuzzing))]
pub mod invariants;
mod migrations;
mod open;
mod owner_id;
mod queries;
mod queue;
mod rows;
mod server_changes;
mod server_database;

mod state_counts;
mod state_step;
mod telemetry;
mod token_columns;

#[cfg(test)]
mod tests;

pub use admin::copy::{CopyError, CopyReport, ReplacedText, TableCount, copy_database};
pub use admin::evidence::UnprovenPhase;
pub use admin::import_plan::ImportMode;
pub use admin::import_report::ImportReport;
pub use admin::operator_actions::{ChangedPhase, OperatorActions, PhaseSelector};
pub use admin::operator_control::{HeldPhase, Hold};
pub use admin::publications::{IssueRemark, OpenedPullRequest, Publications, PublishedBranch};
pub use admin::queue_move::NewPlace;
pub use admin::remove_run::AttemptDirectory;
pub use admin::reverts::{BeginRefusal, BegunUndo, UndoOutcome, UndoRequest, UndoneLanding};
pub use admin::run_sources::{RunSource, TrackedPhase};
pub use admin::run_updates::{BegunUpdate, UpdateRefusal};
pub use admin::source_removals::RemovedPhase;
pub use admin::sync_run::{ClosedIssue, SyncMode, SyncReport, SyncRequest};
pub use artifacts::followed_logs::LogPart;
pub use artifacts::stored_files::{ExecutedAttempt, StoredAttempt, StoredFile, StoredFiles};
pub use backend::DatabaseErrorKind;
pub use database_name::DatabaseName;
pub use database_url::{BadDatabaseUrl, DatabaseUrl};
pub use error::StoreError;
pub use migrations::SCHEMA_VERSION;
pub use open::Store;
pub use owner_id::OwnerId;
pub use queries::agent_sessions::AgentSession;
pub use queries::attempt_history::HistoryCursor;
pub use queries::database_facts::{Connections, DatabaseFacts};
pub use queries::in_flight::{InFlight, OwnerRow};
pub use queries::landings::Landing;
pub use queries::metric_rows::{
    AttemptMetrics, MetricRows, PhaseMetrics, QueueMetrics, RunMetrics, UsageMetrics,
};
pub use queries::name_listing::NameListing;
pub use queries::phase_usage::{EndedAttempts, PhaseUsage, SettledPhase};
pub use queries::run_facts::RunFacts;
pub use queries::snapshots::{Backlog, PhaseDetail, RunSummary};
pub use queries::undone_landings::TakenBackLanding;
pub use queries::wait_reasons::Waiting;
pub use queue::activity::{AttemptKey, Bookmark, EndedAttempt};
pub use queue::base_results::BaseKey;
pub use queue::claim::{
    Admission, Admit, Candidate, Claim, ClaimOutcome, Claimer, PersonsClaim, Spending,
};
pub use queue::clean_tests::{CleanOutcome, CleanTest};
pub use queue::finish::{DiskFullWait, Finish};
pub use queue::key_limits::{KeyLimit, KeyLimits, ProviderKey};
pub use queue::last_drain::{BudgetStop, CommonFailure, LastDrain};
pub use queue::merge_queue::{MemberState, QueueMember};
pub use queue::open_undos::OpenUndo;
pub use queue::owners::{Control, Owner, OwnerProcess, StopRequest};
pub use queue::queue_order::QueuePlace;
pub use queue::reclaim::ReclaimOutcome;
pub use queue::repair::{RepairCounts, RepairedPhase};
pub use queue::scope_proposals::{AcceptedBy, KeptProposal};
pub use queue::scope_requests::{KeptRequest, decided_paths, granted_attempts};
pub use rows::{AttemptRow, PhaseRow};
pub use server_changes::{ChangeCount, ChangeKind, ServerChanges, next_change};

pub use state_counts::StateCounts;
pub use telemetry::batch_yield::{Mark, YieldChange};
pub use telemetry::calibrations::{CalibrationRow, NewCalibration};
pub use telemetry::samples::SampleFilter;

pub use crate::phase::AttemptOutcome;
use crate::phase::{Failure, RawSpec, Repair};

/// The auto-fixer with its limits, called by the store within transactions.
pub type Fixer<'a> = dyn Fn(&RawSpec, Option<&Failure>) -> Repair + Send + Sync + 'a;
