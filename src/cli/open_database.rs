//! Opening the store for a verb, and which run the verb is about.

use jiff::Timestamp;

use super::Context;
use crate::config::Origin;
use crate::failure::{Exit, Failure, OrHint};
use crate::phase::{RunId, UnixMs};
use crate::progress::{NOTES, shown_id};
use crate::store::{DatabaseUrl, RunFacts, RunSummary, Store, StoreError};
use crate::workspace::Repo;

pub fn url(context: &Context) -> Result<DatabaseUrl, Failure> {
    let choice = context.database()?;
    DatabaseUrl::parse(&choice.url, &context.workspace()?)
        .or_hint(format!("the URL comes from {}", choice.origin))
}

/// The store, made where there is none; then git is told to overlook our folder.
pub async fn make(url: &DatabaseUrl, context: &Context) -> Result<Store, Failure> {
    let repo = Repo::discover(&context.workspace()?).await?;
    if url.path().starts_with(repo.autopack_dir()) {
        repo.prepare_folder()?;
    }
    Ok(Store::open(url).await?)
}

/// The store; that there is none yet is an error.
pub async fn open_existing(context: &Context) -> Result<Store, Failure> {
    let opened = Store::open_existing(&url(context)?).await;
    let choice = context.database()?;
    match opened {
        // An application's own DATABASE_URL is not always meant for us.
        Err(error @ StoreError::NoDatabase { .. }) if choice.origin != Origin::Shipped => {
            Err(error).or_hint(format!("the URL comes from {}", choice.origin))
        }
        opened => Ok(opened?),
    }
}

/// That there is such a run, for a verb that needs no store otherwise; without a store nobody can tell.
pub async fn require_run(context: &Context, run: RunId) -> Result<(), Failure> {
    let store = match Store::open_existing(&url(context)?).await {
        Err(StoreError::NoDatabase { .. }) => return Ok(()),
        store => store?,
    };
    store.require_runs(&[run]).await?;
    store.close().await;
    Ok(())
}

/// The run that was named, or the only one there is.
pub async fn the_run(store: &Store, named: Option<&str>) -> Result<RunId, Failure> {
    if let Some(name) = named {
        let run = RunId::new(name);
        store.require_runs(std::slice::from_ref(&run)).await?;
        return Ok(run);
    }
    let runs: Vec<RunId> = store.runs().await?.into_iter().map(|run| run.run_id).collect();
    match runs.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Failure::new(format!("{} holds no run", store.path().display()))
            .hint("`autopack import FILE` brings one in")),
        many => {
            let names: Vec<&str> = many.iter().map(RunId::as_str).collect();
            Err(Failure::new(format!("there are several runs: {}", names.join(", ")))
                .hint("name one with --run-id")
                .exit(Exit::Usage))
        }
    }
}

/// Whether the run was drained in another repository, whose branch, refs and kept work it has: one database may
/// serve several.
pub fn is_elsewhere(facts: Option<&RunFacts>, repo: &Repo) -> bool {
    facts.is_some_and(|facts| facts.repo != repo.identity())
}

/// What becomes of a repository that was found to have been moved.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    Record,
    /// Nothing is written.
    Look,
}

/// A repository that was moved takes its runs along: where they were there is none any more, here is the ref that their
/// branch was made with, and what landed is here. A copy, whose original is still there, gets none of them.
pub async fn take_along(
    store: &Store,
    repo: &Repo,
    runs: &mut [RunSummary],
    moved: Moved,
) -> Result<(), Failure> {
    let here = repo.identity();
    for run in runs {
        let Some(facts) = run.facts.as_mut().filter(|facts| facts.repo != here) else { continue };
        if !repo.took_the_place_of(&facts.repo)
            || !has_all_of(store, repo, &run.run_id, facts).await?
        {
            continue;
        }
        if moved == Moved::Record {
            // Where another copy was faster, it is that one's.
            if !store.move_run(&run.run_id, &facts.repo, &here).await? {
                continue;
            }
            let (run, from) = (shown_id(run.run_id.as_str()), &facts.repo);
            tracing::info!(target: NOTES, "run {run} goes on here: its repository was moved from {from} to {here}");
        }
        facts.repo.clone_from(&here);
    }
    Ok(())
}

/// An older copy lacks what landed since.
async fn has_all_of(
    store: &Store,
    repo: &Repo,
    run: &RunId,
    facts: &RunFacts,
) -> Result<bool, Failure> {
    if repo.base_of(run).await?.as_deref() != Some(facts.base_commit.as_str()) {
        return Ok(false);
    }
    let landed = store.landed(run).await?;
    Ok(repo.missing(run, &facts.base_commit, &landed).await?.is_empty())
}

/// Refuses a run of another repository; `hint` says what to do instead.
pub fn check_repository(
    run: &RunId,
    facts: Option<&RunFacts>,
    repo: &Repo,
    hint: &str,
) -> Result<(), Failure> {
    match facts.and_then(|facts| facts.refusal(run, &repo.identity())) {
        None => Ok(()),
        Some(refusal) => Err(Failure::new(refusal).hint(hint)),
    }
}

/// A point in time as people and scripts write it.
pub fn time(at: UnixMs) -> String {
    Timestamp::from_millisecond(at.0).map_or_else(|_| at.0.to_string(), |time| time.to_string())
}
