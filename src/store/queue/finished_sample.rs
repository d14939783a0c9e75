//! The telemetry sample of a finished attempt.

use crate::phase::{AttemptOutcome, Failure};
use crate::store::backend::{Connection, query};
use crate::store::error::StoreError;

/// Stores the telemetry sample as a copy, because the attempt may be removed with the run. Does nothing for an attempt
/// that never reached an agent, and for a scope proposal.
pub(super) async fn save_sample(
    tx: &mut Connection,
    attempt_row: i64,
    outcome: AttemptOutcome,
    failure: Option<&Failure>,
) -> Result<(), StoreError> {
    let landed = outcome == AttemptOutcome::Landed;
    let failure = failure.map(|failure| failure.kind.as_str());
    let kind = failure.or_else(|| (!landed).then_some(outcome.as_str()));
    query(
        "INSERT INTO samples (run_id, phase_id, attempt, timestamp, category, complexity, deliverables,
                predicted_output_tokens, actual_output_tokens, input_tokens, cache_read_tokens, cost_usd, agent,
                model, success, truncated, stop_reason, failure_kind, agent_ms, ci_ms, description_chars, existing_bytes)
         SELECT r.run_id, p.phase_id, a.attempt, a.ended_at, a.category, a.complexity, a.deliverables,
                a.estimated_output_tokens, a.output_tokens, a.input_tokens, a.cache_read_tokens, a.cost_usd, a.agent,
                a.model, ?, a.truncated, a.stop_reason, ?, a.agent_ms, a.ci_ms, a.description_chars, a.existing_bytes
           FROM attempts a JOIN phases p ON p.id = a.phase JOIN runs r ON r.id = p.run
          WHERE a.id = ? AND a.agent IS NOT NULL AND a.purpose IS NULL AND NOT a.by_person",
    )
    .bind(landed)
    .bind(kind)
    .bind(attempt_row)
    .execute(tx)
    .await?;
    Ok(())
}
