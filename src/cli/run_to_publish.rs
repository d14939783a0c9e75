//! A run as input of `publish`: landings and failures with their texts and issues.

use std::collections::{HashMap, HashSet};

use super::Context;
use super::merge::diverged_branch;
use super::report::ci_command;
use crate::failure::Failure;
use crate::forge::TrackerName;
use crate::phase::{PhaseId, PhaseState};
use crate::publish::{FailedPhase, IssueOrigin, LandedPhase, PublishTarget, RunToPublish};
use crate::report::{ReportInput, pull_request_texts};
use crate::store::{CleanOutcome, PhaseRow, RunSummary, Store};
use crate::workspace::{Repo, Tip};

/// A run with landings, and further facts for the pull request.
pub(super) struct PublishableRun {
    /// The run.
    pub run: RunToPublish,
    /// Whether CI of the run is red in a clean clone.
    pub is_red: bool,
}

/// Collects a run for publication; `None` if the run has no branch yet.
///
/// # Errors
/// The branch is gone or has diverged, or the store or git cannot be read.
pub(super) async fn run_to_publish(
    store: &Store,
    repo: &Repo,
    context: &Context,
    summary: &RunSummary,
    target: &PublishTarget,
) -> Result<Option<PublishableRun>, Failure> {
    let run = &summary.run_id;
    let Some(facts) = &summary.facts else { return Ok(None) };
    let redactor = context.redactor()?;
    let input = ReportInput {
        repo,
        artifacts: &context.config()?.settings.artifacts,
        final_test: context.config()?.settings.ci.final_test,
        ci_command: ci_command(repo, context).await?,
        redactor: &redactor,
    };
    let texts = pull_request_texts(store, run, &input).await?;
    let phases = store.phases(run, None).await?;
    // The tip is read once, after the texts: what landed since is in neither text.
    let Tip { commit: tip, diverged, .. } = repo.tip(run).await?;
    if diverged {
        return Err(diverged_branch(run, &facts.branch));
    }
    let live = store.live_landings(run).await?;
    let live_ids: HashSet<PhaseId> = live.iter().map(|(phase, _)| phase.clone()).collect();
    let commits = repo.landing_commits(run, &facts.base_commit, &tip, live).await?;
    let issues: HashMap<&PhaseId, IssueOrigin> = phases
        .iter()
        .filter_map(|phase| Some((&phase.phase_id, issue_of(phase, target.forge_name())?)))
        .collect();
    let landed: Vec<LandedPhase> = texts
        .landed
        .iter()
        .filter_map(|text| {
            Some(LandedPhase {
                commit: commits.get(&text.phase_id)?.clone(),
                issue: issues.get(&text.phase_id).cloned(),
                phase_id: text.phase_id.clone(),
                title: text.title.clone(),
                text: text.text.clone(),
            })
        })
        .collect();
    let there: HashSet<&PhaseId> = landed.iter().map(|phase| &phase.phase_id).collect();
    let gone: HashSet<PhaseId> = texts
        .landed
        .iter()
        .filter(|text| text.has_commit && !there.contains(&text.phase_id))
        .map(|text| text.phase_id.clone())
        .collect();
    let is_missing =
        |id: &PhaseId| gone.contains(id) || live_ids.contains(id) && !there.contains(id);
    let open = phases
        .iter()
        .filter(|phase| phase.state != PhaseState::Complete || is_missing(&phase.phase_id));
    let open_issues = open.filter_map(|phase| issues.get(&phase.phase_id).cloned()).collect();
    let failed = texts.failed.iter().filter_map(|text| {
        let (phase_id, issue) = (text.phase_id.clone(), issues.get(&text.phase_id)?.clone());
        let (reason, comment) = (text.reason.clone(), text.comment.clone());
        Some(FailedPhase { phase_id, reason, comment, issue })
    });
    let failed = failed.collect();
    let is_red = summary
        .clean_test
        .as_ref()
        .is_some_and(|test| test.outcome == CleanOutcome::RedInCleanClone && test.commit == tip);
    let run = RunToPublish {
        run: run.clone(),
        branch: facts.branch.clone(),
        base_commit: facts.base_commit.clone(),
        describe: Box::new(move |merged| texts.of_run(merged, &gone)),
        landed,
        failed,
        open_issues,
        tip,
    };
    Ok(Some(PublishableRun { run, is_red }))
}

/// Returns the issue of a phase: from the phase's tracker, or from a list of issues of the pull request's forge.
fn issue_of(phase: &PhaseRow, forge: Option<&TrackerName>) -> Option<IssueOrigin> {
    let spec = &phase.spec.0;
    let tracker = spec["tracker"]["name"].as_str().and_then(TrackerName::parse);
    if let (Some(Ok(tracker)), Some(number)) = (tracker, spec["tracker"]["issue"].as_u64()) {
        return Some(IssueOrigin { tracker: tracker.repository(), number });
    }
    let url = spec["source_url"].as_str().or_else(|| spec["tracker"]["url"].as_str())?;
    let number = forge?.issue_of_page(url)?;
    Some(IssueOrigin { tracker: forge?.repository(), number })
}
