//! The phases that a command names: `PHASE` with or without `--run-id RUN`, and `RUN/PHASE`.

use super::{RunUse, choose_run, default_run, find_id, find_run, several_runs, two_names};
use crate::cli::{Context, open_database};
use crate::config::suggestion::nearest;
use crate::failure::{Exit, Failure};
use crate::phase::words::{first_few, quoted};
use crate::phase::{PhaseId, RunId};
use crate::progress::shown_id;
use crate::store::{Store, StoreError};

/// Runs named in an error.
const NAMED: usize = 8;

/// A phase of a command: `PHASE` with or without `--run-id RUN`, or `RUN/PHASE`.
#[derive(Debug, clap::Args)]
pub struct PhaseArg {
    /// Phase id, as in `phases list`, or RUN/PHASE
    #[arg(value_name = "PHASE")]
    phase: String,

    /// Run of the phase [default: as for RUN of other commands]
    #[arg(long, value_name = "RUN")]
    run_id: Option<String>,
}

/// Phases of one run, see [`PhaseArg`].
#[derive(Debug, clap::Args)]
pub struct PhasesArg {
    /// Phase ids, as in `phases list`, or RUN/PHASE
    #[arg(value_name = "PHASE", required = true)]
    phases: Vec<String>,

    /// Run of the phases
    #[arg(long, value_name = "RUN")]
    run_id: Option<String>,
}

impl PhaseArg {
    /// Opens the store and returns the phase with its run.
    ///
    /// # Errors
    /// The run or the phase is unknown, none is named and several runs qualify, or the database cannot be read.
    pub async fn open(
        &self,
        context: &Context,
        run_use: RunUse,
    ) -> Result<(Store, RunId, PhaseId), Failure> {
        let store = open_database::open_existing(context).await?;
        let (run, phase) =
            choose_phase(&store, context, self.run_id.as_deref(), &self.phase, run_use).await?;
        Ok((store, run, phase))
    }
}

impl PhasesArg {
    /// Opens the store and returns the phases with their run, see [`choose_phases`].
    ///
    /// # Errors
    /// As [`choose_phases`], or there is no database.
    pub async fn open(
        &self,
        context: &Context,
        run_use: RunUse,
    ) -> Result<(Store, RunId, Vec<PhaseId>), Failure> {
        let store = open_database::open_existing(context).await?;
        let (run, phases) =
            choose_phases(&store, context, self.run_id.as_deref(), &self.phases, run_use).await?;
        Ok((store, run, phases))
    }
}

/// Returns the phase that a command names, with its run.
///
/// # Errors
/// As [`choose_phases`].
pub async fn choose_phase(
    store: &Store,
    context: &Context,
    run_name: Option<&str>,
    name: &str,
    run_use: RunUse,
) -> Result<(RunId, PhaseId), Failure> {
    let names = PhaseNames::new(store, context, run_name, run_use).await?;
    names.find(name).await
}

/// Returns the phases that a command names, with their run.
///
/// The phase with exactly this id in the run of the command wins. Else each `/` may separate a run from a phase.
///
/// # Errors
/// A run or phase is unknown, the phases belong to several runs, no run is named and several qualify, or the database
/// cannot be read.
pub async fn choose_phases(
    store: &Store,
    context: &Context,
    run_name: Option<&str>,
    names: &[String],
    run_use: RunUse,
) -> Result<(RunId, Vec<PhaseId>), Failure> {
    let Some((first, others)) = names.split_first() else {
        return Ok((choose_run(store, context, run_name, run_use).await?, Vec::new()));
    };
    let known = PhaseNames::new(store, context, run_name, run_use).await?;
    let (run, phase) = known.find(first).await?;
    let mut phases = vec![phase];
    for name in others {
        let (other, phase) = known.find(name).await?;
        if other != run {
            let (one, two) = (shown_id(run.as_str()), shown_id(other.as_str()));
            return Err(Failure::new(format!("the phases belong to the runs {one} and {two}"))
                .hint("name phases of one run at a time")
                .exit(Exit::Usage));
        }
        phases.push(phase);
    }
    Ok((run, phases))
}

/// Returns the run that a reading command names alone, or its phases with their run.
///
/// # Errors
/// As [`choose_phases`].
pub async fn choose_run_or_phases(
    store: &Store,
    context: &Context,
    run_name: Option<&str>,
    names: &[String],
) -> Result<(RunId, Vec<PhaseId>), Failure> {
    let chosen = choose_phases(store, context, run_name, names, RunUse::Read).await;
    match (chosen, names) {
        // A name that is no phase may be a run.
        (Err(failure), [name]) if run_name.is_none_or(|run| run == name) => {
            find_run(store, name).await.map(|run| (run, Vec::new())).map_err(|_| failure)
        }
        (chosen, _) => chosen,
    }
}

