//! `health --ci`: runs the project's CI at the base commit, in a temporary copy.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::Finding;
use crate::ci::{self, CiOutcome, CiRun, Pythons, Site};
use crate::config::{CommandLine, Settings};
use crate::phase::words::{first_few, short_commit};
use crate::phase::{PhaseCi, shell};
use crate::process::child_env::Env;
use crate::process::{self, How, Job, Redactor, Stop};
use crate::workspace::{Repo, plain_copy};

/// Maximum number of failing tests named.
const NAMED: usize = 3;
/// Default timeout per test, in seconds.
const PER_TEST_TIMEOUT: u64 = 60;
/// Number of log lines shown.
const LAST_LINES: usize = 8;
const HINT: &str =
    "fix it, or provide missing files with workspace.setup or workspace.link in autopack.yaml";

/// Runs CI at the base commit, after `workspace.setup` and with `workspace.link`.
pub async fn ci_run(settings: &Settings, workspace: &Path, env: &Env, redact: Redactor) -> Finding {
    match in_a_copy(settings, workspace, env, redact).await {
        Ok(finding) => finding,
        Err(error) => Finding::fail(format!("cannot run CI: {error:#}"), HINT),
    }
}

async fn in_a_copy(
    settings: &Settings,
    workspace: &Path,
    env: &Env,
    redact: Redactor,
) -> anyhow::Result<Finding> {
    let repo = Repo::discover(workspace).await?;
    let dir = tempfile::Builder::new()
        .prefix("autopack-health-")
        .tempdir()
        .context("cannot create a temporary directory")?;
    let copy = dir.path().join("copy");
    std::fs::create_dir(&copy).context("cannot create a temporary directory")?;
    let base = settings.workspace.base.as_deref();
    let Some(commit) = plain_copy(&repo, base, &copy, &settings.workspace.link).await? else {
        return Ok(Finding::ok("no commits yet, nothing to test"));
    };
    let mut env = env.clone();
    env.insert("AUTOPACK_WORKTREE".into(), copy.clone().into());
    env.insert("PWD".into(), copy.clone().into());
    if let Some(finding) = set_up(settings, &copy, &env, &redact).await? {
        return Ok(finding);
    }
    let timeout_seconds = settings.ci.max_timeout_seconds;
    let limits =
        PhaseCi { timeout_seconds, per_test_timeout: PER_TEST_TIMEOUT, ..PhaseCi::default() };
    let site = Site { dir: &copy, workspace, env: &env };
    let plan = ci::plan(&site, &settings.ci, &limits, &Pythons::default()).await;
    let request =
        ci::Request { dir: &copy, env: &env, log: dir.path().join("ci.log"), redact, hold: None };
    let run = ci::run(&plan, request, &Stop::never()).await?;
    Ok(judged(&plan.display(), short_commit(&commit), &run))
}

/// Runs setup, and returns a finding if setup failed.
async fn set_up(
    settings: &Settings,
    copy: &Path,
    env: &Env,
    redact: &Redactor,
) -> anyhow::Result<Option<Finding>> {
    let argv = match &settings.workspace.setup {
        None => return Ok(None),
        Some(CommandLine::Argv(argv)) => argv.clone(),
        Some(CommandLine::Shell(line)) => shell::argv(line),
    };
    let timeout = Duration::from_secs(settings.workspace.setup_timeout_seconds);
    let job = Job { redact: redact.clone(), ..Job::new(argv, copy, env.clone(), timeout) };
    let ended = process::run(job, &Stop::never()).await.context("cannot run workspace.setup")?;
    Ok(match ended.how {
        How::Exited(0) => None,
        _ => Some(Finding::fail(
            format!("workspace.setup failed: {}", ended.last_lines(LAST_LINES)),
            "correct workspace.setup in autopack.yaml",
        )),
    })
}

/// Converts the CI result to a finding.
fn judged(command: &str, commit: &str, run: &CiRun) -> Finding {
    let tail = || last_lines(&run.log_tail);
    let red: Vec<&String> = run.results.red().map(|(id, _)| id).collect();
    match run.outcome() {
        CiOutcome::Passed => Finding::ok(format!("{command}: passes at {commit}")),
        CiOutcome::NoTests => Finding::ok(format!("{command}: has no tests at {commit} yet")),
        CiOutcome::NotConfigured => Finding::warn(
            "no CI was found: only deliverables are checked",
            "set ci.command in autopack.yaml",
        ),
        // Tests that already fail at the base commit do not count against a phase.
        CiOutcome::Failed if !red.is_empty() => Finding::warn(
            format!("{command}: {} tests fail at {commit}: {}", red.len(), first_few(&red, NAMED)),
            "a drain can start, and these failures do not count against phases; fix them first if possible",
        ),
        CiOutcome::Failed | CiOutcome::CollectionError => {
            Finding::fail(format!("{command}: fails at {commit}: {}", tail()), HINT)
        }
        CiOutcome::TimedOut { ran_out_seconds } => Finding::fail(
            format!("{command}: took longer than {ran_out_seconds} s at {commit}"),
            "raise ci.max_timeout_seconds, or make CI faster",
        ),
        CiOutcome::CouldNotStart { why } => {
            Finding::fail(format!("{command}: cannot start: {why}"), HINT)
        }
        CiOutcome::Stopped => Finding::skip(format!("{command}: was stopped")),
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> =
        text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join(" | ")
}
