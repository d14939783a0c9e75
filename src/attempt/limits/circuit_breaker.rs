//! The circuit breaker: the same error of agent, provider or CI's start in several phases in a row is no phase's fault.

use std::sync::{Mutex, PoisonError};

use crate::memory::normalise::normalise;
use crate::phase::PhaseId;

/// What is shared by all attempts of a drain.
#[derive(Debug, Default)]
pub struct Breaker {
    /// 0: never.
    limit: u32,
    row: Mutex<Row>,
}

/// Phases, one after another, that met one error.
#[derive(Debug, Default)]
struct Row {
    error: String,
    phases: Vec<PhaseId>,
}

impl Breaker {
    pub fn new(limit: u32) -> Self {
        Self { limit, row: Mutex::default() }
    }

    /// A phase met an error that is not about the phase. Says what they share once there are too many.
    pub fn met(&self, phase: &PhaseId, error: &str) -> Option<String> {
        let normalised = normalise(error);
        let mut row = self.row.lock().unwrap_or_else(PoisonError::into_inner);
        if row.error != normalised {
            *row = Row { error: normalised, phases: Vec::new() };
        }
        if !row.phases.contains(phase) {
            row.phases.push(phase.clone());
        }
        let many = self.limit > 0 && row.phases.len() >= self.limit as usize;
        many.then(|| {
            let phases: Vec<&str> = row.phases.iter().map(PhaseId::as_str).collect();
            format!(
                "{} phases in a row ({}) met the same error: {error}",
                phases.len(),
                phases.join(", ")
            )
        })
    }

    /// An attempt got further than that.
    pub fn reset(&self) {
        *self.row.lock().unwrap_or_else(PoisonError::into_inner) = Row::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_error_in_several_phases_trips_it() {
        let breaker = Breaker::new(3);
        let met = |phase: &str, error: &str| breaker.met(&PhaseId::new(phase), error);
        assert_eq!(met("a", "502 at 10:00:01"), None);
        assert_eq!(met("a", "502 at 10:00:02"), None);
        assert_eq!(met("a", "502 at 10:00:03"), None);
        assert_eq!(met("b", "502 at 10:00:04"), None);
        let why = met("c", "502 at 10:00:05").unwrap();
        assert!(why.starts_with("3 phases in a row (a, b, c) met the same error: 502"), "{why}");
    }

    #[test]
    fn another_error_or_a_phase_that_got_further_starts_it_over() {
        let breaker = Breaker::new(2);
        let met = |phase: &str, error: &str| breaker.met(&PhaseId::new(phase), error);
        assert_eq!(met("a", "x"), None);
        assert_eq!(met("b", "y"), None);
        breaker.reset();
        assert_eq!(met("c", "y"), None);
        assert!(met("d", "y").is_some());
        let never = Breaker::new(0);
        assert!((0..9).all(|n| never.met(&PhaseId::new(n.to_string()), "x").is_none()));
    }
}
