//! Compares a CI run with the baseline: blocking results, and failures present before. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::ci_failure::list;
use super::lost_tests::{self, Sources};
use super::printed_losses;
use super::results::{CiOutcome, CiRun, TestCase, TestResults, TestStatus};
use crate::phase::verdict::FailingTest;
use crate::phase::words::counted;

/// Result of comparing a CI run with the base run.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Consequence for the attempt.
    pub decision: Decision,
    /// Failing now, not failing on the base.
    pub blocking: Vec<FailingTest>,
    /// Names in `blocking` of tests that passed on the base. The others are new, or there is no baseline.
    pub passed_before: BTreeSet<String>,
    /// Passed on the base; now gone or skipped.
    pub gone: Vec<String>,
    /// Runners whose summaries count fewer passed tests than on the base.
    pub fewer: Vec<Fewer>,
    /// Gone or skipped, in files that the phase delivers.
    pub replaced: Vec<String>,
    /// Failing now and on the base.
    pub excused: Vec<String>,
    /// Notes for the operator, one line each.
    pub notes: Vec<String>,
}

/// A drop in the number of passed tests of a runner without individual results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fewer {
    /// The runner's name, as in [`TestResults::counts`].
    pub runner: String,
    /// Passed tests on the base.
    pub before: u64,
    /// Passed tests now.
    pub now: u64,
}

/// Rules of a comparison, beside the two results.
pub struct Terms<'a> {
    /// Tells whether a file is a deliverable of the phase.
    pub is_deliverable: &'a dyn Fn(&str) -> bool,
    /// Whether the phase must deliver tests, in any file.
    pub delivers_tests: bool,
    /// Whether failures on the base are excused.
    pub excuses: bool,
    /// Source texts, to find renamed and moved tests.
    pub sources: &'a Sources,
}

/// Consequence of a judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// CI does not block the landing.
    Pass,
    /// The attempt fails.
    Fail,
    /// CI cannot start here nor on the base: the next phase would fail in the same way.
    Systemic {
        /// The reason given by the run.
        why: String,
    },
    /// The operator stopped the drain; the phase is not judged.
    Stopped,
}

/// Whether the judgement of this run needs the base run.
pub fn needs_baseline(now: &CiRun) -> bool {
    use CiOutcome::*;
    matches!(
        now.outcome(),
        Failed | CollectionError | NoTests | CouldNotStart { .. } | NotConfigured
    ) || now.results.tell_of_tests()
}

/// Compares a run with default rules. `base` is the result of the same plan on the attempt's base or after the last
/// landing, if known; `is_deliverable` tells whether a file is a deliverable of the phase.
pub fn compare(
    now: &CiRun,
    base: Option<&TestResults>,
    is_deliverable: &dyn Fn(&str) -> bool,
) -> Judgement {
    let sources = Sources::default();
    Terms { is_deliverable, delivers_tests: false, excuses: true, sources: &sources }
        .judge(now, base)
}

