//! Finds tests that passed on the base and do not run now. Pure.
//!
//! Tests are matched by id; else, for cases of a parametrized function, by function and number of cases; else by source
//! text, in any file. Ids that differ in a second run of the base are unstable: only their numbers per function and per
//! file must not drop.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::printed_losses;
use super::results::{TestCase, TestResults, TestStatus, UnstableTests};
use super::test_source::{self, Sources};

/// Number of tests that ran, by function and by file. Skipped tests do not count.
struct Tally<'a> {
    functions: HashMap<&'a str, usize>,
    files: HashMap<&'a str, usize>,
}

impl<'a> Tally<'a> {
    fn of(results: &'a TestResults) -> Self {
        let mut tally = Self { functions: HashMap::new(), files: HashMap::new() };
        let tests = results.tests.iter().flatten();
        for (id, test) in tests.filter(|(_, test)| has_run(test)) {
            *tally.functions.entry(test.function_of(id)).or_default() += 1;
            if let Some(file) = &test.file {
                *tally.files.entry(file).or_default() += 1;
            }
        }
        tally
    }

    fn function(&self, name: &str) -> usize {
        self.functions.get(name).copied().unwrap_or_default()
    }

    fn file(&self, name: &str) -> usize {
        self.files.get(name).copied().unwrap_or_default()
    }
}

/// Whether the test ran. A module that cannot be loaded is not a test.
fn has_run(test: &TestCase) -> bool {
    test.status != TestStatus::Skipped && test.hides.is_none()
}

/// Returns the lost ids, in order.
pub fn find_lost_tests(now: &TestResults, base: &TestResults, sources: &Sources) -> Vec<String> {
    let (before, after) = (Tally::of(base), Tally::of(now));
    let mut twins = ReplacementTests::among(now, base, sources);
    // A load failure that existed on the base hides no additional tests.
    let new_red = now.red().filter(|(id, _)| !base.is_red(id));
    let hidden: Vec<&str> = new_red.filter_map(|(_, test)| test.hides.as_deref()).collect();
    let passed = base.tests.iter().flatten().filter(|(_, test)| test.status == TestStatus::Passed);
    let lost = passed.filter(|(id, test)| {
        let status = now.status(id);
        if matches!(status, Some(TestStatus::Passed | TestStatus::Failed))
            || hidden.iter().any(|start| id.starts_with(start))
        {
            return false;
        }
        if base.unstable.ids.contains(*id) {
            return !base.unstable.is_made_up_for(id, test, &after);
        }
        // A test may have become cases with parameters. With a status, a new case would hide that this case is skipped.
        let function = test.function_of(id);
        let replaced = || after.function(function) >= before.function(function);
        !(status.is_none() && (replaced() || twins.take(id, test)))
    });
    lost.map(|(id, _)| id.clone()).collect()
}

impl UnstableTests {
    /// Applies the knowledge about unstable functions to their current cases.
    pub fn carried_to(&self, results: &TestResults) -> Self {
        let mut carried = Self::default();
        if self.is_empty() {
            return carried;
        }
        let passed =
            results.tests.iter().flatten().filter(|(_, test)| test.status == TestStatus::Passed);
        for (id, test) in passed {
            let function = test.function_of(id);
            if self.functions.contains_key(function) {
                carried.ids.insert(id.clone());
            }
        }
        if !carried.is_empty() {
            carried.functions.clone_from(&self.functions);
            carried.files.clone_from(&self.files);
        }
        carried
    }

    fn is_made_up_for(&self, id: &str, test: &TestCase, after: &Tally<'_>) -> bool {
        let function = test.function_of(id);
        let holds = |floor: Option<&usize>, count: usize| floor.is_none_or(|floor| count >= *floor);
        holds(self.functions.get(function), after.function(function))
            && test.file.as_deref().is_none_or(|file| holds(self.files.get(file), after.file(file)))
    }
}

