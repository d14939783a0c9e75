//! Comments on the issues of failed phases: one for each reason, however often a run is published.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use crate::failure::Failure;
use crate::forge::{ForgeError, IssueComment, TrackerName};
use crate::phase::words::hex;
use crate::store::IssueRemark;

use super::patience::{Patience, StepError};
use super::publication::{RemarkAction, RemarkResult};
use super::pull_request_text::cut;
use super::target::ForgeAccess;
use super::{FailedPhase, Publisher, RunToPublish, shown_issue};

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
        for phase in &run.failed {
            let reason = digest(&[&phase.reason]);
            let mut result = RemarkResult {
                phase_id: phase.phase_id.clone(),
                issue: shown_issue(&phase.issue.tracker, phase.issue.number),
                action: RemarkAction::Unchanged,
                url: None,
            };
            if let Some(last) = known.get(&phase.phase_id).filter(|last| last.reason == reason) {
                result.url = Some(last.url.clone());
                results.push(result);
                continue;
            }
            let forge = self.forge_of(&phase.issue.tracker, &mut others).await?;
            if !forge.has_token {
                result.action = RemarkAction::NoToken;
            } else if self.options.dry_run {
                result.action = RemarkAction::Added;
            } else {
                let mark = digest(&[run.run.as_str(), phase.phase_id.as_str(), &reason]);
                let add = async || add_once(forge, phase, &mark).await;
                match patience.keep_trying(add).await? {
                    Some(comment) => {
                        result.action = RemarkAction::Added;
                        result.url = Some(comment.url.clone());
                        let remark = IssueRemark { reason, url: comment.url };
                        let now = crate::clock::now();
                        publications.record_remark(&phase.phase_id, &remark, now).await?;
                    }
                    None => result.action = RemarkAction::Refused,
                }
            }
            results.push(result);
        }
        Ok(())
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
        let text = format!("{}\n{mark}\n", cut(phase.comment.trim_end(), LONGEST).0);
        forge.client.add_comment(number, &text).await
    };
    match added.await {
        Ok(comment) => Ok(Some(comment)),
        Err(error @ (ForgeError::NotFound { .. } | ForgeError::Refused { .. })) => {
            let issue = shown_issue(&phase.issue.tracker, number);
            tracing::warn!("cannot comment on {issue}: {error}");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn digest(parts: &[&str]) -> String {
    hex(&Sha256::digest(parts.join("\n").as_bytes()))[..16].to_owned()
}
