//! Judge step: measures, keeps and judges the work in a slot, whoever did it, and lands it.

use std::time::Duration;

use crate::agent::AgentReply;
use crate::attempt::attempt_record::Judged;
use crate::attempt::{Attempt, AttemptError};
use crate::phase::{RequeueReason, Verdict};
use crate::process::{StopLevel, StopReceiver};
use crate::progress::Step;

const MEASURED_AFTER_STOP: Duration = Duration::from_secs(30);
const MEASURED_AFTER_STOP_NOW: Duration = Duration::from_secs(3);

impl Attempt<'_> {
    /// Measures, keeps and judges the work in the slot, and lands it.
    pub(crate) async fn judge_work(&mut self, reply: &AgentReply) -> Result<Judged, AttemptError> {
        self.step(Step::Judging);
        let stop = self.stop.clone();
        let measured = tokio::select! {
            measured = self.measure() => measured?,
            () = too_late(&stop) => {
                let verdict = Verdict::Requeued(RequeueReason::Interrupted);
                return Ok(Judged { verdict, measured: None, is_secret: false });
            }
        };
        let measured = match measured {
            Ok(measured) => measured,
            Err(failure) => {
                let verdict = self.judge_request(Verdict::Failed(failure));
                return Ok(Judged { verdict, measured: None, is_secret: false });
            }
        };
        self.note_left_out(&measured);
        // The work is kept at once: it was paid for, and a later step may crash.
        let hidden = self.secret_in_binaries(&measured).await?;
        let kept = self.keep_work(&measured, hidden.is_some());
        let lost = self.keep_lost_work(&measured).await;
        let is_secret = hidden.is_some() || self.holds_secret(&measured);
        let verdict = match self.cut_short(reply)? {
            Some(verdict) => verdict,
            None => match self.judge_diff(&measured, reply, hidden).await? {
                Some(verdict) => verdict,
                None => self.test_and_land(&measured).await?,
            },
        };
        let verdict = self.judge_request(lost.named_in(verdict));
        match (kept, &verdict) {
            (Err(error), Verdict::Passed { .. }) => {
                tracing::warn!("{error}; the change has landed anyway")
            }
            (kept, _) => kept?,
        }
        Ok(Judged { verdict, measured: Some(measured), is_secret: is_secret || lost.is_secret })
    }
}

/// Returns once the time for measuring after a stop is over: a large change may take long.
async fn too_late(stop: &StopReceiver) {
    stop.reached(StopLevel::Graceful).await;
    tokio::select! {
        () = tokio::time::sleep(MEASURED_AFTER_STOP) => {}
        () = stop.reached(StopLevel::Now) => tokio::time::sleep(MEASURED_AFTER_STOP_NOW).await,
    }
}
