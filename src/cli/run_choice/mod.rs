//! The run and the phases that a command names: `RUN`, `--run-id RUN`, `PHASE` and `RUN/PHASE`.
//!
//! Ids are accepted as written, as printed on a terminal, and as used in paths. Commands that only read use the run
//! used last if none is named. Commands that act need a name if there are several runs.

mod phase_names;
mod targets;

pub use phase_names::{PhaseArg, PhasesArg, choose_phase, choose_phases, choose_run_or_phases};
pub use targets::{Targets, TargetsArg};

use super::attempt_setup::open_repository;
use super::{Context, open_database};
use crate::failure::{Exit, Failure};
use crate::phase::RunId;
use crate::progress::{NOTES, shown_id};
use crate::store::Store;

/// What a command does to a run, which decides the run if none is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunUse {
    /// Only reads: the run used last.
    Read,
    /// Changes something: the only run; a usage error if there are several.
    Act,
}

/// The run of a command, as `RUN` or `--run-id RUN`.
#[derive(Debug, clap::Args)]
pub struct RunArg {
    /// The run [default: the run used last, or the only run for commands that change something]
    #[arg(value_name = "RUN")]
    run: Option<String>,

    /// Same as RUN
    #[arg(long, value_name = "RUN")]
    run_id: Option<String>,
}

/// A run that limits a command, which else concerns all runs: `RUN` or `--run-id RUN`.
#[derive(Debug, clap::Args)]
pub struct RunFilter {
    /// Only this run [default: all runs]
    #[arg(value_name = "RUN")]
    run: Option<String>,

    /// Same as RUN
    #[arg(long, value_name = "RUN")]
    run_id: Option<String>,
}

/// Runs of a command, as `RUN ...` or `--run-id RUN ...`.
#[derive(Debug, clap::Args)]
pub struct RunsArg {
    /// Only these runs [default: all runs]
    #[arg(value_name = "RUN")]
    runs: Vec<String>,

    /// Same as RUN; may repeat
    #[arg(long = "run-id", value_name = "RUN")]
    run_ids: Vec<String>,
}

impl RunArg {
    /// Returns the named run, or the default of this use.
    ///
    /// # Errors
    /// The run is unknown, none is named and several qualify, or the database cannot be read.
    pub async fn choose(
        &self,
        store: &Store,
        context: &Context,
        run_use: RunUse,
    ) -> Result<RunId, Failure> {
        choose_run(store, context, one_name(&self.run, &self.run_id)?, run_use).await
    }

    /// Opens the store and returns the run, see [`RunArg::choose`].
    ///
    /// # Errors
    /// As [`RunArg::choose`], or there is no database.
    pub async fn open(
        &self,
        context: &Context,
        run_use: RunUse,
    ) -> Result<(Store, RunId), Failure> {
        let store = open_database::open_existing(context).await?;
        let run = self.choose(&store, context, run_use).await?;
        Ok((store, run))
    }
}

impl RunFilter {
    /// Returns the named run, if any.
    ///
    /// # Errors
    /// `RUN` and `--run-id` differ, the run is unknown, or the database cannot be read.
    pub async fn named(&self, store: &Store) -> Result<Option<RunId>, Failure> {
        match one_name(&self.run, &self.run_id)? {
            Some(name) => Ok(Some(find_run(store, name).await?)),
            None => Ok(None),
        }
    }
}

impl RunsArg {
    /// Returns the names as given, each once.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for name in self.runs.iter().chain(&self.run_ids) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }
}

/// Returns the named run, or the default of this use.
///
/// # Errors
/// The run is unknown, there are no runs, several qualify, or the database cannot be read.
pub async fn choose_run(
    store: &Store,
    context: &Context,
    name: Option<&str>,
    run_use: RunUse,
) -> Result<RunId, Failure> {
    if let Some(name) = name {
        return find_run(store, name).await;
    }
    let runs = store.run_ids_by_use().await?;
    let Some(run) = default_run(store, context, &runs, run_use).await? else {
        return Err(several_runs(store).await?.hint("name one: `RUN` or `--run-id RUN`"));
    };
    if runs.len() > 1 {
        tracing::info!(target: NOTES, "run {}, used last", shown_id(run.as_str()));
    }
    Ok(run)
}

