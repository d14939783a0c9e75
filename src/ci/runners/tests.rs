//! What every runner must have, and the example of CONTRIBUTING.md at work.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::ci::ci_plan::CiPlan;
use crate::ci::detect::detect_runners;
use crate::ci::plan_choice::detect_plan;
use crate::ci::projects::{ProjectSearch, find_project};
use crate::ci::pythons::Pythons;
use crate::ci::results::TestResults;
use crate::ci::run::{self, CiRequest};
use crate::ci::run_outcome::derive_results;
use crate::process::child_env::Env;
use crate::process::{self, Redactor, Tool};

fn fixtures(runner: &dyn TestRunner) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ci").join(runner.name())
}

#[test]
fn names_and_keys_are_unique() {
    let names: BTreeSet<_> = RUNNERS.iter().map(|runner| runner.name()).collect();
    let keys: BTreeSet<_> = RUNNERS.iter().map(|runner| runner.key()).collect();
    assert_eq!((names.len(), keys.len()), (RUNNERS.len(), RUNNERS.len()));
    assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
}

/// Whether a runner reads single results, at some exit code.
fn reads_single_results(runner: &dyn TestRunner) -> bool {
    (0..256).any(|code| runner.reports_at(code))
}

#[test]
fn each_runner_is_documented() {
    let table = |text: &'static str, head: &str| {
        let rows = text.split_once(head).unwrap_or_else(|| panic!("no table {head}")).1;
        rows.lines().take_while(|row| row.starts_with('|')).collect::<Vec<_>>()
    };
    let detected = include_str!("../../../docs/configuration.md");
    let detected = table(detected, "| runner | detected by | command |\n");
    let losses = include_str!("../../../docs/reliability.md");
    let losses = table(losses, "| runner | known results | detected ways of hiding tests |\n");
    for runner in RUNNERS {
        let row = format!("| `{}` |", runner.name());
        let found = detected.iter().find(|line| line.starts_with(&row));
        let found = found.unwrap_or_else(|| panic!("docs/configuration.md has no row {row}"));
        for manifest in runner.manifests() {
            assert!(found.contains(&format!("`{manifest}`")), "no {manifest} in {found}");
        }
        let row = format!("| `{}`", runner.name());
        assert!(
            !reads_single_results(*runner) || losses.iter().any(|line| line.starts_with(&row)),
            "docs/reliability.md has no row {row}"
        );
    }
}

/// Below the top, a project is found by its manifest.
#[test]
fn each_project_is_found_below_the_top() {
    for runner in RUNNERS.iter().copied() {
        let found = find_project(RUNNERS, &fixtures(runner));
        let ProjectSearch::Project(dir, candidates) = found else { panic!("{found:?}") };
        let is_found = candidates.iter().any(|candidate| candidate.runner == runner);
        assert!(dir == "project" && is_found, "{}: {dir} {candidates:?}", runner.name());
    }
}

/// `passed` is a number; `failed` is the failing tests, or their number if the runner reports only that.
fn summary(results: &TestResults) -> Value {
    let red: Vec<&String> = results.red().map(|(id, _)| id).collect();
    let failed = match results.tests {
        Some(_) => json!(red),
        None => json!(results.failed.values().sum::<u64>()),
    };
    let outcome = serde_json::to_value(&results.outcome).unwrap();
    json!({"outcome": outcome, "passed": results.passed(), "failed": failed})
}

#[test]
fn each_runner_has_fixtures() {
    for runner in RUNNERS.iter().copied() {
        let directory = fixtures(runner);
        let project = directory.join("project");
        let candidates = detect_runners(RUNNERS, &project);
        let first = candidates.first().unwrap_or_else(|| panic!("{}: nobody", project.display()));
        let own = candidates.iter().find(|candidate| candidate.runner == runner);
        assert_eq!(own.map(|own| own.evidence), Some(first.evidence), "{candidates:?}");

        let expected = fs::read_to_string(directory.join("expected.json")).unwrap_or_default();
        let expected: BTreeMap<String, Value> = serde_json::from_str(&expected)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        for case in ["green", "red", "none"] {
            assert!(expected.contains_key(case), "{}: no {case}", directory.display());
        }
        for (case, mut expected) in expected {
            let read =
                |ending: &str| fs::read_to_string(directory.join(format!("{case}.{ending}")));
            let code = expected["exit"].take().as_i64().and_then(|code| i32::try_from(code).ok());
            let code =
                code.unwrap_or_else(|| panic!("{}: {case} has no exit", directory.display()));
            let (output, report) = (read("txt"), directory.join(format!("{case}.xml")));
            assert!(output.is_ok() || report.is_file(), "{}: no {case}", directory.display());
            let output = output.unwrap_or_default();
            let mut reader = runner.reader();
            output.lines().for_each(|line| reader.line(line));
            let read = reader.finish(&project, &report);
            let plan = CiPlan::of_runner(runner, Invocation::default(), &PhaseCi::default());
            let ended = EndedRun {
                command: runner.name(),
                code,
                report: read.report.as_ref(),
                output: read.tail.as_ref().unwrap_or(&output),
                dir: &project,
            };
            let results = derive_results(&plan, &ended);
            expected.as_object_mut().unwrap().shift_remove("exit");
            assert_eq!(summary(&results), expected, "{} {case}", runner.name());
        }
    }
}

