//! Publishing a run: pushes its branch to a remote, opens or updates pull requests, and comments on issues of failed
//! phases.
//!
//! Each step looks first at the remote and the forge, then at the store, and writes only what is missing: a publication
//! that was interrupted is completed by the next one. Texts come from the caller; nothing here closes, merges or removes.

mod base_branch;
mod branch_push;
mod issue_remarks;
mod member_plan;
mod member_text;
mod other_branches;
mod patience;
mod publication;
mod published_run;
mod pull_request_text;
mod pull_update;
mod stack;
mod target;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::failure::Failure;
use crate::forge::token_variables;
use crate::phase::RunId;
use crate::phase::words::quoted;
use crate::process::FileLock;
use crate::progress::{NOTES, shown_id};
use crate::store::{PublishedBranch, Store};
use crate::workspace::{RemoteAccess, RemoteBranches, Repo};

use member_plan::PullPlan;
use other_branches::OtherBranch;
use patience::Patience;
use stack::{StackMember, members};

pub use publication::{
    BranchResult, Publication, PullAction, PullResult, PushOutcome, RemarkAction, RemarkResult,
    SupersededBranch,
};
pub use published_run::{FailedPhase, IssueOrigin, LandedPhase, RunDescription, RunToPublish};
pub use target::{PublishTarget, TargetChoice};

/// How to publish.
#[derive(Clone, Debug)]
pub struct PublishOptions {
    /// Branch into which the pull request goes; by default the one of the remote.
    pub base: Option<String>,
    /// Whether this base was ordered just now: an order wins over a base that a person chose.
    pub is_base_ordered: bool,
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
    /// Publishes a run. An error after the first push is part of the result.
    ///
    /// # Errors
    /// The remote or the forge refuses, does not answer for long, or has commits of others, and nothing was pushed.
    pub async fn publish(&self, run: &RunToPublish) -> Result<Publication, Failure> {
        let _lock = self.lock(&run.run)?;
        let remote = &self.target.remote.name;
        let patience = Patience::new(self.options.patience);
        let known = self.store.publications(&run.run, remote).branches().await?;
        let mut publication = Publication {
            remote: remote.clone(),
            forge: self.target.forge_name().map(ToString::to_string),
            base: None,
            has_landings: run.tip != run.base_commit,
            branches: Vec::new(),
            superseded: Vec::new(),
            remarks: Vec::new(),
            unfinished: None,
        };
        if publication.has_landings || !known.is_empty() {
            self.publish_branches(run, patience, known, &mut publication).await?;
        }
        if self.options.comments && publication.unfinished.is_none() {
            let remarked = self.remark_on_issues(run, patience, &mut publication.remarks).await;
            let words = "cannot comment on all failed issues:";
            publication.unfinished = remarked.err().map(|failure| failure.prefixed(words));
        }
        Ok(publication)
    }

    /// Publishes the branches, from the lowest up.
    async fn publish_branches(
        &self,
        run: &RunToPublish,
        patience: Patience,
        known: HashMap<String, PublishedBranch>,
        publication: &mut Publication,
    ) -> Result<(), Failure> {
        let remote = &self.target.remote;
        let mut access = self.repo.remote_access(remote, self.target.login()).await?;
        let there = patience
            .keep_trying(async || Ok(access.branches().await??))
            .await
            .map_err(|failure| self.with_access_hint(failure))?;
        let members = members(run, self.options.per_phase, self.repo).await?;
        let base = self.choose_base(run, &there, &known, &members).await?;
        publication.base.clone_from(&base);
        let is_first_push = AtomicBool::new(known.is_empty());
        let merged = Vec::new();
        let mut step = Step { run, patience, there, known, base, merged, is_first_push };
        let others = self.other_branches(&step, &members).await?;
        step.merged = self.merged_before(&mut access, &step, &others).await?;
        let mut target = step.base.clone();
        for (index, member) in members.iter().enumerate() {
            let mut result = BranchResult::new(member);
            let above = &members[index + 1..];
            let (access, target_name) = (&mut access, target.as_deref());
            let done = self.publish_member(access, &step, member, above, target_name, &mut result);
            let failure = done.await.err();
            let is_pushed = matches!(result.push, PushOutcome::Pushed { .. });
            if let Some(failure) = failure {
                if !is_pushed && publication.branches.is_empty() {
                    return Err(failure);
                }
                publication.unfinished = Some(failure);
                if is_pushed {
                    publication.branches.push(result);
                }
                return Ok(());
            }
            if is_pushed {
                step.there.commits.insert(member.branch.clone(), member.commit.clone());
            }
            // What is merged is part of the base. A closed one may have lost its branch.
            let is_merged = result.pull.action == PullAction::AlreadyMerged;
            if !is_merged && step.there.commits.contains_key(&member.branch) {
                target = Some(member.branch.clone());
            }
            publication.branches.push(result);
        }
        // A person may have changed it.
        if let Some(base) = publication.branches.first().and_then(|first| first.pull.base.clone()) {
            publication.base = Some(base);
        }
        match self.end_superseded(&step, &members, others).await {
            Ok(superseded) => publication.superseded = superseded,
            Err(failure) => publication.unfinished = Some(failure),
        }
        Ok(())
    }

