//! An update of a run's branch: its base has moved, and is merged into the branch by a tested commit. Landed commits stay
//! as they are.

use super::attempt_record::Record;
use super::branch_change::{BranchChange, ChangeEnd, landed_anyway};
use super::{AttemptError, DrainContext};
use crate::phase::Failure;
use crate::process::StopReceiver;
use crate::progress::{NOTES, shown_id};
use crate::store::BegunUpdate;
use crate::workspace::{Update, UpdateBase};

/// Result of an update.
#[derive(Debug)]
pub enum UpdateEnd {
    /// The merge is on the branch.
    Landed {
        /// Tip before.
        before: String,
        /// Id of the merge commit.
        commit: String,
        /// Number of changed files; `None` if an error hid it.
        files: Option<usize>,
    },
    /// CI is red with the merge.
    Red(Failure),
    /// Both sides changed the same places.
    Conflict {
        /// Paths with a conflict.
        paths: Vec<String>,
    },
    /// The run and the base have no commit in common.
    Unrelated,
    /// The branch moved during the test.
    TipMoved,
    /// The operator stopped autopack.
    Stopped,
}

/// Makes, tests and lands the merge of an update that was begun in the store.
///
/// # Errors
/// Errors of git, the disk or the database. After [`AttemptError::Unsettled`], the merge may have landed.
pub async fn land_update(
    context: &DrainContext,
    begun: &BegunUpdate,
    base: &UpdateBase,
    stop: &StopReceiver,
) -> Result<UpdateEnd, AttemptError> {
    let mut record = Record::default();
    let run = &begun.claim.run_id;
    if let Some(end) = context.sync_branch(run, stop).await? {
        end.answer()?;
    }
    let before = context.ensure_branch(run).await?.1.commit;
    let ended = try_to_land(context, begun, base, stop, &mut record).await;
    let Err(error) = &ended else { return ended };
    let change = (run, begun.number, &begun.claim.owner);
    match landed_anyway(context, change, &record, error, "merge").await? {
        Some(commit) => Ok(UpdateEnd::Landed { before, commit, files: None }),
        None => ended,
    }
}

async fn try_to_land(
    context: &DrainContext,
    begun: &BegunUpdate,
    base: &UpdateBase,
    stop: &StopReceiver,
    record: &mut Record,
) -> Result<UpdateEnd, AttemptError> {
    let claim = &begun.claim;
    let (run, repo) = (&claim.run_id, &context.repo);
    let (facts, tip) = context.ensure_branch(run).await?;
    if !repo.has_common_commit(&tip.commit, &base.commit).await? {
        return Ok(UpdateEnd::Unrelated);
    }
    let squashed = repo.squash_in_base(run, &facts.base_commit, &tip.commit, base).await?;
    let mut slot = repo.acquire_slot().await?;
    slot.reset(&tip.commit, &context.settings.workspace).await?;
    let (tree, changed) = match slot.merge_base(&tip.commit, base, squashed.as_deref()).await? {
        Update::Clean { tree, changed } => (tree, changed),
        Update::Conflict { paths } => return Ok(UpdateEnd::Conflict { paths }),
    };
    let commit = slot.commit_update(&tree, &tip.commit, base, run, &facts.branch).await?;
    let (shown_run, shown_base) = (shown_id(run.as_str()), base.shown());
    tracing::info!(target: NOTES, "testing {shown_run} with {shown_base}");
    let (before, files) = (tip.commit.clone(), changed.len());
    let change = BranchChange {
        number: begun.number,
        claim,
        branch: facts.branch,
        tip: tip.commit,
        commit,
        changed,
        directory: "updates",
    };
    Ok(match change.test_and_land(context, slot, stop, record).await? {
        ChangeEnd::Landed { commit } => UpdateEnd::Landed { before, commit, files: Some(files) },
        ChangeEnd::Red(failure) => UpdateEnd::Red(failure),
        ChangeEnd::TipMoved => UpdateEnd::TipMoved,
        ChangeEnd::Stopped => UpdateEnd::Stopped,
    })
}
