//! Publishing a run: pushes its branch to a remote, opens or updates pull requests, and comments on issues of failed
//! phases.
//!
//! Each step looks first at the remote and the forge, then at the store, and writes only what is missing: a publication
//! that was interrupted is completed by the next one. Texts come from the caller; nothing here closes, merges or removes.

mod base_branch;
mod branch_push;
mod issue_remarks;
mod member_pull;
mod patience;
mod publication;
mod pull_request_text;
mod stack;
mod target;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::failure::Failure;
use crate::forge::{TrackerName, token_variables};
use crate::phase::words::quoted;
use crate::phase::{PhaseId, RunId};
use crate::process::FileLock;
use crate::progress::{NOTES, shown_id};
use crate::store::{PublishedBranch, Store};
use crate::workspace::{RemoteAccess, RemoteBranches, Repo};

use member_pull::PullPlan;
use patience::Patience;
use stack::{StackMember, members};

pub use publication::{
    BranchResult, Publication, PullAction, PullResult, PushOutcome, RemarkAction, RemarkResult,
};
pub use stack::IssueOrigin;
pub use target::{PublishTarget, TargetChoice};

/// How to publish.
#[derive(Clone, Debug)]
pub struct PublishOptions {
    /// Branch into which the pull request goes; by default the one of the remote.
    pub base: Option<String>,
    /// Whether new pull requests are drafts.
    pub is_draft: bool,
    /// Whether each landing gets a pull request of its own.
    pub per_phase: bool,
    /// Whether issues of failed phases get a comment.
    pub comments: bool,
    /// Whether nothing is written.
    pub dry_run: bool,
    /// Time for trying again.
    pub patience: Duration,
}

/// A run to publish.
#[derive(Clone, Debug)]
pub struct RunToPublish {
    /// Id of the run.
    pub run: RunId,
    /// Its branch.
    pub branch: String,
    /// Commit at its start.
    pub base_commit: String,
    /// Its last commit.
    pub tip: String,
    /// Title of the pull request.
    pub title: String,
    /// Text of the pull request.
    pub report: String,
    /// Landings in the branch.
    pub landed: Vec<LandedPhase>,
    /// Failed phases with an issue.
    pub failed: Vec<FailedPhase>,
}

/// A landing.
#[derive(Clone, Debug)]
pub struct LandedPhase {
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// Landed commit; `None` if the branch was rewritten since.
    pub commit: Option<String>,
    /// Title of its own pull request.
    pub title: String,
    /// Text of its own pull request.
    pub text: String,
    /// The issue that it settles.
    pub issue: Option<IssueOrigin>,
}

/// A failed phase that comes from an issue.
#[derive(Clone, Debug)]
pub struct FailedPhase {
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// The reason, without its varying parts.
    pub reason: String,
    /// Text of the comment.
    pub comment: String,
    /// The issue.
    pub issue: IssueOrigin,
}

/// Publishes runs of a repository.
pub struct Publisher<'a> {
    /// The repository.
    pub repo: &'a Repo,
    /// The store.
    pub store: &'a Store,
    /// Remote and forge.
    pub target: &'a PublishTarget,
    /// How to publish.
    pub options: PublishOptions,
}

