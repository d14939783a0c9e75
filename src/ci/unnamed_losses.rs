//! Losses of runners without individual results: by printed names, by declared tests, and by numbers. Pure.
//!
//! Files that the phase delivers may lose tests. A printed name belongs to the files that declare the name on the base.
//! A number may fall by as many tests as the delivered files declare fewer; their new tests never make up for tests
//! that other files declared.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use super::declared_tests::{DeclaredTest, declared};
use super::printed_losses;
use super::results::TestResults;
use super::test_source::Sources;

/// Lost tests, and those that may go.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MissingTests {
    /// Gone or skipped.
    pub gone: Vec<String>,
    /// Fallen numbers.
    pub fewer: Vec<MissingTestCount>,
    /// Gone or skipped, in files that the phase delivers.
    pub replaced: Vec<String>,
}

/// A drop in the number of passed tests of a runner without individual results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingTestCount {
    /// The runner's name, as in [`TestResults::counts`].
    pub runner: String,
    /// Passed tests on the base.
    pub before: u64,
    /// Passed tests now.
    pub now: u64,
}

impl fmt::Display for MissingTestCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runner, before, now } = self;
        write!(f, "{before} tests passed before, {now} now ({runner})")
    }
}

/// Finds the losses.
pub fn find_losses(
    now: &TestResults,
    base: &TestResults,
    sources: &Sources,
    is_deliverable: &dyn Fn(&str) -> bool,
) -> MissingTests {
    let mut losses = MissingTests::default();
    let any_ran = now.counts.values().any(|count| *count > 0);
    let mut excused = 0;
    for loss in printed_losses::find_lost_names(&now.printed, &base.printed, sources) {
        let files = &loss.files;
        if any_ran && !files.is_empty() && files.iter().all(|file| is_deliverable(file)) {
            excused += 1;
            losses.replaced.push(loss.to_string());
        } else {
            losses.gone.push(loss.to_string());
        }
    }
    let change = DeclaredChange::of(sources, is_deliverable);
    losses.gone.extend(change.replaced.iter().cloned());
    let streams = || base.printed.values().chain(now.printed.values());
    let all_named = !base.printed.is_empty() && streams().all(|stream| stream.names.is_some());
    // Where all tests have names, the names tell what is lost.
    let paid = if all_named { 0 } else { change.gained.min(change.lost_elsewhere) };
    for (runner, before) in &base.counts {
        let count = now.counts.get(runner).copied().unwrap_or_default();
        let count = count.saturating_sub(paid);
        let fall = before.saturating_sub(count);
        if fall == 0 {
            continue;
        }
        let fewer = MissingTestCount { runner: runner.clone(), before: *before, now: count };
        let explained = if all_named { excused } else { change.lost.max(excused) };
        match count > 0 && paid == 0 && fall <= explained {
            true => losses.replaced.push(fewer.to_string()),
            false => losses.fewer.push(fewer),
        }
    }
    losses
}

/// Difference in the running tests declared by the changed files.
#[derive(Debug, Default)]
struct DeclaredChange {
    /// Fewer tests in delivered files.
    lost: u64,
    /// More tests in delivered files.
    gained: u64,
    /// Fewer tests in other files, unless moved.
    lost_elsewhere: u64,
    /// Tests of other files whose title now belongs to another text in another file.
    replaced: Vec<String>,
}

impl DeclaredChange {
    fn of(sources: &Sources, is_deliverable: &dyn Fn(&str) -> bool) -> Self {
        let files: BTreeSet<&String> = sources.before.keys().chain(sources.now.keys()).collect();
        let (mut vanished, mut fresh) = (Vec::new(), Vec::new());
        for file in files {
            let (before, now) = (sources.before.get(file), sources.now.get(file));
            if before == now {
                continue;
            }
            let tests = |text: Option<&String>| -> Vec<DeclaredTest> {
                let tests = text.map(|text| declared(file, text)).unwrap_or_default();
                tests.into_iter().filter(|test| test.runs).collect()
            };
            let (before, now) = (tests(before), tests(now));
            vanished.extend(without(&before, &now).into_iter().map(|test| (file, test)));
            fresh.extend(without(&now, &before).into_iter().map(|test| (file, test)));
        }
        // A test with the same text has moved, or was renamed.
        let mut bodies: HashMap<String, usize> = HashMap::new();
        for body in fresh.iter().filter_map(|(_, test)| test.body.clone()) {
            *bodies.entry(body).or_default() += 1;
        }
        let mut kept: HashMap<String, usize> = HashMap::new();
        vanished.retain(|(_, test)| {
            let left = test.body.as_ref().and_then(|body| bodies.get_mut(body));
            let Some(left) = left.filter(|left| **left > 0) else { return true };
            *left -= 1;
            *kept.entry(test.body.clone().unwrap_or_default()).or_default() += 1;
            false
        });
        fresh.retain(|(_, test)| {
            let kept = test.body.as_ref().and_then(|body| kept.get_mut(body));
            let Some(kept) = kept.filter(|kept| **kept > 0) else { return true };
            *kept -= 1;
            false
        });
        let of = |tests: &[(&String, DeclaredTest)], delivered: bool| {
            let count = tests.iter().filter(|(file, _)| is_deliverable(file) == delivered).count();
            count as u64
        };
        let (lost, gained) = (of(&vanished, true), of(&fresh, true));
        let replaced = vanished.iter().filter(|(file, test)| {
            let is_twin = |(other, twin): &(&String, DeclaredTest)| {
                other != file && !test.name.is_empty() && twin.name == test.name
            };
            test.body.is_some() && !is_deliverable(file) && fresh.iter().any(is_twin)
        });
        Self {
            lost: lost.saturating_sub(gained),
            gained: gained.saturating_sub(lost),
            lost_elsewhere: of(&vanished, false).saturating_sub(of(&fresh, false)),
            replaced: replaced.map(|(file, test)| format!("{file}: {}", test.name)).collect(),
        }
    }
}

/// Returns the tests of `all` whose names are not among `others`, each as often as there are more.
fn without(all: &[DeclaredTest], others: &[DeclaredTest]) -> Vec<DeclaredTest> {
    let mut left: HashMap<&str, usize> = HashMap::new();
    others.iter().for_each(|test| *left.entry(&test.name).or_default() += 1);
    let is_more = |test: &&DeclaredTest| match left.get_mut(test.name.as_str()) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        _ => true,
    };
    all.iter().filter(is_more).cloned().collect()
}

#[cfg(test)]
#[path = "unnamed_losses_tests.rs"]
mod tests;
