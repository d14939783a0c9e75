//! `attach`: a person takes over a failed phase, in a slot reserved for it.

mod discard;
mod persons_slot;

use std::ffi::OsString;

use serde_json::json;

use super::attempt_setup::{build_drain_context, check_sandbox, choose_views, open_repository};
use super::reserved_phase::ReservedPhase;
use super::run_choice::{PhaseArg, RunUse};
use super::{Context, open_database};
use crate::failure::{Exit, Failure};
use crate::phase::words::{counted, quoted};
use crate::progress::{Mode, NOTES};
use crate::workspace::{Reservation, Slot};
use discard::discard;
use persons_slot::PersonsSlot;

/// Finish a failed phase by hand, where its agent worked
///
/// Opens a shell in a copy of the repository: the tip of the run with the kept work of the phase, and the sandbox, variables
/// and session of its agent. The copy is reserved for you until `autopack land PHASE` lands it.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    phase: PhaseArg,

    /// Continue the session of the agent, if it can
    #[arg(long, conflicts_with = "command")]
    agent: bool,

    /// Print the directory, for an editor, and start nothing
    #[arg(long, conflicts_with_all = ["agent", "command"])]
    path: bool,

    /// Bring your work onto the tip of the run, which has moved
    #[arg(long)]
    update: bool,

    /// End the reservation; your change is kept as a patch
    #[arg(long, conflicts_with_all = ["agent", "command", "path", "update"])]
    discard: bool,

    /// Print a JSON object with --path or --discard
    #[arg(long)]
    json: bool,

    /// Command to run [default: $SHELL]
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    if args.json && !args.path && !args.discard {
        let failure = Failure::new("--json needs --path or --discard");
        return Err(failure.hint("a shell has the terminal").exit(Exit::Usage));
    }
    let (store, run, phase) = args.phase.open(context, RunUse::Act).await?;
    let summary = store.run(&run).await?;
    let repo = open_repository(context).await?;
    open_database::check_repository(&run, summary.facts.as_ref(), &repo, "attach to it there")?;
    let reserved = ReservedPhase::find(&store, context, &repo, &run, &phase).await?;
    if args.discard {
        return discard(&reserved, context, repo, store, args.json).await;
    }
    reserved.check_state()?;
    check_sandbox(context, &repo, &store)?;
    let views = choose_views(context, &repo, &store).await?;
    repo.prepare_directory()?;
    repo.slots_directory()?;
    let drain_context = build_drain_context(context, repo, store.clone(), Mode::Lines, views)?;
    let last_agent = store.last_agent_session(&run, &phase).await?;
    let attach = PersonsSlot { context: &drain_context, reserved: &reserved, last_agent };
    let (slot, reservation) = match &reserved.reservation {
        Some(reservation) => attach.reopen(reservation, args.update).await?,
        None => attach.open().await?,
    };
    if args.path {
        let session = attach.session().as_deref().map(shown_command);
        print_path(context, args.json, &slot, &reservation, session.as_deref())?;
        return Ok(Exit::Done);
    }
    let session = attach.session();
    let command = match (args.agent, &session, args.command.as_slice()) {
        (true, Some(words), _) => words.clone(),
        (true, None, _) => {
            return Err(Failure::new("no session of an agent can be continued for this phase")
                .hint("leave out --agent: a shell"));
        }
        (false, _, []) => {
            vec![context.env.key("SHELL").unwrap_or_else(|| "/bin/sh".to_owned()).into()]
        }
        (false, _, command) => command.to_vec(),
    };
    if let Some(words) = session.filter(|_| !args.agent && args.command.is_empty()) {
        let words = shown_command(&words);
        tracing::info!(target: NOTES, "the agent's session: {words} (or `attach --agent`)");
    }
    let code = attach.run(&slot, &reservation, command).await?;
    let changed = reserved.measure(&slot, &reservation).await?.changes.len();
    let name = reserved.argument();
    let next = match changed {
        0 => format!("nothing is changed; `autopack attach {name} --discard` frees the slot"),
        n => format!(
            "{} changed; `autopack land {name}` judges the change",
            counted(n as u64, "file")
        ),
    };
    tracing::info!(target: NOTES, "{next}");
    store.close().await;
    match code {
        0 => Ok(Exit::Done),
        code => Ok(Exit::Program(u8::try_from(code).unwrap_or(u8::MAX))),
    }
}

fn print_path(
    context: &Context,
    is_json: bool,
    slot: &Slot,
    reservation: &Reservation,
    session: Option<&str>,
) -> Result<(), Failure> {
    if !is_json {
        return context.out.line(slot.path().display());
    }
    context.out.json(&json!({
        "run_id": reservation.work.run_id,
        "phase_id": reservation.work.phase_id,
        "slot": slot.path(),
        "base": reservation.work.base,
        "session": session,
    }))
}

fn shown_command(words: &[OsString]) -> String {
    let words = words.iter().map(|word| quoted(&word.to_string_lossy()).into_owned());
    words.collect::<Vec<_>>().join(" ")
}
