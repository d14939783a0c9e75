//! Opens the store for a command and selects the run.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Context;
use crate::config::Origin;
use crate::failure::{Failure, WithHint};
use crate::phase::clone_identity::CloneIdentity;
use crate::phase::words::{first_few, quoted};
use crate::phase::{RunId, UnixMs};
use crate::progress::{NOTES, printable, shown_id};
use crate::store::{DatabaseUrl, RunFacts, RunSummary, Store, StoreError};
use crate::workspace::Repo;

/// Runs of other repositories named in a line.
const NAMED: usize = 5;

/// Parses the configured database URL.
pub fn url(context: &Context) -> Result<DatabaseUrl, Failure> {
    let choice = context.database()?;
    let url = DatabaseUrl::parse(&choice.url, &context.workspace()?)
        .or_hint(format!("the URL comes from {}", choice.origin))?;
    Ok(if context.is_for_drain() { url.for_drain() } else { url })
}

/// Opens or creates the store. A store in `.autopack/` is also excluded from git.
pub async fn create_store(url: &DatabaseUrl, context: &Context) -> Result<Store, Failure> {
    prepare_place(url, context).await?;
    Ok(Store::open(url).await?)
}

/// Migrates the schema at a server, for commands that change it: commands that read leave it to other machines.
pub async fn migrate_server(context: &Context) -> Result<(), Failure> {
    Ok(Store::migrate_server(&url(context)?).await?)
}

/// Prepares `.autopack/` for a database there.
pub async fn prepare_place(url: &DatabaseUrl, context: &Context) -> Result<(), Failure> {
    let repo = Repo::discover(&context.workspace()?).await?;
    if url.file().is_some_and(|file| file.starts_with(repo.autopack_dir())) {
        repo.prepare_directory()?;
    }
    Ok(())
}

/// Opens the store; a missing database is an error.
pub async fn open_existing(context: &Context) -> Result<Store, Failure> {
    let opened = Store::open_existing(&url(context)?).await;
    let choice = context.database()?;
    match opened {
        // The error names the origin: DATABASE_URL may be meant for an application.
        Err(error @ StoreError::NoDatabase { .. }) if choice.origin != Origin::Shipped => {
            Err(error).or_hint(format!("the URL comes from {}", choice.origin))
        }
        Err(error @ StoreError::NoDatabase { .. }) => {
            let repo = Repo::discover(&context.workspace()?).await.ok();
            match repo.and_then(|repo| other_database(&repo)) {
                Some(hint) => Err(error).or_hint(hint),
                None => Err(error.into()),
            }
        }
        opened => Ok(opened?),
    }
}

/// Names another checkout with a database, to which the branch may belong.
pub fn other_database(repo: &Repo) -> Option<String> {
    let checkouts = repo.other_checkouts();
    let other = checkouts.iter().find(|path| path.join(".autopack/autopack.db").is_file())?;
    let path = other.display().to_string();
    Some(format!(
        "another checkout of this repository has a database: `autopack --workspace {} status` shows its runs",
        quoted(&path)
    ))
}

/// Checks that the run exists, for commands without another use of the store. Passes if there is no database.
pub async fn require_run(context: &Context, run: RunId) -> Result<(), Failure> {
    let store = match Store::open_existing(&url(context)?).await {
        Err(StoreError::NoDatabase { .. }) => return Ok(()),
        store => store?,
    };
    store.require_runs(&[run]).await?;
    store.close().await;
    Ok(())
}

/// Checks whether the run belongs to another repository, where its branch, refs and kept work are. Several
/// repositories may share a database.
pub fn is_elsewhere(facts: Option<&RunFacts>, repo: &Repo) -> bool {
    facts.is_some_and(|facts| facts.repo != repo.identity())
}

/// Returns the runs that belong to other repositories, with their repository.
pub async fn elsewhere(
    store: &Store,
    repo: &Repo,
    runs: &[RunSummary],
) -> Result<BTreeMap<RunId, String>, Failure> {
    let mut runs = runs.to_vec();
    reassign_moved_runs(store, repo, &mut runs, MoveMode::CheckOnly).await?;
    let others = runs.into_iter().filter(|run| is_elsewhere(run.facts.as_ref(), repo));
    Ok(others.filter_map(|run| Some((run.run_id, run.facts?.repo))).collect())
}

