//! `metrics`: state and usage for Prometheus.

mod exposition;
mod metric_families;
mod metrics_server;

use super::{Context, open_database};
use crate::failure::{Exit, Failure};
use crate::phase::budget::Budget;
use crate::store::{DatabaseUrl, SCHEMA_VERSION, Store, StoreError};
use metric_families::Snapshot;

/// Print metrics for Prometheus, or serve them on a port of this machine
///
/// Phases, attempts, tokens, cost, times, merge queues and drains of all runs in the database, in Prometheus' text
/// format. With --port, every GET of /metrics reads the database once; a database that does not answer is HTTP 503.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Serve http://127.0.0.1:PORT/metrics until interrupted; 0 chooses a free port
    #[arg(long)]
    port: Option<u16>,
}

/// What a scrape reads.
struct MetricsSource {
    url: DatabaseUrl,
    budget: Budget,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let budget = context.config()?.settings.executor.budgets.run;
    let source = MetricsSource { url: open_database::url(context)?, budget };
    let Some(port) = args.port else {
        return context.out.text(&source.scrape().await?).map(|()| Exit::Done);
    };
    let listener = metrics_server::listen(port).await?;
    let port = listener.local_addr()?.port();
    context.out.line(format_args!("serving http://127.0.0.1:{port}/metrics"))?;
    match metrics_server::serve(listener, source).await? {}
}

impl MetricsSource {
    /// Reads one snapshot. The database is opened each time: it may be replaced, restarted or migrated meanwhile, and
    /// between two scrapes no connection is held.
    async fn scrape(&self) -> Result<String, Failure> {
        let store = Store::open_unmigrated(&self.url)
            .await?
            .ok_or_else(|| StoreError::NoDatabase { path: self.url.name() })?;
        let read = self.read(&store).await;
        store.close().await;
        read
    }

    async fn read(&self, store: &Store) -> Result<String, Failure> {
        let schema_version = store.schema_version().await?;
        if schema_version != SCHEMA_VERSION {
            return Err(Failure::new(format!(
                "the database {} has schema version {schema_version}, and this autopack reads version {SCHEMA_VERSION}",
                store.name()
            ))
            .hint("migrate it with `autopack db migrate`, or use a newer autopack"));
        }
        let rows = store.metric_rows().await?;
        let bytes = store.database_bytes().await?;
        Ok(metric_families::text(&Snapshot { rows, schema_version, bytes, budget: self.budget }))
    }
}
