//! CI for real: plans are chosen in temporary projects and run under the supervisor.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use autopack::ci::{
    self, CiOutcome, CiPlace, CiPlan, CiRequest, CiRun, Decision, Pythons, TestStatus,
};
use autopack::config::{CiSettings, CommandLine};
use autopack::phase::{FailureKind, PhaseCi};
use autopack::process::{Redactor, StopLevel, StopReceiver, use_supervisor};

use crate::support::{executable, has_pytest};

type Env = BTreeMap<OsString, OsString>;

/// A project and, beside it, the directory for logs.
struct Project {
    dir: tempfile::TempDir,
    env: Env,
    settings: CiSettings,
    phase: PhaseCi,
}

impl Project {
    fn new(files: &[(&str, &str)]) -> Self {
        use_supervisor(env!("CARGO_BIN_EXE_autopack"));
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("logs")).unwrap();
        let foreign = ["VIRTUAL_ENV", "PYTEST", "CARGO_", "RUST_", "RUSTC", "NEXTEST"];
        let keep = |(name, _): &(OsString, OsString)| {
            let name = name.to_string_lossy();
            name == "CARGO_HOME" || !foreign.iter().any(|start| name.starts_with(start))
        };
        let project = Self {
            dir,
            env: std::env::vars_os().filter(keep).collect(),
            settings: CiSettings::default(),
            phase: PhaseCi { timeout_seconds: 120, per_test_timeout: 60, ..PhaseCi::default() },
        };
        project.write(files);
        project
    }

    fn with_command(line: &str) -> Self {
        let mut project = Self::new(&[]);
        project.settings.command = Some(CommandLine::Shell(line.to_owned()));
        project
    }

    fn write(&self, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = self.slot().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::create_dir_all(self.slot()).unwrap();
    }

    fn slot(&self) -> std::path::PathBuf {
        self.dir.path().join("the slot")
    }

    async fn plan(&self) -> CiPlan {
        let (dir, workspace) = (self.slot(), self.dir.path().join("none"));
        let place = CiPlace { dir: &dir, workspace: &workspace, env: &self.env };
        ci::choose_plan(&place, &self.settings, &self.phase, &Pythons::default()).await
    }

    async fn run(&self) -> CiRun {
        self.run_plan(&self.plan().await, &StopReceiver::never()).await
    }

    async fn run_plan(&self, plan: &CiPlan, stop: &StopReceiver) -> CiRun {
        let request = CiRequest {
            dir: &self.slot(),
            checkout: &self.slot(),
            env: &self.env,
            log: self.log(),
            redact: Redactor::new(self.env.clone()),
            hold: None,
            lent: Vec::new(),
            view: None,
        };
        ci::run(plan, request, stop).await.unwrap()
    }

    fn log(&self) -> std::path::PathBuf {
        self.dir.path().join("logs/ci.log")
    }

    fn slot_files(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.slot())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

fn status(run: &CiRun, id: &str) -> Option<TestStatus> {
    run.results.status(id)
}

#[tokio::test]
async fn nothing_that_suggests_a_runner_is_not_configured() {
    let project = Project::new(&[("docs/readme.md", "text")]);
    let plan = project.plan().await;
    assert_eq!((plan.runner_name(), plan.is_configured()), (None, false));
    assert!(plan.note.clone().unwrap().hint.contains("set ci.command"));
    let run = project.run_plan(&plan, &StopReceiver::never()).await;
    assert_eq!(run.outcome(), &CiOutcome::NotConfigured);
    assert_eq!(ci::compare(&run, None, &|_| false).decision, Decision::Pass);
}

#[tokio::test]
async fn a_command_runs_in_the_slot_and_its_exit_code_decides() {
    let project = Project::with_command("pwd; echo to stderr >&2; exit 3");
    let run = project.run().await;
    assert_eq!((run.outcome(), run.results.exit_code), (&CiOutcome::Failed, Some(3)));
    assert!(run.log_tail.contains("the slot\nto stderr"), "{}", run.log_tail);
    assert_eq!(fs::read_to_string(project.log()).unwrap().trim(), run.log_tail.trim());
    let comparison = ci::compare(&run, None, &|_| false);
    let failure = ci::describe_failure(&project.plan().await, &run, &comparison).unwrap();
    assert_eq!((failure.kind, failure.exit_code), (FailureKind::CiFailed, Some(3)));
    assert!(failure.detail.log_tail.contains("to stderr"));
}

