//! Waves of a drain with several workers: a simulation of the queue with its dependencies and overlaps. Pure.

use std::collections::{HashMap, HashSet};

use super::PlannedPhase;
use crate::phase::footprint::FootprintSet;
use crate::phase::{PhaseId, RunId};

/// Phases up to which the queue is simulated. The simulation looks at each phase again after each end.
const MOST: usize = 2_000;

/// Phases side by side, and the gain in time.
#[derive(Clone, Debug, PartialEq)]
pub struct Waves {
    /// Number of phases in each wave, if all phases take the same time.
    pub sizes: Vec<usize>,
    /// Time with one worker, divided by the time with all, if a phase takes as long as its estimate in tokens.
    pub speed_up: f64,
}

/// Simulates the phases that would run with this many workers. `None` for too many phases.
pub fn plan_waves(planned: &[PlannedPhase], jobs: u32) -> Option<Waves> {
    let mut phases: Vec<&PlannedPhase> =
        planned.iter().filter(|phase| phase.order.is_some()).collect();
    if phases.len() > MOST || phases.is_empty() {
        return None;
    }
    // Runs are listed one after the other, each in its order.
    phases.sort_by_key(|phase| phase.order);
    let jobs = usize::try_from(jobs).unwrap_or(1).max(1);
    let starts = simulate(&phases, &vec![1.0; phases.len()], jobs);
    let mut sizes = vec![0; starts.iter().map(|(start, _)| *start as usize + 1).max().unwrap_or(0)];
    starts.iter().for_each(|(start, _)| sizes[*start as usize] += 1);
    let length = |phase: &&PlannedPhase| phase.estimated_output_tokens.unwrap_or(1).max(1) as f64;
    let lengths: Vec<f64> = phases.iter().map(length).collect();
    let end = simulate(&phases, &lengths, jobs).iter().fold(0.0, |end: f64, (_, at)| end.max(*at));
    Some(Waves { sizes, speed_up: lengths.iter().sum::<f64>() / end.max(1.0) })
}

/// Returns start and end of each phase.
fn simulate(phases: &[&PlannedPhase], lengths: &[f64], jobs: usize) -> Vec<(f64, f64)> {
    let key = |phase: &PlannedPhase| (phase.run_id.clone(), phase.phase_id.clone());
    let ids: HashSet<(RunId, PhaseId)> = phases.iter().map(|phase| key(phase)).collect();
    // Dependencies outside of the plan are met.
    let needs: Vec<Vec<(RunId, PhaseId)>> = phases
        .iter()
        .map(|phase| {
            let needs = phase.depends_on.iter().map(|id| (phase.run_id.clone(), id.clone()));
            needs.filter(|need| ids.contains(need)).collect()
        })
        .collect();
    let mut times = vec![(0.0, 0.0); phases.len()];
    let mut ended: HashSet<(RunId, PhaseId)> = HashSet::new();
    let mut running: Vec<usize> = Vec::new();
    let mut left: Vec<usize> = (0..phases.len()).collect();
    let mut now = 0.0;
    while !left.is_empty() || !running.is_empty() {
        // As in the queue: a phase that waits for running phases reserves its paths.
        let mut reserved: HashMap<&RunId, FootprintSet> = HashMap::new();
        for at in &running {
            reserved.entry(&phases[*at].run_id).or_default().add(&phases[*at].footprint);
        }
        left.retain(|at| {
            let phase = phases[*at];
            if running.len() >= jobs || !needs[*at].iter().all(|need| ended.contains(need)) {
                return true;
            }
            let reserved = reserved.entry(&phase.run_id).or_default();
            let overlaps = reserved.overlaps(&phase.footprint);
            reserved.add(&phase.footprint);
            if !overlaps {
                times[*at] = (now, now + lengths[*at]);
                running.push(*at);
            }
            overlaps
        });
        let Some(next) = running.iter().map(|at| times[*at].1).min_by(f64::total_cmp) else {
            break;
        };
        now = next;
        running.retain(|at| {
            let is_over = times[*at].1 <= now;
            if is_over {
                ended.insert(key(phases[*at]));
            }
            !is_over
        });
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::FixedSpec;
    use crate::phase::footprint::Footprint;

    fn phase(order: usize, file: &str, needs: &[&str], tokens: u64) -> PlannedPhase {
        PlannedPhase {
            order: Some(order),
            estimated_output_tokens: Some(tokens),
            depends_on: needs.iter().map(|need| PhaseId::new(*need)).collect(),
            footprint: Footprint::of(&FixedSpec::sample("p", file)),
            ..PlannedPhase::sample(&format!("p{order}"))
        }
    }

    #[test]
    fn phases_wait_for_dependencies_and_overlaps() {
        let planned = [
            phase(1, "a/x", &[], 100),
            phase(2, "b/x", &[], 100),
            phase(3, "a/x", &[], 100),
            phase(4, "c/x", &["p1", "before"], 100),
            phase(5, "d/x", &[], 100),
        ];
        let waves = plan_waves(&planned, 3).unwrap();
        assert_eq!(waves.sizes, [3, 2], "{waves:?}");
        assert!((waves.speed_up - 2.5).abs() < 1e-9, "{waves:?}");
        assert_eq!(plan_waves(&planned, 1).unwrap(), Waves { sizes: vec![1; 5], speed_up: 1.0 });
    }

    #[test]
    fn a_long_phase_bounds_the_gain() {
        let planned =
            [phase(1, "a/x", &[], 300), phase(2, "b/x", &[], 100), phase(3, "c/x", &[], 100)];
        let waves = plan_waves(&planned, 8).unwrap();
        assert_eq!(waves.sizes, [3]);
        assert!((waves.speed_up - 5.0 / 3.0).abs() < 1e-9, "{waves:?}");
        assert_eq!(plan_waves(&[], 8), None);
    }
}
