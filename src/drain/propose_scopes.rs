//! Proposes the scopes of phases ahead of a drain, one after the other, within the same budgets.

use std::time::Duration;

use super::admission::Limits;
use super::liveness::HeartbeatChecks;
use super::owner::RegisteredDrain;
use super::recover::Reclaimer;
use crate::attempt::{AttemptError, DrainContext, NextStep, execute};
use crate::clock::now;
use crate::phase::budget::ExhaustedBudget;
use crate::phase::{FixedSpec, PhaseId, PhaseState, RunId};
use crate::process::{StopLevel, StopReceiver};
use crate::progress::PhaseFinished;
use crate::store::{Candidate, ClaimOutcome, Claimer, Fixer, Store, StoreError};

/// Longest wait for the files of the last attempts; the next drain stores what remains.
const STORING: Duration = Duration::from_secs(30);

/// How the proposals ended.
#[derive(Debug)]
pub enum ProposalsEnd {
    /// Each phase was asked for, as far as it could be claimed.
    Done,
    /// A budget is used up.
    Budget(ExhaustedBudget),
    /// The operator stopped autopack.
    Stopped,
}

/// Phases whose scopes are proposed.
#[derive(Clone, Copy)]
pub struct ProposalTargets<'a> {
    /// Runs of the phases.
    pub runs: &'a [RunId],
    /// Only these phases, unless empty.
    pub only: &'a [(RunId, PhaseId)],
    /// Repairs specs.
    pub fix: &'a Fixer<'a>,
}

/// Outcome of proposals.
#[derive(Debug)]
pub struct Proposals {
    /// Phases that had no scope.
    pub phases: Vec<(RunId, PhaseId)>,
    /// How the proposals ended.
    pub end: ProposalsEnd,
}

impl ProposalTargets<'_> {
    /// Lists the queued phases without a scope, in order.
    ///
    /// # Errors
    ///
    /// A run is unknown, or the database cannot be read.
    pub async fn find(&self, store: &Store) -> Result<Vec<(RunId, PhaseId)>, StoreError> {
        let mut found = Vec::new();
        for run in self.runs {
            for row in store.phases(run, Some(PhaseState::Queued)).await? {
                let repair = (self.fix)(&row.spec, row.last_failure.as_ref());
                let needs_scope = repair.result.as_ref().is_ok_and(FixedSpec::needs_scope);
                let key = (row.run_id, row.phase_id);
                if needs_scope && !row.held && (self.only.is_empty() || self.only.contains(&key)) {
                    found.push(key);
                }
            }
        }
        Ok(found)
    }
}

/// Reclaims the work of dead drains, then proposes the scopes of the phases; `on` gets the end of each. `registered` is
/// retired at the end.
///
/// # Errors
///
/// Errors of the configuration, an agent's start, git, the disk or the database.
pub async fn propose_scopes(
    context: &DrainContext,
    registered: &RegisteredDrain,
    targets: &ProposalTargets<'_>,
    stop: &StopReceiver,
    on: &mut dyn FnMut(PhaseFinished),
) -> Result<Proposals, AttemptError> {
    let result = propose_as_owner(context, registered, targets, stop, on).await;
    let retired = registered.retire(&context.store).await;
    if let Some(missing) = context.artifacts.finish(STORING).await {
        tracing::warn!("{missing}");
    }
    let proposals = result?;
    retired?;
    Ok(proposals)
}

async fn propose_as_owner(
    context: &DrainContext,
    registered: &RegisteredDrain,
    targets: &ProposalTargets<'_>,
    stop: &StopReceiver,
    on: &mut dyn FnMut(PhaseFinished),
) -> Result<Proposals, AttemptError> {
    let mut checks = HeartbeatChecks::default();
    let (us, runs) = (registered.id(), targets.runs);
    Reclaimer { context, us, runs, checks: &mut checks }.recover().await?;
    let phases = targets.find(&context.store).await?;
    let end = propose_each(context, registered, targets.fix, &phases, stop, on).await?;
    Ok(Proposals { phases, end })
}

async fn propose_each(
    context: &DrainContext,
    registered: &RegisteredDrain,
    fix: &Fixer<'_>,
    phases: &[(RunId, PhaseId)],
    stop: &StopReceiver,
    on: &mut dyn FnMut(PhaseFinished),
) -> Result<ProposalsEnd, AttemptError> {
    let executor = &context.settings.executor;
    let mut limits = Limits::default();
    for (run, phase) in phases {
        if stop.level() > StopLevel::Run {
            return Ok(ProposalsEnd::Stopped);
        }
        let (at, spent) = (now(), limits.spent());
        let admit = |candidate: &Candidate<'_>| limits.admit(context, candidate, &spent, at);
        let claimer = Claimer {
            owner: registered.id(),
            runs: std::slice::from_ref(run),
            max_attempts: executor.max_attempts,
            fix,
            only: &[],
            admit: &admit,
            spending: executor.budgets.needs_past_usage(),
            keys: &[],
        };
        let claim = match context.store.claim_for_proposal(&claimer, run, phase, at).await? {
            ClaimOutcome::Claimed(claim) => claim,
            ClaimOutcome::Unfixable { run_id, phase_id, failure } => {
                on(PhaseFinished::refused(run_id, phase_id, failure));
                continue;
            }
            ClaimOutcome::Stopped(budget) => return Ok(ProposalsEnd::Budget(budget)),
            // The drain proposes it when its turn comes.
            _ => continue,
        };
        let result = execute(context, *claim, spent, stop).await;
        if let Some(finished) = result.finished {
            limits.add(&finished.used);
            on(finished.phase);
        }
        match result.next? {
            NextStep::OverBudget(budget) => return Ok(ProposalsEnd::Budget(budget)),
            NextStep::DeferAgent { agent, until } => {
                limits.defer_agent(agent, until, now());
            }
            NextStep::Continue | NextStep::ScopeStep | NextStep::FreedSpace => {}
        }
    }
    Ok(match stop.level() > StopLevel::Run {
        true => ProposalsEnd::Stopped,
        false => ProposalsEnd::Done,
    })
}