#[tokio::test]
async fn argv_is_no_shell() {
    let mut project = Project::new(&[]);
    let argv = ["printf", "%s|", "a b", "$HOME"].map(str::to_owned).to_vec();
    project.settings.command = Some(CommandLine::Argv(argv));
    let run = project.run().await;
    assert_eq!((run.outcome(), run.log_tail.as_str()), (&CiOutcome::Passed, "a b|$HOME|"));
}

#[tokio::test]
async fn the_phases_own_command_goes_before_the_configured_one() {
    let mut project = Project::with_command("exit 1");
    project.phase.command = Some(vec!["true".to_owned()]);
    assert_eq!(project.run().await.outcome(), &CiOutcome::Passed);
}

#[tokio::test]
async fn a_missing_program_could_not_start() {
    for argv in [vec!["no-such-program-here"], vec!["./not-executable"]] {
        let mut project = Project::new(&[("not-executable", "text")]);
        let argv: Vec<String> = argv.into_iter().map(str::to_owned).collect();
        project.settings.command = Some(CommandLine::Argv(argv.clone()));
        let run = project.run().await;
        let CiOutcome::CouldNotStart { why } = run.outcome() else { panic!("{run:?}") };
        assert!(why.contains(&argv[0]), "{why}");
    }
    let run = Project::with_command("no-such-program-here --x").run().await;
    assert!(matches!(run.outcome(), CiOutcome::CouldNotStart { .. }), "{run:?}");
}

#[tokio::test]
async fn a_timeout_ends_the_whole_process_tree() {
    let mut project = Project::with_command("sleep 600 & echo $! > pid; echo started; wait");
    project.phase.timeout_seconds = 1;
    let run = project.run().await;
    assert_eq!(run.outcome(), &CiOutcome::TimedOut { ran_out_seconds: 1 });
    assert_eq!((run.results.exit_code, run.log_tail.as_str()), (None, "started"));
    let pid = fs::read_to_string(project.slot().join("pid")).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "grandchild {pid} is alive");
    let comparison = ci::compare(&run, None, &|_| false);
    let failure = ci::describe_failure(&project.plan().await, &run, &comparison).unwrap();
    assert_eq!(failure.kind, FailureKind::CiTimeout);
    assert_eq!(failure.detail.timeout_seconds, Some(1));
}

#[tokio::test]
async fn a_stopped_run_has_no_result() {
    let project = Project::with_command("exit 1");
    let (handle, stop) = StopReceiver::pair();
    handle.raise(StopLevel::Graceful);
    let run = project.run_plan(&project.plan().await, &stop).await;
    assert_eq!(run.outcome(), &CiOutcome::Stopped);
}

#[tokio::test]
async fn secrets_do_not_reach_what_is_kept() {
    let mut project = Project::with_command("echo \"the key is $SHOP_TOKEN\"; exit 1");
    project.env.insert("SHOP_TOKEN".into(), "correct-horse-battery".into());
    let run = project.run().await;
    assert!(run.log_tail.starts_with("the key is") && !run.log_tail.contains("horse"));
    assert!(!fs::read_to_string(project.log()).unwrap().contains("horse"));
}

#[tokio::test]
async fn the_phases_own_check_is_a_plan_too() {
    let mut project = Project::new(&[]);
    assert_eq!(ci::check_plan(&project.phase), None);
    project.phase.test_cmd = Some("test -e there".to_owned());
    let plan = ci::check_plan(&project.phase).unwrap();
    assert_eq!(project.run_plan(&plan, &StopReceiver::never()).await.outcome(), &CiOutcome::Failed);
    project.write(&[("there", "")]);
    assert_eq!(project.run_plan(&plan, &StopReceiver::never()).await.outcome(), &CiOutcome::Passed);
}