/// Marks ids as unstable if they are missing or skipped in a second run of the same tree. If the second run has no
/// complete results, only counts and printed names are reduced.
pub fn mark_unstable(first: TestResults, again: &TestResults) -> TestResults {
    let mut steady = first;
    for (runner, count) in &mut steady.counts {
        *count = (*count).min(again.counts.get(runner).copied().unwrap_or_default());
    }
    for (runner, count) in &again.failed {
        let known = steady.failed.entry(runner.clone()).or_default();
        *known = (*known).max(*count);
    }
    printed_losses::keep_stable_names(&mut steady.printed, &again.printed);
    if again.tests.is_none() || !again.complete {
        return steady;
    }
    let (before, after) = (Tally::of(&steady), Tally::of(again));
    let mut unstable = steady.unstable.clone();
    let tests = steady.tests.iter().flatten().filter(|(_, test)| test.status == TestStatus::Passed);
    for (id, test) in tests {
        if !matches!(again.status(id), None | Some(TestStatus::Skipped)) {
            continue;
        }
        unstable.ids.insert(id.clone());
        let function = test.function_of(id);
        let fewest = before.function(function).min(after.function(function));
        lower(&mut unstable.functions, function, fewest);
        if let Some(file) = &test.file {
            lower(&mut unstable.files, file, before.file(file).min(after.file(file)));
        }
    }
    steady.unstable = unstable;
    steady
}

fn lower(floors: &mut BTreeMap<String, usize>, name: &str, floor: usize) {
    let known = floors.entry(name.to_owned()).or_insert(floor);
    *known = floor.min(*known);
}

/// Returns the files whose texts tell whether these tests moved: files on the base, and files now.
pub fn files_of(
    lost: &[String],
    now: &TestResults,
    base: &TestResults,
) -> (BTreeSet<String>, BTreeSet<String>) {
    let file = |results: &TestResults, id: &str| results.tests.as_ref()?.get(id)?.file.clone();
    let before = lost.iter().filter_map(|id| file(base, id)).collect();
    let after = new_tests(now, base).filter_map(|(_, test)| test.file.clone()).collect();
    (before, after)
}

/// Tests that pass now and did not exist on the base.
fn new_tests<'a>(
    now: &'a TestResults,
    base: &'a TestResults,
) -> impl Iterator<Item = (&'a String, &'a TestCase)> {
    let tests = now.tests.iter().flatten();
    tests.filter(|(id, test)| test.status == TestStatus::Passed && base.status(id).is_none())
}

/// New tests by source text. Each can replace one lost test.
struct ReplacementTests<'a> {
    sources: &'a Sources,
    left: HashMap<(String, String), usize>,
}

impl<'a> ReplacementTests<'a> {
    fn among(now: &TestResults, base: &TestResults, sources: &'a Sources) -> Self {
        let mut left: HashMap<(String, String), usize> = HashMap::new();
        if !sources.now.is_empty() {
            let keys =
                new_tests(now, base).filter_map(|(id, test)| source_key(id, test, &sources.now));
            keys.for_each(|key| *left.entry(key).or_default() += 1);
        }
        Self { sources, left }
    }

    fn take(&mut self, id: &str, test: &TestCase) -> bool {
        if self.left.is_empty() {
            return false;
        }
        let Some(key) = source_key(id, test, &self.sources.before) else { return false };
        match self.left.get_mut(&key).filter(|left| **left > 0) {
            Some(left) => {
                *left -= 1;
                true
            }
            None => false,
        }
    }
}

/// Returns the text of a test's function, and the case. If the function is not found, the whole file and the test's
/// name are used instead.
fn source_key(
    id: &str,
    test: &TestCase,
    texts: &BTreeMap<String, String>,
) -> Option<(String, String)> {
    let file = test.file.as_deref()?;
    let text = texts.get(file)?;
    let function = test.function_of(id);
    let case = id.strip_prefix(function).unwrap_or_default();
    let path = test_source::path_in_file(function, file);
    Some(match test_source::function_text(file, text, path) {
        Some(body) => (body, case.to_owned()),
        None => (text.clone(), format!("{path}{case}")),
    })
}

#[cfg(test)]
#[path = "lost_tests_tests.rs"]
mod tests;
