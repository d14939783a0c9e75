//! The order in which the phases of a run are taken: claims, the reasons to wait and the dry run's plan share it.

use sqlx::FromRow;

/// The columns of [`QueuePlace`], to be ordered by.
macro_rules! queue_order {
    () => {
        "band, position"
    };
}
pub(in crate::store) use queue_order;

/// Where a phase stands in the queue of its run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, FromRow)]
pub struct QueuePlace {
    /// 1: behind the others, after it took several drains down.
    band: i64,
    /// In the plan.
    position: i64,
}

impl QueuePlace {
    /// Before every phase.
    pub(in crate::store) const START: Self = Self { band: -1, position: 0 };

    pub(crate) fn new(band: i64, position: i64) -> Self {
        Self { band, position }
    }

    pub(in crate::store) fn band(self) -> i64 {
        self.band
    }

    pub(in crate::store) fn position(self) -> i64 {
        self.position
    }
}
