//! Counts each verdict for the circuit breaker, and ends the drain after too many equal failures. The rules are in
//! `limits/repeated_verdicts.rs`.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::diff_gate::presence;
use crate::agent;
use crate::attempt::limits::repeated_verdicts::{Idle, Signature, why};
use crate::attempt::{Attempt, AttemptError};
use crate::ci::{self, compare};
use crate::phase::deliverables::Presence;
use crate::phase::{FailureKind, Verdict};
use crate::store::CommonFailure;
use crate::workspace::Side;

impl Attempt<'_> {
    /// Returns whether the agent left a deliverable missing, or used no tool at all. Of programs without reported
    /// tool calls, nothing is known if all deliverables exist.
    fn idle(&self, verdict: &Verdict) -> Result<Idle, AttemptError> {
        if !matches!(verdict, Verdict::Failed(failure) if failure.kind == FailureKind::NoChange) {
            return Ok(Idle::No);
        }
        let is_missing = self.claim.phase.deliverables().iter().any(|path| {
            let place = self.slot.path().join(path.as_str().trim_end_matches('/'));
            !path.is_glob() && matches!(presence(&place), Presence::Absent)
        });
        let (_, settings) = self.context.agent_of(self.claim)?;
        let tells_of_tools = agent::reports_tool_calls(settings);
        let is_silent = !self.used_tools.load(Ordering::Relaxed);
        let has_used_tokens = self.record.usage.tokens.billed().is_some_and(|tokens| tokens > 0);
        Ok(match tells_of_tools {
            _ if is_missing => Idle::Yes,
            true if is_silent => Idle::Yes,
            false if is_silent && !has_used_tokens => Idle::Perhaps,
            _ => Idle::No,
        })
    }

    /// Counts the verdict. Returns an error ending the drain after too many equal failures in a row, not caused by
    /// the phases. The attempt is then not counted towards `max_attempts`.
    pub(crate) async fn look_for_repeats(&mut self, verdict: &Verdict) -> Result<(), AttemptError> {
        let idle = self.idle(verdict)?;
        let repeats = &self.context.repeats;
        let failure = match verdict {
            Verdict::Passed { commit: Some(_) } => {
                repeats.reset();
                return Ok(());
            }
            // A phase without work, or back in the queue, says nothing about other phases.
            Verdict::Passed { commit: None } | Verdict::Requeued(_) => return Ok(()),
            Verdict::Failed(failure) => failure,
        };
        let Some(signature) = Signature::of(failure, idle, &self.record.breached) else {
            return Ok(());
        };
        let Some(phases) = repeats.met(&self.claim.phase_id, &signature) else {
            return Ok(());
        };
        if signature.is_of_ci() && !self.base_fails_with(&signature).await? {
            self.context.repeats.forget(&signature);
            return Ok(());
        }
        let message = why(&signature, &phases, failure, &self.context.settings_file);
        let kind = Some(failure.kind);
        self.context.repeats.set_end(CommonFailure { kind, phases, message: message.clone() });
        Err(AttemptError::Systemic(message))
    }

    /// Returns whether CI fails in the same way without the attempt's change.
    async fn base_fails_with(&mut self, signature: &Signature) -> Result<bool, AttemptError> {
        let own = ci::check_plan(self.claim.phase.ci());
        let own =
            own.map(|plan| plan.for_copy(self.slot.path_of(Side::Ci), self.context.repo.root()));
        let plans = [Some(self.ci_plan(Side::Ci).await), own];
        for plan in plans.into_iter().flatten() {
            let Some(run) = self.run_base_again(&plan).await? else { return Ok(false) };
            let comparison = compare(&run, None, &|_| false);
            let failure = ci::describe_failure(&plan, &run, &comparison);
            let at_base =
                failure.and_then(|failure| Signature::of(&failure, Idle::No, &BTreeSet::new()));
            if at_base.as_ref() == Some(signature) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