/// A plain pytest command writes the JUnit file because of its environment alone.
#[tokio::test]
async fn a_pytest_command_is_asked_for_single_results_through_its_environment() {
    let fake = "#!/bin/sh\nfor option in $PYTEST_ADDOPTS; do case $option in --junitxml=*) file=${option#*=};; esac; done\n\
        echo \"args: $*\"\necho '<testsuites><testsuite><testcase classname=\"test_a\" name=\"test_x\">\
        <failure message=\"no\">because</failure></testcase></testsuite></testsuites>' > \"$file\"\nexit 1\n";
    let mut project = Project::new(&[("test_a.py", "")]);
    executable(&project.slot().join("bin/pytest"), fake);
    project.settings.command = Some(CommandLine::Shell("bin/pytest -q".to_owned()));
    let run = project.run().await;
    assert_eq!(run.log_tail, "args: -q");
    assert_eq!(status(&run, "test_a.py::test_x"), Some(TestStatus::Failed), "{run:?}");
}

const CALC: &str = "import os, pytest\n\
    def test_adds(): assert 1 + 2 == 3\n\
    def test_old(): assert False, 'broken long ago'\n\
    class TestGroup:\n    def test_new(self): assert os.path.exists('there'), 'file is missing'\n\
    def test_shaky():\n    if not os.path.exists('tried'):\n        open('tried', 'w').close()\n        assert False\n";

#[tokio::test]
async fn pytest_is_found_run_and_compared() {
    if !has_pytest() {
        return;
    }
    let project = Project::new(&[("tests/test_calc.py", CALC), ("there", ""), ("tried", "")]);
    let plan = project.plan().await;
    assert_eq!(plan.runner_name(), Some("pytest"));
    assert!(plan.display().starts_with("python3 -m pytest"), "{}", plan.display());

    let base = project.run_plan(&plan, &StopReceiver::never()).await;
    assert_eq!(base.outcome(), &CiOutcome::Failed);
    assert!(base.results.is_red("tests/test_calc.py::test_old"));
    fs::remove_file(project.slot().join("there")).unwrap();
    fs::remove_file(project.slot().join("tried")).unwrap();

    let now = project.run_plan(&plan, &StopReceiver::never()).await;
    let comparison = ci::compare(&now, Some(&base.results), &|_| false);
    let failing = comparison.to_rerun();
    assert_eq!(
        failing,
        ["tests/test_calc.py::TestGroup::test_new", "tests/test_calc.py::test_shaky"]
    );
    assert_eq!(comparison.excused, ["tests/test_calc.py::test_old"]);

    let again = project.run_plan(&plan.rerun_plan(&failing), &StopReceiver::never()).await;
    assert_eq!(again.results.tests.as_ref().unwrap().len(), 2);
    let merged = ci::merge_rerun(now, &again, &failing);
    let comparison = ci::compare(&merged, Some(&base.results), &|_| false);
    let failure = ci::describe_failure(&plan, &merged, &comparison).unwrap();
    let expected = "1 test fails that passed before: tests/test_calc.py::TestGroup::test_new";
    assert_eq!(failure.message, expected);
    assert!(failure.detail.failing_tests[0].message.contains("file is missing"));
    assert_eq!(merged.flaky, ["tests/test_calc.py::test_shaky"]);
    assert!(!project.slot_files().iter().any(|name| name.ends_with(".xml")));
}

#[tokio::test]
async fn pytest_without_tests_and_with_broken_tests_are_distinguished() {
    if !has_pytest() {
        return;
    }
    let project = Project::new(&[("pytest.ini", "[pytest]\naddopts = -x\n")]);
    assert_eq!(project.run().await.outcome(), &CiOutcome::NoTests);
    project
        .write(&[("test_a.py", "import no_such_module\n"), ("test_b.py", "def test_b(): pass\n")]);
    let run = project.run().await;
    assert_eq!(run.outcome(), &CiOutcome::CollectionError);
    assert_eq!(status(&run, "test_a.py"), Some(TestStatus::Failed));
    assert_eq!(status(&run, "test_b.py::test_b"), Some(TestStatus::Passed));
    project.write(&[("conftest.py", "import no_such_module\n")]);
    assert_eq!(project.run().await.outcome(), &CiOutcome::CollectionError);
}

