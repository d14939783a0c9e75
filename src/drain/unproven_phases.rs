//! Phases counted as settled without evidence: reported at the start and end of a drain, and unchanged until the
//! operator decides.

use super::Drain;
use crate::attempt::AttemptError;
use crate::phase::RunId;
use crate::phase::words::{first_few, quoted};
use crate::store::UnprovenPhase;

/// Phases named in a message; the rest are counted.
const NAMED: usize = 8;

impl Drain<'_> {
    /// Describes such phases for each run; empty if none.
    pub(super) async fn unproven(&self) -> Result<Vec<String>, AttemptError> {
        let runs = &self.request.runs;
        let all = self.context.store.unproven_phases(runs).await?;
        let of = |run: &RunId| all.iter().filter(|phase| phase.run_id == *run).collect::<Vec<_>>();
        let unproven =
            runs.iter().map(|run| (run, of(run))).filter(|(_, phases)| !phases.is_empty());
        Ok(unproven.map(|(run, phases)| text(run, &phases)).collect())
    }
}

fn text(run: &RunId, phases: &[&UnprovenPhase]) -> String {
    let ids: Vec<_> = phases.iter().map(|phase| quoted(phase.phase_id.as_str())).collect();
    let named = |phase: &&UnprovenPhase| format!("{} is {}", phase.phase_id, phase.state);
    let states: Vec<String> = phases.iter().map(named).collect();
    let states: Vec<&str> = states.iter().map(String::as_str).collect();
    let (run, what) = (quoted(run.as_str()), first_few(&states, NAMED));
    let these = match ids.len() <= NAMED {
        true => ids.join(" "),
        false => "PHASE...".to_owned(),
    };
    format!(
        "{what} without a matching attempt, import or command: the database was changed in another way. Check the work, \
         then accept it (`autopack phases accept --run-id {run} {these}`) or have it done \
         (`autopack phases retry --run-id {run} --redo {these}`)"
    )
}