impl Terms<'_> {
    /// Judges a run, compared with the base.
    pub fn judge(&self, now: &CiRun, base: Option<&TestResults>) -> Judgement {
        let base_outcome = base.map(|base| &base.outcome);
        match now.outcome() {
            CiOutcome::Stopped => Judgement::plain(Decision::Stopped),
            CiOutcome::CouldNotStart { why } => match base_outcome {
                Some(CiOutcome::CouldNotStart { .. }) => {
                    Judgement::plain(Decision::Systemic { why: why.clone() })
                }
                _ => Judgement::plain(Decision::Fail),
            },
            CiOutcome::TimedOut { .. } => Judgement::plain(Decision::Fail),
            CiOutcome::NoTests => self.no_tests(now, base),
            CiOutcome::Passed | CiOutcome::NotConfigured => {
                Judgement::by_tests(Vec::new(), self.losses(now, base), Vec::new())
            }
            CiOutcome::Failed | CiOutcome::CollectionError => self.red(now, base),
        }
        .with_flaky(&now.flaky)
    }

    /// Passes a run without tests if the base had none either; then the deliverables decide.
    fn no_tests(&self, now: &CiRun, base: Option<&TestResults>) -> Judgement {
        let had_none = base.is_some_and(|base| {
            matches!(base.outcome, CiOutcome::NoTests | CiOutcome::NotConfigured)
        });
        match had_none {
            true => Judgement {
                notes: vec!["no tests yet: the deliverables decide".to_owned()],
                ..Judgement::plain(Decision::Pass)
            },
            false => Judgement {
                decision: Decision::Fail,
                ..Judgement::by_tests(Vec::new(), self.losses(now, base), Vec::new())
            },
        }
    }

    fn red(&self, now: &CiRun, base: Option<&TestResults>) -> Judgement {
        if now.results.red().next().is_none() {
            return by_exit_code(base);
        }
        // An interrupted run may have skipped a new failure, so nothing is excused.
        let excuses = self.excuses && now.results.complete;
        let mut excused = Excused::by(base.filter(|_| excuses), &now.results);
        let (old, new): (Vec<_>, Vec<_>) =
            now.results.red().partition(|(id, test)| excused.take(id, test));
        let losses = self.losses(now, base);
        let passed = |id: &str| base.and_then(|base| base.status(id)) == Some(TestStatus::Passed);
        let passed_before =
            new.iter().map(|(id, _)| (*id).clone()).filter(|id| passed(id)).collect();
        let blocking = new.into_iter().map(|(id, test)| failing(id, test)).collect();
        let old = old.into_iter().map(|(id, _)| id.clone()).collect();
        Judgement { passed_before, ..Judgement::by_tests(blocking, losses, old) }
    }

    /// Collects tests that passed on the base and did not run now, unless the reason is already reported.
    fn losses(&self, now: &CiRun, base: Option<&TestResults>) -> Losses {
        let mut losses = Losses::default();
        let Some(base) = base else { return losses };
        // After a premature end nobody knows which other tests would have run.
        let is_whole = now.results.complete || *now.outcome() == CiOutcome::Passed;
        if !is_whole {
            return losses;
        }
        let lost = lost_tests::find(&now.results, base, self.sources);
        let file = |id: &String| base.tests.as_ref()?.get(id)?.file.as_deref();
        let delivered = |id: &String| file(id).is_some_and(self.is_deliverable);
        (losses.replaced, losses.gone) = lost.into_iter().partition(delivered);
        let printed = printed_losses::find(&now.results.printed, &base.printed);
        // A printed name does not tell its file.
        let is_asked_for =
            self.delivers_tests && now.results.counts.values().any(|count| *count > 0);
        match is_asked_for {
            true => losses.replaced.extend(printed),
            false => losses.gone.extend(printed),
        }
        for (runner, before) in &base.counts {
            let count = now.results.counts.get(runner).copied().unwrap_or_default();
            if count >= *before {
                continue;
            }
            let fewer = Fewer { runner: runner.clone(), before: *before, now: count };
            match self.delivers_tests && count > 0 {
                true => losses.replaced.push(fewer.to_string()),
                false => losses.fewer.push(fewer),
            }
        }
        losses
    }
}

#[derive(Default)]
struct Losses {
    gone: Vec<String>,
    fewer: Vec<Fewer>,
    replaced: Vec<String>,
}

/// Failures on the base: ids, and for parametrized functions the number of cases whose ids are gone.
#[derive(Default)]
struct Excused<'a> {
    ids: BTreeSet<&'a str>,
    cases: BTreeMap<&'a str, usize>,
}

impl<'a> Excused<'a> {
    fn by(base: Option<&'a TestResults>, now: &TestResults) -> Self {
        let mut excused = Self::default();
        for (id, test) in base.into_iter().flat_map(TestResults::red) {
            excused.ids.insert(id);
            if test.function.is_some() && now.status(id).is_none() {
                *excused.cases.entry(test.function_of(id)).or_default() += 1;
            }
        }
        excused
    }

    fn take(&mut self, id: &str, test: &TestCase) -> bool {
        if self.ids.contains(id) {
            return true;
        }
        match self.cases.get_mut(test.function_of(id)).filter(|left| **left > 0) {
            Some(left) => {
                *left -= 1;
                true
            }
            None => false,
        }
    }
}

/// Judges a red run without individual results: old and new failures look the same, so none is excused, but a red base
/// is noted.
fn by_exit_code(base: Option<&TestResults>) -> Judgement {
    let red_before = base
        .is_some_and(|base| matches!(base.outcome, CiOutcome::Failed | CiOutcome::CollectionError));
    let note = "CI fails without this change, too, and does not report individual tests: its exit code decides";
    Judgement {
        notes: if red_before { vec![note.to_owned()] } else { Vec::new() },
        ..Judgement::plain(Decision::Fail)
    }
}

