//! `drain`: from the command line to a drain, and from how it ended to an exit code.

use std::io::{IsTerminal, stderr, stdout};

use super::{Context, database, fixer};
use crate::agent;
use crate::ci::Pythons;
use crate::drain::{Drain, Registered, Request, Signals};
use crate::execute::Site;
use crate::failure::{Exit, Failure};
use crate::memory::{Opened, Starting};
use crate::phase::RunId;
use crate::process::{Redactor, Stop, child_env};
use crate::progress::{Mode, Progress};
use crate::store::{RunSummary, Store};
use crate::workspace::Repo;

/// Drain a backlog: repair, execute, judge and land phase after phase
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run to drain; may repeat [default: the only run that has queued phases]
    #[arg(long = "run-id", value_name = "RUN")]
    run_ids: Vec<String>,

    /// Drain every run, in the order of their import
    #[arg(long, conflicts_with = "run_ids")]
    all: bool,

    /// Phases between two summary lines
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: u32,

    /// End at the first phase that ends FAILED, with exit code 4
    #[arg(long)]
    stop_on_first_failure: bool,

    /// End after this many batches
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_batches: Option<u32>,

    /// The agent to use, whatever phases and configuration say
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,

    /// Where a run's branch begins, if it has none yet [default: workspace.base, else HEAD]
    #[arg(long, value_name = "REVISION")]
    base: Option<String>,

    /// Print one JSON event a line
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let config = context.config()?;
    let repo = Repo::discover(&context.workspace()?).await?;
    let store = database::open_existing(context).await?;
    let runs = choose(&args, &store).await?;
    check_agent(&args, context)?;
    for run in &runs {
        check_repository(run, &repo)?;
    }
    repo.prepare_folder()?;
    let request = Request {
        runs: runs.into_iter().map(|run| run.run_id).collect(),
        batch_size: args.batch_size,
        max_batches: args.max_batches,
        stop_on_first_failure: args.stop_on_first_failure,
    };
    let Opened { memory, line } = super::memory::open(context, Starting::Allowed).await?;
    let (handle, stop) = Stop::pair();
    let signals = Signals::listen(handle)?;
    let executor = &config.settings.executor;
    let owner = Registered::register(&store, &repo, &request.runs, executor, &signals).await?;
    let fix = fixer::fixer(&config.settings, repo.root());
    let env = context.env.all();
    let mode = mode(&args, context);
    let site = Site::new(
        repo,
        store.clone(),
        config.settings.clone(),
        child_env::for_agent(env.clone()),
        child_env::for_ci(env.clone()),
        Redactor::new(env.clone()),
        Pythons::default(),
        Progress::new(mode, stdout().is_terminal() && console::colors_enabled()),
    )
    .overridden(args.agent, args.base)
    .remembering(memory.clone());
    let drain = Drain::new(site, owner, &request, &fix, stop, &signals).saying(line);
    let drained = drain.run().await;
    super::memory::close(&memory).await;
    store.close().await;
    Ok(drained?)
}

fn mode(args: &Args, context: &Context) -> Mode {
    match (args.json, context.global.is_interactive() && stderr().is_terminal()) {
        (true, _) => Mode::Json,
        (false, true) => Mode::Bar,
        (false, false) => Mode::Lines,
    }
}

/// The runs that were named, all, or the only one that has something to do.
async fn choose(args: &Args, store: &Store) -> Result<Vec<RunSummary>, Failure> {
    let all = store.runs().await?;
    if args.all {
        return Ok(all);
    }
    if !args.run_ids.is_empty() {
        let mut named = Vec::new();
        for id in args.run_ids.iter().map(RunId::new) {
            if !named.iter().any(|run: &RunSummary| run.run_id == id) {
                named.push(store.run(&id).await?);
            }
        }
        return Ok(named);
    }
    let names = |runs: &[RunSummary]| {
        runs.iter().map(|run| run.run_id.as_str()).collect::<Vec<_>>().join(", ")
    };
    let mut open: Vec<RunSummary> =
        all.iter().filter(|run| run.counts.queued + run.counts.executing > 0).cloned().collect();
    match (open.len(), all.is_empty()) {
        (1, _) => Ok(vec![open.remove(0)]),
        (0, true) => Err(Failure::new(format!("{} holds no run", store.path().display()))
            .hint("`autopack import FILE` brings one in")
            .exit(Exit::Usage)),
        (0, false) => Err(Failure::new(format!("no run has a queued phase: {}", names(&all)))
            .hint("`autopack phases retry --run-id RUN --failed` gives failed ones fresh tries")
            .exit(Exit::Usage)),
        _ => Err(Failure::new(format!("several runs have queued phases: {}", names(&open)))
            .hint("name one with --run-id, or drain them all with --all")
            .exit(Exit::Usage)),
    }
}

/// That the agent is not there is seen before anything is claimed.
fn check_agent(args: &Args, context: &Context) -> Result<(), Failure> {
    let settings = &context.config()?.settings;
    let known = settings.agents.named.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    if known.is_empty() {
        return Err(Failure::new("no agent is configured").hint(
            "`autopack init` writes config/autopack.yaml; name an agent under `agents` there",
        ));
    }
    let wanted = args.agent.as_deref();
    let Some((_, agent)) = settings.agent(wanted) else {
        let what = wanted.map_or("agents.default names no agent".to_owned(), |name| {
            format!("no agent is called {name:?}")
        });
        return Err(Failure::new(format!("{what}; there are {known}")).exit(Exit::Usage));
    };
    let env = child_env::for_agent(context.env.all().clone());
    let checked = agent::check(agent, &context.workspace()?, &env);
    checked.map(drop).map_err(|error| Failure::from(error).exit(Exit::Systemic))
}

fn check_repository(run: &RunSummary, repo: &Repo) -> Result<(), Failure> {
    match &run.facts {
        Some(facts) if facts.repo != repo.identity() => Err(Failure::new(format!(
            "run {} belongs to the repository {}, not to {}",
            run.run_id,
            facts.repo,
            repo.identity()
        ))
        .hint("drain it there, or import its plan under another --run-id here")),
        _ => Ok(()),
    }
}