#[test]
fn the_toy_runner_is_the_one_of_contributing() {
    let contributing = include_str!("../../../CONTRIBUTING.md");
    assert!(contributing.contains(&format!("```rust\n{}```", include_str!("toy.rs"))));
}

/// The program of the toy runner: `tests/NAME.toy` contains the test's result.
const TOYTEST: &str = r#"#!/bin/sh
only=; lines=; code=0; found=
for word in "$@" $TOYTEST_OPTIONS; do case $word in
    --only=*) only="$only ${word#--only=} " ;;
    --lines) lines=yes ;;
esac; done
for file in tests/*.toy; do
    [ -e "$file" ] || continue
    name=$(basename "$file" .toy)
    case "$only" in ''|*" $name "*) ;; *) continue ;; esac
    found=yes
    read -r word rest < "$file"
    [ "$word" = fail ] && code=1
    [ -z "$lines" ] || echo "$word $name${rest:+: $rest}"
done
[ -n "$found" ] || echo "no tests"
exit $code
"#;

/// Runs a plan like [`run::run`], without a supervisor: unit tests have no executable that supervises.
async fn run_plan(plan: &CiPlan, dir: &Path, env: &Env) -> (TestResults, String) {
    let scratch = tempfile::tempdir().unwrap();
    let request = CiRequest {
        dir,
        checkout: dir,
        env,
        log: scratch.path().join("ci.log"),
        redact: Redactor::new(Env::new()),
        hold: None,
        lent: Vec::new(),
        view: None,
    };
    let results = scratch.path().join("ci.junit.xml");
    let words = run::command(plan, &results);
    let env = run::environment(plan, &request, dir, &results);
    let args = ["-c", run::TOGETHER, "sh"].map(OsString::from).into_iter().chain(words);
    let mut tool = Tool::new("/bin/sh", dir, Duration::from_secs(60)).args(args);
    tool.clear_env = true;
    tool.env = env.into_iter().map(|(name, value)| (name, Some(value))).collect();
    let output = process::output(tool).await.unwrap();
    let (code, text) = (output.code.unwrap(), output.text());
    let mut reader = run::reader(plan);
    text.lines().for_each(|line| reader.line(line));
    let report = reader.finish(dir, &results).report;
    let (command, report, output) = (&plan.display(), report.as_ref(), &*text);
    (derive_results(plan, &EndedRun { command, code, report, output, dir }), text)
}

/// Detected beside the other runners; one test is green and one is red; only the red test runs again.
#[tokio::test]
async fn the_toy_runner_works_as_documented() {
    let with_toy: Vec<&'static dyn TestRunner> = RUNNERS.iter().copied().chain([TOY]).collect();
    let temp = tempfile::tempdir().unwrap();
    let (dir, bin) = (temp.path().join("project"), temp.path().join("bin"));
    fs::create_dir_all(dir.join("backend/tests")).unwrap();
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("toytest"), TOYTEST).unwrap();
    fs::set_permissions(bin.join("toytest"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let env = Env::from([("PATH".into(), path.into())]);
    let place = CiPlace { dir: &dir, workspace: &dir, env: &env };
    let plan =
        async || detect_plan(&with_toy, &place, &PhaseCi::default(), &Pythons::default()).await;
    assert_eq!(plan().await.runner_name(), None);

    fs::write(dir.join("backend/toy.ini"), "").unwrap();
    let plan = plan().await;
    assert_eq!(
        (plan.runner_name(), plan.display().as_str()),
        (Some("toy"), "cd backend && toytest")
    );
    let backend = dir.join("backend");
    let (none, output) = run_plan(&plan, &backend, &env).await;
    assert_eq!((none.outcome, output.as_str()), (CiOutcome::NoTests, "no tests"));

    fs::write(backend.join("tests/parser.toy"), "pass\n").unwrap();
    fs::write(backend.join("tests/printer.toy"), "fail expected 3\n").unwrap();
    let (red, output) = run_plan(&plan, &backend, &env).await;
    assert_eq!(output, "pass parser\nfail printer: expected 3");
    assert_eq!(summary(&red), json!({"outcome": "failed", "passed": 1, "failed": ["printer"]}));
    let printer = &red.tests.as_ref().unwrap()["printer"];
    assert_eq!(
        (printer.message.as_str(), printer.file.as_deref()),
        ("expected 3", Some("tests/printer.toy"))
    );

    // A person's command gets the option through its environment.
    let person = CiPlan { author: Some(Author::Person), ..plan.clone() };
    assert_eq!(run_plan(&person, &backend, &env).await, (red, output));
    assert_eq!(person.rerun_plan(&["printer".to_owned()]), person, "it cannot be changed");

    fs::write(backend.join("tests/printer.toy"), "pass\n").unwrap();
    let again = plan.rerun_plan(&["printer".to_owned()]);
    let (green, output) = run_plan(&again, &backend, &env).await;
    assert_eq!(output, "pass printer");
    assert_eq!(summary(&green), json!({"outcome": "passed", "passed": 1, "failed": []}));

    assert!(toy::Toy.recognizes(&["toytest"]) && !toy::Toy.recognizes(&["toytest", "--fail-fast"]));
}

static TOY: &dyn TestRunner = &toy::Toy;
