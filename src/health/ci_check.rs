//! `health --ci`: the project's CI in a clean clone of the commit at which runs begin, judged as a drain judges it.

use std::path::Path;

use anyhow::Context as _;

use super::Finding;
use crate::attempt::{CheckoutRunner, CloneRun, CloneTest, InheritedEnvironments, Views};
use crate::ci::{BaseState, CiOutcome, CiPlan, CiRun, Pythons, judge_base, name_withheld};
use crate::config::{Env, RedBase, Settings};
use crate::merge_queue::ci_permits::CiPermits;
use crate::merge_queue::queue_changes::QueueChanges;
use crate::phase::shell;
use crate::phase::words::short_commit;
use crate::process::{Redactor, StopReceiver, UsersCheckout};
use crate::workspace::Repo;

const HINT: &str = "fix CI, or provide the missing files of a clean clone with workspace.setup or workspace.link in autopack.yaml";

/// Runs CI at the commit where runs begin, after setup, with `workspace.link` and the automatic links.
pub async fn check_ci_run(
    settings: &Settings,
    workspace: &Path,
    environments: &InheritedEnvironments,
    redact: Redactor,
) -> Finding {
    match in_clean_clone(settings, workspace, environments, redact).await {
        Ok(finding) => finding,
        Err(error) => Finding::fail(format!("CI cannot be tried: {error:#}"), HINT),
    }
}

async fn in_clean_clone(
    settings: &Settings,
    workspace: &Path,
    environments: &InheritedEnvironments,
    redact: Redactor,
) -> anyhow::Result<Finding> {
    let slots_dir = settings.workspace.slots_dir.as_deref();
    let repo = Repo::discover(workspace).await?.with_slots_dir(slots_dir);
    let base = settings.workspace.base.as_deref();
    let Some(commit) = repo.resolve(base.unwrap_or("HEAD")).await? else {
        return Ok(match base {
            None => Finding::ok("nothing is committed yet, so that there is nothing to test"),
            Some(base) => Finding::fail(
                format!("workspace.base: {base} names no commit"),
                "name a branch or a commit that is there",
            ),
        });
    };
    let logs = tempfile::Builder::new()
        .prefix("autopack-health-")
        .tempdir()
        .context("cannot make a directory for logs")?;
    let env = Env::of_process();
    let views = Views::choose(&settings.sandbox, &repo, None, &env).await?;
    let repo = views.prepare_repo(repo)?;
    let runner = CheckoutRunner {
        repo: &repo,
        settings,
        environments,
        users_checkout: &UsersCheckout::new(repo.root(), &environments.ci.env),
        redactor: &redact,
        pythons: &Pythons::default(),
        views: &views,
        ci_permits: &CiPermits::new(
            &repo.autopack_dir(),
            &settings.ci,
            QueueChanges::default().notifier(),
        ),
    };
    let stop = StopReceiver::never();
    let tested = runner.test_in_clean_clone(&commit, logs.path(), CloneTest::AsBase, &stop).await?;
    let commit = short_commit(&commit);
    Ok(match tested {
        CloneRun::NotReady { why } => Finding::fail(format!("at {commit}: {why}"), HINT),
        CloneRun::Tested { plan, run, missing_setup } => {
            let withheld = &environments.ci.withheld;
            convert_result(settings, &plan, commit, &run, missing_setup, withheld)
        }
    })
}

fn convert_result(
    settings: &Settings,
    plan: &CiPlan,
    commit: &str,
    run: &CiRun,
    missing_setup: Option<String>,
    withheld: &[String],
) -> Finding {
    let command = shell::in_one_line(&plan.display());
    let allow = settings.ci.red_base == RedBase::Allow;
    match (judge_base(plan, run, settings.ci.baseline, allow), run.outcome()) {
        (_, CiOutcome::Stopped) => Finding::skip(format!("{command}: was stopped")),
        (_, CiOutcome::NotConfigured) => Finding::warn(
            "no CI found: only deliverables are checked",
            "set ci.command in autopack.yaml",
        ),
        (BaseState::Stop { why } | BaseState::Block { why }, _) => {
            let why = name_withheld(why, &run.log_tail, withheld);
            let missing = missing_setup.map_or(String::new(), |why| format!("; {why}"));
            Finding::fail(format!("{command}: at {commit}: {why}{missing}"), HINT)
        }
        (BaseState::Ready { .. }, CiOutcome::NoTests) => {
            Finding::ok(format!("{command}: has no tests at {commit} yet"))
        }
        (BaseState::Ready { notes }, _) if notes.is_empty() => {
            Finding::ok(format!("{command}: passes at {commit}"))
        }
        // Excused and flaky tests do not prevent a drain.
        (BaseState::Ready { notes }, _) => Finding::warn(
            format!("at {commit}: {}", notes.join("; ")),
            "drains start, and phases do not fail because of these; fix them first if you can",
        ),
    }
}
