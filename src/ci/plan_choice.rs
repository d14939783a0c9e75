//! Chooses the plan of a phase: the phase's own command, `ci.command`, or a runner detected from the project's files.

use std::path::Path;

use super::ci_plan::{CiPlan, Note, Reporting, Runner, Site};
use super::detect::{self, Found};
use super::node_project::{Manager, NodeTests};
use super::node_scripts::{ScriptEnd, script_end};
use super::projects::{self, Project};
use super::pythons::{Python, Pythons};
use crate::config::{CiSettings, CommandLine};
use crate::phase::PhaseCi;

/// Returns the CI plan of a phase in a slot, by the slot's current files.
pub async fn plan(
    site: &Site<'_>,
    settings: &CiSettings,
    phase: &PhaseCi,
    pythons: &Pythons,
) -> CiPlan {
    if let Some(argv) = phase.command.clone() {
        let plan =
            CiPlan::of_command(CommandLine::Argv(argv), phase).for_copy(site.dir, site.workspace);
        return CiPlan { is_own: true, ..plan };
    }
    if let Some(command) = settings.command.clone() {
        return CiPlan::of_command(command, phase).for_copy(site.dir, site.workspace);
    }
    let plan = of_project(site, phase, pythons).await;
    CiPlan { is_own: !phase.args.is_empty(), detected_with: Some(phase.args.clone()), ..plan }
}

async fn of_project(site: &Site<'_>, phase: &PhaseCi, pythons: &Pythons) -> CiPlan {
    let (dir, found) = match projects::find(site.dir) {
        Project::In(dir, found) => (dir, found),
        Project::Make(target) => return plain(&["make", target], phase),
        Project::None { why, hint } => return nothing(why, hint),
    };
    let here = site.dir.join(&dir);
    // Programs are searched in the directory in which they will start.
    let inside = Site { dir: &here, ..*site };
    let plan = match found {
        Found::Pytest { certain } => {
            match pythons.having(Python::PYTEST, &inside, site.dir).await {
                Some(python) => pytest(&python, &inside, phase),
                None if certain => pytest_missing(pythons.first(&inside, site.dir), phase),
                None if detect::has_unittests(&here) => {
                    unittest(&pythons.first(&inside, site.dir), &here, phase)
                }
                None => match detect::find_other(&here) {
                    Found::Nothing => nothing(NO_PYTEST.to_owned(), GET_PYTEST.to_owned()),
                    other => detected(&other, &inside, phase),
                },
            }
        }
        Found::Django => {
            let python = pythons.having(Python::DJANGO, &inside, site.dir).await;
            let python = python.map(|python| python.program);
            django(python.unwrap_or_else(|| pythons.first(&inside, site.dir)), phase)
        }
        other => detected(&other, &inside, phase),
    };
    plan.inside(dir)
}

const NO_PYTEST: &str = "no ci: found python tests, but no python with pytest";
const GET_PYTEST: &str = "install pytest into .venv, or set ci.command in autopack.yaml";

/// Returns a plan judged by the exit code.
fn plain(argv: &[&str], phase: &PhaseCi) -> CiPlan {
    CiPlan::new(Runner::Command, Reporting::ExitCode, words(argv), phase)
}

fn nothing(why: String, hint: String) -> CiPlan {
    let plan = CiPlan::new(Runner::None, Reporting::ExitCode, Vec::new(), &PhaseCi::default());
    CiPlan { note: Some(Note { why, hint }), ..plan }
}

fn pytest(python: &Python, site: &Site<'_>, phase: &PhaseCi) -> CiPlan {
    let mut argv = words(&[&python.program, "-m", "pytest"]);
    argv.extend(phase.args.iter().cloned());
    let mut plan = CiPlan::new(Runner::Pytest, Reporting::JunitArgument, argv, phase);
    let set_by_author = phase.args.iter().any(|arg| arg.starts_with("--timeout"));
    if python.has_timeout && phase.per_test_timeout > 0 && !set_by_author {
        plan.tuning.push(format!("--timeout={}", phase.per_test_timeout));
    }
    plan.python_path = detect::python_source(site.dir).map(str::to_owned);
    plan
}

