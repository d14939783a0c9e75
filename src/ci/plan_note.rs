//! Notes on CI plans, for people.

use std::fmt;

/// A problem with a plan and the remedy, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanNote {
    /// The problem.
    pub why: String,
    /// The remedy.
    pub hint: String,
}

impl fmt::Display for PlanNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.why, self.hint)
    }
}
