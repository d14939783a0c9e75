//! Request step: files outside of its scope that the agent asked for, and their effect on the verdict.
//!
//! A failure that granted files explain is not counted: the next attempt may change them. Granted files join the scope
//! after every failed attempt; the store adds them when the attempt ends.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::agent::{RequestDesk, read_request_file};
use crate::attempt::{Attempt, AttemptError};
use crate::config::{AgentSettings, ExecutorSettings};
use crate::phase::proposal::tree_files::TreeFiles;
use crate::phase::scope_request::decide::RequestRules;
use crate::phase::scope_request::explained::is_explained;
use crate::phase::scope_request::request_file::{MOST_PATHS, read_request};
use crate::phase::scope_request::{
    RequestDecision, ScopeRequests, describe_granted, describe_refused,
};
use crate::phase::{FixedSpec, RequeueReason, Verdict};
use crate::prompt::RequestOffer;
use crate::store::{KeptRequest, granted_attempts};

impl Attempt<'_> {
    /// Whether the agent may ask for files.
    pub(crate) fn may_request(&self) -> bool {
        may_request(&self.context.settings.executor)
    }

    /// Returns the desk for an agent whose tools ask; `None` for other agents, which write a file.
    pub(crate) async fn request_desk(&self) -> Result<Option<Arc<dyn RequestDesk>>, AttemptError> {
        let (_, agent) = self.context.agent_of(self.claim)?;
        if !matches!(agent, AgentSettings::Builtin(_)) || !self.may_request() {
            return Ok(None);
        }
        Ok(Some(Arc::new(ScopeDesk {
            rules: self.request_grounds().await?,
            file: self.directory.request(),
            asked: Mutex::default(),
        })))
    }

    async fn request_grounds(&self) -> Result<RequestGrounds, AttemptError> {
        let settings = &self.context.settings;
        Ok(RequestGrounds {
            spec: self.claim.phase.clone(),
            tree: self.tree_files().await?,
            protected: settings.workspace.protected_paths.clone(),
            workspace: self.context.repo.root().to_str().map(str::to_owned),
            policy: settings.executor.scope_requests,
            granted_before: granted_attempts(&self.claim.requests),
            most: settings.executor.max_scope_requests,
        })
    }

    /// Reads the agent's request, and decides on it.
    pub(crate) async fn read_request(&mut self) -> Result<(), AttemptError> {
        if !self.may_request() {
            return Ok(());
        }
        let text = read_request_file(&self.directory.request(), &self.context.redactor);
        let request = match text {
            Ok(None) => return Ok(()),
            Ok(Some(text)) => read_request(&text),
            Err(why) => Err(why),
        };
        match request {
            Ok(request) => {
                if request.left_out > 0 {
                    let more = request.left_out;
                    self.note(&format!(
                        "scope request: only the first {MOST_PATHS} paths count, {more} more are ignored"
                    ));
                }
                let grounds = self.request_grounds().await?;
                self.record.requests = grounds.rules().decide(&request);
            }
            Err(why) => {
                let why = format!("scope request ignored: {why}");
                self.note(&why);
                self.record.request_error = Some(why);
            }
        }
        Ok(())
    }

    /// Returns the verdict in view of the request: a failure that granted files explain is not counted, another failure
    /// names the decisions.
    pub(crate) fn judge_request(&mut self, verdict: Verdict) -> Verdict {
        let record = &self.record;
        let requests = &record.requests;
        let mut failure = match verdict {
            Verdict::Failed(failure) => failure,
            Verdict::Passed { .. } if requests.iter().any(|one| one.is_granted()) => {
                self.note("the agent asked for more files; the change passed without them");
                return verdict;
            }
            verdict => return verdict,
        };
        let (granted, refused) = (describe_granted(requests), describe_refused(requests));
        let is_explained = is_explained(failure.kind, record.out_of_scope.as_ref(), requests);
        if let Some(granted) = &granted {
            self.note(granted);
        }
        let lines: Vec<String> =
            [granted, refused, record.request_error.clone()].into_iter().flatten().collect();
        if is_explained {
            return Verdict::Requeued(RequeueReason::ScopeGranted { message: lines.join("; ") });
        }
        for line in lines {
            failure.message.push_str("; ");
            failure.message.push_str(&line);
        }
        Verdict::Failed(failure)
    }
}

/// Returns what the prompt of the next attempt tells of requests; `None` if none will be granted.
pub fn request_offer(
    executor: &ExecutorSettings,
    agent: Option<&AgentSettings>,
    phase: &FixedSpec,
    earlier: &[KeptRequest],
) -> Option<RequestOffer> {
    let is_open = granted_attempts(earlier) < executor.max_scope_requests;
    (may_request(executor) && is_open).then(|| RequestOffer {
        policy: executor.scope_requests.for_phase(phase),
        has_tool: matches!(agent, Some(AgentSettings::Builtin(_))),
    })
}

fn may_request(executor: &ExecutorSettings) -> bool {
    executor.scope_requests != ScopeRequests::Refuse && executor.max_scope_requests > 0
}

/// What requests of a phase are decided by.
struct RequestGrounds {
    spec: FixedSpec,
    tree: TreeFiles,
    protected: Vec<String>,
    workspace: Option<String>,
    policy: ScopeRequests,
    granted_before: u32,
    most: u32,
}

impl RequestGrounds {
    fn rules(&self) -> RequestRules<'_> {
        RequestRules {
            spec: &self.spec,
            tree: &self.tree,
            protected: &self.protected,
            workspace: self.workspace.as_deref(),
            policy: self.policy,
            granted_before: self.granted_before,
            most: self.most,
        }
    }
}

/// Takes requests of the built-in agent, and keeps them in the file of other agents.
struct ScopeDesk {
    rules: RequestGrounds,
    file: PathBuf,
    asked: Mutex<Vec<Value>>,
}

impl RequestDesk for ScopeDesk {
    fn ask(&self, path: &str, reason: &str) -> Result<String, String> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let item = json!({"path": path, "reason": reason});
        let one = read_request(&json!([&item]).to_string())?;
        let Some(requested) = one.paths.first() else { return Err("the path is empty".to_owned()) };
        let decided = self.rules.rules().decide_path(requested);
        let (path, why) = (&decided.path, &decided.why);
        if decided.decision == RequestDecision::Unused {
            return Ok(format!("{path} is in scope already: change it"));
        }
        let list = [asked.as_slice(), &[item]].concat();
        let text = json!({ "scope": list }).to_string();
        if read_request(&text)?.left_out > 0 {
            return Err(format!("an attempt can ask for {MOST_PATHS} files at most"));
        }
        std::fs::write(&self.file, text)
            .map_err(|error| format!("the request cannot be kept: {error}"))?;
        *asked = list;
        Ok(match decided.decision {
            RequestDecision::Granted => format!(
                "granted ({why}): {path} is in scope in the next attempt, which starts again from the files before your \
                 changes. Call `finish` now"
            ),
            _ => format!("refused: {path} ({why}). Do the task without it"),
        })
    }
}