    /// Returns the commits whose history was merged: the base, a squash of the run in it, and pull requests of branches
    /// that are published no more.
    async fn merged_before(
        &self,
        access: &mut RemoteAccess,
        step: &Step<'_>,
        others: &[OtherBranch],
    ) -> Result<Vec<String>, Failure> {
        let mut merged = Vec::new();
        for pull in others.iter().flat_map(OtherBranch::merged) {
            let known = step.known.get(&pull.branch);
            merged.extend(self.merged_commits(step, pull, known).await?);
        }
        let base = step.base.as_ref();
        let Some((name, at)) = base.and_then(|base| step.there.commits.get_key_value(base)) else {
            return Ok(merged);
        };
        if self.repo.resolve(at).await?.is_none() {
            let fetch = async || Ok(access.fetch(name).await??);
            let fetched = step.patience.keep_trying(fetch).await;
            fetched.map_err(|failure| self.with_access_hint(failure))?;
        }
        let (run, start, tip) = (&step.run.run, &step.run.base_commit, &step.run.tip);
        if self.repo.resolve(at).await?.is_some() {
            merged.extend(self.repo.squashed_tip(run, start, at, tip).await?);
        }
        merged.push(at.clone());
        Ok(merged)
    }

    /// Pushes a branch and opens or updates its pull request. What was done counts, even if an error ends this.
    async fn publish_member(
        &self,
        access: &mut RemoteAccess,
        step: &Step<'_>,
        member: &StackMember,
        above: &[StackMember],
        target: Option<&str>,
        result: &mut BranchResult,
    ) -> Result<(), Failure> {
        let known = step.known.get(&member.branch);
        let plan = self.plan_member(step, member, target).await?;
        let text = self.member_text(step.run, member, &plan.outside, above).await?;
        result.closes.clone_from(&text.closes);
        result.part_of.clone_from(&text.part_of);
        result.compare_url = self.compare_url(target, &member.branch);
        if let PullPlan::Settled(pull) = plan.pull {
            result.pull = pull;
            return Ok(());
        }
        let push = self.push(access, step, member, known).await?;
        let is_pushed = matches!(push, PushOutcome::Pushed { .. });
        result.push = push;
        result.pull = PullResult::without(PullAction::Failed);
        let mut record = PublishedBranch {
            branch: member.branch.clone(),
            pushed: member.commit.clone(),
            base: known.map_or_else(|| target.map(str::to_owned), |known| known.base.clone()),
            pull_request: known.and_then(|known| known.pull_request.clone()),
        };
        self.record(step, &record).await?;
        let applied = self.apply_pull(step, member, &text, plan.pull, target).await;
        let (pull, opened) = applied.map_err(|failure| match is_pushed {
            true => failure.prefixed(&format!("pushed {}, but", shown_id(&member.branch))),
            false => failure,
        })?;
        if let Some(base) = &pull.base {
            result.compare_url = self.compare_url(Some(base), &member.branch);
        }
        // Another base than the wanted one is a person's; what autopack set last stays known.
        if pull.base.is_none() || pull.base.as_deref() == target {
            record.base = target.map(str::to_owned);
        }
        record.pull_request = opened.or(record.pull_request);
        result.pull = pull;
        self.record(step, &record).await
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
    /// Branches at the remote when the publication began, and those pushed since.
    there: RemoteBranches,
    /// Branches of earlier publications.
    known: HashMap<String, PublishedBranch>,
    /// Branch into which the lowest pull request goes.
    base: Option<String>,
    /// Commits whose history was merged before.
    merged: Vec<String>,
    /// Whether the next push is the first of the run.
    is_first_push: AtomicBool,
}
