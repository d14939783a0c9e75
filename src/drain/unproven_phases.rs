//! Phases that count as settled without evidence: told at a drain's start and end. They stay as they are until the operator
//! decides.

use super::Drain;
use crate::attempt::Trouble;
use crate::phase::RunId;
use crate::phase::words::{first_few, quoted};
use crate::store::Unproven;

/// More phases than these are counted in a message.
const NAMED: usize = 8;

impl Drain<'_> {
    /// What is to be said of each run that has such phases; nothing where there are none.
    pub(super) async fn unproven(&self) -> Result<Vec<String>, Trouble> {
        let runs = &self.request.runs;
        let all = self.site.store.unproven(runs).await?;
        let of = |run: &RunId| all.iter().filter(|phase| phase.run_id == *run).collect::<Vec<_>>();
        let told = runs.iter().map(|run| (run, of(run))).filter(|(_, phases)| !phases.is_empty());
        Ok(told.map(|(run, phases)| text(run, &phases)).collect())
    }
}

fn text(run: &RunId, phases: &[&Unproven]) -> String {
    let ids: Vec<_> = phases.iter().map(|phase| quoted(phase.phase_id.as_str())).collect();
    let named = |phase: &&Unproven| format!("{} is {}", phase.phase_id, phase.state);
    let states: Vec<String> = phases.iter().map(named).collect();
    let states: Vec<&str> = states.iter().map(String::as_str).collect();
    let (run, what) = (quoted(run.as_str()), first_few(&states, NAMED));
    let these = match ids.len() <= NAMED {
        true => ids.join(" "),
        false => "PHASE...".to_owned(),
    };
    format!(
        "{what}, but no attempt, import or command of yours made it so: something else changed the database. Look at it, \
         then accept it (`autopack phases accept --run-id {run} {these}`) or have it done \
         (`autopack phases retry --run-id {run} --redo {these}`)"
    )
}
