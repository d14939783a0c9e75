//! The pure core: phases, repair of their specs, the paths they may change, and the verdicts of attempts.
//!
//! No code here reads files, the clock, the environment or a database, and none is async.

pub mod autofix;
pub mod bisection;
pub mod budget;
pub mod changed_issue;
pub mod clone_identity;
pub mod companion;
pub mod cycle;
pub mod deliverables;
pub mod dependency_inputs;
mod failure_kind;
pub mod footprint;
mod history;
pub mod ids;
pub mod json;
mod matching;
pub mod needs;
mod outcome;
pub mod path;
pub mod plan;
pub mod proposal;
pub mod protected;
pub mod repair;
mod sample;
pub mod scope;
pub mod scope_request;
pub mod shell;
pub mod spec;
pub mod state;
pub mod undo;
pub mod usage;
pub mod verdict;
pub mod words;

pub use failure_kind::FailureKind;
pub use footprint::Footprint;
pub use history::{AttemptFacts, PhaseHistory};
pub use ids::{PhaseId, RunId, UnixMs};
pub use outcome::AttemptOutcome;
pub use repair::{Repair, Unfixable};
pub use sample::Sample;
pub use spec::{Complexity, FixedSpec, PathPattern, PhaseCi, RawSpec};
pub use state::PhaseState;
pub use usage::{Tokens, Usage};
pub use verdict::{Failure, FailureDetail, RequeueReason, Verdict};
