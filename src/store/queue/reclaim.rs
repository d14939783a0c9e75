//! Recovering what a dead or stuck owner left behind. Whether it is dead, and whether its commit reached the branch, is
//! found out by the caller.

use crate::phase::{PhaseState, Requeue, UnixMs, Verdict};

use super::finish::{Finish, end};
use super::in_flight::InFlight;
use crate::store::error::StoreError;
use crate::store::open::Store;

/// What became of an attempt whose owner is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rescue {
    /// Its recorded commit is on the branch.
    Landed(String),
    Crashed,
}

/// A crash is judged by its count alone; tries are not charged, so their bound does not matter.
const ANY_NUMBER_OF_TRIES: u32 = u32::MAX;

impl Store {
    /// Ends the attempt in its owner's stead. `None`: somebody else did by now, the owner itself or another rescuer.
    pub async fn recover(
        &self,
        work: &InFlight,
        how: Rescue,
        now: UnixMs,
        telemetry: bool,
    ) -> Result<Option<PhaseState>, StoreError> {
        let verdict = match how {
            Rescue::Landed(commit) => Verdict::Passed { commit: Some(commit) },
            Rescue::Crashed => Verdict::Requeued(Requeue::Crashed),
        };
        let finish = Finish::of(verdict, now, telemetry);
        self.named(async {
            let mut tx = self.begin().await?;
            let ended =
                end(&mut tx, &work.standing, work.attempt_row, ANY_NUMBER_OF_TRIES, &finish)
                    .await?;
            if ended.is_some() {
                tx.commit().await?;
            }
            Ok(ended.map(|ended| ended.state))
        })
        .await
    }
}