/// Returns the run with this id, as written, as printed, or as used in paths.
///
/// # Errors
/// The run is unknown, or the database cannot be read.
pub async fn find_run(store: &Store, name: &str) -> Result<RunId, Failure> {
    match known_run(store, name).await? {
        Some(run) => Ok(run),
        None => Err(store.unknown_run(&RunId::new(name)).await?.into()),
    }
}

/// Returns the run as [`find_run`]; `None` if there is no such run.
///
/// # Errors
/// The database cannot be read.
pub async fn known_run(store: &Store, name: &str) -> Result<Option<RunId>, Failure> {
    let exact = RunId::new(name);
    if store.require_runs(std::slice::from_ref(&exact)).await.is_ok() {
        return Ok(Some(exact));
    }
    let runs = store.run_ids_by_use().await?;
    Ok(find_id(&runs, RunId::as_str, name).cloned())
}

/// Returns the run of commands without a name; `None` if there are several to choose from.
async fn default_run(
    store: &Store,
    context: &Context,
    runs: &[RunId],
    run_use: RunUse,
) -> Result<Option<RunId>, Failure> {
    match (runs, run_use) {
        ([], _) => Err(Failure::new(format!("{} has no runs", store.path().display()))
            .hint("import one with `autopack import FILE`")),
        ([only], _) => Ok(Some(only.clone())),
        (_, RunUse::Act) => Ok(None),
        ([latest, ..], RunUse::Read) => {
            // Several repositories may share a database.
            let Ok(repo) = open_repository(context).await else {
                return Ok(Some(latest.clone()));
            };
            let elsewhere = open_database::elsewhere(store, &repo, &store.runs().await?).await?;
            let here = runs.iter().find(|run| !elsewhere.contains_key(run));
            Ok(Some(here.unwrap_or(latest).clone()))
        }
    }
}

async fn several_runs(store: &Store) -> Result<Failure, Failure> {
    let runs = store.runs().await?;
    let names: Vec<String> = runs.iter().map(|run| shown_id(run.run_id.as_str())).collect();
    Ok(Failure::new(format!("there are several runs: {}", names.join(", "))).exit(Exit::Usage))
}

/// Returns the name given as `RUN` or `--run-id RUN`.
fn one_name<'a>(
    run: &'a Option<String>,
    run_id: &'a Option<String>,
) -> Result<Option<&'a str>, Failure> {
    match (run, run_id) {
        (Some(run), Some(other)) if run != other => Err(two_names(run, other)),
        _ => Ok(run.as_deref().or(run_id.as_deref())),
    }
}

fn two_names(run: &str, other: &str) -> Failure {
    let (run, other) = (shown_id(run), shown_id(other));
    Failure::new(format!("the command names two runs: {run} and {other} (--run-id)"))
        .hint("name one of them")
        .exit(Exit::Usage)
}

/// Finds the id with this name: as written, else the only one printed or used in paths like that.
fn find_id<'a, T>(ids: &'a [T], text: impl Fn(&T) -> &str, name: &str) -> Option<&'a T> {
    let is_printed =
        |id: &&T| shown_id(text(id)) == name || RunId::new(text(id)).file_name() == name;
    ids.iter().find(|id| text(id) == name).or_else(|| {
        let mut printed = ids.iter().filter(is_printed);
        printed.next().filter(|_| printed.next().is_none())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_as_written_as_printed_and_as_in_paths() {
        let ids = ["a b", "a\nb", "week/1"].map(RunId::new);
        let find = |name: &str| find_id(&ids, RunId::as_str, name).map(RunId::as_str);
        assert_eq!(find("a b"), Some("a b"), "exactly, though both are printed like that");
        assert_eq!(find("a\nb"), Some("a\nb"));
        let [_, second, third] = ids.each_ref().map(RunId::file_name);
        assert_eq!(find(&second), Some("a\nb"));
        assert_eq!(find(&third), Some("week/1"));
        assert_eq!(find("week"), None);
        let doubled = ["x\ny", "x\ty"].map(RunId::new);
        assert!(find_id(&doubled, RunId::as_str, "x y").is_none(), "two are printed like that");
    }
}
