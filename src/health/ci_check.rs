//! `health --ci`: the project's CI, run where a drain would begin, in a copy that goes afterwards.

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
use crate::workspace::Repo;
use crate::workspace::plain_copy;

const NAMED: usize = 3;
/// In seconds: what a phase without a word about it has.
const PER_TEST_TIMEOUT: u64 = 60;
const LAST_LINES: usize = 8;
const HINT: &str =
    "mend it, or set workspace.setup or workspace.link in autopack.yaml for what the copy lacks";

/// What CI says of the commit at which runs begin, after `workspace.setup` and with `workspace.link`.
pub async fn ci_run(settings: &Settings, workspace: &Path, env: &Env, redact: Redactor) -> Finding {
    match in_a_copy(settings, workspace, env, redact).await {
        Ok(finding) => finding,
        Err(error) => Finding::fail(format!("CI cannot be tried: {error:#}"), HINT),
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
        .context("cannot make a directory")?;
    let copy = dir.path().join("copy");
    std::fs::create_dir(&copy).context("cannot make a directory")?;
    let base = settings.workspace.base.as_deref();
    let Some(commit) = plain_copy(&repo, base, &copy, &settings.workspace.link).await? else {
        return Ok(Finding::ok("nothing is committed yet, so that there is nothing to test"));
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

/// What kept setup from its end.
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
            "mend workspace.setup in autopack.yaml",
        )),
    })
}

fn judged(command: &str, commit: &str, run: &CiRun) -> Finding {
    let tail = || last_lines(&run.log_tail);
    let red: Vec<&String> = run.results.red().map(|(id, _)| id).collect();
    match run.outcome() {
        CiOutcome::Passed => Finding::ok(format!("{command}: green at {commit}")),
        CiOutcome::NoTests => Finding::ok(format!("{command}: has no tests at {commit} yet")),
        CiOutcome::NotConfigured => Finding::warn(
            "no CI was found: the deliverables alone decide",
            "set ci.command in autopack.yaml",
        ),
        // Single tests that are red before are not held against a phase.
        CiOutcome::Failed if !red.is_empty() => Finding::warn(
            format!(
                "{command}: {} tests are red at {commit}: {}",
                red.len(),
                first_few(&red, NAMED)
            ),
            "a drain starts, and phases are not charged for these; mend them first where you can",
        ),
        CiOutcome::Failed | CiOutcome::CollectionError => {
            Finding::fail(format!("{command}: red at {commit}: {}", tail()), HINT)
        }
        CiOutcome::TimedOut { ran_out_seconds } => Finding::fail(
            format!("{command}: took longer than {ran_out_seconds} s at {commit}"),
            "raise ci.max_timeout_seconds, or make it faster",
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
