//! `drain`: starts a drain from the command line and maps its stop reason to an exit code.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use tracing::Instrument as _;

use super::attempt_setup::{build_drain_context, check_sandbox, choose_views, open_repository};
use super::notify::open_notifier;
use super::open_database::{self, MoveMode};
use super::output::table::counted;
use super::time_window::{WindowArgs, WindowStart};
use super::{Context, autofix_limits, calibration_in_force};
use crate::agent;
use crate::attempt::{Estimator, Views};
use crate::clock::now;
use crate::config::MAX_JOBS;
use crate::drain::{self, Drain, PlannedPhase, RegisteredDrain, Request, Signals};
use crate::failure::{Exit, Failure};
use crate::memory::{AutostartPermission, OpenMemory};
use crate::phase::RunId;
use crate::phase::words::quoted;
use crate::process::StopReceiver;
use crate::progress::{
    Mode, NOTES, duration, fit, screen, shown_id, shown_message, thousands, width, wrap,
};
use crate::store::{RunSummary, Store};
use crate::workspace::{Repo, SlotShortage};

/// Drain a backlog: repair, execute, verify and land phases
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run to drain; may repeat [default: the only run with queued phases]
    #[arg(long = "run-id", value_name = "RUN")]
    run_ids: Vec<String>,

    /// Drain all runs of this repository, in import order
    #[arg(long, conflicts_with = "run_ids")]
    all: bool,

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

    #[command(flatten)]
    window: WindowArgs,

    /// Show the plan without running: order, agents, estimates, repairs
    #[arg(
        long,
        conflicts_with_all =
            ["jobs", "batch_size", "sample", "max_batches", "stop_on_first_failure", "base", "at", "until", "length"]
    )]
    dry_run: bool,

    /// Print an event per line as JSON; with --dry-run, a list of phases
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let config = context.config()?;
    let repo = open_repository(context).await?;
    let store = open_database::open_existing(context).await?;
    let mut runs = select_runs(&args, &store, &repo).await?;
    if args.dry_run {
        return dry_run(&args, context, &store, &runs).await;
    }
    check_agent(&args, context).await?;
    check_sandbox(context, &repo, &store)?;
    super::price_check::check(&config.settings, &context.workspace()?, args.agent.as_deref())?;
    open_database::reassign_moved_runs(&store, &repo, &mut runs, MoveMode::Record).await?;
    for run in &runs {
        let hint = "drain it there, or import its plan here with another --run-id";
        open_database::check_repository(&run.run_id, run.facts.as_ref(), &repo, hint)?;
    }
    repo.prepare_directory()?;
    // Checked before the first claim.
    repo.slots_directory()?;
    let notifier = open_notifier(context)?;
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
        stop_on_first_failure: args.stop_on_first_failure,
        sample: args.sample,
        time_limit,
    };
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
            .with_estimator(estimator)
            .with_notifier(notifier);
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

