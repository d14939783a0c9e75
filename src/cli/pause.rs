//! `pause`: keeps drains from starting phases of a run; running phases finish.

use serde_json::json;

use super::run_choice::{RunArg, RunUse};
use super::{Context, open_database};
use crate::clock::now;
use crate::failure::{Exit, Failure};
use crate::phase::UnixMs;
use crate::phase::words::quoted;
use crate::progress::{duration, shown_id};

/// Pause a run: running phases finish, and no other phase starts
///
/// A drain with no other work waits until `autopack resume RUN`. The pause is stored, so it also holds for drains
/// started later.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    run: RunArg,

    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let (store, run) = args.run.open(context, RunUse::Act).await?;
    let before = store.operator().pause_run(&run, now()).await?;
    store.close().await;
    if args.json {
        let since = before.map(open_database::time);
        return context
            .out
            .json(&json!({"run_id": run, "paused": true, "was_paused_since": since}))
            .map(|()| Exit::Done);
    }
    let name = shown_id(run.as_str());
    let resume = format!("`autopack resume {}`", quoted(&name));
    context.out.line(match before {
        Some(at) => {
            let time = time_since(at);
            format!("run {name} was paused {time} ago; continue with {resume}")
        }
        None => format!("run {name} is paused; continue with {resume}"),
    })?;
    Ok(Exit::Done)
}

/// Formats the time since then.
pub fn time_since(then: UnixMs) -> String {
    duration(now().since(then))
}
