//! A revert of landed phases, made on the run's tip.

use std::collections::HashMap;

use super::attempt_record::Record;
use super::branch_change::{BranchChange, ChangeEnd, landed_anyway};
use super::{AttemptError, DrainContext};
use crate::phase::{Failure, PhaseId};
use crate::process::StopReceiver;
use crate::progress::{NOTES, shown_id};
use crate::store::{BegunUndo, UndoneLanding};
use crate::workspace::{Revert, RevertMessage, RevertedCommit};

/// Result of an undo.
#[derive(Debug)]
pub enum UndoEnd {
    /// The revert is on the branch.
    Landed {
        /// Id of the revert's commit.
        commit: String,
    },
    /// CI is red with the revert.
    Red(Failure),
    /// Later landings changed the same places.
    Conflict {
        /// Phase whose landing cannot be reverted.
        phase: PhaseId,
        /// Paths with a conflict.
        paths: Vec<String>,
        /// Phases that changed these paths later.
        changed_by: Vec<PhaseId>,
    },
    /// The landing of this phase is not in the branch's history: the branch was rewritten.
    NotOnBranch(PhaseId),
    /// The branch does not have the change of this phase any more.
    Absent(PhaseId),
    /// The branch moved during the test.
    TipMoved,
    /// The operator stopped autopack.
    Stopped,
}

/// Makes, tests and lands the revert of an undo that was begun in the store.
///
/// # Errors
/// Errors of git, the disk or the database. After [`AttemptError::Unsettled`], the revert may have landed.
pub async fn land_revert(
    context: &DrainContext,
    begun: &BegunUndo,
    stop: &StopReceiver,
) -> Result<UndoEnd, AttemptError> {
    let mut record = Record::default();
    let ended = try_to_land(context, begun, stop, &mut record).await;
    let Err(error) = &ended else { return ended };
    let change = (&begun.claim.run_id, begun.revert, &begun.claim.owner);
    match landed_anyway(context, change, &record, error, "revert").await? {
        Some(commit) => Ok(UndoEnd::Landed { commit }),
        None => ended,
    }
}

async fn try_to_land(
    context: &DrainContext,
    begun: &BegunUndo,
    stop: &StopReceiver,
    record: &mut Record,
) -> Result<UndoEnd, AttemptError> {
    let claim = &begun.claim;
    let run = &claim.run_id;
    if let Some(end) = context.sync_branch(run, stop).await? {
        end.answer()?;
    }
    let (facts, tip) = context.ensure_branch(run).await?;
    let landed: HashMap<&str, &UndoneLanding> = begun
        .landings
        .iter()
        .filter_map(|landing| Some((landing.commit.as_deref()?, landing)))
        .collect();
    let commits: Vec<String> = landed.keys().map(|commit| (*commit).to_owned()).collect();
    let newest_first = context.repo.newest_first(&facts.base_commit, &tip.commit, &commits).await?;
    if let Some(commit) = commits.iter().find(|commit| !newest_first.contains(commit)) {
        return Ok(UndoEnd::NotOnBranch(landed[commit.as_str()].phase_id.clone()));
    }
    let mut slot = context.repo.acquire_slot().await?;
    slot.reset(&tip.commit, &context.settings.workspace).await?;
    let (tree, changed) = match slot.revert(&tip.commit, &newest_first).await? {
        Revert::Clean { tree, changed } => (tree, changed),
        Revert::Absent { commit } => {
            return Ok(UndoEnd::Absent(landed[commit.as_str()].phase_id.clone()));
        }
        Revert::Conflict { commit, paths } => {
            let changed_by = phases_touching(context, begun, &commit, &tip.commit, &paths).await?;
            let phase = landed[commit.as_str()].phase_id.clone();
            return Ok(UndoEnd::Conflict { phase, paths, changed_by });
        }
    };
    let mut landings: Vec<RevertedCommit<'_>> =
        begun.landings.iter().map(reverted_commit).collect();
    // The named phase gives the title.
    landings.sort_by_key(|landing| *landing.phase != claim.phase_id);
    let message = RevertMessage { run, landings: &landings };
    let commit = slot.commit_revert(&tree, &tip.commit, &message).await?;
    let phase = shown_id(claim.phase_id.as_str());
    tracing::info!(target: NOTES, "testing {} without {phase}", shown_id(run.as_str()));
    let change = BranchChange {
        number: begun.revert,
        claim,
        branch: facts.branch,
        tip: tip.commit,
        commit,
        changed,
        directory: "undo",
    };
    Ok(match change.test_and_land(context, slot, stop, record).await? {
        ChangeEnd::Landed { commit } => UndoEnd::Landed { commit },
        ChangeEnd::Red(failure) => UndoEnd::Red(failure),
        ChangeEnd::TipMoved => UndoEnd::TipMoved,
        ChangeEnd::Stopped => UndoEnd::Stopped,
    })
}

fn reverted_commit(landing: &UndoneLanding) -> RevertedCommit<'_> {
    RevertedCommit {
        phase: &landing.phase_id,
        name: &landing.name,
        attempt: landing.attempt,
        commit: landing.commit.as_deref(),
    }
}

/// Returns the phases that landed on these paths after a commit.
async fn phases_touching(
    context: &DrainContext,
    begun: &BegunUndo,
    commit: &str,
    tip: &str,
    paths: &[String],
) -> Result<Vec<PhaseId>, AttemptError> {
    let touching = context.repo.commits_touching(commit, tip, paths).await?;
    let landed = context.store.landed_phases(&begun.claim.run_id).await?;
    let touched = landed.into_iter().filter(|(_, commit)| touching.contains(commit));
    Ok(touched.map(|(phase, _)| phase).collect())
}
