//! The branches and the base of new runs, checked before anything is imported or claimed.

use super::{Context, open_database};
use crate::failure::{Failure, WithHint};
use crate::phase::RunId;
use crate::phase::words::quoted;
use crate::store::{Store, StoreError};
use crate::workspace::{Repo, WorkspaceError};

/// Checks the runs that the store does not have yet, see [`check_branches`].
///
/// # Errors
/// As [`check_branches`], or the database cannot be read.
pub(super) async fn check_new_runs(
    runs: &[RunId],
    base: Option<&str>,
    context: &Context,
    repo: &Repo,
) -> Result<(), Failure> {
    let known = match Store::open_existing(&open_database::url(context)?).await {
        Ok(store) => {
            let known = store.run_ids_by_use().await?;
            store.close().await;
            known
        }
        Err(StoreError::NoDatabase { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let new: Vec<RunId> = runs.iter().filter(|run| !known.contains(run)).cloned().collect();
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
            Err(error @ WorkspaceError::BranchNotOurs { .. }) => {
                return match other_database(repo) {
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

/// Names another checkout with a database, to which the branch may belong.
fn other_database(repo: &Repo) -> Option<String> {
    let checkouts = repo.other_checkouts();
    let other = checkouts.iter().find(|path| path.join(".autopack/autopack.db").is_file())?;
    let path = other.display().to_string();
    Some(format!(
        "another checkout of this repository has a database: `autopack --workspace {} status` shows its runs",
        quoted(&path)
    ))
}
