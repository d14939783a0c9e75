//! The branches and the base of new runs, checked before anything is imported or claimed.

use super::{Context, open_database};
use crate::failure::{Failure, WithHint};
use crate::phase::RunId;
use crate::progress::shown_id;
use crate::store::{Store, StoreError};
use crate::workspace::{Repo, WorkspaceError};

/// Checks the runs of plan files before they are imported: known ones belong to this repository, and new ones get a
/// branch, see [`check_branches`].
///
/// # Errors
/// A run belongs to another repository, as [`check_branches`], or the database cannot be read.
pub(super) async fn check_planned_runs(
    runs: &[RunId],
    base: Option<&str>,
    context: &Context,
    repo: &Repo,
) -> Result<(), Failure> {
    let mut known = Vec::new();
    match Store::open_existing(&open_database::url(context)?).await {
        Ok(store) => {
            known = store.runs().await?;
            let elsewhere = open_database::elsewhere(&store, repo, &known).await?;
            store.close().await;
            let other = runs.iter().find_map(|run| Some((run, elsewhere.get(run)?)));
            if let Some((run, place)) = other {
                let run = shown_id(run.as_str());
                return Err(Failure::new(format!("run {run} belongs to the repository {place}"))
                    .hint("drain it there, or import the plan here with another --run-id"));
            }
        }
        Err(StoreError::NoDatabase { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let is_new = |run: &&RunId| known.iter().all(|known| known.run_id != **run);
    let new: Vec<RunId> = runs.iter().filter(is_new).cloned().collect();
    check_branches(&new, base, context, repo).await
}

/// Checks that the branches of runs without one can be created. `base` is the value of `--base`.
///
/// # Errors
/// The base is no commit, or a branch of this name is not the run's.
pub(super) async fn check_branches(
    runs: &[RunId],
    base: Option<&str>,
    context: &Context,
    repo: &Repo,
) -> Result<(), Failure> {
    let configured = context.config()?.settings.workspace.base.as_deref();
    let from = base.or(configured);
    // In a repository without commits, the first drain makes the base.
    if from.is_none() && repo.resolve("HEAD").await?.is_none() {
        return Ok(());
    }
    for run in runs {
        match repo.plan_branch(run, from).await {
            // Another drain may have recorded and created the branch meanwhile.
            Err(WorkspaceError::BranchNotOurs { .. }) if has_branch(run, context).await => {}
            Err(error @ WorkspaceError::BranchNotOurs { .. }) => {
                return match open_database::other_database(repo) {
                    Some(hint) => Err(error).or_hint(hint),
                    None => Err(error.into()),
                };
            }
            Err(error @ WorkspaceError::UnknownBase { .. }) => {
                let hint = match base {
                    Some(_) => "`git branch --all` lists branches".to_owned(),
                    None => {
                        let origin = context.config()?.origin_of("workspace.base");
                        format!("correct workspace.base ({origin}), or name one with --base")
                    }
                };
                return Err(error).or_hint(hint);
            }
            // The drain meets other errors, and tells what it was doing.
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

/// Whether the database has a branch for the run by now.
async fn has_branch(run: &RunId, context: &Context) -> bool {
    let Ok(url) = open_database::url(context) else { return false };
    let Ok(store) = Store::open_existing(&url).await else { return false };
    let facts = store.run_facts(run).await;
    store.close().await;
    facts.is_ok_and(|facts| facts.is_some())
}
