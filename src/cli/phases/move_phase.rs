//! `phases move`: moves a phase within the queue of its run.

use serde_json::json;

use crate::cli::Context;
use crate::cli::run_choice::{PhaseArg, RunUse, choose_phase};
use crate::failure::{Exit, Failure, WithHint};
use crate::phase::words::quoted;
use crate::progress::shown_id;
use crate::store::{NewPlace, StoreError};

/// Move a phase within the queue of its run
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    phase: PhaseArg,
    #[command(flatten)]
    place: Place,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// New place of the phase; exactly one option is required.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Place {
    /// Directly before this phase
    #[arg(long, value_name = "PHASE")]
    before: Option<String>,
    /// Before all phases of the run
    #[arg(long)]
    first: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let (store, run, phase) = args.phase.open(context, RunUse::Act).await?;
    let next = match &args.place.before {
        None => None,
        Some(name) => {
            Some(choose_phase(&store, context, Some(run.as_str()), name, RunUse::Act).await?.1)
        }
    };
    if next.as_ref() == Some(&phase) {
        return Err(Failure::new(format!(
            "cannot move phase {} before itself",
            shown_id(phase.as_str())
        ))
        .hint("name another phase, or use --first")
        .exit(Exit::Usage));
    }
    let place = next.as_ref().map_or(NewPlace::First, NewPlace::Before);
    match store.operator().move_phase(&run, &phase, place).await {
        Err(error @ StoreError::OrderAgainstDependency { .. }) => {
            let StoreError::OrderAgainstDependency { needs, .. } = &error else { unreachable!() };
            let needs = quoted(&format!("{run}/{needs}")).into_owned();
            let to = next
                .as_ref()
                .map_or("--first".to_owned(), |next| format!("--before {}", quoted(next.as_str())));
            Err(error)
                .or_hint(format!("move that phase first: `autopack phases move {needs} {to}`"))?;
        }
        moved => moved?,
    }
    store.close().await;
    if args.json {
        let moved = json!({"run_id": run, "phase_id": phase, "before": next});
        return context.out.json(&moved);
    }
    let name = shown_id(phase.as_str());
    context.out.line(match &next {
        Some(next) => format!("{name}: moved before {}", shown_id(next.as_str())),
        None => format!("{name}: moved to the front of the queue"),
    })
}
