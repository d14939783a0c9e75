//! `--sample`: a few phases of different categories run first, to detect early and cheaply any error common to all
//! phases.

use std::collections::BTreeMap;

use super::{Drain, SchedulerStep, StopReason};
use crate::attempt::AttemptError;
use crate::phase::{PhaseId, PhaseState, RunId};
use crate::store::{CommonFailure, PhaseRow};

impl Drain<'_> {
    /// Runs the sample, or the one phase of a trial; returns `Some` if the drain must stop.
    pub(super) async fn sample(&mut self) -> Result<Option<StopReason>, AttemptError> {
        let is_trial = self.request.is_trial;
        let wanted = if is_trial { Some(1) } else { self.request.sample };
        let Some(size) = wanted.filter(|_| !self.sampled) else { return Ok(None) };
        // A sample interrupted by a full disk continues.
        if self.only.is_empty() {
            let mut rows = Vec::new();
            for run in &self.request.runs {
                rows.extend(self.context.store.phases(run, None).await?);
            }
            self.only = spread(&rows, size as usize);
        }
        if self.only.is_empty() {
            return Ok(None);
        }
        let names: Vec<&str> = self.only.iter().map(|(_, id)| id.as_str()).collect();
        let (names, tried) = (names.join(", "), names.len());
        if !is_trial {
            self.context.progress.note(&format!("running a sample first: {names}"));
        }
        self.context.repeats.set_sampling(true);
        loop {
            match self.step().await? {
                SchedulerStep::Stop(reason) => return Ok(Some(reason)),
                SchedulerStep::NothingLeft => break,
                SchedulerStep::PhaseEnded => {}
            }
        }
        self.context.repeats.set_sampling(false);
        let passed = self.passed().await?;
        let sample = std::mem::take(&mut self.only);
        self.sampled = true;
        if is_trial {
            let is_over = self.is_empty().await?;
            return Ok(Some(if is_over { StopReason::Drained } else { StopReason::Trial }));
        }
        if passed == 0 {
            let message = none_passed(tried, &names);
            let phases = sample.into_iter().map(|(_, id)| id).collect();
            let failure = CommonFailure { kind: None, phases, message: message.clone() };
            self.context.repeats.set_end(failure);
            return Ok(Some(StopReason::Error(AttemptError::Systemic(message))));
        }
        self.context.progress.note(&match tried {
            1 => "the sampled phase passed".to_owned(),
            _ => format!("{passed} of the {tried} sampled phases passed"),
        });
        Ok(None)
    }

    /// Counts passed phases of the sample; another drain may have claimed some of the phases.
    async fn passed(&self) -> Result<usize, AttemptError> {
        let mut passed = 0;
        for run in &self.request.runs {
            let complete = self.context.store.phases(run, Some(PhaseState::Complete)).await?;
            passed += complete.iter().filter(|row| self.only.contains(&key(row))).count();
        }
        Ok(passed)
    }
}

fn key(row: &PhaseRow) -> (RunId, PhaseId) {
    (row.run_id.clone(), row.phase_id.clone())
}

fn none_passed(tried: usize, names: &str) -> String {
    let none = match tried {
        1 => "the sampled phase did not pass".to_owned(),
        _ => format!("none of the {tried} sampled phases passed"),
    };
    format!("{none} ({names}); `autopack log PHASE` shows why")
}

/// Picks phases ready to run, cycling through the categories, in the order of the plan. Deferred phases are picked
/// only if no others exist.
fn spread(rows: &[PhaseRow], size: usize) -> Vec<(RunId, PhaseId)> {
    let over = |row: &&PhaseRow| matches!(row.state, PhaseState::Complete | PhaseState::Skipped);
    let done: std::collections::HashSet<_> =
        rows.iter().filter(over).map(|row| (&row.run_id, &row.phase_id)).collect();
    let ready = rows.iter().filter(|row| {
        let met = |need: &PhaseId| done.contains(&(&row.run_id, need));
        let may_run = row.state == PhaseState::Queued && !row.held && row.unfixable.is_none();
        may_run && row.depends_on.iter().all(met)
    });
    let (now, later): (Vec<_>, Vec<_>) = ready.partition(|row| row.not_before.is_none());
    let mut kinds: BTreeMap<String, Vec<&PhaseRow>> = BTreeMap::new();
    for row in if now.is_empty() { later } else { now } {
        let category = row.spec.0["category"].as_str().unwrap_or_default().to_lowercase();
        kinds.entry(category).or_default().push(row);
    }
    let longest = kinds.values().map(Vec::len).max().unwrap_or(0);
    let in_turn = (0..longest).flat_map(|at| kinds.values().filter_map(move |ids| ids.get(at)));
    in_turn.take(size).map(|row| key(row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::UnixMs;

    fn row(id: &str, category: &str, needs: &[&str]) -> PhaseRow {
        PhaseRow {
            repaired: true,
            depends_on: needs.iter().map(|need| PhaseId::new(*need)).collect(),
            ..PhaseRow::sample(id, serde_json::json!({ "category": category }))
        }
    }

    #[test]
    fn sample_rotates_categories_and_excludes_blocked_phases() {
        let rows = [
            row("a1", "api", &[]),
            row("a2", "api", &[]),
            row("b1", "build", &["a1"]),
            row("c1", "docs", &[]),
            row("c2", "docs", &[]),
        ];
        let held = PhaseRow { held: true, ..row("d1", "other", &[]) };
        let rows = [&rows[..], &[held]].concat();
        let ids =
            |size| spread(&rows, size).iter().map(|(_, id)| id.to_string()).collect::<Vec<_>>();
        assert_eq!(ids(3), ["a1", "c1", "a2"]);
        assert_eq!(ids(9), ["a1", "c1", "a2", "c2"]);
        assert!(ids(0).is_empty());
    }

    #[test]
    fn deferred_phases_are_sampled_only_without_others() {
        let later = |id| PhaseRow { not_before: Some(UnixMs(9)), ..row(id, "api", &[]) };
        let ids = |rows: &[PhaseRow]| {
            spread(rows, 9).iter().map(|(_, id)| id.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(ids(&[later("a"), row("b", "api", &[])]), ["b"]);
        assert_eq!(ids(&[later("a"), later("b")]), ["a", "b"]);
    }
}
