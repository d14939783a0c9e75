//! CI at the base: before the first agent is asked, and wherever a judgement needs to know what it says without the change.

use std::sync::Arc;

use crate::attempt::base_runs::Proof;
use crate::attempt::{Attempt, Trouble};
use crate::ci::{
    self, BaseState, CiOutcome, CiPlan, CiRun, TestResults, base_rerun, judge_base, steadied,
    with_base_rerun,
};
use crate::config::RedBase;
use crate::phase::{Failure, FailureKind, Requeue, Verdict};
use crate::progress::Step;
use crate::store::BaseKey;
use crate::workspace::Side;

impl Attempt<'_> {
    /// Runs each CI command of the phase that no phase of this drain had before, on what the agent will be given.
    /// `None`: the agent may be asked.
    pub(crate) async fn check_base(&mut self) -> Result<Option<Verdict>, Trouble> {
        let runs_before = self.record.ci_runs;
        let own = ci::check_plan(self.claim.phase.ci()).map(|plan| plan.for_copy(self.slot.path()));
        let plans = [Some(self.ci_plan(Side::Agent).await), own];
        for plan in plans.into_iter().flatten() {
            if let Some(verdict) = self.prove(&plan).await? {
                return Ok(Some(verdict));
            }
        }
        if self.record.ci_runs > runs_before {
            // What CI wrote into the user's checkout is none of the agent's.
            self.checkout = self.site.repo.checkout_state().await?;
        }
        Ok(None)
    }

    async fn prove(&mut self, plan: &CiPlan) -> Result<Option<Verdict>, Trouble> {
        let command = plan.command_key();
        let proof: Proof = self.site.bases.proof(&self.claim.run_id, &command);
        let mut state = proof.lock().await;
        if state.is_none() {
            if plan.is_configured() {
                self.check_place(plan).await?;
            }
            let Some(run) = self.first_run(plan).await? else {
                return Ok(Some(Verdict::Requeued(Requeue::Interrupted)));
            };
            let settings = &self.site.settings.ci;
            let allow = settings.red_base == RedBase::Allow;
            *state = Some(match judge_base(plan, &run, settings.baseline, allow) {
                BaseState::Stop { why } => BaseState::Stop { why: self.with_missing_setup(why) },
                state => state,
            });
        }
        let known = state.clone();
        drop(state);
        Ok(match known {
            None => None,
            Some(BaseState::Ready { notes }) => {
                for note in notes {
                    self.site.say_once(&note);
                }
                None
            }
            Some(BaseState::Stop { why }) => {
                return Err(Trouble::Systemic(self.site.redactor.redact(&why).into_owned()));
            }
            Some(BaseState::Block { why }) => {
                Some(Verdict::Failed(Failure::new(FailureKind::CiCannotStart, why)))
            }
        })
    }

    /// Puts CI's checkout at the base, and refuses to ask an agent where CI would test the user's checkout.
    async fn check_place(&mut self, plan: &CiPlan) -> Result<(), Trouble> {
        let base = self.base.clone();
        if let Some(failure) = self.place_for_ci(&base).await? {
            return Err(Trouble::Systemic(failure.message));
        }
        let plan = if plan.is_own { plan.clone() } else { self.ci_plan(Side::Ci).await };
        match self.misplaced_imports(&plan).await {
            Some(why) => Err(Trouble::Systemic(why)),
            None => Ok(()),
        }
    }

    /// What the plan says at the base, which CI's checkout holds: known, or run. `None`: the operator stopped the drain.
    async fn first_run(&mut self, plan: &CiPlan) -> Result<Option<CiRun>, Trouble> {
        let base = self.base.clone();
        let key = self.base_key(plan, &base).await?;
        if let Some(known) = self.site.known_base(&self.claim.run_id, &key).await? {
            return Ok(Some(CiRun::of(TestResults::clone(&known))));
        }
        let run = match plan.is_configured() {
            true => {
                // Programs may lie in the checkout that CI runs in.
                let plan = if plan.is_own { plan.clone() } else { self.ci_plan(Side::Ci).await };
                self.run_at_base(&plan).await?
            }
            false => CiRun::of(TestResults::of(CiOutcome::NotConfigured)),
        };
        if *run.outcome() == CiOutcome::Stopped {
            return Ok(None);
        }
        self.learn_base(key, &run.results).await?;
        Ok(Some(run))
    }

    /// CI's checkout holds the base. What is red is run once more: a flaky test is no reason to end a night.
    async fn run_at_base(&mut self, plan: &CiPlan) -> Result<CiRun, Trouble> {
        self.step(Step::Baseline);
        // Files of the base decide which runner is detected, and programs may lie in this checkout.
        let plan = if plan.is_own { plan.clone() } else { self.ci_plan(Side::Ci).await };
        let plan = plan.at_base(self.site.settings.ci.max_timeout_seconds);
        let run = self.run_ci(&plan).await?;
        let Some(rerun) = base_rerun(&plan, &run) else { return Ok(run) };
        let again = self.run_ci(&rerun).await?;
        Ok(with_base_rerun(&plan, run, again))
    }

    /// What the same plan says without the change: known, or found out where the judgement needs it.
    pub(crate) async fn base_results(
        &mut self,
        plan: &CiPlan,
        needs: bool,
        commit: &str,
    ) -> Result<Option<Arc<TestResults>>, Trouble> {
        let base = self.base.clone();
        let key = self.base_key(plan, &base).await?;
        let known = self.site.known_base(&self.claim.run_id, &key).await?;
        if known.is_some() || !needs {
            return Ok(known);
        }
        let running = self.site.bases.running(&key);
        let _held = running.lock().await;
        // Another worker may have found it out meanwhile.
        if let Some(known) = self.site.bases.result(&key) {
            return Ok(Some(known));
        }
        let Some(results) = self.look_back(plan, commit).await? else { return Ok(None) };
        self.learn_base(key, &results).await.map(Some)
    }

    /// The base once more, before a loss is believed: ids that come and go by themselves are no loss.
    pub(crate) async fn steady_base(
        &mut self,
        plan: &CiPlan,
        known: &TestResults,
        commit: &str,
    ) -> Result<Arc<TestResults>, Trouble> {
        let Some(again) = self.look_back(plan, commit).await? else {
            return Ok(Arc::new(known.clone()));
        };
        let base = self.base.clone();
        let key = self.base_key(plan, &base).await?;
        self.learn_base(key, &steadied(known.clone(), &again)).await
    }

    /// Runs CI at the base, and puts its checkout back to `commit`. `None`: there is no result.
    async fn look_back(
        &mut self,
        plan: &CiPlan,
        commit: &str,
    ) -> Result<Option<TestResults>, Trouble> {
        let Some(run) = self.run_base_again(plan).await? else { return Ok(None) };
        self.place_for_ci(commit).await?;
        Ok(Some(run.results))
    }

    /// Runs CI at the base, whatever is known of it; CI's checkout holds the base afterwards. `None`: the base cannot be
    /// set up, or the operator stopped the drain.
    pub(crate) async fn run_base_again(&mut self, plan: &CiPlan) -> Result<Option<CiRun>, Trouble> {
        let base = self.base.clone();
        if self.place_for_ci(&base).await?.is_some() {
            return Ok(None);
        }
        let run = self.run_at_base(plan).await?;
        Ok((*run.outcome() != CiOutcome::Stopped).then_some(run))
    }

    async fn learn_base(
        &self,
        key: BaseKey,
        results: &TestResults,
    ) -> Result<Arc<TestResults>, Trouble> {
        let shared = Arc::new(results.clone());
        self.site.keep_base(&self.claim.run_id, &key, results).await?;
        self.site.bases.put(key, Arc::clone(&shared));
        Ok(shared)
    }

    /// What CI said of this commit is the base of whoever comes next.
    pub(crate) async fn note_green(&mut self, commit: &str) {
        for (command, results) in std::mem::take(&mut self.record.green) {
            let key = match self.tree_key(command, commit).await {
                Ok(key) => key,
                // It has landed all the same; CI runs there once more.
                Err(error) => return tracing::warn!("cannot note what CI said: {error}"),
            };
            let results = Arc::new(results);
            self.site.bases.put(key.clone(), Arc::clone(&results));
            self.record.landed.push((key, results));
        }
    }

    async fn base_key(&self, plan: &CiPlan, commit: &str) -> Result<BaseKey, Trouble> {
        self.tree_key(plan.command_key(), commit).await
    }

    async fn tree_key(&self, command: String, commit: &str) -> Result<BaseKey, Trouble> {
        let bases = &self.site.bases;
        let tree = match bases.tree_of(commit) {
            Some(tree) => tree,
            None => {
                let tree = self.slot.tree_of(commit).await?;
                bases.put_tree(commit, &tree);
                tree
            }
        };
        Ok(bases.key(tree, command))
    }
}
