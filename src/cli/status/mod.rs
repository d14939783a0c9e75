//! `status`: shows counts per run, running phases, and why other phases wait.

mod live_view;
mod status_json;
mod status_snapshot;
mod status_text;
mod watch;

use super::attempt_setup::open_repository;
use super::run_choice::RunFilter;
use super::{Context, open_database};
use crate::failure::{Exit, Failure};
use crate::overview::TextOptions;
use crate::phase::RunId;
use crate::progress::screen;
use crate::store::Store;
use crate::workspace::Repo;
use status_snapshot::{SnapshotSource, StatusSnapshot};

/// Show counts, running phases, tokens, and why queued phases wait
///
/// With --watch, shows the live view of `drain` in any terminal until Ctrl-C (exit code 130) or SIGTERM (143). In a
/// pipe, prints the status at the start and after each change, except changes of times and agent activity, until the
/// reader ends.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    run: RunFilter,

    /// Keep showing the status and finished phases until Ctrl-C
    #[arg(long, conflicts_with = "json")]
    watch: bool,

    /// Print {runs}
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    // Git and the database start at the same time.
    let (store, repo) = tokio::join!(open_database::open_existing(context), discover_repo(context));
    let (store, repo) = (store?, repo?);
    let wanted = args.run.named(&store).await?;
    let source =
        SnapshotSource { store: &store, repo: repo.as_ref(), wanted: wanted.as_ref(), context };
    if args.watch {
        return watch::watch(&source).await;
    }
    let snapshot = source.read_snapshot().await?;
    match args.json {
        true => context.out.json(&status_json::json(&snapshot))?,
        false => {
            let options = TextOptions {
                columns: screen::output_columns(),
                color: console::colors_enabled(),
                now: Some(snapshot.at),
                several: false,
            };
            context.out.text(&status_text::format_status(&snapshot, &options))?;
            record_look(&store, &snapshot).await;
        }
    }
    store.close().await;
    Ok(Exit::Done)
}

/// Returns the repository; `None` if git cannot read it.
async fn discover_repo(context: &Context) -> Result<Option<Repo>, Failure> {
    Ok(open_repository(context).await.ok())
}

/// Records the look: the next status lists only later landings as new. A look that cannot be recorded does no harm.
async fn record_look(store: &Store, snapshot: &StatusSnapshot) {
    let runs: Vec<RunId> =
        snapshot.runs.iter().map(|run| run.overview.summary.run_id.clone()).collect();
    if let Err(error) = store.record_look(&runs, snapshot.at).await {
        tracing::debug!("cannot record the look: {error}");
    }
}
