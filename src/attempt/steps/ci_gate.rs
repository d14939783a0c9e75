//! CI on the attempt's change: red or missing tests are compared with the base, and repeated before they count.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::attempt::child_environment::Purpose;
use crate::attempt::{Attempt, AttemptError};
use crate::ci::{
    self, CiOutcome, CiPlan, CiRun, Comparison, ComparisonRules, Decision, Sources, TestResults,
    files_of, merge_rerun, merge_runs, needs_baseline, search_words,
};
use crate::phase::deliverables::delivers;
use crate::phase::words::first_few;
use crate::phase::{Failure, FailureKind};
use crate::progress::Step;
use crate::workspace::Side;

/// Files changed by CI, named in a message.
const NAMED: usize = 5;
/// Files read in search of lost and moved tests; in larger changes, missing tests count as lost.
const MOST_SOURCES: usize = 400;
/// Names of lost tests searched for; of more, none is found in any file.
const MOST_WORDS: usize = 500;

/// Result of CI for an attempt.
pub(crate) enum Gate {
    Green,
    Red(Failure),
    /// The operator stopped the drain.
    Stopped,
}

/// Runs of CI on a commit, not yet compared with the base.
pub(crate) struct CiTest {
    pub plan: CiPlan,
    run: CiRun,
    /// Tracked files changed by CI.
    rewritten: Vec<String>,
    /// The phase's own check, if CI passed.
    own: Option<(CiPlan, CiRun)>,
}

impl CiTest {
    /// Returns whether CI passed, without the phase's own check.
    pub fn has_passed(&self) -> bool {
        has_passed(&self.run)
    }
}

/// Test of a commit.
pub(crate) enum Tested {
    /// CI ran.
    Ran(Box<CiTest>),
    /// The result is known without a run of CI.
    Known(Gate),
}

impl Tested {
    /// Returns whether CI passed, whatever the base says.
    pub fn is_green(&self) -> bool {
        match self {
            Self::Ran(test) => {
                has_passed(&test.run) && test.own.as_ref().is_none_or(|(_, run)| has_passed(run))
            }
            Self::Known(gate) => matches!(gate, Gate::Green),
        }
    }

    /// Returns whether a stop ended the test.
    pub fn is_stopped(&self) -> bool {
        let stopped = |run: &CiRun| *run.outcome() == CiOutcome::Stopped;
        match self {
            Self::Ran(test) => {
                stopped(&test.run) || test.own.as_ref().is_some_and(|(_, run)| stopped(run))
            }
            Self::Known(gate) => matches!(gate, Gate::Stopped),
        }
    }
}

/// Returns whether a run has no failure, whatever the base says.
fn has_passed(run: &CiRun) -> bool {
    matches!(run.outcome(), CiOutcome::Passed | CiOutcome::NoTests | CiOutcome::NotConfigured)
}