fn pytest_missing(python: String, phase: &PhaseCi) -> CiPlan {
    let why =
        format!("this project is tested with pytest, and {python} has no module named pytest");
    let note = Note { why, hint: GET_PYTEST.to_owned() };
    let argv = words(&[&python, "-m", "pytest"]);
    let plan = CiPlan::new(Runner::Pytest, Reporting::JunitArgument, argv, phase);
    CiPlan { cannot_start: Some(note.to_string()), note: Some(note), ..plan }
}

/// Returns a unittest plan with each test's name in the log.
fn unittest(python: &str, dir: &Path, phase: &PhaseCi) -> CiPlan {
    let mut argv = words(&[python, "-m", "unittest", "discover", "-v"]);
    if let Some(start) = detect::unittest_start(dir) {
        argv.extend(words(&["-s", start]));
    }
    argv.extend(phase.args.iter().cloned());
    let plan = CiPlan::new(Runner::Unittest, Reporting::ExitCode, argv, phase);
    CiPlan { python_path: detect::python_source(dir).map(str::to_owned), ..plan }
}

fn django(python: String, phase: &PhaseCi) -> CiPlan {
    let mut argv = words(&[&python, "manage.py", "test", "--noinput", "-v", "2"]);
    argv.extend(phase.args.iter().cloned());
    CiPlan::new(Runner::Unittest, Reporting::ExitCode, argv, phase)
}

fn detected(found: &Found, site: &Site<'_>, phase: &PhaseCi) -> CiPlan {
    let with_args = |mut argv: Vec<String>| {
        argv.extend(phase.args.iter().cloned());
        argv
    };
    match found {
        Found::Go { patterns } => {
            let argv = words(&["go", "test", "-json"]);
            let argv = argv.into_iter().chain(patterns.iter().cloned()).collect();
            let mut plan = CiPlan::new(Runner::GoTest, Reporting::GoJson, with_args(argv), phase);
            // Go's own limit is ten minutes per package, independent of ci's limit.
            plan.tuning.push(format!("-timeout={}s", phase.timeout_seconds));
            plan
        }
        Found::Node { manager, tests } => {
            // Each of them can run the scripts of any project.
            let manager = match site.has_program(manager.program()) {
                true => *manager,
                false => Manager::Npm,
            };
            let mut args = phase.args.clone();
            let mut cannot_start = None;
            match node_end(tests, site.dir) {
                ScriptEnd::Own => {}
                ScriptEnd::Told { arguments, .. } => args.extend(arguments),
                end @ ScriptEnd::Waits { .. } => cannot_start = end.refusal(),
            }
            let argv = manager.command(tests, &args);
            let plan = CiPlan::new(Runner::NpmTest, Reporting::ExitCode, argv, phase);
            CiPlan { cannot_start, ..plan }
        }
        Found::Deno { has_task } => {
            let argv =
                if *has_task { words(&["deno", "task", "test"]) } else { words(&["deno", "test"]) };
            CiPlan::new(Runner::Command, Reporting::ExitCode, with_args(argv), phase)
        }
        Found::Cargo { is_workspace } => {
            let mut argv = words(&["cargo", "test", "--no-fail-fast"]);
            argv.extend(is_workspace.then(|| "--workspace".to_owned()));
            CiPlan::new(Runner::CargoTest, Reporting::Libtest, with_args(argv), phase)
        }
        Found::Pytest { .. } | Found::Django | Found::Nothing => {
            nothing(NO_PYTEST.to_owned(), GET_PYTEST.to_owned())
        }
    }
}

/// Returns the common end of all members' scripts: one command with the same arguments runs them all.
fn node_end(tests: &NodeTests, dir: &Path) -> ScriptEnd {
    let members = match tests {
        NodeTests::Script => return script_end(dir, "test"),
        NodeTests::Members(members) => members,
        NodeTests::Placeholder | NodeTests::None => return ScriptEnd::Own,
    };
    let ends = members.iter().map(|member| (member, script_end(&dir.join(member), "test")));
    let mut waits = ends.map(|(member, end)| match end {
        ScriptEnd::Own => ScriptEnd::Own,
        ScriptEnd::Told { script, command, .. } | ScriptEnd::Waits { script, command } => {
            ScriptEnd::Waits { script: format!("{script} (in {member})"), command }
        }
    });
    waits.find(|end| *end != ScriptEnd::Own).unwrap_or(ScriptEnd::Own)
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}
