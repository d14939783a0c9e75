//! Health check of CI by the files of the commit at which runs begin: a drain does not see uncommitted files.

use std::path::Path;

use super::settings_checks::find_ci;
use super::{Finding, Status};
use crate::ci::CiPlace;
use crate::config::Settings;
use crate::phase::words::short_commit;
use crate::process::child_env::Env;
use crate::workspace::Repo;

/// Checks the CI command as a drain chooses it. Without a commit, or with too many files, your checkout decides.
pub async fn check_ci(settings: &Settings, workspace: &Path, env: &Env) -> Finding {
    let of_checkout = find_ci(settings, &CiPlace { dir: workspace, workspace, env }).await;
    // A configured command depends on no file.
    if settings.ci.command.is_some() {
        return of_checkout;
    }
    match at_base(settings, workspace, env).await {
        Ok(Some((commit, found))) if found.status != Status::Ok => {
            let hint = match of_checkout.status {
                Status::Ok => Some(
                    "commit the tests: runs begin at a commit, without your other files".to_owned(),
                ),
                _ => found.hint,
            };
            let detail = format!("at {}: {}", short_commit(&commit), found.detail);
            Finding { detail, hint, ..found }
        }
        Ok(Some((_, found))) => found,
        Ok(None) => of_checkout,
        Err(error) => {
            tracing::debug!("cannot read the files of the commit: {error:#}");
            of_checkout
        }
    }
}

/// Checks CI at the commit where runs begin; `None` if your checkout has the same files.
async fn at_base(
    settings: &Settings,
    workspace: &Path,
    env: &Env,
) -> anyhow::Result<Option<(String, Finding)>> {
    let repo = Repo::discover(workspace).await?;
    let base = settings.workspace.base.as_deref().unwrap_or("HEAD");
    let Some(commit) = repo.resolve(base).await? else { return Ok(None) };
    if repo.has_files_of(&commit).await? {
        return Ok(None);
    }
    let directory = tempfile::Builder::new().prefix("autopack-health-").tempdir()?;
    let Some(files) = repo.write_files_of(&commit, directory.path()).await? else {
        return Ok(None);
    };
    Ok(Some((commit, find_ci(settings, &CiPlace { dir: &files, workspace, env }).await)))
}
