//! `land`: judges the work of a person in a reserved slot.

use super::attempt_setup::open_repository;
use super::branch_change_setup::RegisteredChange;
use super::reserved_phase::ReservedPhase;
use super::run_choice::{PhaseArg, RunUse};
use super::{Context, autofix_limits, open_database};
use crate::drain::{PersonsLanding, land_persons_work, reclaim_dead};
use crate::failure::{Exit, Failure};
use crate::phase::PhaseState;
use crate::phase::words::first_few;
use crate::progress::{shown_id, shown_message};
use crate::workspace::{Reservation, Slot};

/// Files named in a message; the rest are counted.
const NAMED: usize = 5;

/// Judge and land what you did by hand in `attach`
///
/// The same rules as for an agent: scope, protected paths, deliverables, CI on exactly what lands. A red one leaves the
/// phase failed and your files as they are. Recorded as an attempt of `person`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    phase: PhaseArg,

    /// Print JSON Lines, as `drain --json`
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let (store, run, phase) = args.phase.open(context, RunUse::Act).await?;
    let summary = store.run(&run).await?;
    let repo = open_repository(context).await?;
    open_database::check_repository(&run, summary.facts.as_ref(), &repo, "land it there")?;
    let mut reserved = ReservedPhase::find(&store, context, &repo, &run, &phase).await?;
    let name = reserved.argument();
    let reservation = &reserved.require()?.clone();
    let settings = &context.config()?.settings;
    let fix = autofix_limits::fixer(settings, repo.root());
    let change = RegisteredChange::register(context, &store, repo, &run, args.json).await?;
    let RegisteredChange { drain_context, registered, signals, .. } = &change;
    let prepared = async {
        // An earlier `land` may have died during the attempt.
        reclaim_dead(drain_context, registered, &run).await?;
        reserved.row = store.phase(&run, &phase).await?.row;
        reserved.check_state()?;
        let repo = &drain_context.repo;
        let slot = reserved.open_slot(repo, reservation, &settings.workspace).await?;
        check_work(&reserved, reservation, &slot).await?;
        Ok(slot)
    };
    let slot = match prepared.await {
        Ok(slot) => slot,
        Err(failure) => {
            registered.retire(&store).await?;
            return Err(failure);
        }
    };
    let landed = land_persons_work(drain_context, registered, reservation, slot, &fix).await;
    let landed = match landed {
        Ok(landed) => landed,
        Err(error) => return Err(drain_context.with_last_landing(error).await.into()),
    };
    let shown = shown_id(phase.as_str());
    let finished = match landed {
        PersonsLanding::Ended(finished) => finished,
        PersonsLanding::Blocked => {
            return Err(Failure::new(format!("{shown} waits for phases that have not landed"))
                .hint(format!("`autopack phases show {name}` names them")));
        }
        PersonsLanding::Unfixable(why) => {
            return Err(Failure::new(format!("phase {shown} cannot be executed: {why}"))
                .hint(format!("edit it: autopack phases edit {name}")));
        }
    };
    if !args.json && finished.state != PhaseState::Complete {
        let attempts = store.phase(&run, &phase).await?.attempt_log;
        if let Some(note) = attempts.last().and_then(|attempt| attempt.note.as_deref()) {
            context.out.line(format_args!("  {}", shown_message(note)))?;
        }
        let update = if finished.verdict == "base_moved" { " --update" } else { "" };
        context.out.line(format_args!(
            "  your files are as they were; `autopack attach {name}{update}` goes on"
        ))?;
    }
    store.close().await;
    Ok(match finished.state {
        PhaseState::Complete => Exit::Done,
        _ if signals.has_stopped() => signals.exit(),
        _ => Exit::PhasesFailed,
    })
}

/// Checks that there is something to judge, and no conflict is left.
async fn check_work(
    reserved: &ReservedPhase,
    reservation: &Reservation,
    slot: &Slot,
) -> Result<(), Failure> {
    let name = reserved.argument();
    if reserved.measure(slot, reservation).await?.changes.is_empty() {
        let phase = shown_id(reserved.row.phase_id.as_str());
        return Err(Failure::new(format!("nothing is changed in the slot of {phase}"))
            .hint(format!("work there first: autopack attach {name}")));
    }
    let has_markers = |path: &&String| {
        let text = std::fs::read(slot.path().join(path)).unwrap_or_default();
        text.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"<<<<<<< "))
    };
    let open: Vec<&String> = reservation.work.conflicts.iter().filter(has_markers).collect();
    if open.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("conflict markers are left in {}", first_few(&open, NAMED)))
        .hint(format!("edit these files: autopack attach {name}")))
}
