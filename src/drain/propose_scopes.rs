//! Proposes the scopes of phases ahead of a drain, one after the other, within the same budgets.

use super::admission::Limits;
use super::owner::RegisteredDrain;
use crate::attempt::{AttemptError, DrainContext, NextStep, execute};
use crate::clock::now;
use crate::phase::budget::ExhaustedBudget;
use crate::phase::{PhaseId, RunId};
use crate::process::{StopLevel, StopReceiver};
use crate::progress::PhaseFinished;
use crate::store::{Candidate, ClaimOutcome, Claimer, Fixer};

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

/// Proposes the scopes of these phases; `on` gets the end of each. `registered` is retired at the end.
///
/// # Errors
///
/// Errors of the configuration, an agent's start, git, the disk or the database.
pub async fn propose_scopes(
    context: &DrainContext,
    registered: &RegisteredDrain,
    fix: &Fixer<'_>,
    phases: &[(RunId, PhaseId)],
    stop: &StopReceiver,
    on: &mut dyn FnMut(PhaseFinished),
) -> Result<ProposalsEnd, AttemptError> {
    let result = propose_as_owner(context, registered, fix, phases, stop, on).await;
    let retired = registered.retire(&context.store).await;
    let end = result?;
    retired?;
    Ok(end)
}

async fn propose_as_owner(
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
