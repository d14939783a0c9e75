//! How long operations wait for a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How long operations wait for a server that does not answer. Shared by all handles of a store.
#[derive(Clone, Debug)]
pub struct Patience(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    ms: AtomicU64,
    /// Whether the outage was told.
    is_told: AtomicBool,
}

impl Patience {
    /// What a person waits for a command.
    pub const OF_COMMANDS: Duration = Duration::from_secs(5);
    /// How long a drain waits: a restart, a failover, a network that is away for a while.
    pub const OF_DRAINS: Duration = Duration::from_secs(15 * 60);

    pub fn new(time: Duration) -> Self {
        let shared = Shared { ms: AtomicU64::new(0), is_told: AtomicBool::new(false) };
        let patience = Self(Arc::new(shared));
        patience.set(time);
        patience
    }

    pub fn get(&self) -> Duration {
        Duration::from_millis(self.0.ms.load(Ordering::Relaxed))
    }

    pub fn set(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.0.ms.store(ms, Ordering::Relaxed);
    }

    /// Records whether the server answers; returns whether that is news.
    pub fn record_outage(&self, is_outage: bool) -> bool {
        self.0.is_told.swap(is_outage, Ordering::Relaxed) != is_outage
    }
}