impl Publisher<'_> {
    /// Publishes a run.
    ///
    /// # Errors
    /// The remote or the forge refuses, does not answer for long, or has commits of others. What was done until then is
    /// recorded.
    pub async fn publish(&self, run: &RunToPublish) -> Result<Publication, Failure> {
        let _lock = self.lock(&run.run)?;
        let remote = &self.target.remote.name;
        let mut access = self.repo.remote_access(remote, self.target.login()).await?;
        let patience = Patience::new(self.options.patience);
        let there = patience
            .keep_trying(async || Ok(access.branches().await??))
            .await
            .map_err(|failure| self.with_access_hint(failure))?;
        let known = self.store.publications(&run.run, remote).branches().await?;
        let base = self.choose_base(run, &there, &known).await?;
        let members = members(run, self.options.per_phase, self.repo).await?;
        let mut publication = Publication {
            remote: remote.clone(),
            forge: self.target.forge_name().map(ToString::to_string),
            base: base.clone(),
            branches: Vec::new(),
            remarks: Vec::new(),
            unfinished: None,
        };
        let is_first_push = AtomicBool::new(known.is_empty());
        let step = Step { run, patience, there, known, is_first_push };
        let mut below = base;
        for member in &members {
            let result = self.publish_member(&mut access, &step, member, below.as_deref()).await?;
            // What is merged is part of the base.
            if result.pull.action != PullAction::AlreadyMerged && member.phase_id.is_some() {
                below = Some(member.branch.clone());
            }
            publication.branches.push(result);
        }
        if self.options.comments {
            let remarked = self.remark_on_issues(run, patience, &mut publication.remarks).await;
            publication.unfinished = remarked.err().map(|failure| failure.text());
        }
        Ok(publication)
    }

    /// Pushes a branch and opens or updates its pull request.
    async fn publish_member(
        &self,
        access: &mut RemoteAccess,
        step: &Step<'_>,
        member: &StackMember,
        base: Option<&str>,
    ) -> Result<BranchResult, Failure> {
        let known = step.known.get(&member.branch);
        let plan = self.plan_pull(step, member, known, base).await?;
        let mut result = BranchResult::new(member, self.compare_url(base, &member.branch));
        result.closes = self.references(member);
        if let PullPlan::Settled(pull) = plan {
            result.pull = pull;
            return Ok(result);
        }
        result.push = self.push(access, step, member, known).await?;
        let mut record = PublishedBranch {
            branch: member.branch.clone(),
            pushed: member.commit.clone(),
            base: base.map(str::to_owned),
            pull_request: known.and_then(|known| known.pull_request.clone()),
        };
        self.record(step, &record).await?;
        let is_pushed = matches!(result.push, PushOutcome::Pushed { .. });
        let applied = self.apply_pull(step, member, plan, base).await;
        let (pull, opened) = applied.map_err(|failure| match is_pushed {
            true => prefixed(&failure, &format!("pushed {}, but", shown_id(&member.branch))),
            false => failure,
        })?;
        result.pull = pull;
        if let Some(opened) = opened {
            record.pull_request = Some(opened);
            self.record(step, &record).await?;
        }
        Ok(result)
    }

    async fn record(&self, step: &Step<'_>, branch: &PublishedBranch) -> Result<(), Failure> {
        if self.options.dry_run {
            return Ok(());
        }
        let publications = self.store.publications(&step.run.run, &self.target.remote.name);
        Ok(publications.record(branch, crate::clock::now()).await?)
    }

    /// Returns the lock of publications of a run, so that two at once open no pull request twice.
    fn lock(&self, run: &RunId) -> Result<FileLock, Failure> {
        let directory = self.repo.prepare_directory()?.join("publish");
        std::fs::create_dir_all(&directory)?;
        let path = directory.join(format!("{}.lock", run.file_name()));
        FileLock::try_lock(&path)?.ok_or_else(|| {
            Failure::new(format!("run {} is being published", shown_id(run.as_str())))
                .hint("wait for the end of the other `autopack publish`, then run it again")
        })
    }

    /// Says before the first push of a run what a push allows.
    fn explain_first_push(&self, step: &Step<'_>) {
        if !step.is_first_push.swap(false, Ordering::Relaxed) {
            return;
        }
        let place = match self.target.forge_name() {
            Some(forge) => forge.web_url(),
            None => format!("the remote {}", shown_id(&self.target.remote.name)),
        };
        tracing::info!(target: NOTES, "first push of this run, to {place}");
        tracing::info!(
            target: NOTES,
            "a push lets CI there run code that agents wrote, with the secrets of that CI"
        );
    }

    fn compare_url(&self, base: Option<&str>, branch: &str) -> Option<String> {
        match self.target.forge_name() {
            Some(forge) => Some(forge.compare_url(base?, branch)),
            None => self.target.address.as_ref()?.compare_url(base?, branch),
        }
    }

    /// Returns the issues that a merge closes, as the pull request names them.
    fn references(&self, member: &StackMember) -> Vec<String> {
        let Some(forge) = self.target.forge_name() else { return Vec::new() };
        let reference = |issue: &IssueOrigin| forge.reference_to(&issue.tracker, issue.number);
        let mut all: Vec<String> = member.issues.iter().filter_map(reference).collect();
        let mut seen = std::collections::HashSet::new();
        all.retain(|reference| seen.insert(reference.clone()));
        all
    }

    /// Adds what the user can do about a remote that git cannot use.
    fn with_access_hint(&self, failure: Failure) -> Failure {
        if failure.hint_text().is_some() {
            return failure;
        }
        let check = format!("`git ls-remote {}`", quoted(&self.target.remote.name));
        let variables = self.target.forge_name().map(token_variables);
        failure.hint(match (variables, self.target.login()) {
            (Some(variables), Some(_)) => {
                format!(
                    "your own access and the token are refused: renew {variables}, or see {check}"
                )
            }
            (Some(variables), None) => format!("set {variables}, or give git access: {check}"),
            (None, _) => format!("give git access: {check}"),
        })
    }
}

/// What the steps of a publication share.
struct Step<'a> {
    run: &'a RunToPublish,
    patience: Patience,
    /// Branches at the remote when the publication began.
    there: RemoteBranches,
    /// Branches of earlier publications.
    known: HashMap<String, PublishedBranch>,
    /// Whether the next push is the first of the run.
    is_first_push: AtomicBool,
}

/// Repository of an issue, in messages.
fn shown_issue(tracker: &TrackerName, number: u64) -> String {
    format!("{tracker}#{number}")
}

/// Puts words before the text of a failure.
fn prefixed(failure: &Failure, words: &str) -> Failure {
    let renamed = Failure::new(format!("{words} {}", failure.text()));
    match failure.hint_text() {
        Some(hint) => renamed.hint(hint),
        None => renamed,
    }
}
