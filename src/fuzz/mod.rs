//! Invariants for every input, with a function for each fuzz target: takes bytes, panics on a violation.
//!
//! The invariants are stated beside the code under test, in modules named `invariants`. Only for tests and
//! cargo-fuzz (`tests/fuzz`, `make fuzz`); the tests run each target on randomly changed recordings.

#[cfg(test)]
pub(crate) mod tests;

pub use crate::agent::invariants::{edits, stream as streams};
pub use crate::ci::invariants::check_output as ci_results;
pub use crate::config::invariants::bytes as config;
pub use crate::import::invariants::bytes as plans;
pub use crate::memory::invariants::text as memories;
pub use crate::phase::autofix::invariants::bytes as autofix;
pub use crate::phase::path::invariants::bytes as paths;
pub use crate::process::invariants::redaction;
pub use crate::store::invariants::database_url;
pub use crate::workspace::view::network::invariants::bytes as network;