/// Names the first few runs of other repositories, with their repository.
pub fn name_all(elsewhere: &BTreeMap<RunId, String>) -> Option<String> {
    let names: Vec<String> = elsewhere
        .iter()
        .map(|(run, repo)| format!("{} ({})", shown_id(run.as_str()), printable(repo)))
        .collect();
    (!names.is_empty()).then(|| first_few(&names, NAMED))
}

/// Handling of a moved repository.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum MoveMode {
    /// The new location is stored.
    Record,
    /// Nothing is written.
    CheckOnly,
}

/// Reassigns runs to a repository that was moved.
///
/// Requires three conditions: the old location has no repository, the base ref of the run is here, and all landed
/// commits are here. A copy gets no runs while the original exists.
pub async fn reassign_moved_runs(
    store: &Store,
    repo: &Repo,
    runs: &mut [RunSummary],
    moved: MoveMode,
) -> Result<(), Failure> {
    let here = repo.identity();
    for run in runs {
        // Work that began in this repository alone has no claim at the remote.
        let is_executing = repo.run_remote().is_some() && run.counts.executing > 0;
        let Some(facts) = run.facts.as_mut().filter(|facts| facts.repo != here && !is_executing)
        else {
            continue;
        };
        if !repo.has_replaced(&facts.repo)
            || !has_all_landings(store, repo, &run.run_id, facts).await?
        {
            continue;
        }
        if moved == MoveMode::Record {
            // Another copy may have taken the run first.
            if !store.move_run(&run.run_id, &facts.repo, &here).await? {
                continue;
            }
            let (run, from) = (shown_id(run.run_id.as_str()), &facts.repo);
            tracing::info!(target: NOTES, "run {run} continues here: its repository moved from {from} to {here}");
        }
        facts.repo.clone_from(&here);
    }
    Ok(())
}

/// Checks that the repository has the base ref and all landed commits; an older copy lacks some.
async fn has_all_landings(
    store: &Store,
    repo: &Repo,
    run: &RunId,
    facts: &RunFacts,
) -> Result<bool, Failure> {
    if repo.base_of(run).await?.as_deref() != Some(facts.base_commit.as_str()) {
        return Ok(false);
    }
    let landed = store.landed_phases(run).await?;
    Ok(repo.missing(run, &facts.base_commit, &landed).await?.is_empty())
}

/// Refuses a run of another repository; `hint` names the alternative.
pub fn check_repository(
    run: &RunId,
    facts: Option<&RunFacts>,
    repo: &Repo,
    hint: &str,
) -> Result<(), Failure> {
    let here = repo.identity();
    match facts.and_then(|facts| facts.explain_foreign_repository(run, &here)) {
        None => Ok(()),
        Some(refusal) if facts.is_some_and(|facts| facts.is_of_other_machine(&here)) => {
            let hint = "set workspace.remote on each machine to a remote that all can push to, start the first machine's drain, \
                        then this one's; or start the drain on that machine";
            Err(Failure::new(refusal).hint(hint))
        }
        Some(refusal) if repo.run_remote().is_some() && facts.is_some_and(is_in_clone) => {
            let hint = "set workspace.remote on the machine that began it, and start its drain first: it brings the branch to the remote";
            Err(Failure::new(refusal).hint(hint))
        }
        Some(refusal) if repo.run_remote().is_none() && facts.is_some_and(is_at_remote) => {
            Err(Failure::new(refusal).hint("set workspace.remote to the remote of the run"))
        }
        Some(refusal) => Err(Failure::new(refusal).hint(hint)),
    }
}

fn is_in_clone(facts: &RunFacts) -> bool {
    CloneIdentity::parse(&facts.repo).is_some()
}

fn is_at_remote(facts: &RunFacts) -> bool {
    Repo::is_identity_of_remote(&facts.repo)
}

/// Formats a time as RFC 3339.
pub fn time(at: UnixMs) -> String {
    Timestamp::from_millisecond(at.0).map_or_else(|_| at.0.to_string(), |time| time.to_string())
}
