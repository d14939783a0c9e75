//! What must hold for every input, one function a target of the fuzzer: bytes in, a panic where it does not hold.
//!
//! What holds is said beside the code that has to hold it, in its `invariants`. Here for tests and for cargo-fuzz alone
//! (`tests/fuzz`, `make fuzz`); the tests feed each with recordings, spoiled at random.

#[cfg(test)]
pub(crate) mod tests;

pub use crate::agent::invariants::{edits, stream as streams};
pub use crate::ci::invariants::bytes as ci_results;
pub use crate::config::invariants::bytes as config;
pub use crate::import::invariants::bytes as plans;
pub use crate::memory::invariants::text as memories;
pub use crate::phase::autofix::invariants::bytes as autofix;
pub use crate::phase::path::invariants::bytes as paths;
pub use crate::process::invariants::redaction;
pub use crate::store::invariants::database_url;
