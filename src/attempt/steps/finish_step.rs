//! End of an attempt: records the result in the store and reports the verdict. Removes secrets from all text of the
//! agent.

use std::time::Instant;

use futures_util::FutureExt as _;

use crate::attempt::attempt_record::Record;
use crate::attempt::{AttemptError, DrainContext, millis};
use crate::clock::now;
use crate::phase::scope_request::settle;
use crate::phase::{PhaseState, Usage, Verdict};
use crate::process::{Redactor, StopReceiver};
use crate::progress::PhaseFinished;
use crate::store::{Claim, Finish, StoreError};

/// Records a finished attempt, retrying on a full disk, and reports the verdict.
pub(crate) async fn finish(
    context: &DrainContext,
    claim: Claim,
    verdict: Verdict,
    record: Record,
    started: Instant,
    stop: &StopReceiver,
) -> Result<PhaseFinished, AttemptError> {
    let requests = settle(record.requests, verdict.outcome());
    let (verdict, usage) = without_secrets(&context.redactor, verdict, record.usage);
    let mut finished = PhaseFinished {
        run_id: claim.run_id.clone(),
        phase_id: claim.phase_id.clone(),
        attempt: Some(claim.attempt),
        max_attempts: claim.max_attempts,
        tries: claim.counted_attempts
            + u32::from(!claim.is_by_person && !matches!(verdict, Verdict::Requeued(_))),
        is_by_person: claim.is_by_person,
        state: PhaseState::Executing,
        verdict: verdict.as_str(),
        commit: None,
        failure: None,
        duration_ms: millis(started.elapsed()),
        tokens: usage.tokens,
        cost_usd: usage.cost_usd,
        scope_requests: requests.clone(),
    };
    if let Verdict::Passed { commit } = &verdict {
        finished.commit.clone_from(commit);
    }
    context.note_unpriced_usage(&usage);
    let finish = Finish {
        verdict,
        ended: now(),
        usage,
        agent_ms: record.agent_ms,
        ci_ms: (record.ci_runs > 0).then(|| millis(record.ci)),
        session: record.session,
        note: record.replaced.map(|note| context.redactor.redact(&note).into_owned()),
        requests,
        telemetry: context.settings.telemetry.enabled,
        max_uncounted: context.settings.executor.max_uncounted,
    };
    let wait = |error: &StoreError| {
        let why = error.to_string();
        async move { context.disk.wait_a_moment(&why, stop).await }.boxed()
    };
    let result = context.store.finish_or_wait(claim, &finish, &wait).await?;
    (finished.state, finished.failure) = (result.state, result.failure);
    // A requeued attempt may have been counted, too.
    finished.tries = finished.tries.max(result.counted_attempts);
    Ok(finished)
}

/// Removes secrets: paths, results and failures may contain text of an agent.
fn without_secrets(redactor: &Redactor, verdict: Verdict, usage: Usage) -> (Verdict, Usage) {
    let clean = |text: String| redactor.redact(&text).into_owned();
    let verdict = match verdict {
        Verdict::Failed(failure) => Verdict::Failed(failure.map_texts(&clean)),
        Verdict::Requeued(requeue) => Verdict::Requeued(requeue.map_texts(&clean)),
        passed @ Verdict::Passed { .. } => passed,
    };
    let (model, stop_reason) = (usage.model.map(&clean), usage.stop_reason.map(&clean));
    (verdict, Usage { model, stop_reason, ..usage })
}