/// Look-up of phases by name.
struct PhaseNames<'a> {
    store: &'a Store,
    runs: Vec<RunId>,
    /// The run of names without a run; `None` if there are several to choose from.
    run: Option<RunId>,
    /// Whether the command line names the run.
    is_run_named: bool,
}

impl<'a> PhaseNames<'a> {
    async fn new(
        store: &'a Store,
        context: &Context,
        run_name: Option<&str>,
        run_use: RunUse,
    ) -> Result<Self, Failure> {
        let runs = store.run_ids_by_use().await?;
        let run = match run_name {
            Some(name) => Some(find_run(store, name).await?),
            None => default_run(store, context, &runs, run_use).await?,
        };
        Ok(Self { store, runs, run, is_run_named: run_name.is_some() })
    }

    async fn find(&self, name: &str) -> Result<(RunId, PhaseId), Failure> {
        let mut of_run = Vec::new();
        if let Some(run) = &self.run {
            of_run = self.store.phase_ids(run).await?;
            if let Some(phase) = of_run.iter().find(|phase| phase.as_str() == name) {
                return Ok((run.clone(), phase.clone()));
            }
        }
        for (run, rest) in self.splits(name) {
            let phases = self.store.phase_ids(run).await?;
            let Some(phase) = find_id(&phases, PhaseId::as_str, rest) else { continue };
            match &self.run {
                Some(named) if self.is_run_named && named != run => {
                    return Err(two_names(run.as_str(), named.as_str()));
                }
                _ => return Ok((run.clone(), phase.clone())),
            }
        }
        match (&self.run, find_id(&of_run, PhaseId::as_str, name)) {
            (Some(run), Some(phase)) => Ok((run.clone(), phase.clone())),
            _ => Err(self.explain_unknown(name, &of_run).await?),
        }
    }

    /// Returns each way to read the name as `RUN/PHASE`, for runs that exist.
    fn splits<'n>(&self, name: &'n str) -> Vec<(&RunId, &'n str)> {
        let splits = name.match_indices('/').map(|(at, _)| (&name[..at], &name[at + 1..]));
        splits
            .filter_map(|(run, phase)| Some((find_id(&self.runs, RunId::as_str, run)?, phase)))
            .collect()
    }

    async fn explain_unknown(&self, name: &str, of_run: &[PhaseId]) -> Result<Failure, Failure> {
        let split = self.splits(name).pop();
        let (run, phase, known) = match (split, &self.run) {
            (Some((run, phase)), _) => (run, phase, self.store.phase_ids(run).await?),
            (None, Some(run)) => (run, name, of_run.to_vec()),
            (None, None) => {
                let elsewhere = self.store.runs_with_phase(&PhaseId::new(name)).await?;
                let hint = match elsewhere.as_slice() {
                    [] => "write RUN/PHASE, or name the run with --run-id".to_owned(),
                    runs => format!("write {}", join_phase(runs, name)),
                };
                return Ok(several_runs(self.store).await?.hint(hint));
            }
        };
        let elsewhere = self.store.runs_with_phase(&PhaseId::new(phase)).await?;
        let ids: Vec<&str> = known.iter().map(PhaseId::as_str).collect();
        let hint = match (elsewhere.as_slice(), nearest(phase, &ids)) {
            ([], Some(near)) => format!("did you mean {near:?}?"),
            ([], None) => {
                let run = quoted(run.as_str());
                format!("`autopack phases list --run-id {run}` lists its phases")
            }
            (runs, _) => {
                let names: Vec<String> = runs.iter().map(|run| shown_id(run.as_str())).collect();
                let phase_name = shown_id(phase);
                let runs_text = first_few(&names, NAMED);
                format!(
                    "phase {phase_name} is in run {runs_text}: write {}",
                    join_phase(runs, phase)
                )
            }
        };
        let unknown = StoreError::UnknownPhase { run: run.clone(), phase: PhaseId::new(phase) };
        Ok(Failure::from(unknown).hint(hint))
    }
}

/// Formats `RUN/PHASE` for each run, as a command takes it.
fn join_phase(runs: &[RunId], phase: &str) -> String {
    let names: Vec<String> =
        runs.iter().map(|run| quoted(&format!("{run}/{phase}")).into_owned()).collect();
    let (last, others) = names.split_last().expect("at least one run");
    match others {
        [] => last.clone(),
        others => format!("{} or {last}", first_few(others, NAMED)),
    }
}
