//! `drain`: starts a drain from the command line and maps its stop reason to an exit code.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use serde_json::json;
use tracing::Instrument as _;

use super::attempt_setup::{build_drain_context, check_sandbox, choose_views, open_repository};
use super::drain_runs::{DrainTargets, NamedTargets, describe_empty_backlog, named_runs};
use super::dry_run_store::DryRunStore;
use super::open_database::{self, MoveMode};
use super::output::table::counted;
use super::plan_import::PlanFile;
use super::{Context, agent_choice, autofix_limits, branch_check, calibration_in_force};
use crate::attempt::{Estimator, Views};
use crate::clock::now;
use crate::config::{MAX_JOBS, SandboxMode, Settings};
use crate::drain::{self, Drain, PlannedPhase, RegisteredDrain, Request, Signals};
use crate::failure::{Exit, Failure};
use crate::memory::{AutostartPermission, OpenMemory};
use crate::phase::RunId;
use crate::phase::budget::Budgets;
use crate::process::StopReceiver;
use crate::process::view::ViewMode;
use crate::progress::{
    Mode, NOTES, duration, fit, screen, shown_id, shown_message, thousands, width, wrap,
};
use crate::store::{RunSummary, Store};
use crate::workspace::{Repo, SlotShortage};

/// Drain a backlog: repair, execute, verify and land phases
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    targets: DrainTargets,

    /// Attempts per batch; each batch ends with a summary
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: u32,

    /// Stop at the first failed phase, with exit code 4
    #[arg(long)]
    stop_on_first_failure: bool,

    /// Stop after N batches
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_batches: Option<u32>,

    /// Number of workers; phases with overlapping scopes never run at the same time [default: executor.jobs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_JOBS)))]
    jobs: Option<u32>,

    /// Use this agent for all phases, overriding plan and configuration
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,

    /// Base revision of new run branches [default: workspace.base, else HEAD]
    #[arg(long, value_name = "REVISION")]
    base: Option<String>,

    /// Run N phases of different categories first; continue only if at least one passes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    sample: Option<u32>,

    /// Run all phases although neither a sandbox nor a budget limits the agent
    #[arg(long)]
    yes: bool,

    /// Show the plan without running: order, agents, estimates, repairs
    #[arg(
        long,
        conflicts_with_all =
            ["jobs", "batch_size", "sample", "max_batches", "stop_on_first_failure", "base"]
    )]
    dry_run: bool,

    /// Print an event per line as JSON; with --dry-run, a list of phases
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let config = context.config()?;
    let repo = open_repository(context).await?;
    let named = args.targets.read(context).await?;
    if args.dry_run {
        let opened = DryRunStore::open(&args.targets, named, context, &repo).await?;
        return dry_run(&args, context, opened.as_ref()).await;
    }
    let (store, mut runs) = match named {
        NamedTargets::None => {
            let store = open_database::open_existing(context).await?;
            let Some(runs) = args.targets.default_runs(&store, &repo).await? else {
                return end_empty(&args, context, &store, &repo).await;
            };
            agent_choice::check_agents(args.agent.as_deref(), context).await?;
            (store, runs)
        }
        NamedTargets::Some { runs, files } => {
            // Before a plan is imported.
            agent_choice::check_agents(args.agent.as_deref(), context).await?;
            let planned: Vec<RunId> = files.iter().flat_map(PlanFile::runs).collect();
            branch_check::check_planned_runs(&planned, args.base.as_deref(), context, &repo)
                .await?;
            import_files(runs, files, context, &repo).await?
        }
    };
    check_sandbox(context, &repo, &store)?;
    super::price_check::check(&config.settings, &context.workspace()?, args.agent.as_deref())?;
    open_database::reassign_moved_runs(&store, &repo, &mut runs, MoveMode::Record).await?;
    for run in &runs {
        let hint = "drain it there, or import its plan here with another --run-id";
        open_database::check_repository(&run.run_id, run.facts.as_ref(), &repo, hint)?;
    }
    let without_branch = runs.iter().filter(|run| run.facts.is_none());
    let without_branch: Vec<RunId> = without_branch.map(|run| run.run_id.clone()).collect();
    branch_check::check_branches(&without_branch, args.base.as_deref(), context, &repo).await?;
    repo.prepare_directory()?;
    // Checked before the first claim.
    repo.slots_directory()?;
    let views = choose_views(context, &repo, &store).await?;
    let wanted = args.jobs.unwrap_or(config.settings.executor.jobs);
    let room = repo.room_for_slots(wanted, &config.settings.workspace).await?;
    let request = Request {
        runs: runs.into_iter().map(|run| run.run_id).collect(),
        batch_size: args.batch_size,
        max_batches: args.max_batches,
        jobs: room.map_or(wanted, |room| room.slots),
        stop_on_first_failure: args.stop_on_first_failure,
        sample: args.sample,
        is_trial: is_trial(&args, &config.settings, &views),
    };
    let found_agent = agent_choice::describe_found_agent(args.agent.as_deref(), context)?;
    let OpenMemory { memory, line, .. } =
        super::memory::open(context, AutostartPermission::Allowed).await?;
    let (handle, stop) = StopReceiver::pair();
    let signals = Signals::listen(handle)?;
    let executor = &config.settings.executor;
    let owner = RegisteredDrain::register(&store, &repo, &request.runs, executor, &signals).await?;
    let name = owner.id().to_string();
    let fix = autofix_limits::fixer(&config.settings, repo.root());
    let estimator =
        Estimator::new(calibration_in_force::active(&store).await?, repo.root().to_owned());
    let drain_context =
        build_drain_context(context, repo, store.clone(), mode(&args, context), views)?
            .with_overrides(args.agent, args.base)
            .with_memory(memory.clone())
            .with_estimator(estimator);
    if let Some(line) = found_agent {
        drain_context.progress.note(&line);
    }
    if let Some(SlotShortage { slots, each_mib, free_mib }) = room {
        drain_context.progress.note(&format!(
            "the disk of {} has {free_mib} MiB free, and a worker needs about {each_mib} MiB: using {} instead of {wanted}",
            drain_context.repo.slots_directory()?.display(),
            counted(slots.into(), "worker")
        ));
    }
    let drain =
        Drain::new(drain_context, owner, &request, &fix, stop, &signals).with_memory_line(line);
    let drained = drain.run().instrument(tracing::error_span!("drain", drain = name)).await;
    super::memory::close(&memory).await;
    store.close().await;
    Ok(drained?)
}

