//! What a CI run came to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a run ended. Single results are in [`TestResults::tests`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CiOutcome {
    Passed,
    /// Tests, or the command, were red.
    Failed,
    /// Our timer ended it.
    TimedOut {
        ran_out_seconds: u64,
    },
    /// The runner ran and found no test.
    NoTests,
    /// The runner could not load or compile the tests.
    CollectionError,
    CouldNotStart {
        why: String,
    },
    /// There is nothing to run here; the deliverables decide.
    NotConfigured,
    /// The operator stopped the drain.
    Stopped,
}

/// The part of a run that later ones are compared with; the store keeps it as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestResults {
    pub outcome: CiOutcome,
    /// As a shell would say it: 128 and more for a signal; none where our timer ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// By id; none where the runner reports no single tests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<BTreeMap<String, TestCase>>,
    /// Whether a test that is not in `tests` did not run. A crash, or output that cannot be read whole, leaves that open.
    pub complete: bool,
    /// Tests that passed, by runner, as the summaries in the output count them: where no single results are known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u64>,
    /// The same by stream of the output (a package of a workspace, a container), with the names of the tests.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub printed: BTreeMap<String, PrintedTests>,
    /// What a second run of the same tree did otherwise.
    #[serde(default, skip_serializing_if = "Unstable::is_empty")]
    pub unstable: Unstable,
}

/// Tests that passed, as one stream of the output has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrintedTests {
    /// By its summaries.
    pub passed: u64,
    /// None where it does not print all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<BTreeSet<String>>,
}

/// Tests whose ids differ between two runs of the same tree: parametrized over a time, a UUID or an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unstable {
    /// Passed in the first run, and absent or skipped in the second.
    pub ids: BTreeSet<String>,
    /// The fewest cases that ran in either run, of each function that such an id belongs to.
    pub functions: BTreeMap<String, usize>,
    /// The same for each file.
    pub files: BTreeMap<String, usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestCase {
    pub status: TestStatus,
    /// Where the test is written, relative to the repository, as far as that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The id of the test function, where this is one of its cases (a parameter, a subtest).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Why it is red.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Set on what is no test but kept tests from running (a module that cannot be loaded, a test
    /// program that crashed): how the ids of those tests begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hides: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestStatus {
    Skipped,
    Passed,
    Failed,
}

/// One run of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct CiRun {
    pub results: TestResults,
    /// The end of the output, redacted and without colours.
    pub log_tail: String,
    pub duration: Duration,
    /// Tests that were red and passed when they were run once more.
    pub flaky: Vec<String>,
}

impl TestResults {
    pub fn of(outcome: CiOutcome) -> Self {
        Self {
            outcome,
            exit_code: None,
            tests: None,
            complete: true,
            counts: BTreeMap::new(),
            printed: BTreeMap::new(),
            unstable: Unstable::default(),
        }
    }

    /// The red tests, by id.
    pub fn red(&self) -> impl Iterator<Item = (&String, &TestCase)> {
        self.tests.iter().flatten().filter(|(_, test)| test.is_red())
    }

    pub fn is_red(&self, id: &str) -> bool {
        self.status(id) == Some(TestStatus::Failed)
    }

    /// Whether these say anything about how many tests there are.
    pub fn tell_of_tests(&self) -> bool {
        self.tests.is_some() || !self.counts.is_empty()
    }

    /// How many tests passed, as far as that is known.
    pub fn passed(&self) -> u64 {
        let single = self.tests.iter().flatten();
        let single = single.filter(|(_, test)| test.status == TestStatus::Passed).count();
        single as u64 + self.counts.values().sum::<u64>()
    }

    pub fn status(&self, id: &str) -> Option<TestStatus> {
        self.tests.as_ref()?.get(id).map(|test| test.status)
    }
}

impl Unstable {
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

impl TestCase {
    /// The id of the function that this test, with this id, belongs to.
    pub fn function_of<'a>(&'a self, id: &'a str) -> &'a str {
        self.function.as_deref().unwrap_or(id)
    }

    pub fn new(status: TestStatus, file: Option<String>) -> Self {
        Self { status, file, function: None, message: String::new(), hides: None }
    }

    pub fn red(file: Option<String>, message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::new(TestStatus::Failed, file) }
    }

    pub fn is_red(&self) -> bool {
        self.status == TestStatus::Failed
    }
}

impl CiRun {
    pub fn of(results: TestResults) -> Self {
        Self { results, log_tail: String::new(), duration: Duration::ZERO, flaky: Vec::new() }
    }

    pub fn outcome(&self) -> &CiOutcome {
        &self.results.outcome
    }
}
