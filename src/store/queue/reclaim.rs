//! Reclaiming attempts of a dead or stuck owner. The caller determines whether the owner is dead and whether the commit
//! reached the branch.

use crate::phase::{PhaseState, RequeueReason, UnixMs, Verdict};

use super::finish::{Finish, end_attempt};
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::queries::in_flight::InFlight;

/// Outcome of a reclaimed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReclaimOutcome {
    /// The recorded commit is on the branch.
    Landed(String),
    /// No recorded commit is on the branch.
    Crashed,
}

/// Crashes have a limit of their own and are not counted attempts, so the limit of counted attempts does not matter.
const UNLIMITED_ATTEMPTS: u32 = u32::MAX;

impl Store {
    /// Ends the attempt in place of the owner. Returns `None` if the owner or another drain has ended the attempt
    /// meanwhile.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn reclaim_attempt(
        &self,
        work: &InFlight,
        how: ReclaimOutcome,
        now: UnixMs,
        telemetry: bool,
    ) -> Result<Option<PhaseState>, StoreError> {
        let verdict = match how {
            ReclaimOutcome::Landed(commit) => Verdict::Passed { commit: Some(commit) },
            ReclaimOutcome::Crashed => Verdict::Requeued(RequeueReason::Crashed),
        };
        let finish = &Finish::of(verdict, now, telemetry);
        self.named(|| async move {
            let mut tx = self.begin().await?;
            let ended =
                end_attempt(&mut tx, &work.snapshot, work.attempt_row, UNLIMITED_ATTEMPTS, finish)
                    .await?;
            if ended.is_some() {
                tx.commit().await?;
            }
            Ok(ended.map(|ended| ended.state))
        })
        .await
    }
}