/// Imports plan files, and returns the store with all runs to drain.
async fn import_files(
    mut runs: Vec<RunId>,
    files: Vec<PlanFile>,
    context: &Context,
    repo: &Repo,
) -> Result<(Store, Vec<RunSummary>), Failure> {
    let store = match files.is_empty() {
        true => open_database::open_existing(context).await?,
        false => open_database::create_store(&open_database::url(context)?, context).await?,
    };
    for file in files {
        runs.extend(file.runs());
        if !file.is_imported(&store, repo).await? {
            for line in file.import_and_record(&store, repo).await? {
                tracing::info!(target: NOTES, "{}", shown_message(&line));
            }
        }
    }
    let summaries = named_runs(&store, &runs).await?;
    Ok((store, summaries))
}

/// Ends a drain without queued phases.
async fn end_empty(
    args: &Args,
    context: &Context,
    store: &Store,
    repo: &Repo,
) -> Result<Exit, Failure> {
    let (line, exit) = describe_empty_backlog(store, repo).await?;
    match args.json {
        false => context.out.line(line)?,
        true => context.out.json_line(&json!({
            "event": "drain_finished", "counts": [], "reason": "drained",
            "exit_code": exit.code(), "message": line, "duration_ms": 0,
        }))?,
    }
    Ok(exit)
}

/// Whether only one phase runs: no sandbox works here, which is nobody's choice, and no budget limits the agent.
fn is_trial(args: &Args, settings: &Settings, views: &Views) -> bool {
    let is_limited = settings.executor.budgets != Budgets::default();
    let is_chosen = settings.sandbox.mode != SandboxMode::Auto;
    views.mode == ViewMode::Off && !is_chosen && !is_limited && !args.yes
}

/// Prints the plan; writes nothing.
async fn dry_run(
    args: &Args,
    context: &Context,
    opened: Option<&DryRunStore>,
) -> Result<Exit, Failure> {
    let settings = &context.config()?.settings;
    let workspace = context.workspace()?;
    let mut planned = Vec::new();
    if let Some(DryRunStore { store, runs, .. }) = opened {
        let fix = autofix_limits::fixer(settings, &workspace);
        let estimator =
            Estimator::new(calibration_in_force::active(store).await?, workspace.clone());
        for run in runs {
            let rows = store.phases(&run.run_id, None).await?;
            planned.extend(drain::plan(&rows, &fix, settings, args.agent.as_deref(), &estimator));
        }
    }
    match args.json {
        true => context.out.json(&planned)?,
        false => context.out.text(&plan_text(&planned, screen::output_columns()))?,
    }
    // Problems that prevent a start are no part of the plan.
    if let Some(line) = agent_choice::describe_found_agent(args.agent.as_deref(), context)? {
        tracing::info!(target: NOTES, "{line}");
    }
    if let Err(failure) = agent_choice::check_agents(args.agent.as_deref(), context).await {
        let hint = failure.hint_text().map_or(String::new(), |hint| format!("; {hint}"));
        tracing::warn!("a drain would not start: {}{hint}", failure.text());
    }
    Ok(Exit::Done)
}

