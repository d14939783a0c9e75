//! The pull request of a branch: found by number or by branch, then opened or updated.

use crate::failure::Failure;
use crate::forge::{
    CheckResults, NewPullRequest, PullRequest, PullRequestChange, PullRequestState,
};
use crate::progress::shown_id;
use crate::store::{OpenedPullRequest, PublishedBranch};

use super::patience::StepError;
use super::publication::{PullAction, PullResult};
use super::pull_request_text::{is_same, pull_request_text};
use super::stack::StackMember;
use super::target::ForgeAccess;
use super::{Publisher, Step, prefixed};

/// What to do with the pull request of a branch.
pub(super) enum PullPlan {
    /// Nothing, and nothing to push.
    Settled(PullResult),
    /// Nothing.
    Without(PullAction),
    /// Open one.
    Open,
    /// Update this one.
    Update(Box<PullRequest>),
}

impl Publisher<'_> {
    /// Looks for the pull request of a branch. One that was merged or closed counts as long as nothing landed since.
    pub(super) async fn plan_pull(
        &self,
        step: &Step<'_>,
        member: &StackMember,
        known: Option<&PublishedBranch>,
        base: Option<&str>,
    ) -> Result<PullPlan, Failure> {
        let forge = match self.target.forge() {
            None => return Ok(PullPlan::Without(PullAction::NoForge)),
            Some(forge) if !forge.has_token => return Ok(PullPlan::Without(PullAction::NoToken)),
            Some(forge) => forge,
        };
        let find = async || self.find_pull(forge, member, known).await;
        let last = match step.patience.keep_trying(find).await? {
            Some(pull) if pull.state == PullRequestState::Open => {
                return Ok(PullPlan::Update(Box::new(pull)));
            }
            last => last,
        };
        if let Some(last) = last
            && self.has_commit(&last.head_commit, &member.commit).await?
        {
            let action = match last.state {
                PullRequestState::Merged => PullAction::AlreadyMerged,
                _ => PullAction::Closed,
            };
            let (number, url) = (Some(last.number), Some(last.url));
            return Ok(PullPlan::Settled(PullResult {
                number,
                url,
                ..PullResult::without(action)
            }));
        }
        if let Some(at) = base.and_then(|base| step.there.commits.get(base))
            && self.has_commit(at, &member.commit).await?
        {
            return Ok(PullPlan::Settled(PullResult::without(PullAction::AlreadyMerged)));
        }
        Ok(PullPlan::Open)
    }

    /// Returns the open pull request of a branch, else the last one.
    async fn find_pull(
        &self,
        forge: &ForgeAccess,
        member: &StackMember,
        known: Option<&PublishedBranch>,
    ) -> Result<Option<PullRequest>, StepError> {
        let stored = known.and_then(|known| known.pull_request.as_ref());
        let stored = stored.filter(|stored| stored.forge == forge.name.to_string());
        let mut found = Vec::new();
        if let Some(stored) = stored {
            found.extend(forge.client.pull_request(stored.number).await?);
        }
        if !found.iter().any(|pull| pull.state == PullRequestState::Open) {
            found.extend(forge.client.pull_requests_of(&member.branch).await?);
        }
        let is_open = |pull: &PullRequest| pull.state == PullRequestState::Open;
        Ok(found.into_iter().max_by_key(|pull| (is_open(pull), pull.number)))
    }

    /// Whether a commit of the forge, which may be unknown here, has one of ours.
    async fn has_commit(&self, theirs: &str, ours: &str) -> Result<bool, Failure> {
        let is_known = self.repo.resolve(theirs).await?.is_some();
        Ok(theirs == ours || is_known && self.repo.contains(theirs, ours).await?)
    }

    /// Opens or updates the pull request. The second value is to be recorded.
    pub(super) async fn apply_pull(
        &self,
        step: &Step<'_>,
        member: &StackMember,
        plan: PullPlan,
        base: Option<&str>,
    ) -> Result<(PullResult, Option<OpenedPullRequest>), Failure> {
        let (forge, base) = match (&plan, self.target.forge(), base) {
            (PullPlan::Without(action), ..) => return Ok((PullResult::without(*action), None)),
            (PullPlan::Settled(result), ..) => return Ok((result.clone(), None)),
            (_, Some(forge), Some(base)) => (forge, base),
            _ => return Ok((PullResult::without(PullAction::NoForge), None)),
        };
        match plan {
            PullPlan::Update(pull) => self.update(step, forge, member, *pull, base).await,
            _ => self.open(step, forge, member, base).await,
        }
    }

    async fn open(
        &self,
        step: &Step<'_>,
        forge: &ForgeAccess,
        member: &StackMember,
        base: &str,
    ) -> Result<(PullResult, Option<OpenedPullRequest>), Failure> {
        let text = pull_request_text(None, &self.references(member), &member.text);
        let result = PullResult {
            is_draft: self.options.is_draft,
            is_cut: text.is_cut,
            ..PullResult::without(PullAction::Opened)
        };
        if self.options.dry_run {
            return Ok((result, None));
        }
        let new = NewPullRequest {
            branch: &member.branch,
            base,
            title: &member.title,
            body: &text.text,
            is_draft: self.options.is_draft,
        };
        let mut is_first = true;
        let open = async || {
            // The answer to an earlier request may be lost.
            if !std::mem::take(&mut is_first) {
                let found = forge.client.pull_requests_of(&member.branch).await?;
                let mut open = found.into_iter().filter(|p| p.state == PullRequestState::Open);
                if let Some(pull) = open.next() {
                    return Ok(pull);
                }
            }
            Ok(forge.client.open_pull_request(new).await?)
        };
        let pull = step.patience.keep_trying(open).await.map_err(|failure| {
            let (words, _) = forge.name.pull_request_words();
            prefixed(&failure, &format!("cannot open the {words} into {}:", shown_id(base)))
        })?;
        let opened = opened(forge, &pull, &member.title);
        let result = PullResult {
            number: Some(pull.number),
            url: Some(pull.url),
            is_draft: pull.is_draft,
            ..result
        };
        Ok((result, Some(opened)))
    }

    async fn update(
        &self,
        step: &Step<'_>,
        forge: &ForgeAccess,
        member: &StackMember,
        pull: PullRequest,
        base: &str,
    ) -> Result<(PullResult, Option<OpenedPullRequest>), Failure> {
        let text = pull_request_text(Some(&pull.body), &self.references(member), &member.text);
        let stored = step.known.get(&member.branch).and_then(|known| known.pull_request.as_ref());
        // A title or base that differs from what autopack set is a person's.
        let is_own_title = stored.is_some_and(|stored| stored.title == pull.title);
        let is_wanted_base = self.options.base.is_some() || self.options.per_phase;
        let change = PullRequestChange {
            title: Some(member.title.as_str()).filter(|t| is_own_title && *t != pull.title),
            body: Some(text.text.as_str()).filter(|body| !is_same(body, &pull.body)),
            base: Some(base).filter(|base| is_wanted_base && *base != pull.base),
        };
        let is_changed = [change.title, change.body, change.base].iter().any(Option::is_some);
        if is_changed && !self.options.dry_run {
            let update = async || Ok(forge.client.change_pull_request(&pull, change).await?);
            step.patience.keep_trying(update).await.map_err(|failure| {
                let (words, mark) = forge.name.pull_request_words();
                prefixed(&failure, &format!("cannot update {words} {mark}{}:", pull.number))
            })?;
        }
        let title =
            if change.title.is_some() { member.title.as_str() } else { pull.title.as_str() };
        let is_ours = is_own_title || pull.title == member.title;
        let title = if is_ours { title } else { "" };
        let result = PullResult {
            action: if is_changed { PullAction::Updated } else { PullAction::Unchanged },
            number: Some(pull.number),
            url: Some(pull.url.clone()),
            is_draft: pull.is_draft,
            checks: self.checks(forge, member, &pull).await,
            is_cut: text.is_cut,
        };
        Ok((result, Some(opened(forge, &pull, title))))
    }

    /// Returns the checks of a commit that was published before. They are news only: without them, nothing is missing.
    async fn checks(
        &self,
        forge: &ForgeAccess,
        member: &StackMember,
        pull: &PullRequest,
    ) -> CheckResults {
        if pull.head_commit != member.commit {
            return CheckResults::default();
        }
        forge.client.checks(&member.commit).await.unwrap_or_else(|error| {
            tracing::debug!("cannot read the checks of {}: {error}", member.commit);
            CheckResults::default()
        })
    }
}

fn opened(forge: &ForgeAccess, pull: &PullRequest, title: &str) -> OpenedPullRequest {
    OpenedPullRequest {
        forge: forge.name.to_string(),
        number: pull.number,
        url: pull.url.clone(),
        title: title.to_owned(),
    }
}
