//! Check of the remote of the runs (`workspace.remote`): whether its server can hold them.

use std::path::Path;

use super::Finding;
use crate::config::{Env, Settings};
use crate::forge;
use crate::workspace::{RefLayout, RemoteAbilities, RemoteFence, Repo, WorkspaceError};

/// Tries what a drain needs: an atomic push with expected values, refs outside of branches, and their deletion. `None`
/// without a remote for runs.
pub async fn check_remote(settings: &Settings, workspace: &Path, env: &Env) -> Option<Finding> {
    let name = settings.workspace.run_remote()?;
    let repo = async { Repo::discover(workspace).await?.with_run_remote(Some(name)).await };
    Some(match repo.await {
        Ok(repo) => {
            let repo = repo.with_run_login(|push_url, url| forge::given_login(push_url, url, env));
            probe(name, RemoteFence::of(&repo)?).await
        }
        Err(error) => Finding::fail(error.to_string(), "correct workspace.remote"),
    })
}

async fn probe(name: &str, remote: RemoteFence) -> Finding {
    let hint =
        "a drain could not keep claims there; use another remote, or leave workspace.remote empty";
    match remote.abilities().await {
        Ok(Ok(RemoteAbilities { layout, has_leases: true })) => {
            let refs = match layout {
                RefLayout::Own => "refs outside of branches",
                RefLayout::Heads => {
                    "branches only: claims are branches below refs/heads/autopack-claims"
                }
            };
            Finding::ok(format!("{name} takes atomic pushes with expected values, and {refs}"))
        }
        Ok(Ok(_)) => Finding::fail(
            format!(
                "{name} takes a push whose expected value is wrong; two drains could land the same phase"
            ),
            hint,
        ),
        Ok(Err(failure)) => {
            let hint = "a drain would wait for it; check the URL, the network and your access";
            Finding::fail(failure.to_string(), hint)
        }
        Err(WorkspaceError::UnfitRemote { remote, why }) => {
            Finding::fail(format!("{remote} cannot hold runs: {why}"), hint)
        }
        Err(error) => Finding::fail(error.to_string(), "see the message of git"),
    }
}
