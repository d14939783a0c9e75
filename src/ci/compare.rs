//! A run against the baseline: what blocks a landing and what was broken before. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::ci_failure::list;
use super::lost_tests::{self, Sources};
use super::printed_losses;
use super::results::{CiOutcome, CiRun, TestCase, TestResults, TestStatus};
use crate::phase::verdict::FailingTest;
use crate::phase::words::counted;

/// What a run means for the attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    pub decision: Decision,
    /// Red now and not red at the base.
    pub blocking: Vec<FailingTest>,
    /// Those of `blocking` that passed at the base; the others are new, or there is no baseline.
    pub passed_before: BTreeSet<String>,
    /// Passed at the base; now gone or skipped.
    pub gone: Vec<String>,
    /// Runners by whose summaries fewer tests pass than at the base.
    pub fewer: Vec<Fewer>,
    /// Gone or skipped, in files that the phase delivers.
    pub replaced: Vec<String>,
    /// Red now, and red at the base.
    pub excused: Vec<String>,
    /// What a person should be told, one line each.
    pub notes: Vec<String>,
}

/// Where only the number of tests is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fewer {
    pub runner: String,
    pub before: u64,
    pub now: u64,
}

/// What a comparison goes by, beside the two results.
pub struct Terms<'a> {
    /// Tells for a file whether the phase was asked to produce it.
    pub is_deliverable: &'a dyn Fn(&str) -> bool,
    /// Whether the phase was asked to produce tests, in whatever file.
    pub delivers_tests: bool,
    /// Whether what was red at the base is excused.
    pub excuses: bool,
    /// To find renamed and moved tests by.
    pub sources: &'a Sources,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Pass,
    Fail,
    /// CI cannot start here nor at the base: the next phase would meet it too.
    Systemic {
        why: String,
    },
    /// The operator stopped the drain; this says nothing about the phase.
    Stopped,
}

/// Whether the judgement of this run depends on what CI says at the base.
pub fn needs_baseline(now: &CiRun) -> bool {
    use CiOutcome::*;
    matches!(
        now.outcome(),
        Failed | CollectionError | NoTests | CouldNotStart { .. } | NotConfigured
    ) || now.results.tell_of_tests()
}

/// `base` is what the same plan said at the attempt's base or at the last landing, where that is known;
/// `is_deliverable` tells for a file whether the phase was asked to produce it.
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
    /// What a run means, compared with the base.
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

    /// No test at the base either is nothing that the attempt did; the deliverables decide then.
    fn no_tests(&self, now: &CiRun, base: Option<&TestResults>) -> Judgement {
        let had_none = base.is_some_and(|base| {
            matches!(base.outcome, CiOutcome::NoTests | CiOutcome::NotConfigured)
        });
        match had_none {
            true => Judgement {
                notes: vec!["there are no tests yet: the deliverables decide".to_owned()],
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
        // What stopped halfway may have left out a new failure, so nothing is excused.
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

    /// Tests that passed at the base and did not run now, for no reason that is named already.
    fn losses(&self, now: &CiRun, base: Option<&TestResults>) -> Losses {
        let mut losses = Losses::default();
        let Some(base) = base else { return losses };
        // What ended red before its end leaves open what else would have run.
        let is_whole = now.results.complete || *now.outcome() == CiOutcome::Passed;
        if !is_whole {
            return losses;
        }
        let lost = lost_tests::find(&now.results, base, self.sources);
        let file = |id: &String| base.tests.as_ref()?.get(id)?.file.as_deref();
        let delivered = |id: &String| file(id).is_some_and(self.is_deliverable);
        (losses.replaced, losses.gone) = lost.into_iter().partition(delivered);
        let printed = printed_losses::find(&now.results.printed, &base.printed);
        // Which file a printed name belongs to, nobody knows.
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

/// What was red at the base: by id, and of parametrized functions by the number of cases whose ids are gone.
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

/// Without single results nothing tells an old failure from a new one: it is said, never excused.
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

/// The second look at `failing` put into the first run: what passed then is green, and flaky.
pub fn merge_rerun(mut first: CiRun, again: &CiRun, failing: &[String]) -> CiRun {
    if *again.outcome() == CiOutcome::Stopped {
        // It might have been green: nothing is known yet.
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

/// Two runs of the same commit as one: a test that either of them saw is there.
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
    /// Tests that no longer run and may go, in one line.
    pub fn replaced_tests(&self) -> Option<String> {
        let replaced = &self.replaced;
        let tests = counted(replaced.len() as u64, "test");
        let run = if replaced.len() == 1 { "runs" } else { "run" };
        (!replaced.is_empty()).then(|| {
            format!(
                "{tests} that passed before no longer {run}, which is allowed in files that this phase delivers: {}",
                names(replaced)
            )
        })
    }

    /// Whether it says that tests no longer run; a second run of the base tells whether they can be relied on.
    pub fn tells_of_losses(&self) -> bool {
        self.decision == Decision::Fail && !(self.gone.is_empty() && self.fewer.is_empty())
    }

    /// The tests to run once more before this judgement stands; empty where that cannot change it.
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
            let note = format!("flaky, passed when run once more: {}", names(flaky));
            self.notes.push(note);
        }
        self
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
