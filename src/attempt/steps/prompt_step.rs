//! Prompt of an attempt, and the files with the prompt and the phase for the agent.

use std::path::Path;

use serde_json::json;

use super::memory_step;
use super::request_step::request_offer;
use crate::attempt::{Attempt, AttemptError};
use crate::memory::Memory;
use crate::phase::scope_request::DecidedPath;
use crate::phase::{Failure, FixedSpec, RunId};
use crate::process::Redactor;
use crate::prompt::{self, MAX_CHARS, PromptInput, RequestOffer};
use crate::store::decided_paths;
use crate::workspace::Side;

/// Inputs of an attempt's prompt.
#[derive(Clone, Copy, Debug)]
pub struct PromptRequest<'a> {
    /// Run of the phase.
    pub run_id: &'a RunId,
    /// Phase to work on.
    pub phase: &'a FixedSpec,
    /// Counted attempts so far.
    pub counted_attempts: u32,
    /// Limit of counted attempts.
    pub max_attempts: u32,
    /// Failure of the previous attempt.
    pub last_failure: Option<&'a Failure>,
    /// CI command as typed in a shell; `None` without CI.
    pub ci_command: Option<&'a str>,
    /// Protected paths.
    pub protected: &'a [String],
    /// How the agent may ask for files outside of its scope.
    pub request_offer: Option<RequestOffer>,
    /// Files that earlier attempts asked for, oldest first.
    pub requests: &'a [DecidedPath],
    /// Patch of the previous attempt.
    pub earlier_patch: Option<&'a Path>,
}

/// Builds the complete prompt with recalled entries, with secrets removed.
pub async fn prompt_for(asked: &PromptRequest<'_>, memory: &Memory, redact: &Redactor) -> String {
    let memories = memory_step::recall(memory, asked.run_id, asked.phase, asked.last_failure).await;
    let mut prompt = prompt::compose(&PromptInput {
        spec: asked.phase,
        counted_attempt: asked.counted_attempts + 1,
        max_attempts: asked.max_attempts,
        protected: asked.protected,
        ci_command: asked.ci_command,
        request_offer: asked.request_offer,
        requests: asked.requests,
        memories: &memories,
        last_failure: asked.last_failure,
        max_chars: MAX_CHARS,
    });
    if let Some(patch) = asked.earlier_patch {
        prompt.push_str(&format!(
            "\nThe changes of the previous attempt are not in the files here; they are in the patch {}.\n",
            patch.display()
        ));
    }
    redact.redact(&prompt).into_owned()
}

impl Attempt<'_> {
    pub(crate) async fn prompt(&self) -> Result<String, AttemptError> {
        let claim = self.claim;
        let plan = self.ci_plan(Side::Agent).await;
        let command = plan.is_configured().then(|| plan.display());
        let patch = match self.directory.earlier_patch() {
            Some(patch) => Some(patch),
            None => self.context.bring_earlier_patch(claim, &self.directory).await,
        };
        let requests = decided_paths(&claim.requests);
        let asked = PromptRequest {
            run_id: &claim.run_id,
            phase: &claim.phase,
            counted_attempts: claim.counted_attempts,
            max_attempts: claim.max_attempts,
            last_failure: claim.last_failure.as_ref(),
            ci_command: command.as_deref(),
            protected: &self.context.settings.workspace.protected_paths,
            request_offer: request_offer(
                &self.context.settings.executor,
                Some(self.context.agent_of(claim)?.1),
                &claim.phase,
                &claim.requests,
            ),
            requests: &requests,
            earlier_patch: patch.as_deref(),
        };
        let prompt = prompt_for(&asked, &self.context.memory, &self.context.redactor).await;
        self.directory.write(&self.directory.prompt(), &prompt)?;
        let phase = serde_json::to_vec_pretty(&self.phase_json()).map_err(anyhow::Error::new)?;
        self.directory.write(&self.directory.phase(), phase)?;
        Ok(prompt)
    }

    /// Builds the phase file: fields as in `phases list --json`, plus the full spec.
    fn phase_json(&self) -> serde_json::Value {
        let claim = self.claim;
        let spec = &claim.phase;
        json!({
            "run_id": claim.run_id,
            "phase_id": claim.phase_id,
            "name": spec.name(),
            "description": spec.description(),
            "state": "EXECUTING",
            "category": spec.category(),
            "complexity": spec.complexity(),
            "deliverables": spec.deliverables(),
            "scope": spec.json().get("scope"),
            "depends_on": spec.depends_on(),
            "attempts": claim.counted_attempts,
            "max_attempts": claim.max_attempts,
            "last_failure": claim.last_failure.as_ref().map(Failure::as_json),
            "commit": null,
            "spec": spec.json(),
        })
    }
}