/// Indentation of the remarks of a phase, in columns.
const REMARK_INDENT: usize = 7;
/// Minimum width of an id or a line on a terminal.
const MIN_WIDTH: usize = 12;

/// Formats the plan. Remarks wrap at `columns`; in a pipe, each remark stays on a single line.
fn plan_text(planned: &[PlannedPhase], columns: Option<usize>) -> String {
    let mut text = String::new();
    for phase in planned {
        let order = phase.order.map_or_else(|| "-".to_owned(), |order| order.to_string());
        let mut facts = vec![phase.agent.clone().unwrap_or_else(|| "no agent".to_owned())];
        if let Some(tokens) = phase.estimated_output_tokens {
            facts.push(format!("about {} tokens out", thousands(tokens)));
        }
        let (mut id, facts) = (shown_id(phase.phase_id.as_str()), facts.join(" · "));
        if let Some(columns) = columns {
            id = fit(&id, columns.saturating_sub(REMARK_INDENT + 2 + width(&facts)).max(MIN_WIDTH));
        }
        text += &format!("{order:>5}  {id}  {facts}\n");
        let waits: Vec<&str> = phase.waits_for.iter().map(|id| id.as_str()).collect();
        let lines = phase.fixes.iter().map(|fix| format!("repair: {fix}"));
        let lines = lines.chain(phase.unfixable.iter().map(|why| format!("unfixable: {why}")));
        let waits = (!waits.is_empty()).then(|| format!("blocked: waits for {}", waits.join(", ")));
        for line in lines.chain(waits).chain(describe_deferral(phase)) {
            let line = shown_message(&line);
            let parts = match columns {
                Some(columns) => wrap(&line, columns.saturating_sub(REMARK_INDENT).max(MIN_WIDTH)),
                None => vec![line],
            };
            parts.iter().for_each(|part| text += &format!("{:REMARK_INDENT$}{part}\n", ""));
        }
    }
    let run = planned.iter().filter(|phase| phase.order.is_some()).count();
    text +=
        &format!("{} would run, {} would not", counted(run as u64, "phase"), planned.len() - run);
    let estimates = planned.iter().filter_map(|phase| phase.estimated_output_tokens);
    // Phases that would not run have no estimate.
    if let Some(tokens) = estimates.reduce(|all, one| all + one) {
        text += &format!(" · about {} tokens out", thousands(tokens));
    }
    text + "\n"
}

/// Returns the remaining rate limit of a deferred phase as text.
fn describe_deferral(phase: &PlannedPhase) -> Option<String> {
    let left = phase.not_before?.0.saturating_sub(now().0);
    let left = Duration::from_millis(u64::try_from(left).ok().filter(|left| *left > 0)?);
    Some(format!("rate limited for another {}", duration(left)))
}

/// Selects the output: JSON events, live view or lines.
fn mode(args: &Args, context: &Context) -> Mode {
    // The reader of a pipe often writes to the same terminal at any time, so no live view then.
    let drawable = stderr().is_terminal() && !context.out.is_piped() && !context.env.is_dumb();
    let live = context.global.is_interactive() && drawable;
    match (args.json, live) {
        (true, _) => Mode::Json,
        (false, true) => Mode::Live,
        (false, false) => Mode::Lines,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::PhaseId;

    #[test]
    fn plan_fits_the_terminal_and_prints_one_remark_per_line_in_a_pipe() {
        let refused = "deliverables: \"../elsewhere/a.py\" leaves the repository through `..`, and nothing else is named";
        let phase = PlannedPhase {
            run_id: RunId::new("r"),
            phase_id: PhaseId::new("an-id-that-goes-on-for-a-good-while".repeat(3)),
            name: String::new(),
            order: None,
            agent: Some("fake".to_owned()),
            estimated_output_tokens: Some(1200),
            fixes: vec!["deliverables: dropped 1 listed twice".to_owned()],
            unfixable: Some(refused.to_owned()),
            waits_for: Vec::new(),
            not_before: None,
        };
        for columns in [60, 80] {
            let text = plan_text(std::slice::from_ref(&phase), Some(columns));
            assert!(text.lines().all(|line| width(line) <= columns), "{columns}: {text}");
            assert!(text.contains(" fake · about 1200 tokens out\n"), "{text}");
        }
        assert!(plan_text(&[phase], None).contains(&format!("       unfixable: {refused}\n")));
    }
}