fn failing(id: &str, test: &TestCase) -> FailingTest {
    FailingTest { name: id.to_owned(), message: test.message.clone() }
}

/// Merges a rerun of `failing` into the first run: tests that pass in the rerun become passed and flaky.
pub fn merge_rerun(mut first: CiRun, again: &CiRun, failing: &[String]) -> CiRun {
    if *again.outcome() == CiOutcome::Stopped {
        // The rerun might have passed: no judgement yet.
        first.results.outcome = CiOutcome::Stopped;
        return first;
    }
    let failing: BTreeSet<&String> = failing.iter().collect();
    let Some(tests) = first.results.tests.as_mut() else { return first };
    for (id, test) in tests.iter_mut() {
        let passes = again.results.status(id) == Some(TestStatus::Passed);
        if failing.contains(id) && test.is_red() && passes {
            let function = test.function.take();
            *test = TestCase { function, ..TestCase::new(TestStatus::Passed, test.file.take()) };
            first.flaky.push(id.clone());
        }
    }
    first.duration += again.duration;
    let judged_by_tests =
        matches!(first.results.outcome, CiOutcome::Failed | CiOutcome::CollectionError);
    if judged_by_tests && !first.flaky.is_empty() && first.results.red().next().is_none() {
        first.results.outcome = CiOutcome::Passed;
        first.results.exit_code = Some(0);
    }
    first
}

/// Merges two runs of the same commit: the result contains every test seen in either run.
pub fn united(mut first: CiRun, again: CiRun) -> CiRun {
    if *again.outcome() != *first.outcome() {
        return again;
    }
    if let (Some(tests), Some(more)) = (first.results.tests.as_mut(), again.results.tests) {
        for (id, test) in more {
            tests.entry(id).or_insert(test);
        }
    }
    first.duration += again.duration;
    first
}

fn names(ids: &[String]) -> String {
    list(ids.iter().map(String::as_str))
}

impl fmt::Display for Fewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runner, before, now } = self;
        write!(f, "{before} tests passed before, {now} now ({runner})")
    }
}

impl Judgement {
    /// Describes in one line the tests that no longer run and are allowed to disappear.
    pub fn replaced_tests(&self) -> Option<String> {
        let replaced = &self.replaced;
        let tests = counted(replaced.len() as u64, "test");
        let run = if replaced.len() == 1 { "runs" } else { "run" };
        (!replaced.is_empty()).then(|| {
            format!(
                "{tests} that passed before no longer {run}; this is allowed in files delivered by this phase: {}",
                names(replaced)
            )
        })
    }

    /// Whether the judgement reports missing tests. A second base run then tells whether their ids are stable.
    pub fn tells_of_losses(&self) -> bool {
        self.decision == Decision::Fail && !(self.gone.is_empty() && self.fewer.is_empty())
    }

    /// Returns the tests to rerun before this judgement is final; empty if a rerun cannot change the judgement.
    pub fn to_rerun(&self) -> Vec<String> {
        match self.decision {
            Decision::Fail => self.blocking.iter().map(|test| test.name.clone()).collect(),
            _ => Vec::new(),
        }
    }

    fn plain(decision: Decision) -> Self {
        Self {
            decision,
            blocking: Vec::new(),
            passed_before: BTreeSet::new(),
            gone: Vec::new(),
            fewer: Vec::new(),
            replaced: Vec::new(),
            excused: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn by_tests(blocking: Vec<FailingTest>, losses: Losses, excused: Vec<String>) -> Self {
        let Losses { gone, fewer, replaced } = losses;
        let clean = blocking.is_empty() && gone.is_empty() && fewer.is_empty();
        let decision = if clean { Decision::Pass } else { Decision::Fail };
        let mut notes = Vec::new();
        if !excused.is_empty() {
            notes.push(format!(
                "failing without this change, too, and excused: {}",
                names(&excused)
            ));
        }
        let judgement =
            Self { blocking, gone, fewer, replaced, excused, notes, ..Self::plain(decision) };
        let replaced = judgement.replaced_tests();
        Self { notes: judgement.notes.iter().cloned().chain(replaced).collect(), ..judgement }
    }

    fn with_flaky(mut self, flaky: &[String]) -> Self {
        if !flaky.is_empty() {
            let note = format!("flaky, passed when rerun: {}", names(flaky));
            self.notes.push(note);
        }
        self
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
