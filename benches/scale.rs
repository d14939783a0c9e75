//! Sizes of the measurements: enough for stable figures, or just enough for a quick check.

use std::time::Duration;

/// Number of files in a repository, and of phases drained in it.
#[derive(Clone, Copy)]
pub struct DrainSize {
    pub files: usize,
    pub phases: usize,
    /// Number of phases for the alternatives: a new worktree of 20,000 files takes ten seconds.
    pub by_hand: usize,
}

pub struct Scale {
    pub quick: bool,
    /// Duration of each of the pure measurements.
    pub pure: Duration,
    /// Phases in a database that is repaired, and in a plan that is imported.
    pub backlog: usize,
    /// Sizes of backlogs for claims, in phases.
    pub queued: Vec<usize>,
    /// Claims and finishes measured in each of them.
    pub claims: usize,
    /// The drains whose overhead is measured.
    pub drains: [DrainSize; 2],
    pub starts: usize,
    /// Phases of the drain whose memory is measured.
    pub long_drain: usize,
}

impl Scale {
    /// Small with `AUTOPACK_BENCH=quick`, else full.
    pub fn of_environment() -> Self {
        match std::env::var("AUTOPACK_BENCH").as_deref() {
            Ok("quick") => Self::quick(),
            _ => Self::full(),
        }
    }

    fn full() -> Self {
        Self {
            quick: false,
            pure: Duration::from_secs(3),
            backlog: 100_000,
            queued: vec![1_000, 100_000, 1_000_000],
            claims: 1_000,
            drains: [
                DrainSize { files: 100, phases: 200, by_hand: 200 },
                DrainSize { files: 20_000, phases: 40, by_hand: 4 },
            ],
            starts: 100,
            long_drain: 10_000,
        }
    }

    fn quick() -> Self {
        Self {
            quick: true,
            pure: Duration::from_millis(300),
            backlog: 2_000,
            queued: vec![1_000, 10_000],
            claims: 200,
            drains: [
                DrainSize { files: 100, phases: 20, by_hand: 20 },
                DrainSize { files: 2_000, phases: 20, by_hand: 4 },
            ],
            starts: 10,
            long_drain: 60,
        }
    }
}