/// Prints the plan; writes nothing.
async fn dry_run(
    args: &Args,
    context: &Context,
    store: &Store,
    runs: &[RunSummary],
) -> Result<Exit, Failure> {
    let settings = &context.config()?.settings;
    let workspace = context.workspace()?;
    let fix = autofix_limits::fixer(settings, &workspace);
    let estimator = Estimator::new(calibration_in_force::active(store).await?, workspace.clone());
    let mut planned = Vec::new();
    for run in runs {
        let rows = store.phases(&run.run_id, None).await?;
        planned.extend(drain::plan(&rows, &fix, settings, args.agent.as_deref(), &estimator));
    }
    match args.json {
        true => context.out.json(&planned)?,
        false => context.out.text(&plan_text(&planned, screen::output_columns()))?,
    }
    // Problems that prevent a start are no part of the plan.
    if let Err(failure) = check_agent(args, context).await {
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
        let held = phase.held.then(|| "held until `autopack resume`".to_owned());
        for line in lines.chain(waits).chain(held).chain(describe_deferral(phase)) {
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

/// Returns the named runs, all runs of this repository, or the only one with queued phases.
async fn select_runs(args: &Args, store: &Store, repo: &Repo) -> Result<Vec<RunSummary>, Failure> {
    let all = store.runs().await?;
    if !args.run_ids.is_empty() {
        let mut named = Vec::new();
        for id in args.run_ids.iter().map(RunId::new) {
            if !named.iter().any(|run: &RunSummary| run.run_id == id) {
                named.push(store.run(&id).await?);
            }
        }
        return Ok(named);
    }
    let elsewhere = open_database::elsewhere(store, repo, &all).await?;
    let (others, here): (Vec<RunSummary>, Vec<RunSummary>) =
        all.iter().cloned().partition(|run| elsewhere.contains_key(&run.run_id));
    if args.all {
        if let Some(names) = open_database::name_all(&elsewhere) {
            tracing::info!(target: NOTES, "runs of other repositories are not drained here: {names}");
        }
        return Ok(here);
    }
    // A run of another repository is only an error if nothing else is meant.
    let all = if here.is_empty() { others } else { here };
    let names = |runs: &[RunSummary]| {
        runs.iter().map(|run| run.run_id.as_str()).collect::<Vec<_>>().join(", ")
    };
    let mut open: Vec<RunSummary> =
        all.iter().filter(|run| run.counts.queued + run.counts.executing > 0).cloned().collect();
    match (open.len(), all.is_empty()) {
        (1, _) => Ok(vec![open.remove(0)]),
        (0, true) => Err(Failure::new(format!("{} has no runs", store.path().display()))
            .hint("import one with `autopack import FILE`")
            .exit(Exit::Usage)),
        (0, false) => Err(Failure::new(format!("no run has queued phases: {}", names(&all)))
            .hint(suggest_next_command(&all))
            .exit(Exit::Usage)),
        _ => Err(Failure::new(format!("several runs have queued phases: {}", names(&open)))
            .hint("name one with --run-id, or drain them all with --all")
            .exit(Exit::Usage)),
    }
}

/// Suggests the next command if no run has queued phases. An error only if no run was named.
fn suggest_next_command(runs: &[RunSummary]) -> String {
    match runs.iter().find(|run| run.counts.failed > 0) {
        Some(run) => format!(
            "`autopack phases retry --run-id {} --failed` queues failed phases again",
            quoted(run.run_id.as_str())
        ),
        None => "nothing is left to do; with --run-id or --all, drain exits with 0".to_owned(),
    }
}

/// Builds the error for an unknown agent name or a missing default.
fn missing_agent(wanted: Option<&str>, known: &str, file: &str) -> Failure {
    match wanted {
        Some(name) => Failure::new(format!("unknown agent {name:?}; configured agents: {known}"))
            .exit(Exit::Usage),
        None => Failure::new(format!("no default agent is set; configured agents: {known}"))
            .hint(format!("set `agents.default` in {file}, or use --agent")),
    }
}

/// Checks that the agents can be started, before the first claim.
async fn check_agent(args: &Args, context: &Context) -> Result<(), Failure> {
    let config = context.config()?;
    let settings = &config.settings;
    let file = config.settings_file(Some(&context.workspace()?));
    let known = settings.agents.named.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    if known.is_empty() {
        let hint = match config.files.is_empty() {
            true => format!("`autopack init` writes {file}; add an agent under `agents` there"),
            false => format!("add an agent under `agents` in {file}"),
        };
        return Err(Failure::new("no agent is configured").hint(hint));
    }
    let ladder = &settings.executor.ladder;
    let wanted: Vec<Option<&str>> = match &args.agent {
        Some(name) => vec![Some(name)],
        None if ladder.is_empty() => vec![None],
        None => ladder.iter().map(|name| Some(name.as_str())).collect(),
    };
    let views = Views::try_mode(&settings.sandbox).await?;
    let environments = context.inherited_environments(config).in_view(&views, settings);
    for wanted in wanted {
        let Some((name, agent)) = settings.agent(wanted) else {
            return Err(missing_agent(wanted, &known, &file));
        };
        let env = &environments.of_agent(name).env;
        let checked = agent::check(agent, &context.workspace()?, env);
        checked.map_err(|error| Failure::from(error).exit(Exit::Systemic))?;
    }
    Ok(())
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
            fixes: vec!["scope: marked as repaired".to_owned()],
            unfixable: Some(refused.to_owned()),
            waits_for: Vec::new(),
            not_before: None,
            held: false,
        };
        for columns in [60, 80] {
            let text = plan_text(std::slice::from_ref(&phase), Some(columns));
            assert!(text.lines().all(|line| width(line) <= columns), "{columns}: {text}");
            assert!(text.contains(" fake · about 1200 tokens out\n"), "{text}");
        }
        assert!(plan_text(&[phase], None).contains(&format!("       unfixable: {refused}\n")));
    }
}
