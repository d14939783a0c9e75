//! The prompt of an attempt, and the files in which the agent finds it and its phase.

use serde_json::json;

use super::{Attempt, Trouble, memory_step};
use crate::prompt::{self, MAX_CHARS, PromptInput};

impl Attempt<'_> {
    pub(super) async fn prompt(&self) -> Result<String, Trouble> {
        let claim = self.claim;
        let plan = self.ci_plan().await;
        let command = plan.is_configured().then(|| plan.display());
        let memories = memory_step::recall(&self.site.memory, claim).await;
        let mut prompt = prompt::compose(&PromptInput {
            spec: &claim.phase,
            try_number: claim.tries + 1,
            max_attempts: claim.max_attempts,
            protected: &self.site.settings.workspace.protected_paths,
            ci_command: command.as_deref(),
            memories: &memories,
            last_failure: claim.last_failure.as_ref(),
            max_chars: MAX_CHARS,
        });
        if let Some(patch) = self.folder.earlier_patch() {
            prompt.push_str(&format!(
                "\nWhat the last attempt changed was not kept in the files here; it is the patch {}.\n",
                patch.display()
            ));
        }
        let prompt = self.site.redactor.redact(&prompt).into_owned();
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
            "last_failure": claim.last_failure.as_ref().map(|failure| json!({
                "kind": failure.kind.as_str(),
                "exit_code": failure.exit_code,
                "message": failure.message,
            })),
            "commit": null,
            "spec": spec.json(),
        })
    }
}
