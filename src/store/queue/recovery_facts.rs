//! Facts recorded while an attempt runs (slot, agent, estimate, landing commit), so that they survive a crash: a later
//! drain recovers the attempt, and telemetry keeps its sample.

use super::claim::Claim;
use crate::store::backend::{Query, query};
use crate::store::columns::{signed, to_json};
use crate::store::error::StoreError;
use crate::store::open::Store;

impl Store {
    /// Records the slot, the log directory and the host of the attempt.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or the database cannot be written.
    pub async fn record_slot(
        &self,
        claim: &Claim,
        slot: &str,
        log_dir: &str,
    ) -> Result<(), StoreError> {
        self.record(
            claim,
            query(
                "UPDATE attempts SET slot = ?, log_dir = ?,
                        host = (SELECT o.host FROM owners o WHERE o.owner = attempts.owner)
                  WHERE id = ? AND owner = ? AND ended_at IS NULL",
            )
            .bind(slot)
            .bind(log_dir),
        )
        .await
    }

    /// Records the agent right before the start: from now on the attempt has a telemetry sample, whatever the outcome.
    /// `estimated_output` is in tokens. `existing_bytes` has the size of each deliverable before the attempt, `None` for a
    /// missing file.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or the database cannot be written.
    pub async fn record_agent(
        &self,
        claim: &Claim,
        agent: &str,
        estimated_output: Option<u64>,
        existing_bytes: Option<&[Option<u64>]>,
    ) -> Result<(), StoreError> {
        self.record(
            claim,
            query(
                "UPDATE attempts SET agent = ?, estimated_output_tokens = ?, existing_bytes = ?
                  WHERE id = ? AND owner = ? AND ended_at IS NULL",
            )
            .bind(agent)
            .bind(estimated_output.map(signed))
            .bind(existing_bytes.map(|bytes| to_json(&bytes))),
        )
        .await
    }

    /// Updates the attempt if not ended. An attempt ends in the same transaction as the claim, so an unfinished attempt
    /// still belongs to the claim; no row changed means the lease is lost. `update` must end with the parameters `id`
    /// and `owner`, bound here in this order.
    async fn record(&self, claim: &Claim, update: Query) -> Result<(), StoreError> {
        let update = update.bind(claim.attempt_row).bind(claim.owner.as_str());
        self.named(|| async {
            self.require_file()?;
            match update.clone().execute(&self.writer).await?.rows_affected() {
                0 => Err(claim.lease_lost_error()),
                _ => Ok(()),
            }
        })
        .await
    }
}