impl Attempt<'_> {
    /// Runs CI on the commit to land, in a checkout never written by an agent, and compares the results with the base.
    pub(crate) async fn ci(&mut self, commit: &str) -> Result<Gate, AttemptError> {
        let tested = self.run_test(commit, false).await?;
        self.judge_test(tested, commit).await
    }

    /// Runs CI on a commit, and the phase's own check. A kept result may answer instead.
    pub(crate) async fn run_test(
        &mut self,
        commit: &str,
        may_be_kept: bool,
    ) -> Result<Tested, AttemptError> {
        self.step(Step::Ci);
        if let Some(failure) = self.place_for_ci(commit).await? {
            return Ok(Tested::Known(Gate::Red(failure)));
        }
        let plan = self.ci_plan(Side::Ci).await;
        if let Some(why) = self.find_misplaced_imports(&plan).await {
            return Ok(Tested::Known(Gate::Red(Failure::new(FailureKind::CiFailed, why))));
        }
        let kept = match may_be_kept {
            true => self.kept_run(&plan, commit).await?,
            false => None,
        };
        let (run, rewritten) = match kept {
            Some(run) => {
                self.note("CI passed on exactly this tree before, and is not run again");
                (run, Vec::new())
            }
            None => {
                let run = self.run_ci(&plan).await?;
                let rewritten = match plan.is_configured() {
                    true => self.slot.find_rewritten().await?,
                    false => Vec::new(),
                };
                (run, rewritten)
            }
        };
        let mut test = CiTest { plan, run, rewritten, own: None };
        if has_passed(&test.run)
            && let Some(plan) = self.own_plan()
        {
            if let Some(why) = self.find_misplaced_imports(&plan).await {
                return Ok(Tested::Known(Gate::Red(Failure::new(FailureKind::CiFailed, why))));
            }
            let run = self.run_ci(&plan).await?;
            test.own = Some((plan, run));
        }
        Ok(Tested::Ran(Box::new(test)))
    }

    /// Records the runs of a green test, although they were not compared with the base.
    pub(crate) fn note_green_runs(&mut self, tested: Tested) {
        let Tested::Ran(test) = tested else { return };
        let runs = std::iter::once((test.plan, test.run)).chain(test.own);
        let runs = runs.filter(|(_, run)| *run.outcome() == CiOutcome::Passed);
        self.record.green = runs.map(|(plan, run)| (plan.command_key(), run.results)).collect();
    }

    /// Compares the results of CI on a commit with the base.
    pub(crate) async fn judge_test(
        &mut self,
        tested: Tested,
        commit: &str,
    ) -> Result<Gate, AttemptError> {
        self.record.green.clear();
        let CiTest { plan, run, rewritten, own } = match tested {
            Tested::Known(gate) => return Ok(gate),
            Tested::Ran(test) => *test,
        };
        let base = self.base_results(&plan, needs_baseline(&run), commit).await?;
        let excuses = self.context.settings.ci.baseline;
        let (run, comparison) = self.second_look(&plan, run, base, excuses, commit).await?;
        tracing::debug!(decision = ?comparison.decision, "ci judged");
        for note in &comparison.notes {
            self.note(note);
        }
        self.record.replaced = comparison.replaced_tests();
        match comparison.decision.clone() {
            Decision::Stopped => return Ok(Gate::Stopped),
            Decision::Systemic { why } => {
                return Err(AttemptError::Systemic(format!("ci cannot start: {why}")));
            }
            Decision::Fail | Decision::Pass => {}
        }
        let failure = ci::describe_failure(&plan, &run, &comparison);
        let rewritten = match rewritten.as_slice() {
            [] => None,
            paths => Some(format!("CI changed tracked files: {}", first_few(paths, NAMED))),
        };
        if let Some(mut failure) = failure {
            if let Some(rewritten) = rewritten {
                failure.message = format!("{}; {rewritten}", failure.message);
            }
            failure.message = self.with_missing_setup(failure.message);
            failure.message = self.with_refusals(failure.message, &run);
            return Ok(Gate::Red(failure));
        }
        if let Some(rewritten) = rewritten {
            self.note(&format!("{rewritten}; the agent's version lands, not CI's"));
        }
        self.record.green.push((plan.command_key(), run.results));
        self.own_check(own, commit).await
    }

    /// Returns whether a red run is green compared with these results, as far as can be told without another run.
    pub(crate) fn is_green_beside(&self, test: &CiTest, known: &TestResults) -> bool {
        let excuses = self.context.settings.ci.baseline;
        let comparison = self.judge(&test.run, Some(known), excuses, &Sources::default());
        matches!(comparison.decision, Decision::Pass)
    }

    /// Returns the plan of `test_cmd`, the phase's own check.
    fn own_plan(&self) -> Option<CiPlan> {
        let plan = ci::check_plan(self.claim.phase.ci())?;
        Some(plan.for_copy(self.slot.path_of(Side::Ci), self.context.repo.root()))
    }

    /// Judges the phase's own check: must be green, regardless of the base. Tests in the base must still run. The check
    /// runs now if it did not before, because CI passes only in comparison with the base.
    async fn own_check(
        &mut self,
        done: Option<(CiPlan, CiRun)>,
        commit: &str,
    ) -> Result<Gate, AttemptError> {
        let (plan, run) = match (done, self.own_plan()) {
            (Some(done), _) => done,
            (None, None) => return Ok(Gate::Green),
            (None, Some(plan)) => {
                if let Some(why) = self.find_misplaced_imports(&plan).await {
                    return Ok(Gate::Red(Failure::new(FailureKind::CiFailed, why)));
                }
                let run = self.run_ci(&plan).await?;
                (plan, run)
            }
        };
        let alone = ci::compare(&run, None, &|_| false);
        let (run, comparison) = match alone.decision {
            Decision::Pass => {
                let base = self.base_results(&plan, run.results.tell_of_tests(), commit).await?;
                self.second_look(&plan, run, base, false, commit).await?
            }
            _ => (run, alone),
        };
        Ok(match (&comparison.decision, ci::describe_failure(&plan, &run, &comparison)) {
            (Decision::Stopped, _) => Gate::Stopped,
            (_, Some(failure)) => {
                let message = self.with_missing_setup(failure.message);
                let message = self.with_refusals(message, &run);
                Gate::Red(Failure { message, ..failure })
            }
            (_, None) => {
                self.record.green.push((plan.command_key(), run.results));
                Gate::Green
            }
        })
    }

    /// Returns the CI plan for the files in a checkout.
    pub(crate) async fn ci_plan(&self, side: Side) -> CiPlan {
        let env = self.environment(Purpose::Ci, side);
        let site = ci::CiPlace {
            dir: self.slot.path_of(side),
            workspace: self.context.repo.root(),
            env: &env,
        };
        ci::choose_plan(
            &site,
            &self.context.settings.ci,
            self.claim.phase.ci(),
            &self.context.pythons,
        )
        .await
    }

    /// Repeats newly red tests: tests passing now are flaky, and noted. Missing tests are searched for in other
    /// files, and the base runs again before they count as lost.
    async fn second_look(
        &mut self,
        plan: &CiPlan,
        mut run: CiRun,
        mut base: Option<Arc<TestResults>>,
        excuses: bool,
        commit: &str,
    ) -> Result<(CiRun, Comparison), AttemptError> {
        let mut sources = match base.as_deref() {
            Some(base) if base.tests.is_none() && run.results.tests.is_none() => {
                self.unnamed_sources(&run.results, base, commit).await?
            }
            _ => Sources::default(),
        };
        let mut comparison = self.judge(&run, base.as_deref(), excuses, &sources);
        let failing = comparison.to_rerun();
        if !failing.is_empty() {
            let again = self.run_ci(&plan.rerun_plan(&failing)).await?;
            run = merge_rerun(run, &again, &failing);
            comparison = self.judge(&run, base.as_deref(), excuses, &sources);
        }
        let Some(known) = base.clone().filter(|_| comparison.tells_of_losses()) else {
            return Ok((self.with_unstable(run, base.as_deref()), comparison));
        };
        if run.results.tests.is_some() && !run.results.complete {
            let again = self.run_ci(plan).await?;
            run = merge_runs(run, again);
        }
        if known.tests.is_some() {
            let (before, now) = files_of(&comparison.gone, &run.results, &known);
            sources = self.sources(before, now, commit).await?;
            comparison = self.judge(&run, base.as_deref(), excuses, &sources);
        }
        if comparison.tells_of_losses() && comparison.blocking.is_empty() {
            self.step(Step::Baseline);
            base = Some(self.steady_base(plan, &known, commit).await?);
            comparison = self.judge(&run, base.as_deref(), excuses, &sources);
        }
        Ok((self.with_unstable(run, base.as_deref()), comparison))
    }

    fn judge(
        &self,
        run: &CiRun,
        base: Option<&TestResults>,
        excuses: bool,
        sources: &Sources,
    ) -> Comparison {
        let phase = &self.claim.phase;
        let is_deliverable = |file: &str| delivers(phase, file) || self.reverted.contains(file);
        ComparisonRules { is_deliverable: &is_deliverable, excuses, sources }.judge(run, base)
    }

    /// Adds known unstable tests from the base.
    fn with_unstable(&self, mut run: CiRun, base: Option<&TestResults>) -> CiRun {
        if let Some(base) = base {
            run.results.unstable = base.unstable.carried_to(&run.results);
        }
        run
    }

    /// Reads the changed files, and the files on the base that contain the names of lost tests.
    async fn unnamed_sources(
        &self,
        now: &TestResults,
        base: &TestResults,
        commit: &str,
    ) -> Result<Sources, AttemptError> {
        if base.counts.is_empty() && now.counts.is_empty() {
            return Ok(Sources::default());
        }
        let changed = self.slot.changed_between(&self.base, commit).await?;
        let mut files: BTreeSet<String> = changed.into_iter().collect();
        let words = search_words(&now.printed, &base.printed);
        if words.len() > MOST_WORDS {
            return Ok(Sources::default());
        }
        files.extend(self.slot.files_with(&self.base, &words).await?);
        self.sources(files.clone(), files, commit).await
    }

    /// Reads these files on the base, and those after the attempt.
    async fn sources(
        &self,
        before: BTreeSet<String>,
        now: BTreeSet<String>,
        commit: &str,
    ) -> Result<Sources, AttemptError> {
        let mut sources = Sources::default();
        if before.len() + now.len() > MOST_SOURCES {
            return Ok(sources);
        }
        for (files, at, texts) in
            [(before, self.base.as_str(), &mut sources.before), (now, commit, &mut sources.now)]
        {
            for file in files {
                if let Some(bytes) = self.slot.read_at(at, &file).await? {
                    texts.insert(file, String::from_utf8_lossy(&bytes).into_owned());
                }
            }
        }
        Ok(sources)
    }
}
