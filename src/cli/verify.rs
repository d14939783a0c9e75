//! `verify`: runs CI on the tip of a run in a clean clone, at any time.

use serde_json::json;

use super::attempt_setup::{build_drain_context, check_sandbox, choose_views, open_repository};
use super::run_choice::{RunArg, RunUse};
use super::{Context, open_database};
use crate::attempt::{TipTest, test_tip};
use crate::drain::{Signals, describe_tip_test};
use crate::failure::{Exit, Failure};
use crate::process::StopReceiver;
use crate::progress::Mode;
use crate::store::CleanOutcome;

/// Test the tip of a run in a clean clone
///
/// Runs setup and CI in a fresh clone of the repository, without caches and without leftovers of agents or earlier CI
/// runs. If CI fails, autopack also tests the base of the run and searches for the landing that broke CI.
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
    let summary = store.run(&run).await?;
    let repo = open_repository(context).await?;
    open_database::check_repository(&run, summary.facts.as_ref(), &repo, "verify it there")?;
    check_sandbox(context, &repo, &store)?;
    let (handle, stop) = StopReceiver::pair();
    let signals = Signals::listen(handle)?;
    let views = choose_views(context, &repo, &store).await?;
    let drain_context = build_drain_context(context, repo, store.clone(), Mode::Lines, views)?;
    let tested = match test_tip(&drain_context, &run, true, &stop).await {
        Ok(tested) => tested,
        Err(error) => return Err(drain_context.with_last_landing(error).await.into()),
    };
    let exit = match &tested {
        TipTest::Tested { test, .. } | TipTest::Known(test) => match test.outcome {
            CleanOutcome::RedInCleanClone => Exit::PhasesFailed,
            CleanOutcome::Green | CleanOutcome::NotReproducible => Exit::Done,
        },
        TipTest::Stopped => signals.exit(),
        TipTest::Busy => Exit::OurFailure,
        TipTest::NothingLanded | TipTest::NoCi => Exit::Done,
    };
    if args.json {
        let outcome = match &tested {
            TipTest::Tested { test, .. } | TipTest::Known(test) => test.outcome.as_str(),
            TipTest::NothingLanded => "nothing_landed",
            TipTest::NoCi => "no_ci",
            TipTest::Busy => "busy",
            TipTest::Stopped => "stopped",
        };
        let test = match &tested {
            TipTest::Tested { test, .. } | TipTest::Known(test) => Some(test),
            _ => None,
        };
        context.out.json(&json!({
            "run_id": run,
            "outcome": outcome,
            "commit": test.map(|test| &test.commit),
            "failing": test.map(|test| &test.failing),
            "broken_by": test.and_then(|test| test.broken_by.as_ref()),
            "last_green": test.and_then(|test| test.last_green.as_ref()),
        }))?;
    } else {
        let lines = match &tested {
            TipTest::NothingLanded => vec![format!("{run}: nothing has landed")],
            TipTest::NoCi => {
                vec![format!("{run}: no CI is configured: set ci.command in autopack.yaml")]
            }
            tested => describe_tip_test(&drain_context, &run, tested).await?,
        };
        for line in lines {
            context.out.line(line)?;
        }
    }
    store.close().await;
    Ok(exit)
}
