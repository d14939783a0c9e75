//! Refusals of a merge: nothing was changed, and the user decides.

use crate::git::error::Result;
use crate::workspace::repo::obstacles::Obstacle;

/// Refusal of a merge; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MergeRefusal {
    /// The command line names no possible branch.
    Usage(Obstacle),
    /// The repository is in a state that does not allow the merge.
    State(Obstacle),
}

/// Value, or the refusal of the merge.
pub type Answer<T> = std::result::Result<T, MergeRefusal>;

/// Returns the refusal because of the state of the repository.
pub(super) fn refuse<T>(
    problem: impl Into<String>,
    remedy: impl Into<String>,
) -> Result<Answer<T>> {
    Ok(Err(MergeRefusal::State(Obstacle::new(problem, remedy))))
}

/// Returns the refusal because of the command line.
pub(super) fn reject<T>(
    problem: impl Into<String>,
    remedy: impl Into<String>,
) -> Result<Answer<T>> {
    Ok(Err(MergeRefusal::Usage(Obstacle::new(problem, remedy))))
}
