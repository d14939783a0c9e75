//! `land`: judges the work of a person in a reserved slot.

use super::attempt_setup::open_repository;
use super::branch_change_setup::RegisteredChange;
use super::reserved_phase::{ReservedPhase, explain_in_use};
use super::run_choice::{PhaseArg, RunUse};
use super::{Context, autofix_limits, open_database};
use crate::drain::{PersonsLanding, land_persons_work};
use crate::failure::{Exit, Failure};
use crate::phase::PhaseState;
use crate::progress::{shown_id, shown_message};

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
    let reserved = ReservedPhase::find(&store, &repo, &run, &phase).await?;
    reserved.check_state()?;
    let reservation = reserved.require()?;
    let fix = autofix_limits::fixer(&context.config()?.settings, repo.root());
    let change = RegisteredChange::register(context, &store, repo, &run, args.json).await?;
    let RegisteredChange { drain_context, registered, signals, .. } = &change;
    let landed = match land_persons_work(drain_context, registered, reservation, &fix).await {
        Ok(landed) => landed,
        Err(error) => return Err(drain_context.with_last_landing(error).await.into()),
    };
    let shown = shown_id(phase.as_str());
    let name = reserved.argument();
    let finished = match landed {
        PersonsLanding::Ended(finished) => finished,
        PersonsLanding::SlotInUse => return Err(explain_in_use(&reserved)),
        PersonsLanding::NothingChanged => {
            return Err(Failure::new(format!("nothing is changed in the slot of {shown}"))
                .hint(format!("work there first: autopack attach {name}")));
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
        PhaseState::Failed => Exit::PhasesFailed,
        _ if signals.has_stopped() => signals.exit(),
        _ => Exit::PhasesFailed,
    })
}
