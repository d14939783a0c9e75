//! Comments on the issues of failed phases: one for each reason, however often a run is published.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use crate::failure::Failure;
use crate::forge::{ForgeError, IssueComment, TrackerName};
use crate::git::harmless_text::harmless;
use crate::phase::words::hex;
use crate::store::IssueRemark;

use super::patience::{Patience, StepError};
use super::publication::{RemarkAction, RemarkResult};
use super::pull_request_text::cut;
use super::target::ForgeAccess;
use super::{FailedPhase, IssueOrigin, Publisher, RunToPublish};

/// Most characters of a comment.
const LONGEST: usize = 8_000;

impl Publisher<'_> {
    /// Comments on the issue of each failed phase, unless its last comment has the same reason. The
    /// results so far count if an error ends this.
    pub(super) async fn remark_on_issues(
        &self,
        run: &RunToPublish,
        patience: Patience,
        results: &mut Vec<RemarkResult>,
    ) -> Result<(), Failure> {
        let publications = self.store.publications(&run.run, &self.target.remote.name);
        let known = publications.remarks().await?;
        let mut others: HashMap<String, ForgeAccess> = HashMap::new();
        // Phases of the same issue may fail for the same reason.
        let mut said: HashMap<(&IssueOrigin, String), (RemarkAction, Option<String>)> =
            HashMap::new();
        for phase in &run.failed {
            let reason = digest(&[&phase.reason]);
            let last = known.get(&phase.phase_id).filter(|last| last.reason == reason);
            let key = (&phase.issue, reason.clone());
            if let Some(last) = last {
                said.entry(key.clone())
                    .or_insert_with(|| (RemarkAction::Unchanged, Some(last.url.clone())));
            }
            let earlier = said.get(&key).cloned();
            let (action, url) = match earlier.clone() {
                Some((RemarkAction::Added, url)) => (RemarkAction::Unchanged, url),
                Some(earlier) => earlier,
                None => self.remark(run, patience, &mut others, phase, &reason).await?,
            };
            if let (Some(url), None, false) = (&url, last, self.options.dry_run) {
                let remark = IssueRemark { reason, url: url.clone() };
                let now = crate::clock::now();
                publications.record_remark(&phase.phase_id, &remark, now).await?;
            }
            said.entry(key).or_insert_with(|| (action, url.clone()));
            let (phase_id, issue) = (phase.phase_id.clone(), phase.issue.shown());
            results.push(RemarkResult { phase_id, issue, action, url });
        }
        Ok(())
    }

    /// Comments on the issue of a phase. Returns what was done, and the link to the comment.
    async fn remark(
        &self,
        run: &RunToPublish,
        patience: Patience,
        others: &mut HashMap<String, ForgeAccess>,
        phase: &FailedPhase,
        reason: &str,
    ) -> Result<(RemarkAction, Option<String>), Failure> {
        let forge = self.forge_of(&phase.issue.tracker, others).await?;
        if !forge.has_token {
            return Ok((RemarkAction::NoToken, None));
        }
        if self.options.dry_run {
            return Ok((RemarkAction::Added, None));
        }
        let mark = digest(&[run.run.as_str(), &phase.issue.shown(), reason]);
        let add = async || add_once(forge, phase, &mark).await;
        Ok(match patience.keep_asking(add).await? {
            Some(comment) => (RemarkAction::Added, Some(comment.url)),
            None => (RemarkAction::Refused, None),
        })
    }

    /// Returns the forge of an issue, which need not be that of the pull request.
    async fn forge_of<'a>(
        &'a self,
        tracker: &TrackerName,
        others: &'a mut HashMap<String, ForgeAccess>,
    ) -> Result<&'a ForgeAccess, Failure> {
        if let Some(forge) = self.target.forge().filter(|forge| forge.name == *tracker) {
            return Ok(forge);
        }
        let name = tracker.to_string();
        if !others.contains_key(&name) {
            others.insert(name.clone(), self.target.open_other(tracker).await?);
        }
        Ok(&others[&name])
    }
}

/// Adds a comment, unless it is there already: an earlier publication may have been interrupted. `None` if the issue
/// takes no comment.
async fn add_once(
    forge: &ForgeAccess,
    phase: &FailedPhase,
    mark: &str,
) -> Result<Option<IssueComment>, StepError> {
    let mark = format!("<!-- autopack: failed {mark} -->");
    let number = phase.issue.number;
    let added = async {
        let comments = forge.client.comments(number).await?;
        if let Some(comment) = comments.into_iter().find(|comment| comment.body.contains(&mark)) {
            return Ok(comment);
        }
        let text = format!("{}\n{mark}\n", cut(&harmless(phase.comment.trim_end()), LONGEST).0);
        forge.client.add_comment(number, &text).await
    };
    match added.await {
        Ok(comment) => Ok(Some(comment)),
        Err(error @ (ForgeError::NotFound { .. } | ForgeError::Refused { .. })) => {
            tracing::warn!("cannot comment on {}: {error}", phase.issue.shown());
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn digest(parts: &[&str]) -> String {
    hex(&Sha256::digest(parts.join("\n").as_bytes()))[..16].to_owned()
}
