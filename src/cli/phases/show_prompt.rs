//! `phases show --prompt`: prints the prompt of the next attempt without claiming, repairing or starting anything.

use crate::attempt::{AttemptDirectory, PromptRequest, prompt_for, request_offer};
use crate::ci::{self, Pythons};
use crate::cli::{Context, autofix_limits, memory};
use crate::failure::Failure;
use crate::memory::{AutostartPermission, Memory};
use crate::phase::PhaseState;
use crate::store::{KeptRequest, PhaseDetail, decided_paths};

pub(super) async fn run(
    detail: &PhaseDetail,
    requests: &[KeptRequest],
    context: &Context,
) -> Result<(), Failure> {
    let config = context.config()?;
    let (settings, row) = (&config.settings, &detail.row);
    let root = context.workspace()?;
    let repair = autofix_limits::fixer(settings, &root)(&row.spec, row.last_failure.as_ref());
    let phase = repair.result.map_err(|why| {
        Failure::new(format!(
            "phase {} has no prompt: its spec cannot be repaired: {}",
            row.phase_id, why.0
        ))
        .hint("change it with `autopack phases edit`")
    })?;
    let environments = context.inherited_environments(config);
    let site = ci::CiPlace { dir: &root, workspace: &root, env: &environments.ci.env };
    let plan = ci::choose_plan(&site, &settings.ci, phase.ci(), &Pythons::default()).await;
    let command = plan.is_configured().then(|| plan.display());
    let max_attempts = phase.max_attempts().or(row.max_attempts);
    let (dir, last) = (root.join(".autopack"), row.executions);
    let patch = AttemptDirectory::patch_of(&dir, &row.run_id, &row.phase_id, last);
    // After its end, a phase can only be retried, with all attempts.
    let over = matches!(row.state, PhaseState::Complete | PhaseState::Failed | PhaseState::Skipped);
    let fresh = over.then_some(0);
    let counted_attempts = fresh.unwrap_or(row.attempts);
    let agent = settings.choose_agent(None, phase.agent(), counted_attempts);
    let agent = settings.agent(agent).map(|(_, agent)| agent);
    let decided = decided_paths(requests);
    let asked = PromptRequest {
        run_id: &row.run_id,
        phase: &phase,
        counted_attempts,
        max_attempts: max_attempts.unwrap_or(settings.executor.max_attempts),
        last_failure: row.last_failure.as_ref(),
        ci_command: command.as_deref(),
        protected: &settings.workspace.protected_paths,
        request_offer: request_offer(&settings.executor, agent, &phase, requests),
        requests: &decided,
        earlier_patch: patch.as_deref(),
    };
    let remembered = open_memory(context).await?;
    let redact = context.redactor()?;
    let prompt = prompt_for(&asked, &remembered, &redact).await;
    memory::close(&remembered).await;
    context.out.quoted(prompt.as_bytes())
}

/// Opens the memory without creating a journal.
async fn open_memory(context: &Context) -> Result<Memory, Failure> {
    let journal = context.workspace()?.join(".autopack/memory.db");
    if !journal.is_file() {
        return Ok(Memory::off());
    }
    // A required Qdrant that is down prevents a drain, but not this command.
    Ok(memory::open(context, AutostartPermission::CheckOnly)
        .await
        .map_or(Memory::off(), |opened| opened.memory))
}
