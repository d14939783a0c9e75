//! The prompt of an attempt, and the files in which the agent finds it and its phase.

use std::path::Path;

use serde_json::json;

use super::memory_step;
use crate::attempt::{Attempt, Trouble};
use crate::memory::Memory;
use crate::phase::{Failure, FixedSpec, RunId};
use crate::process::Redactor;
use crate::prompt::{self, MAX_CHARS, PromptInput};
use crate::workspace::Side;

/// A try at a phase, as far as its prompt depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub run_id: &'a RunId,
    pub phase: &'a FixedSpec,
    /// Tries that were charged so far.
    pub tries: u32,
    pub max_attempts: u32,
    pub last_failure: Option<&'a Failure>,
    /// As a person would type it; none where there is no CI.
    pub ci_command: Option<&'a str>,
    pub protected: &'a [String],
    /// What the attempt before left of its work.
    pub earlier_patch: Option<&'a Path>,
}

/// The whole prompt, with what the memory knows, without secrets.
pub async fn prompt_for(asked: &Asked<'_>, memory: &Memory, redact: &Redactor) -> String {
    let memories = memory_step::recall(memory, asked).await;
    let mut prompt = prompt::compose(&PromptInput {
        spec: asked.phase,
        try_number: asked.tries + 1,
        max_attempts: asked.max_attempts,
        protected: asked.protected,
        ci_command: asked.ci_command,
        memories: &memories,
        last_failure: asked.last_failure,
        max_chars: MAX_CHARS,
    });
    if let Some(patch) = asked.earlier_patch {
        prompt.push_str(&format!(
            "\nWhat the last attempt changed was not kept in the files here; it is the patch {}.\n",
            patch.display()
        ));
    }
    redact.redact(&prompt).into_owned()
}

impl Attempt<'_> {
    pub(crate) async fn prompt(&self) -> Result<String, Trouble> {
        let claim = self.claim;
        let plan = self.ci_plan(Side::Agent).await;
        let command = plan.is_configured().then(|| plan.display());
        let patch = self.folder.earlier_patch();
        let asked = Asked {
            run_id: &claim.run_id,
            phase: &claim.phase,
            tries: claim.tries,
            max_attempts: claim.max_attempts,
            last_failure: claim.last_failure.as_ref(),
            ci_command: command.as_deref(),
            protected: &self.site.settings.workspace.protected_paths,
            earlier_patch: patch.as_deref(),
        };
        let prompt = prompt_for(&asked, &self.site.memory, &self.site.redactor).await;
        self.folder.write(&self.folder.prompt(), &prompt)?;
        let phase = serde_json::to_vec_pretty(&self.phase_json()).map_err(anyhow::Error::new)?;
        self.folder.write(&self.folder.phase(), phase)?;
        Ok(prompt)
    }

    /// The shape of `phases list --json`, and the whole spec beside it.
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
            "attempts": claim.tries,
            "max_attempts": claim.max_attempts,
            "last_failure": claim.last_failure.as_ref().map(Failure::as_json),
            "commit": null,
            "spec": spec.json(),
        })
    }
}
