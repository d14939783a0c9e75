//! Results of a CI run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a run ended. Individual results are in [`TestResults::tests`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CiOutcome {
    /// The command succeeded.
    Passed,
    /// Tests, or the command, failed.
    Failed,
    /// autopack's time limit ended the run.
    TimedOut {
        /// The limit, in seconds.
        ran_out_seconds: u64,
    },
    /// The runner started and found no tests.
    NoTests,
    /// The runner could not load or compile the tests.
    CollectionError,
    /// The command, or a program needed for the tests, could not start.
    CouldNotStart {
        /// The reason, for people.
        why: String,
    },
    /// There is no command to run; the deliverables decide.
    NotConfigured,
    /// The operator stopped the drain.
    Stopped,
}

/// The comparable part of a run; stored as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestResults {
    /// How the run ended.
    pub outcome: CiOutcome,
    /// Exit code as a shell reports it: above 128 for a signal; none after a timeout by autopack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Tests by id; none if the runner reports no individual tests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<BTreeMap<String, TestCase>>,
    /// Whether a test absent from `tests` certainly did not run. After a crash, or with output that cannot be read
    /// completely, this is unknown.
    pub complete: bool,
    /// Number of passed tests by runner, from summaries in the output; used without individual results.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u64>,
    /// Number of failed tests by runner, from the same summaries.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<String, u64>,
    /// The passed tests by stream of the output (a package of a workspace, a container), with test names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub printed: BTreeMap<String, PrintedTests>,
    /// Differences in a second run of the same tree.
    #[serde(default, skip_serializing_if = "UnstableTests::is_empty")]
    pub unstable: UnstableTests,
}

/// Passed tests in one stream of the output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrintedTests {
    /// Number of passed tests in the summaries.
    pub passed: u64,
    /// None if the stream does not print all names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<BTreeSet<String>>,
}

/// Tests whose ids differ between two runs of the same tree: parametrized over a time, a UUID or an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnstableTests {
    /// Passed in the first run, and absent or skipped in the second.
    pub ids: BTreeSet<String>,
    /// Functions with such ids, and the fewest cases that ran in either run.
    pub functions: BTreeMap<String, usize>,
    /// The same by file.
    pub files: BTreeMap<String, usize>,
}

/// Result of a single test, or of a module or program without results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestCase {
    /// Result of the test.
    pub status: TestStatus,
    /// The test's source file, relative to the repository, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The id of the test function, if this is one of its cases (a parameter, a subtest).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Reason of the failure.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Set on an entry for a module that cannot be loaded or a test program that crashed, instead of a test: the common
    /// prefix of the ids of the hidden tests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hides: Option<String>,
}

/// Status of a single test, in ascending order of severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestStatus {
    /// Skipped, ignored, or (in pytest) failed as expected.
    Skipped,
    /// Passed.
    Passed,
    /// Failed, or could not be set up or torn down.
    Failed,
}

/// One run of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct CiRun {
    /// The comparable part.
    pub results: TestResults,
    /// The end of the output, redacted and without colors.
    pub log_tail: String,
    /// Duration, including any rerun.
    pub duration: Duration,
    /// Tests that failed and passed in a rerun.
    pub flaky: Vec<String>,
    /// Hosts refused by a limited network, in one line.
    pub refused_hosts: Option<String>,
}

impl TestResults {
    /// Results with this outcome and nothing else.
    pub fn of(outcome: CiOutcome) -> Self {
        Self {
            outcome,
            exit_code: None,
            tests: None,
            complete: true,
            counts: BTreeMap::new(),
            failed: BTreeMap::new(),
            printed: BTreeMap::new(),
            unstable: UnstableTests::default(),
        }
    }

    /// The failing tests, by id.
    pub fn red(&self) -> impl Iterator<Item = (&String, &TestCase)> {
        self.tests.iter().flatten().filter(|(_, test)| test.is_red())
    }

    /// Whether the test with this id failed.
    pub fn is_red(&self, id: &str) -> bool {
        self.status(id) == Some(TestStatus::Failed)
    }

    /// Whether the results give any number of tests.
    pub fn tell_of_tests(&self) -> bool {
        self.tests.is_some() || !self.counts.is_empty() || !self.failed.is_empty()
    }

    /// The number of passed tests, as far as known.
    pub fn passed(&self) -> u64 {
        let single = self.tests.iter().flatten();
        let single = single.filter(|(_, test)| test.status == TestStatus::Passed).count();
        single as u64 + self.counts.values().sum::<u64>()
    }

    /// The status of the test with this id, if there is such a test.
    pub fn status(&self, id: &str) -> Option<TestStatus> {
        self.tests.as_ref()?.get(id).map(|test| test.status)
    }
}

impl UnstableTests {
    /// Whether no id is unstable.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

impl TestCase {
    /// The function of the test with this id.
    pub fn function_of<'a>(&'a self, id: &'a str) -> &'a str {
        self.function.as_deref().unwrap_or(id)
    }

    /// A test with this status, without a message.
    pub fn new(status: TestStatus, file: Option<String>) -> Self {
        Self { status, file, function: None, message: String::new(), hides: None }
    }

    /// A failed test.
    pub fn red(file: Option<String>, message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::new(TestStatus::Failed, file) }
    }

    /// Whether the test failed.
    pub fn is_red(&self) -> bool {
        self.status == TestStatus::Failed
    }
}

impl CiRun {
    /// A run with these results, without output or duration.
    pub fn of(results: TestResults) -> Self {
        Self {
            results,
            log_tail: String::new(),
            duration: Duration::ZERO,
            flaky: Vec::new(),
            refused_hosts: None,
        }
    }

    /// How the run ended.
    pub fn outcome(&self) -> &CiOutcome {
        &self.results.outcome
    }
}
