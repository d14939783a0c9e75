//! Requests of the operator to drains: stop now, stop soon, or finish what runs.

use super::owners::{OWNERS, Owner, OwnerRecord, StopRequest};
use crate::phase::RunId;
use crate::store::backend::{query, query_as};
use crate::store::error::StoreError;
use crate::store::open::Store;

impl Store {
    /// Asks the drains of these runs to stop, or all drains if `runs` is empty; with `host`, only those of the host. Returns
    /// the owners asked, including dead owners.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn request_stop(
        &self,
        runs: &[RunId],
        host: Option<&str>,
        stop: StopRequest,
    ) -> Result<Vec<Owner>, StoreError> {
        self.named(|| async move {
            let mut tx = self.begin().await?;
            let rows: Vec<OwnerRecord> =
                query_as(OWNERS)
                    .fetch_all(&mut *tx)
                    .await?;
            let mut asked = Vec::new();
            for row in rows {
                let owner = Owner::try_from(&row)?;
                if !runs.is_empty() && !owner.runs.iter().any(|run| runs.contains(run)) {
                    continue;
                }
                if host.is_some_and(|host| owner.process.host != host) {
                    continue;
                }
                let (level, winding_down) = stored_request(stop);
                query(
                    "UPDATE owners SET stop = MAX(stop, ?1), winding_down = winding_down OR ?2 WHERE owner = ?3",
                )
                    .bind(level)
                    .bind(winding_down)
                    .bind(owner.id.as_str())
                    .execute(&mut *tx)
                    .await?;
                asked.push(owner);
            }
            tx.commit().await?;
            Ok(asked)
        })
        .await
    }
}

/// Encodes a stop request as the columns `stop` and `winding_down`.
fn stored_request(stop: StopRequest) -> (i64, bool) {
    match stop {
        StopRequest::None => (0, false),
        StopRequest::AfterCurrent => (0, true),
        StopRequest::Graceful => (1, false),
        StopRequest::Now => (2, false),
    }
}
