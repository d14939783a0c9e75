//! Summary of runs, read from the store page by page.

use crate::phase::{PhaseHistory, RunId, UnixMs};
use crate::store::{HistoryCursor, Store, StoreError};
use crate::telemetry::summary::{Summariser, Summary};

/// Number of phases or samples in memory at a time.
const PAGE: u32 = 1_000;

/// Returns the summary of the named runs. Without names: of all runs, and of samples of removed runs.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn figures(
    store: &Store,
    named: &[RunId],
    since: Option<UnixMs>,
) -> Result<Summary, StoreError> {
    figures_of(store, named, since, |_| {}).await
}

/// Returns the same summary and passes every phase to `see`.
pub(super) async fn figures_of(
    store: &Store,
    named: &[RunId],
    since: Option<UnixMs>,
    mut see: impl FnMut(&PhaseHistory),
) -> Result<Summary, StoreError> {
    let mut summariser = Summariser::new(since);
    let is_named = |run: &RunId| named.is_empty() || named.contains(run);
    let all = store.runs().await?.into_iter().map(|run| run.run_id);
    let runs: Vec<RunId> = all.filter(is_named).collect();
    // A removed run leaves only samples.
    named.iter().filter(|run| !runs.contains(run)).for_each(|run| summariser.run(run));
    for run in &runs {
        summariser.run(run);
        let mut cursor = HistoryCursor::default();
        loop {
            let page = store.history_page(run, &mut cursor, PAGE).await?;
            if page.is_empty() {
                break;
            }
            for phase in &page {
                summariser.phase(phase);
                see(phase);
            }
        }
    }
    let mut last = i64::MIN;
    loop {
        let page = store.samples_without_attempt(named, last, PAGE).await?;
        let Some(end) = page.last() else { break };
        last = end.number;
        page.iter().for_each(|sample| summariser.sample(sample));
    }
    Ok(summariser.summary())
}
