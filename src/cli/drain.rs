//! `drain`: starts a drain from the command line and maps its stop reason to an exit code.

use std::io::{IsTerminal, stderr};

use serde_json::json;
use tracing::Instrument as _;

use super::attempt_setup::{build_drain_context, check_sandbox, choose_views, open_repository};
use super::drain_preview::Preview;
use super::drain_publish::DrainPublication;
use super::drain_runs::{
    DrainTargets, NamedTargets, describe_empty_backlog, is_settled, named_runs, runs_here,
};
use super::dry_run_store::DryRunStore;
use super::notify::open_notifier;
use super::open_database::{self, MoveMode};
use super::output::table::counted;
use super::plan_import::PlanFile;
use super::stored_artifacts::StoredArtifacts;
use super::time_window::{WindowArgs, WindowStart};
use super::{Context, agent_choice, autofix_limits, branch_check, calibration_in_force};
use crate::attempt::{Estimator, Views};
use crate::config::{HiddenFile, MAX_JOBS, SandboxMode, Settings};
use crate::drain::{Drain, RegisteredDrain, Request, Signals};
use crate::failure::{Exit, Failure};
use crate::memory::{AutostartPermission, OpenMemory};
use crate::phase::RunId;
use crate::phase::budget::Budgets;
use crate::process::StopReceiver;
use crate::process::view::ViewMode;
use crate::progress::{Mode, NOTES, shown_message};
use crate::store::{RunSummary, Store};
use crate::workspace::{Repo, SlotShortage};

/// Drain a backlog: repair, execute, verify and land phases
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    targets: DrainTargets,

    /// Attempts before a summary is printed
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: u32,

    /// Stop at the first failed phase, with exit code 4
    #[arg(long)]
    stop_on_first_failure: bool,

    /// Stop after N batches
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_batches: Option<u32>,

    /// Workers; phases with overlapping scopes never run together [default: executor.jobs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_JOBS)))]
    jobs: Option<u32>,

    /// Take phases that ask for this machine label
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,

    /// Use this agent for all phases
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,

    /// Base revision of new run branches [default: workspace.base, else HEAD]
    #[arg(long, value_name = "REVISION")]
    base: Option<String>,

    /// Run N phases of different categories first; continue only if at least one passes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    sample: Option<u32>,

    #[command(flatten)]
    window: WindowArgs,

    /// Publish the runs at the end
    #[arg(long)]
    publish: bool,

    /// Run all phases although neither a sandbox nor a budget limits the agent
    #[arg(long)]
    yes: bool,

    /// Show the plan without running: obstacles, cost, time, waves of --jobs N; with -v each phase
    #[arg(
        long,
        conflicts_with_all =
            ["batch_size", "sample", "max_batches", "stop_on_first_failure", "base", "publish"]
    )]
    dry_run: bool,

    /// Print an event per line as JSON; with --dry-run, a list of phases
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let config = context.config()?;
    let repo = open_repository(context).await?;
    if !args.dry_run {
        context.open_for_drain();
        open_database::migrate_server(context).await?;
    }
    let named = args.targets.read(context).await?;
    if let (NamedTargets::Empty(line), false) = (&named, args.dry_run) {
        return end_without_phases(&args, context, line, Exit::Done);
    }
    if args.dry_run {
        let opened = DryRunStore::open(&args.targets, named, context, &repo).await?;
        return dry_run(&args, context, opened.as_ref()).await;
    }
    let publication = DrainPublication::new(args.publish, args.json, context, &repo);
    let (store, mut runs) = match named {
        NamedTargets::None | NamedTargets::Empty(_) => {
            let store = open_database::open_existing(context).await?;
            let Some(runs) = args.targets.default_runs(&store, &repo).await? else {
                let runs = runs_here(&store, &repo).await?;
                let stored = StoredArtifacts { store: &store, repo: &repo, context };
                stored.store_left_files(&runs).await?;
                let exit = end_empty(&args, context, &runs)?;
                return publication.publish_anyway(&store, &ids_of(&runs), exit).await;
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
            if !files.is_empty() {
                publication.check_for_files().await?;
            }
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
    let notifier = open_notifier(context)?;
    publication.check(&store, &ids_of(&runs)).await?;
    // Scripts read the events of every named run.
    if !args.json && is_settled(&store, &repo, &runs, config.settings.ci.final_test).await? {
        let stored = StoredArtifacts { store: &store, repo: &repo, context };
        stored.store_left_files(&runs).await?;
        let exit = end_empty(&args, context, &runs)?;
        return publication.publish_anyway(&store, &ids_of(&runs), exit).await;
    }
    let views = choose_views(context, &repo, &store).await?;
    let wanted = args.jobs.unwrap_or(config.settings.executor.jobs);
    let room = repo.room_for_slots(wanted, &config.settings.workspace).await?;
    let time_limit = match args.window.open(mode(&args, context), context).await? {
        WindowStart::Open(time_limit) => time_limit,
        WindowStart::Cancelled(exit) => return Ok(exit),
    };
    let request = Request {
        runs: runs.into_iter().map(|run| run.run_id).collect(),
        batch_size: args.batch_size,
        max_batches: args.max_batches,
        jobs: room.map_or(wanted, |room| room.slots),
        labels: args.labels(),
        stop_on_first_failure: args.stop_on_first_failure,
        sample: args.sample,
        time_limit,
        is_trial: is_trial(&args, &config.settings, &views),
    };
    let found_agent = agent_choice::describe_found_agent(args.agent.as_deref(), context)?;
    let OpenMemory { memory, line, .. } =
        super::memory::open(context, AutostartPermission::Allowed).await?;
    let (handle, stop) = StopReceiver::pair();
    let signals = Signals::listen(handle)?;
    let end = stop.clone();
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
            .with_estimator(estimator)
            .with_notifier(notifier);
    for hidden in &config.hidden {
        drain_context.progress.note(&format!("{hidden}: {}", HiddenFile::REMEDY));
    }
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
    let exit = publication.publish_after(&store, &request.runs, drained?, &end).await?;
    store.close().await;
    Ok(exit)
}

fn ids_of(runs: &[RunSummary]) -> Vec<RunId> {
    runs.iter().map(|run| run.run_id.clone()).collect()
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
fn end_empty(args: &Args, context: &Context, runs: &[RunSummary]) -> Result<Exit, Failure> {
    let (line, exit) = describe_empty_backlog(runs);
    end_without_phases(args, context, &line, exit)
}

/// Prints the end of a drain that has nothing to do.
fn end_without_phases(
    args: &Args,
    context: &Context,
    line: &str,
    exit: Exit,
) -> Result<Exit, Failure> {
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
    let labels = args.labels();
    let preview = Preview {
        labels: &labels,
        agent: args.agent.as_deref(),
        jobs: args.jobs.unwrap_or(context.config()?.settings.executor.jobs),
        json: args.json,
        window: args.window.describe()?,
    };
    preview.print(context, opened.map(|opened| (&opened.store, opened.runs.as_slice()))).await?;
    for hidden in &context.config()?.hidden {
        tracing::warn!("{hidden}: {}", HiddenFile::REMEDY);
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

impl Args {
    /// Labels of the machine.
    fn labels(&self) -> Vec<String> {
        self.labels.iter().map(|label| label.trim().to_owned()).collect()
    }
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
