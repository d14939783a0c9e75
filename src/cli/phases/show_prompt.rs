//! `phases show --prompt`: prints the prompt of the next attempt without claiming, repairing or starting anything.

use std::path::PathBuf;

use crate::attempt::{
    AttemptDirectory, AttemptFileFinder, FoundFiles, PromptRequest, Views, prompt_for,
    request_offer,
};
use crate::ci::{self, Pythons};
use crate::cli::attempt_setup::{build_drain_context, open_repository};
use crate::cli::propose_scopes::{describe, proposal_in_effect};
use crate::cli::{Context, autofix_limits, memory};
use crate::failure::Failure;
use crate::memory::{AutostartPermission, Memory};
use crate::phase::words::quoted;
use crate::phase::{FixedSpec, PhaseState};
use crate::progress::{Mode, shown_message, shown_phase};
use crate::store::{KeptProposal, KeptRequest, PhaseDetail, PhaseRow, Store, decided_paths};

pub(super) async fn run(
    detail: &PhaseDetail,
    requests: &[KeptRequest],
    proposals: &[KeptProposal],
    store: &Store,
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
    if phase.needs_scope() {
        return show_scope_question(row, &phase, proposals, store, context).await;
    }
    let environments = context.inherited_environments(config);
    let site = ci::CiPlace { dir: &root, workspace: &root, env: &environments.ci.env };
    let plan = ci::choose_plan(&site, &settings.ci, phase.ci(), &Pythons::default()).await;
    let command = plan.is_configured().then(|| plan.display());
    let max_attempts = phase.max_attempts().or(row.max_attempts);
    let (dir, last) = (root.join(".autopack"), row.executions);
    let patch = match AttemptDirectory::patch_of(&dir, &row.run_id, &row.phase_id, last) {
        Some(patch) => Some(patch),
        None => planned_patch(detail, store, context).await?,
    };
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

/// Returns where the next attempt will have the patch that the last one left on another machine.
async fn planned_patch(
    detail: &PhaseDetail,
    store: &Store,
    context: &Context,
) -> Result<Option<PathBuf>, Failure> {
    let (row, Some(last)) = (&detail.row, detail.attempt_log.last()) else { return Ok(None) };
    if !store.is_at_server() {
        return Ok(None);
    }
    let (root, settings) = (context.workspace()?, &context.config()?.settings.artifacts);
    let finder = AttemptFileFinder { root: &root, store, settings };
    let (run, phase, name) = (&row.run_id, &row.phase_id, AttemptDirectory::PATCH);
    Ok(match finder.find(run, phase, last, Some(name)).await? {
        FoundFiles::Found(files) if files.path.join(name).is_file() => {
            let next = last.attempt + 1;
            let directory = AttemptDirectory::locate(&root.join(".autopack"), run, phase, next);
            Some(directory.join(AttemptDirectory::EARLIER_PATCH))
        }
        _ => None,
    })
}

/// Prints the question for the scope, which comes before the work.
async fn show_scope_question(
    row: &PhaseRow,
    phase: &FixedSpec,
    proposals: &[KeptProposal],
    store: &Store,
    context: &Context,
) -> Result<(), Failure> {
    let name = shown_phase(&row.run_id, &row.phase_id, true);
    let target = format!("{}/{}", row.run_id, row.phase_id);
    if let Some(kept) = proposal_in_effect(proposals, phase) {
        let accept = if kept.proposal.is_withheld() { " --accept" } else { "" };
        let command = format!("autopack fix-phases --propose{accept} {}", quoted(&target));
        return Err(Failure::new(format!(
            "nobody is asked for the scope of {name}: its text has a proposal already: {}",
            shown_message(&describe(kept))
        ))
        .hint(format!("make it the scope: {command}")));
    }
    let settings = &context.config()?.settings;
    let agent = settings.choose_agent(None, phase.agent(), row.attempts);
    let remembered = open_memory(context).await?;
    let question = match settings.agent(agent) {
        Some((_, agent)) => {
            let repo = open_repository(context).await?;
            let views = Views::default();
            build_drain_context(context, repo, store.clone(), Mode::Notes, views)?
                .with_memory(remembered.clone())
                .preview_scope_question(&row.run_id, phase, agent)
                .await?
        }
        None => None,
    };
    memory::close(&remembered).await;
    match question {
        Some(question) => {
            let question = context.redactor()?.redact(&question);
            context.out.quoted(question.as_bytes())
        }
        None => Err(Failure::new(format!(
            "nobody is asked for the scope of {name}: no agent answers, and the memory's index of the repository proposes"
        ))
        .hint(format!("see the proposal: autopack fix-phases --propose {}", quoted(&target)))),
    }
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
