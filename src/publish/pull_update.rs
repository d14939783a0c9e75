//! Opening and updating the pull request of a branch.

use crate::failure::Failure;
use crate::forge::{
    CheckResults, NewPullRequest, PullRequest, PullRequestChange, PullRequestState,
};
use crate::progress::shown_id;
use crate::store::OpenedPullRequest;

use super::member_plan::PullPlan;
use super::member_text::MemberText;
use super::publication::{PullAction, PullResult};
use super::pull_request_text::{is_same, issue_lines, pull_request_text};
use super::stack::StackMember;
use super::target::ForgeAccess;
use super::{Publisher, Step};

impl Publisher<'_> {
    /// Opens or updates the pull request. The second value is to be recorded.
    pub(super) async fn apply_pull(
        &self,
        step: &Step<'_>,
        member: &StackMember,
        text: &MemberText,
        plan: PullPlan,
        target: Option<&str>,
    ) -> Result<(PullResult, Option<OpenedPullRequest>), Failure> {
        let (forge, target) = match (&plan, self.target.forge(), target) {
            (PullPlan::Without(action), ..) => return Ok((PullResult::without(*action), None)),
            (PullPlan::Settled(result), ..) => return Ok((result.clone(), None)),
            (_, Some(forge), Some(target)) => (forge, target),
            _ => return Ok((PullResult::without(PullAction::NoForge), None)),
        };
        match plan {
            PullPlan::Update(pull) => self.update(step, forge, member, text, *pull, target).await,
            _ => self.open(step, forge, member, text, target).await,
        }
    }

    async fn open(
        &self,
        step: &Step<'_>,
        forge: &ForgeAccess,
        member: &StackMember,
        text: &MemberText,
        base: &str,
    ) -> Result<(PullResult, Option<OpenedPullRequest>), Failure> {
        let body = pull_request_text(None, &issue_lines(&text.closes, &text.part_of), &text.report);
        let result = PullResult {
            is_draft: self.options.is_draft,
            is_cut: body.is_cut,
            base: Some(base.to_owned()),
            ..PullResult::without(PullAction::Opened)
        };
        if self.options.dry_run {
            return Ok((result, None));
        }
        let new = NewPullRequest {
            branch: &member.branch,
            base,
            title: &text.title,
            body: &body.text,
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
        let pull = step.patience.keep_asking(open).await.map_err(|failure| {
            let (words, _) = forge.name.pull_request_words();
            failure.prefixed(&format!("cannot open the {words} into {}:", shown_id(base)))
        })?;
        let opened = opened(forge, &pull, &text.title);
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
        text: &MemberText,
        pull: PullRequest,
        base: &str,
    ) -> Result<(PullResult, Option<OpenedPullRequest>), Failure> {
        let lines = issue_lines(&text.closes, &text.part_of);
        let body = pull_request_text(Some(&pull.body), &lines, &text.report);
        let known = step.known.get(&member.branch);
        let stored = known.and_then(|known| known.pull_request.as_ref());
        // A title or base that differs from what autopack set is a person's.
        let is_own_title = stored.is_some_and(|stored| stored.title == pull.title);
        let is_own_base = known.is_some_and(|known| known.base.as_ref() == Some(&pull.base));
        let is_ordered = self.options.is_base_ordered && step.base.as_deref() == Some(base);
        let is_gone = !step.there.commits.contains_key(&pull.base);
        let may_move = is_own_base || is_ordered || is_gone;
        let title = text.title.as_str();
        let change = PullRequestChange {
            title: Some(title).filter(|t| is_own_title && *t != pull.title),
            body: Some(body.text.as_str()).filter(|body| !is_same(body, &pull.body)),
            base: Some(base).filter(|base| may_move && *base != pull.base),
        };
        let is_changed = [change.title, change.body, change.base].iter().any(Option::is_some);
        if is_changed && !self.options.dry_run {
            let update = async || Ok(forge.client.change_pull_request(&pull, change).await?);
            step.patience.keep_asking(update).await.map_err(|failure| {
                let (words, mark) = forge.name.pull_request_words();
                failure.prefixed(&format!("cannot update {words} {mark}{}:", pull.number))
            })?;
        }
        let is_ours = is_own_title || pull.title == title;
        let result = PullResult {
            action: if is_changed { PullAction::Updated } else { PullAction::Unchanged },
            number: Some(pull.number),
            url: Some(pull.url.clone()),
            is_draft: pull.is_draft,
            base: Some(change.base.unwrap_or(&pull.base).to_owned()),
            checks: self.checks(forge, member, &pull).await,
            is_cut: body.is_cut,
        };
        Ok((result, Some(opened(forge, &pull, if is_ours { title } else { "" }))))
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
