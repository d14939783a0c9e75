//! `fix-phases --propose`: proposes the scopes of queued phases without any path, and accepts withheld files.

mod named_phases;
mod proposal_report;

pub(super) use proposal_report::{ProposalReport, describe, proposal_in_effect, proposal_json};

use super::attempt_setup::{build_drain_context, check_sandbox, choose_views, open_repository};
use super::run_choice::Targets;
use super::{Context, agent_choice, autofix_limits, calibration_in_force, open_database};
use crate::attempt::{DrainContext, Estimator};
use crate::config::{AgentSettings, ReplayAgentSettings, Settings};
use crate::drain::{
    ProposalTargets, ProposalsEnd, RegisteredDrain, Signals, phases_left_behind, propose_scopes,
};
use crate::failure::{Exit, Failure};
use crate::memory::{AutostartPermission, OpenMemory};
use crate::phase::RunId;
use crate::process::StopReceiver;
use crate::progress::{Mode, PhaseFinished};
use crate::store::Store;
use named_phases::{acceptable_phases, check_named};

/// Name of the stand-in for an agent: the memory's index answers.
const INDEX: &str = "memory";

/// Proposes the scopes of the queued phases of these runs, or of these phases; with `accept`, opens the files that were
/// left out.
///
/// # Errors
/// A named phase gets no scope, an agent cannot be started, a run belongs to another repository, or git, the disk or the
/// database fails.
pub(super) async fn propose(
    context: &Context,
    store: &Store,
    named: &Targets,
    accept: bool,
) -> Result<ProposalReport, Failure> {
    let config = context.config()?;
    let repo = open_repository(context).await?;
    let fix = autofix_limits::fixer(&config.settings, repo.root());
    let runs = runs_of(named, store).await?;
    let left_behind = phases_left_behind(store, &repo, &runs).await?;
    check_named(&named.phases, &left_behind, store, &fix, accept).await?;
    let targets = ProposalTargets { runs: &runs, only: &named.phases, fix: &fix };
    let mut concerned = targets.find(store).await?;
    concerned.extend(left_behind);
    let mut concerned_runs: Vec<RunId> = Vec::new();
    for (run, _) in concerned {
        if !concerned_runs.contains(&run) {
            concerned_runs.push(run);
        }
    }
    let mut report = ProposalReport::default();
    if !concerned_runs.is_empty() {
        if !config.settings.agents.named.is_empty() {
            agent_choice::check_agents(None, context).await?;
        }
        check_sandbox(context, &repo, store)?;
        super::price_check::check(&config.settings, &context.workspace()?, None)?;
        for run in &concerned_runs {
            let facts = store.run(run).await?.facts;
            open_database::check_repository(run, facts.as_ref(), &repo, "propose scopes there")?;
        }
        repo.prepare_directory()?;
        repo.slots_directory()?;
        let views = choose_views(context, &repo, store).await?;
        let OpenMemory { memory, .. } =
            super::memory::open(context, AutostartPermission::CheckOnly).await?;
        let estimator =
            Estimator::new(calibration_in_force::active(store).await?, repo.root().to_owned());
        let mut drain_context =
            build_drain_context(context, repo, store.clone(), Mode::Notes, views)?
                .with_memory(memory.clone())
                .with_estimator(estimator);
        stand_in_for_agent(&mut drain_context.settings);
        let targets = ProposalTargets { runs: &concerned_runs, ..targets };
        report = propose_as_drain(&drain_context, &targets).await?;
        super::memory::close(&memory).await;
    }
    for (run, phase) in &named.phases {
        let kept = store.scope_proposals(run, phase).await?;
        let row = store.phase(run, phase).await?.row;
        if let Ok(spec) = fix(&row.spec, row.last_failure.as_ref()).result
            && let Some(kept) = proposal_in_effect(&kept, &spec)
            && !kept.proposal.is_withheld()
        {
            report.add(run.clone(), phase.clone(), Some(kept.clone()));
        }
    }
    if accept {
        for (row, kept) in acceptable_phases(&targets, store).await? {
            if store
                .operator()
                .accept_proposal(&row.run_id, &row.phase_id, &row.spec, &kept)
                .await?
            {
                report.add(row.run_id, row.phase_id, Some(kept));
            }
        }
    }
    Ok(report)
}

/// Returns the named runs, the runs of the named phases, or all runs.
async fn runs_of(named: &Targets, store: &Store) -> Result<Vec<RunId>, Failure> {
    let mut runs = named.runs.clone();
    for (run, _) in &named.phases {
        if !runs.contains(run) {
            runs.push(run.clone());
        }
    }
    match runs.is_empty() {
        true => Ok(store.run_ids_by_use().await?),
        false => Ok(runs),
    }
}

/// Without an agent, the memory's index proposes.
fn stand_in_for_agent(settings: &mut Settings) {
    if settings.agents.named.is_empty() {
        let replay = ReplayAgentSettings { folder: String::new() };
        settings.agents.named.insert(INDEX.to_owned(), AgentSettings::Replay(replay));
        settings.agents.default = Some(INDEX.to_owned());
    }
}

/// Proposes as a registered drain.
async fn propose_as_drain(
    context: &DrainContext,
    targets: &ProposalTargets<'_>,
) -> Result<ProposalReport, Failure> {
    let (handle, stop) = StopReceiver::pair();
    let signals = Signals::listen(handle)?;
    let (store, executor) = (&context.store, &context.settings.executor);
    let registered =
        RegisteredDrain::register(store, &context.repo, targets.runs, executor, &signals).await?;
    let mut report = ProposalReport::default();
    let failed = &mut report.failed;
    let mut on = |phase: PhaseFinished| {
        if phase.failure.is_some() {
            failed.push(phase);
        }
    };
    let proposals = propose_scopes(context, &registered, targets, &stop, &mut on).await?;
    match proposals.end {
        ProposalsEnd::Done => {}
        ProposalsEnd::Budget(budget) => {
            report.stopped = Some(budget.why);
            report.exit = Some(Exit::Systemic);
        }
        ProposalsEnd::Stopped => {
            report.stopped = Some("stopped; the drain proposes the rest".to_owned());
            report.exit = Some(signals.exit());
        }
    }
    for (run, phase) in proposals.phases {
        let is_failed = report.failed.iter().any(|f| f.run_id == run && f.phase_id == phase);
        if !is_failed {
            let kept = store.scope_proposals(&run, &phase).await?.into_iter().next();
            report.add(run, phase, kept);
        }
    }
    Ok(report)
}
