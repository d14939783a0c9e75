//! CI on what the attempt made: red is compared with the baseline, and what is newly red is run once more.

use super::{Attempt, Trouble};
use crate::ci::{
    self, CiPlan, CiRun, Decision, Judgement, TestResults, compare, merge_rerun, needs_baseline,
};
use crate::phase::deliverables::delivers;
use crate::phase::{Failure, FailureKind};
use crate::progress::Step;

/// What CI says about an attempt.
pub(super) enum Gate {
    Green,
    Red(Failure),
    /// The operator stopped the drain.
    Stopped,
}

impl Attempt<'_> {
    /// The slot holds `commit`, and holds it again afterwards wherever that matters.
    pub(super) async fn ci(&mut self, commit: &str) -> Result<Gate, Trouble> {
        self.step(Step::Ci);
        let plan = self.ci_plan().await;
        let run = self.run_ci(&plan).await?;
        let base = self.baseline(&plan, &run, commit).await?;
        let (run, judgement) = self.second_look(&plan, run, base.as_ref()).await?;
        tracing::debug!(decision = ?judgement.decision, "ci judged");
        for note in &judgement.notes {
            self.note(note);
        }
        match judgement.decision.clone() {
            Decision::Stopped => return Ok(Gate::Stopped),
            Decision::Systemic { why } => {
                return Err(Trouble::Systemic(format!("ci cannot start: {why}")));
            }
            Decision::Fail | Decision::Pass => {}
        }
        let failure = ci::failure(&plan, &run, &judgement);
        self.count_starts(failure.as_ref())?;
        if let Some(failure) = failure {
            return Ok(Gate::Red(failure));
        }
        if run.results.tests.is_some() {
            self.record.green = Some((plan.command_key(), run.results));
        }
        self.own_check().await
    }

    /// One change that keeps CI from starting is its phase's fault; the same in phase after phase is not.
    fn count_starts(&self, failure: Option<&Failure>) -> Result<(), Trouble> {
        let breaker = &self.site.ci_breaker;
        match failure.filter(|failure| failure.kind == FailureKind::CiCannotStart) {
            None => breaker.reset(),
            Some(failure) => {
                if let Some(shared) = breaker.met(&self.claim.phase_id, &failure.message) {
                    return Err(Trouble::Systemic(shared));
                }
            }
        }
        Ok(())
    }

    /// `test_cmd`, the phase's own check: judged by its exit code, against no baseline.
    async fn own_check(&mut self) -> Result<Gate, Trouble> {
        let Some(plan) = ci::check_plan(self.claim.phase.ci()) else { return Ok(Gate::Green) };
        let run = self.run_ci(&plan).await?;
        let judgement = compare(&run, None, &|_| false);
        Ok(match (&judgement.decision, ci::failure(&plan, &run, &judgement)) {
            (Decision::Stopped, _) => Gate::Stopped,
            (_, Some(failure)) => Gate::Red(failure),
            (_, None) => Gate::Green,
        })
    }

    pub(super) async fn ci_plan(&self) -> CiPlan {
        let env = self.environment(&self.site.ci_env);
        let site = ci::Site { dir: self.slot.path(), workspace: self.site.repo.root(), env: &env };
        ci::plan(&site, &self.site.settings.ci, self.claim.phase.ci(), &self.site.pythons).await
    }

    /// What the same plan says without the change: known, or found out where the judgement needs it.
    async fn baseline(
        &mut self,
        plan: &CiPlan,
        run: &CiRun,
        commit: &str,
    ) -> Result<Option<TestResults>, Trouble> {
        if !self.site.settings.ci.baseline {
            return Ok(None);
        }
        let key = plan.command_key();
        let known = self.site.baseline(&self.claim.run_id, &self.base, &key).await?;
        // A green run says nothing about tests that the attempt took away.
        let may_hide = self.touches_tests && run.results.tests.is_some();
        if known.is_some() || !(needs_baseline(run) || may_hide) {
            return Ok(known);
        }
        self.step(Step::Baseline);
        let base = self.base.clone();
        self.place(&base).await?;
        let at_base = self.run_ci(&self.ci_plan().await).await?;
        self.place(commit).await?;
        if matches!(at_base.outcome(), ci::CiOutcome::Stopped) {
            return Ok(None);
        }
        self.site.keep_baseline(&self.claim.run_id, &base, &key, &at_base.results).await?;
        Ok(Some(at_base.results))
    }

    /// Tests that are newly red are run once more: what passes then is flaky, and said.
    async fn second_look(
        &mut self,
        plan: &CiPlan,
        run: CiRun,
        base: Option<&TestResults>,
    ) -> Result<(CiRun, Judgement), Trouble> {
        let claim = self.claim;
        let is_deliverable = |file: &str| delivers(&claim.phase, file);
        let judgement = compare(&run, base, &is_deliverable);
        let failing = judgement.to_rerun();
        if failing.is_empty() {
            return Ok((run, judgement));
        }
        let again = self.run_ci(&plan.rerun_plan(&failing)).await?;
        let run = merge_rerun(run, &again, &failing);
        let judgement = compare(&run, base, &is_deliverable);
        Ok((run, judgement))
    }

    async fn run_ci(&mut self, plan: &CiPlan) -> Result<CiRun, Trouble> {
        self.record.ci_runs += 1;
        // What ran before may have closed it.
        self.site.repo.reopen(self.folder.path());
        let env = self.environment(&self.site.ci_env);
        let request = ci::Request {
            dir: self.slot.path(),
            env: &env,
            log: self.folder.ci_log(self.record.ci_runs),
            redact: self.site.redactor.clone(),
            hold: Some(self.slot.lock_fd()?),
        };
        tracing::debug!(command = plan.display(), "ci starts");
        let run = ci::run(plan, request, self.stop).await?;
        tracing::debug!(outcome = ?run.outcome(), "ci ended");
        self.record.ci += run.duration;
        Ok(run)
    }
}
