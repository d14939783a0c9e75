//! The store: runs, phases, attempts, owners and telemetry in one SQLite database, and the only SQL there is.
//!
//! It keeps what was decided and refuses what contradicts it: a step that [`crate::phase::state`] does not allow, the
//! finish of an attempt that another drain took over. It decides nothing about a phase itself.

mod activity;
mod base_results;
mod calibrations;
mod claim;
mod clean_tests;
mod columns;
mod counts;
mod dependencies;
mod error;
mod evidence;
mod finish;
mod history;
mod import;
mod in_flight;
#[cfg(any(test, fuzzing))]
pub mod invariants;
mod look;
mod open;
mod overlaps;
mod owners;
mod probe;
mod record;
mod recover;
mod remove;
mod repair;
mod rows;
mod runs;
mod samples;
mod sqlite;
mod steer;
mod step;
mod tokens;
mod url;
mod waits;
mod yields;

#[cfg(test)]
mod tests;

pub use activity::{AttemptKey, Bookmark, Ended};
pub use base_results::BaseKey;
pub use calibrations::{CalibrationRow, NewCalibration};
pub use claim::{Admission, Admit, Candidate, Claim, Claimer, Next, Spending};
pub use clean_tests::{CleanOutcome, CleanTest};
pub use counts::Counts;
pub use error::StoreError;
pub use evidence::Unproven;
pub use finish::{Finish, WhileFull};
pub use history::HistoryCursor;
pub use import::ImportReport;
pub use in_flight::{InFlight, OwnerRow};
pub use look::{Backlog, PhaseDetail, RunSummary};
pub use open::Store;
pub use owners::{Control, Owner, OwnerId, Place, StopRequest};
pub use recover::Rescue;
pub use remove::AttemptFolder;
pub use repair::{RepairCounts, Repaired};
pub use rows::{AttemptRow, PhaseRow};
pub use runs::RunFacts;
pub use samples::SampleFilter;
pub use sqlite::Trouble;
pub use steer::{Steered, Which};
pub use url::{BadDatabaseUrl, DatabaseUrl};
pub use waits::Waiting;
pub use yields::{Mark, Yield};

pub use crate::phase::AttemptOutcome;
use crate::phase::{Failure, RawSpec, Repair};

/// The auto-fixer, limits and all, as the store calls it within its transactions.
pub type Fixer<'a> = dyn Fn(&RawSpec, Option<&Failure>) -> Repair + Send + Sync + 'a;
