//! Order of the phases of a run, shared by claims, the reasons to wait and the dry run.

use sqlx::FromRow;

/// Columns of [`QueuePlace`] for `ORDER BY`.
macro_rules! queue_order {
    () => {
        "band, position"
    };
}
pub(in crate::store) use queue_order;

/// Position of a phase in the queue of its run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, FromRow)]
pub struct QueuePlace {
    /// 1 after several crashes of a drain: behind the phases with 0.
    band: i64,
    /// Position in the plan.
    position: i64,
}

impl QueuePlace {
    /// Position before all phases.
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
