//! Compares a CI run with the baseline: blocking results, and failures present before. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::lost_tests;
use super::name_list::list_names;
use super::results::{CiOutcome, CiRun, TestCase, TestResults, TestStatus};
use super::test_source::Sources;
use super::unnamed_losses::{self, MissingTestCount, MissingTests};
use crate::phase::verdict::FailingTest;
use crate::phase::words::counted;

/// Result of comparing a CI run with the base run.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Consequence for the attempt.
    pub decision: Decision,
    /// Failing now, not failing on the base.
    pub blocking: Vec<FailingTest>,
    /// Names in `blocking` of tests that passed on the base. The others are new, or there is no baseline.
    pub passed_before: BTreeSet<String>,
    /// Passed on the base; now gone or skipped.
    pub gone: Vec<String>,
    /// Runners whose summaries count fewer passed tests than on the base.
    pub fewer: Vec<MissingTestCount>,
    /// Runners whose summaries count more failed tests than on the base, though CI succeeds.
    pub unreported: Vec<UnreportedFailures>,
    /// Gone or skipped, in files that the phase delivers.
    pub replaced: Vec<String>,
    /// Failing now and on the base.
    pub excused: Vec<String>,
    /// Notes for the operator, one line each.
    pub notes: Vec<String>,
}

/// Failed tests in a runner's summary, in a run with exit code 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreportedFailures {
    /// The runner's name, as in [`TestResults::failed`].
    pub runner: String,
    /// Failed tests on the base.
    pub before: u64,
    /// Failed tests now.
    pub now: u64,
}

/// Rules of a comparison, beside the two results.
pub struct ComparisonRules<'a> {
    /// Tells whether a file is a deliverable of the phase.
    pub is_deliverable: &'a dyn Fn(&str) -> bool,
    /// Whether failures on the base are excused.
    pub excuses: bool,
    /// Source texts, to find renamed and moved tests.
    pub sources: &'a Sources,
}

/// Consequence of a comparison.
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

/// Whether the comparison of this run needs the base run.
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
) -> Comparison {
    let sources = Sources::default();
    ComparisonRules { is_deliverable, excuses: true, sources: &sources }.judge(now, base)
}

impl ComparisonRules<'_> {
    /// Judges a run, compared with the base.
    pub fn judge(&self, now: &CiRun, base: Option<&TestResults>) -> Comparison {
        let base_outcome = base.map(|base| &base.outcome);
        match now.outcome() {
            CiOutcome::Stopped => Comparison::plain(Decision::Stopped),
            CiOutcome::CouldNotStart { why } => match base_outcome {
                Some(CiOutcome::CouldNotStart { .. }) => {
                    Comparison::plain(Decision::Systemic { why: why.clone() })
                }
                _ => Comparison::plain(Decision::Fail),
            },
            CiOutcome::TimedOut { .. } => Comparison::plain(Decision::Fail),
            CiOutcome::NoTests => self.judge_without_tests(now, base),
            CiOutcome::Passed | CiOutcome::NotConfigured => {
                Comparison::by_tests(Vec::new(), self.find_losses(now, base), Vec::new())
                    .with_unreported(find_unreported(&now.results, base))
            }
            CiOutcome::Failed | CiOutcome::CollectionError => self.judge_red(now, base),
        }
        .with_flaky(&now.flaky)
    }

    /// Passes a run without tests if the base had none either; then the deliverables decide.
    fn judge_without_tests(&self, now: &CiRun, base: Option<&TestResults>) -> Comparison {
        let had_none = base.is_some_and(|base| {
            matches!(base.outcome, CiOutcome::NoTests | CiOutcome::NotConfigured)
        });
        match had_none {
            true => Comparison {
                notes: vec!["no tests yet: the deliverables decide".to_owned()],
                ..Comparison::plain(Decision::Pass)
            },
            false => Comparison {
                decision: Decision::Fail,
                ..Comparison::by_tests(Vec::new(), self.find_losses(now, base), Vec::new())
            },
        }
    }

    fn judge_red(&self, now: &CiRun, base: Option<&TestResults>) -> Comparison {
        if now.results.red().next().is_none() {
            return judge_by_exit_code(base);
        }
        // An interrupted run may have skipped a new failure, so nothing is excused.
        let excuses = self.excuses && now.results.complete;
        let mut excused = ExcusedTests::by(base.filter(|_| excuses), &now.results);
        let (old, new): (Vec<_>, Vec<_>) =
            now.results.red().partition(|(id, test)| excused.take(id, test));
        let losses = self.find_losses(now, base);
        let passed = |id: &str| base.and_then(|base| base.status(id)) == Some(TestStatus::Passed);
        let passed_before =
            new.iter().map(|(id, _)| (*id).clone()).filter(|id| passed(id)).collect();
        let blocking = new.into_iter().map(|(id, test)| failing_test(id, test)).collect();
        let old = old.into_iter().map(|(id, _)| id.clone()).collect();
        Comparison { passed_before, ..Comparison::by_tests(blocking, losses, old) }
    }

    /// Collects tests that passed on the base and did not run now, unless the reason is already reported.
    fn find_losses(&self, now: &CiRun, base: Option<&TestResults>) -> MissingTests {
        let Some(base) = base else { return MissingTests::default() };
        // After a premature end nobody knows which other tests would have run.
        let is_whole = now.results.complete || *now.outcome() == CiOutcome::Passed;
        if !is_whole {
            return MissingTests::default();
        }
        let mut losses =
            unnamed_losses::find_losses(&now.results, base, self.sources, self.is_deliverable);
        let lost = lost_tests::find_lost_tests(&now.results, base, self.sources);
        let file = |id: &String| base.tests.as_ref()?.get(id)?.file.as_deref();
        let delivered = |id: &String| file(id).is_some_and(self.is_deliverable);
        let (replaced, gone): (Vec<_>, Vec<_>) = lost.into_iter().partition(delivered);
        losses.replaced.extend(replaced);
        losses.gone.extend(gone);
        losses
    }
}