#[tokio::test]
async fn pytest_tests_the_slots_own_source_layout() {
    if !has_pytest() {
        return;
    }
    let files = [
        ("src/pkg/__init__.py", "X = 1\n"),
        ("tests/test_pkg.py", "import pkg\ndef test_x(): assert pkg.X == 1\n"),
    ];
    let run = Project::new(&files).run().await;
    assert_eq!(run.outcome(), &CiOutcome::Passed, "{}", run.log_tail);
}

/// A Python without pytest, whatever this machine has.
#[tokio::test]
async fn a_configured_pytest_that_is_not_installed_could_not_start() {
    let fake = "#!/bin/sh\ncase $2 in *find_spec*) exit 0;; esac\necho 'No module named pytest' >&2\nexit 1\n";
    let mut project = Project::new(&[("pytest.ini", ""), ("tests/test_a.py", "")]);
    let bin = project.dir.path().join("bin");
    for name in ["python3", "python"] {
        executable(&bin.join(name), fake);
    }
    let path = format!("{}:/usr/bin:/bin", bin.display());
    project.env.insert("PATH".into(), path.into());
    let run = project.run().await;
    let CiOutcome::CouldNotStart { why } = run.outcome() else { panic!("{run:?}") };
    assert!(why.contains("no module named pytest"), "{why}");

    // Test files alone, without any mention of pytest, are no reason to require it.
    fs::remove_file(project.slot().join("pytest.ini")).unwrap();
    let plan = project.plan().await;
    assert_eq!((plan.runner_name(), plan.is_configured()), (None, false));
    assert!(plan.note.unwrap().why.contains("no python with pytest"));

    project.settings.command = Some(CommandLine::Shell("python3 -m pytest".to_owned()));
    let run = project.run().await;
    assert!(matches!(run.outcome(), CiOutcome::CouldNotStart { .. }), "{run:?}");
}

#[tokio::test]
async fn cargo_test_is_found_and_read_test_by_test() {
    let manifest = "[package]\nname = \"calc\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
    let lib = "#[cfg(test)]\nmod tests {\n #[test] fn same() {}\n #[test] fn bad() { assert!(std::path::Path::new(\"there\").exists(), \"file is missing\") }\n}\n";
    let api = "#[test] fn same() { }\n#[test] fn red() { panic!(\"always\") }\n";
    let project = Project::new(&[
        ("Cargo.toml", manifest),
        ("src/lib.rs", lib),
        ("tests/api.rs", api),
        ("there", ""),
    ]);
    let plan = project.plan().await;
    assert_eq!(
        (plan.runner_name(), plan.display().as_str()),
        (Some("cargo"), "cargo test --no-fail-fast")
    );
    let base = project.run_plan(&plan, &StopReceiver::never()).await;
    assert!(base.results.complete, "{}", base.log_tail);
    assert_eq!(status(&base, "tests/api.rs (api) red"), Some(TestStatus::Failed), "{base:?}");
    fs::remove_file(project.slot().join("there")).unwrap();

    let now = project.run_plan(&plan, &StopReceiver::never()).await;
    let comparison = ci::compare(&now, Some(&base.results), &|_| false);
    let failing = comparison.to_rerun();
    assert_eq!(failing, ["src/lib.rs (calc) tests::bad"]);
    assert!(comparison.blocking[0].message.contains("file is missing"));
    project.write(&[("there", "")]);
    let again = project.run_plan(&plan.rerun_plan(&failing), &StopReceiver::never()).await;
    assert_eq!(again.results.tests.as_ref().unwrap().len(), 1, "{}", again.log_tail);
    let merged = ci::merge_rerun(now, &again, &failing);
    assert_eq!(ci::compare(&merged, Some(&base.results), &|_| false).decision, Decision::Pass);

    project.write(&[("src/lib.rs", "fn x( {")]);
    let run = project.run_plan(&plan, &StopReceiver::never()).await;
    assert_eq!((run.outcome(), &run.results.tests), (&CiOutcome::CollectionError, &None));
}
