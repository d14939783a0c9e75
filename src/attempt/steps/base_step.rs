//! CI at the base: before the first agent starts, and for every comparison of a result with and without the change.

use std::sync::Arc;

use crate::attempt::base_runs::Proof;
use crate::attempt::{Attempt, AttemptError, Views};
use crate::ci::{
    self, BaseState, CiOutcome, CiPlan, CiRun, TestResults, judge_base, mark_unstable,
    merge_base_rerun, name_withheld, plan_base_rerun,
};
use crate::config::RedBase;
use crate::phase::{Failure, FailureKind, RequeueReason, Verdict};
use crate::process::view::ViewMode;
use crate::progress::Step;
use crate::store::BaseKey;
use crate::workspace::Side;

impl Attempt<'_> {
    /// Adds whether a base that is red in the view is green without it.
    async fn explain_red_in_view(
        &mut self,
        plan: &CiPlan,
        why: String,
        run: &CiRun,
    ) -> Result<String, AttemptError> {
        let views = &self.context.views;
        let (mode, may_be_refused) = (views.mode.as_str(), views.mode != ViewMode::Off);
        // A second time limit is too long to wait for a guess.
        let ended = !matches!(run.outcome(), CiOutcome::Stopped | CiOutcome::TimedOut { .. });
        if !may_be_refused || !ended {
            return Ok(why);
        }
        let plan = plan.at_base(self.context.settings.ci.max_timeout_seconds);
        self.slot.copy_overlay_links(Side::Ci).await?;
        let outside = self.run_ci_in(&plan, &Views::default()).await?;
        if !matches!(outside.outcome(), CiOutcome::Passed | CiOutcome::NoTests) {
            return Ok(why);
        }
        let refused = format!(
            "without the sandbox it passes: sandbox.mode {mode} hides or protects something that CI needs; name it in \
             sandbox.write, sandbox.show, sandbox.sockets or sandbox.ci_network, or set sandbox.mode: off"
        );
        Ok(self.with_refusals(format!("{why}; {refused}"), run))
    }

    /// Runs each CI command of the phase not yet tested in this drain, at the base. Returns `None` if the agent may
    /// start.
    pub(crate) async fn check_base(&mut self) -> Result<Option<Verdict>, AttemptError> {
        let runs_before = self.record.ci_runs;
        let own = ci::check_plan(self.claim.phase.ci());
        let own = own.map(|plan| plan.for_copy(self.slot.path(), self.context.repo.root()));
        let plans = [Some(self.ci_plan(Side::Agent).await), own];
        for plan in plans.into_iter().flatten() {
            if let Some(verdict) = self.prove(&plan).await? {
                return Ok(Some(verdict));
            }
        }
        if self.record.ci_runs > runs_before {
            // Changes by CI in the user's checkout are not the agent's.
            self.checkout = self.context.watch_users_checkout(self.claim).await?;
        }
        Ok(None)
    }

    async fn prove(&mut self, plan: &CiPlan) -> Result<Option<Verdict>, AttemptError> {
        let command = plan.command_key();
        let proof: Proof = self.context.bases.proof(&self.claim.run_id, &command);
        let mut state = proof.lock().await;
        if state.is_none() {
            if plan.is_configured() {
                self.check_place(plan).await?;
            }
            let Some(run) = self.first_run(plan).await? else {
                return Ok(Some(Verdict::Requeued(RequeueReason::Interrupted)));
            };
            let settings = &self.context.settings.ci;
            let allow = settings.red_base == RedBase::Allow;
            *state = Some(match judge_base(plan, &run, settings.baseline, allow) {
                BaseState::Stop { why } => {
                    let withheld = &self.context.environments.ci.withheld;
                    let why = name_withheld(why, &run.log_tail, withheld);
                    let why = self.explain_red_in_view(plan, why, &run).await?;
                    BaseState::Stop { why: self.with_missing_setup(why) }
                }
                state => state,
            });
        }
        let known = state.clone();
        drop(state);
        Ok(match known {
            None => None,
            Some(BaseState::Ready { notes }) => {
                for note in notes {
                    self.context.note_once(&note);
                }
                None
            }
            Some(BaseState::Stop { why }) => {
                return Err(AttemptError::Systemic(
                    self.context.redactor.redact(&why).into_owned(),
                ));
            }
            Some(BaseState::Block { why }) => {
                Some(Verdict::Failed(Failure::new(FailureKind::CiCannotStart, why)))
            }
        })
    }

    /// Resets CI's checkout to the base; fails if CI would test the user's checkout.
    async fn check_place(&mut self, plan: &CiPlan) -> Result<(), AttemptError> {
        let base = self.base.clone();
        if let Some(failure) = self.place_for_ci(&base).await? {
            return Err(AttemptError::Systemic(failure.message));
        }
        let plan = if plan.is_own { plan.clone() } else { self.ci_plan(Side::Ci).await };
        match self.find_misplaced_imports(&plan).await {
            Some(why) => Err(AttemptError::Systemic(why)),
            None => Ok(()),
        }
    }

    /// Returns the result at the base, from the cache or from a run. `None`: the operator stopped the drain.
    async fn first_run(&mut self, plan: &CiPlan) -> Result<Option<CiRun>, AttemptError> {
        let base = self.base.clone();
        let key = self.base_key(plan, &base).await?;
        if let Some(known) =
            self.context.bases.find_result(&self.context.store, &self.claim.run_id, &key).await?
        {
            return Ok(Some(CiRun::of(TestResults::clone(&known))));
        }
        let run = match plan.is_configured() {
            true => {
                // Programs may be located in the checkout used by CI.
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

    /// Runs CI at the base, already checked out. A red result is repeated once: a flaky test must not end the drain.
    async fn run_at_base(&mut self, plan: &CiPlan) -> Result<CiRun, AttemptError> {
        self.step(Step::Baseline);
        // Files of the base determine the detected runner, and programs may be located in this checkout.
        let plan = if plan.is_own { plan.clone() } else { self.ci_plan(Side::Ci).await };
        let plan = plan.at_base(self.context.settings.ci.max_timeout_seconds);
        let run = self.run_ci(&plan).await?;
        let Some(rerun) = plan_base_rerun(&plan, &run) else { return Ok(run) };
        // Another run of CI beside this one may be the cause.
        let alone = std::mem::replace(&mut self.ci_turn.alone, true);
        let again = self.run_ci(&rerun).await;
        self.ci_turn.alone = alone;
        Ok(merge_base_rerun(&plan, run, again?))
    }

    /// Returns the result of the same plan without the change, from the cache or from a run.
    pub(crate) async fn base_results(
        &mut self,
        plan: &CiPlan,
        needs: bool,
        commit: &str,
    ) -> Result<Option<Arc<TestResults>>, AttemptError> {
        let base = self.base.clone();
        let key = self.base_key(plan, &base).await?;
        let known =
            self.context.bases.find_result(&self.context.store, &self.claim.run_id, &key).await?;
        if known.is_some() || !needs {
            return Ok(known);
        }
        let running = self.context.bases.running(&key);
        let _held = running.lock().await;
        // Another worker may have finished the same run in the meantime.
        if let Some(known) = self.context.bases.result(&key) {
            return Ok(Some(known));
        }
        let Some(results) = self.look_back(plan, commit).await? else { return Ok(None) };
        self.learn_base(key, &results).await.map(Some)
    }

    /// Runs the base again before a missing test counts as lost: unstable test ids are no loss.
    pub(crate) async fn steady_base(
        &mut self,
        plan: &CiPlan,
        known: &TestResults,
        commit: &str,
    ) -> Result<Arc<TestResults>, AttemptError> {
        let Some(again) = self.look_back(plan, commit).await? else {
            return Ok(Arc::new(known.clone()));
        };
        let base = self.base.clone();
        let key = self.base_key(plan, &base).await?;
        self.learn_base(key, &mark_unstable(known.clone(), &again)).await
    }

    /// Runs CI at the base and resets the checkout to `commit`. Returns `None` without a result.
    async fn look_back(
        &mut self,
        plan: &CiPlan,
        commit: &str,
    ) -> Result<Option<TestResults>, AttemptError> {
        let Some(run) = self.run_base_again(plan).await? else { return Ok(None) };
        self.place_for_ci(commit).await?;
        Ok(Some(run.results))
    }

    /// Runs CI at the base, ignoring the cache; leaves CI's checkout at the base. Returns `None` if setup fails at
    /// the base, or the operator stopped the drain.
    pub(crate) async fn run_base_again(
        &mut self,
        plan: &CiPlan,
    ) -> Result<Option<CiRun>, AttemptError> {
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
    ) -> Result<Arc<TestResults>, AttemptError> {
        let shared = Arc::new(results.clone());
        self.context.bases.keep(&self.context.store, &self.claim.run_id, &key, results).await?;
        self.context.bases.put(key, Arc::clone(&shared));
        Ok(shared)
    }

    /// Records the green result of a commit as the base of later attempts.
    pub(crate) async fn note_green(&mut self, commit: &str) {
        for (command, results) in std::mem::take(&mut self.record.green) {
            let key = match self.tree_key(command, commit).await {
                Ok(key) => key,
                // The change has landed all the same; CI runs there once more.
                Err(error) => return tracing::warn!("cannot store the CI result: {error}"),
            };
            let results = Arc::new(results);
            self.context.bases.put(key.clone(), Arc::clone(&results));
            self.record.landed.push((key, results));
        }
    }

    /// Returns the result of a plan on a commit's tree, if CI ran there before.
    pub(crate) async fn known_results(
        &self,
        plan: &CiPlan,
        commit: &str,
    ) -> Result<Option<Arc<TestResults>>, AttemptError> {
        let key = self.base_key(plan, commit).await?;
        self.context.bases.find_result(&self.context.store, &self.claim.run_id, &key).await
    }

    /// Returns the green result of a plan on a commit's tree, if CI ran there before.
    pub(crate) async fn kept_run(
        &self,
        plan: &CiPlan,
        commit: &str,
    ) -> Result<Option<CiRun>, AttemptError> {
        let bases = &self.context.bases;
        if !bases.is_kept() || !plan.is_configured() {
            return Ok(None);
        }
        let known = self.known_results(plan, commit).await?;
        let known = known.filter(|known| known.outcome == CiOutcome::Passed);
        Ok(known.map(|known| CiRun::of(TestResults::clone(&known))))
    }

    /// Keeps the results of a green commit that did not land, for the next attempt.
    pub(crate) async fn keep_unlanded(&mut self, commit: &str) {
        if self.context.bases.is_kept() {
            self.note_green(commit).await;
            self.keep_results().await;
        }
    }

    /// Stores the results of a landed commit for other drains. They save a run of CI, and nothing else.
    pub(crate) async fn keep_results(&mut self) {
        let context = self.context;
        for (key, results) in std::mem::take(&mut self.record.landed) {
            let run = &self.claim.run_id;
            if let Err(error) = context.bases.keep(&context.store, run, &key, &results).await {
                tracing::warn!("cannot store the CI result of the tree {}: {error}", key.tree);
            }
        }
    }

    async fn base_key(&self, plan: &CiPlan, commit: &str) -> Result<BaseKey, AttemptError> {
        self.tree_key(plan.command_key(), commit).await
    }

    async fn tree_key(&self, command: String, commit: &str) -> Result<BaseKey, AttemptError> {
        let bases = &self.context.bases;
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