/// Returns the runners whose summaries count more failed tests than on the base, though CI succeeds.
fn find_unreported(now: &TestResults, base: Option<&TestResults>) -> Vec<UnreportedFailures> {
    let Some(base) = base else { return Vec::new() };
    let more = now.failed.iter().filter_map(|(runner, count)| {
        let before = base.failed.get(runner).copied().unwrap_or_default();
        let more = UnreportedFailures { runner: runner.clone(), before, now: *count };
        (*count > before).then_some(more)
    });
    more.collect()
}

/// Failures on the base: ids, and for parametrized functions the number of cases whose ids are gone.
#[derive(Default)]
struct ExcusedTests<'a> {
    ids: BTreeSet<&'a str>,
    cases: BTreeMap<&'a str, usize>,
}

impl<'a> ExcusedTests<'a> {
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
fn judge_by_exit_code(base: Option<&TestResults>) -> Comparison {
    let red_before = base
        .is_some_and(|base| matches!(base.outcome, CiOutcome::Failed | CiOutcome::CollectionError));
    let note = "CI fails without this change, too, and does not report individual tests: its exit code decides";
    Comparison {
        notes: if red_before { vec![note.to_owned()] } else { Vec::new() },
        ..Comparison::plain(Decision::Fail)
    }
}

fn failing_test(id: &str, test: &TestCase) -> FailingTest {
    FailingTest { name: id.to_owned(), message: test.message.clone() }
}

fn names(ids: &[String]) -> String {
    list_names(ids.iter().map(String::as_str))
}

impl Comparison {
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

    /// Whether the comparison reports missing tests. A second base run then tells whether their ids are stable.
    pub fn tells_of_losses(&self) -> bool {
        self.decision == Decision::Fail && !(self.gone.is_empty() && self.fewer.is_empty())
    }

    /// Returns the tests to rerun before this comparison is final; empty if a rerun cannot change the comparison.
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
            unreported: Vec::new(),
            replaced: Vec::new(),
            excused: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn by_tests(blocking: Vec<FailingTest>, losses: MissingTests, excused: Vec<String>) -> Self {
        let MissingTests { gone, fewer, replaced } = losses;
        let clean = blocking.is_empty() && gone.is_empty() && fewer.is_empty();
        let decision = if clean { Decision::Pass } else { Decision::Fail };
        let mut notes = Vec::new();
        if !excused.is_empty() {
            notes.push(format!(
                "failing without this change, too, and excused: {}",
                names(&excused)
            ));
        }
        let comparison =
            Self { blocking, gone, fewer, replaced, excused, notes, ..Self::plain(decision) };
        let replaced = comparison.replaced_tests();
        Self { notes: comparison.notes.iter().cloned().chain(replaced).collect(), ..comparison }
    }

    fn with_unreported(mut self, unreported: Vec<UnreportedFailures>) -> Self {
        if !unreported.is_empty() {
            self.decision = Decision::Fail;
            self.unreported = unreported;
        }
        self
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
