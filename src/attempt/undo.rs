//! A revert of landed phases: made on the run's tip, tested like a landing in CI's checkout, then landed.
//!
//! The commit is recorded before the branch moves. If this process dies, the commit tells whether it landed.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::AtomicBool;

use super::activity_writer::Activity;
use super::attempt::{Attempt, CiTurn};
use super::attempt_record::Record;
use super::steps::ci_gate::Gate;
use super::{AttemptDirectory, AttemptError, DrainContext};
use crate::phase::budget::BudgetUsage;
use crate::phase::{Failure, PhaseId};
use crate::process::StopReceiver;
use crate::progress::{NOTES, Step, shown_id};
use crate::store::{BegunUndo, UndoneLanding};
use crate::workspace::{FenceOutcome, Landing, Revert, RevertMessage, RevertedCommit};

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
    let (Err(error), Some(commit)) = (&ended, &record.landing) else { return ended };
    let run = &begun.claim.run_id;
    // Without the fence, a git process still at work cannot land the revert after the check.
    let has_landed = match context.repo.drop_undo_fence(run).await {
        Ok(()) => context.repo.has_landed(run, commit).await,
        Err(error) => Err(error),
    };
    match has_landed {
        Ok(true) => {
            tracing::warn!("{error}; the revert had already landed");
            Ok(UndoEnd::Landed { commit: commit.clone() })
        }
        Ok(false) => ended,
        Err(unknown) => Err(AttemptError::Unsettled(format!(
            "{error}; the next drain or undo checks whether the revert landed: {unknown}"
        ))),
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
    let owner = claim.owner.as_str();
    let fence = context.repo.fence_undo(run, &claim.phase_id, begun.revert, owner).await?;
    let FenceOutcome::Ours(fence) = fence else { return Err(AttemptError::LeaseLost) };
    let mut attempt = Attempt {
        context,
        claim,
        slot,
        fence,
        branch: facts.branch,
        directory: undo_directory(context, begun)?,
        stop: stop.clone(),
        ci_turn: CiTurn::default(),
        activity: Activity::new(context.store.clone(), claim.key(), context.redactor.clone()),
        base: tip.commit.clone(),
        record,
        used_tools: AtomicBool::new(false),
        drain_spent: BudgetUsage::default(),
        agents_view: None,
        checkout: None,
        missing_setup: None,
        reverted: changed.into_iter().collect::<BTreeSet<_>>(),
    };
    let phase = shown_id(claim.phase_id.as_str());
    tracing::info!(target: NOTES, "testing {} without {phase}", shown_id(run.as_str()));
    match attempt.ci(&commit).await? {
        Gate::Green => attempt.land_tested_revert(begun.revert, &tip.commit, commit).await,
        Gate::Red(failure) => Ok(UndoEnd::Red(failure)),
        Gate::Stopped => Ok(UndoEnd::Stopped),
    }
}

impl Attempt<'_> {
    async fn land_tested_revert(
        &mut self,
        revert: i64,
        tip: &str,
        commit: String,
    ) -> Result<UndoEnd, AttemptError> {
        self.step(Step::Landing);
        let (run, owner) = (&self.claim.run_id, &self.claim.owner);
        self.record.landing = Some(commit.clone());
        self.context.store.record_revert(revert, owner, &commit).await?;
        match self.slot.land(&self.fence, run, tip, &commit).await? {
            Landing::Landed { held_by } => {
                self.context.note_held_branch(&self.branch, held_by.as_deref());
                self.note_green(&commit).await;
                self.keep_results().await;
                Ok(UndoEnd::Landed { commit })
            }
            Landing::TipMoved(_) => Ok(UndoEnd::TipMoved),
            Landing::Fenced => Err(AttemptError::LeaseLost),
        }
    }
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

/// Creates the directory for the logs of CI, `.autopack/undo/<run>/<number>/`.
fn undo_directory(
    context: &DrainContext,
    begun: &BegunUndo,
) -> Result<AttemptDirectory, AttemptError> {
    let directory = context.repo.autopack_dir().join("undo").join(begun.claim.run_id.file_name());
    let directory = directory.join(begun.revert.to_string());
    std::fs::create_dir_all(&directory).map_err(|error| AttemptError::io(&directory, error))?;
    Ok(AttemptDirectory::at(directory))
}
