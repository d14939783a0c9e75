//! `runs`: lists runs and removes them.

use clap::Subcommand;
use serde_json::json;

use super::Context;
use super::attempt_setup::open_repository;
use super::open_database::{self, MoveMode};
use super::output::table::{counted, table};
use super::run_choice::find_run;
use super::stored_artifacts::{self, StoredArtifacts};
use crate::failure::{Exit, Failure};
use crate::phase::words::quoted;
use crate::phase::{PhaseState, RunId};
use crate::progress::shown_id;
use crate::store::RunSummary;
use crate::workspace::{BranchUpdate, Repo};

/// List and remove runs
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the runs of the database
    List {
        /// Print a list of objects
        #[arg(long)]
        json: bool,
    },
    /// Remove runs with their phases and history; branches, kept work and telemetry stay
    Remove {
        /// Runs to remove
        #[arg(value_name = "RUN", required = true)]
        runs: Vec<String>,
        /// Remove without asking
        #[arg(long)]
        yes: bool,
    },
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    match args.action {
        Action::List { json } => list(json, context).await?,
        Action::Remove { runs, yes } => remove(&runs, yes, context).await?,
    }
    Ok(Exit::Done)
}

async fn list(json: bool, context: &Context) -> Result<(), Failure> {
    let store = open_database::open_existing(context).await?;
    let runs = store.runs().await?;
    let database = store.name().to_string();
    store.close().await;
    if json {
        return context.out.json(&runs.iter().map(object).collect::<Vec<_>>());
    }
    if runs.is_empty() {
        return context.out.line(format_args!("{database} has no runs"));
    }
    let rows = runs.iter().map(cells).collect();
    context.out.text(&table(&["RUN", "PHASES", "STATES", "SOURCE"], &[1], rows))
}

fn cells(run: &RunSummary) -> Vec<String> {
    let states = PhaseState::ALL.map(|state| (run.counts.get(state), state));
    let states = states.iter().filter(|(count, _)| *count > 0);
    vec![
        run.run_id.to_string(),
        run.counts.total().to_string(),
        states.map(|(count, state)| format!("{count} {state}")).collect::<Vec<_>>().join(", "),
        run.source.clone(),
    ]
}

fn object(run: &RunSummary) -> serde_json::Value {
    json!({
        "run_id": run.run_id,
        "counts": run.counts,
        "blocked": run.blocked,
        "held": run.held,
        "paused_at": run.paused_at.map(open_database::time),
        "source": run.source,
        "created_at": open_database::time(run.created_at),
        "branch": run.facts.as_ref().map(|facts| &facts.branch),
    })
}

/// Refuses to remove a run while a person's work is in a slot.
fn refuse_reserved(repo: &Repo, runs: &[RunId]) -> Result<(), Failure> {
    let mut reserved = repo.reservations()?.into_iter().map(|reservation| reservation.work);
    let Some(work) = reserved.find(|work| runs.contains(&work.run_id)) else { return Ok(()) };
    let phase = shown_id(&format!("{}/{}", work.run_id, work.phase_id));
    let name = quoted(&phase);
    Err(Failure::new(format!("a slot is reserved for {phase}"))
        .hint(format!("land the work, or end the reservation: autopack attach {name} --discard")))
}

/// Refuses to remove a run whose landings are not all on its branch, because they would be lost.
fn refuse_beside(run: &RunId, followed: BranchUpdate) -> Result<(), Failure> {
    let why = match followed {
        BranchUpdate::UpToDate | BranchUpdate::Moved | BranchUpdate::NotOurs => return Ok(()),
        BranchUpdate::Held(path) => format!("its branch is checked out in {}", path.display()),
        BranchUpdate::Diverged => "its branch has commits of its own".to_owned(),
    };
    let beside = format!("refs/autopack/runs/{}", run.file_name());
    Err(Failure::new(format!(
        "cannot remove run {run}: {why}, and later landings are only on {beside}"
    ))
    .hint(format!("run `git merge {beside}` there first")))
}

/// Asks on the terminal whether to remove the runs.
fn confirm_removal(runs: &[RunSummary]) -> Result<bool, Failure> {
    let describe = |run: &RunSummary| {
        let phases = counted(run.counts.total(), "phase");
        format!("run {} with {phases} and their history", shown_id(run.run_id.as_str()))
    };
    let what: Vec<String> = runs.iter().map(describe).collect();
    let question = format!("remove {}?", what.join(", "));
    super::confirm::ask(&question)?.ok_or_else(|| {
        Failure::new(format!(
            "`runs remove` asks before it removes {}, and there is no terminal to ask on",
            what.join(", ")
        ))
        .hint("confirm with --yes")
        .exit(Exit::Usage)
    })
}

async fn remove(names: &[String], confirmed: bool, context: &Context) -> Result<(), Failure> {
    let store = open_database::open_existing(context).await?;
    let mut runs: Vec<RunId> = Vec::new();
    // An unknown name removes nothing.
    for name in names {
        let run = find_run(&store, name).await?;
        if !runs.contains(&run) {
            runs.push(run);
        }
    }
    let repo = open_repository(context).await?;
    let mut known = store.runs().await?;
    known.retain(|run| runs.contains(&run.run_id));
    open_database::reassign_moved_runs(&store, &repo, &mut known, MoveMode::Record).await?;
    for run in &known {
        open_database::check_repository(&run.run_id, run.facts.as_ref(), &repo, "remove it there")?;
    }
    refuse_reserved(&repo, &runs)?;
    if !confirmed && !confirm_removal(&known)? {
        return context.out.line("nothing was removed");
    }
    for run in &runs {
        let branch = store.run_facts(run).await?.map(|facts| facts.branch);
        if branch.is_some() {
            // Landings made while the branch was checked out must be on the branch first.
            refuse_beside(run, repo.update_branch(run).await?)?;
        }
        let stored = StoredArtifacts { store: &store, repo: &repo, context };
        let shared = stored.directories_of(run).await?;
        let phases = counted(store.remove_run(run).await?, "phase");
        stored_artifacts::remove_directories(&shared)?;
        context.out.line(format_args!("removed run {} with {phases}", shown_id(run.as_str())))?;
        if let Some(branch) = branch {
            repo.forget_run(run).await?;
            context.out.line(format_args!(
                "kept its branch {branch}; remove it with `git branch -D {branch}`"
            ))?;
        }
    }
    store.close().await;
    Ok(())
}
