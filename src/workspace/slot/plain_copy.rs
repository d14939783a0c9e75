//! A copy of one commit that is no slot: a clone that shares the user's objects, with `workspace.link` in it.

use std::path::Path;

use super::checkout::blocking;
use super::linked_paths::Mirror;
use crate::git::command::Git;
use crate::git::error::{Context, Result};
use crate::workspace::repo::Repo;

/// Makes the copy in the directory `to`, which is there and empty. Returns the commit; `None` where the repository has none
/// yet.
///
/// # Errors
/// Where git or the disk refuses.
pub async fn plain_copy(
    repo: &Repo,
    base: Option<&str>,
    to: &Path,
    links: &[String],
) -> Result<Option<String>> {
    let Some(commit) = repo.resolve(base.unwrap_or("HEAD")).await? else { return Ok(None) };
    let at = Git::at(to, &repo.env);
    let args = ["clone", "--quiet", "--shared", "--no-checkout", "--no-tags"];
    at.call("copy the repository", args).arg(&repo.common_dir).arg(".").bytes().await?;
    at.call("check the copy out", ["checkout", "--quiet", "--detach", &commit]).bytes().await?;
    let (root, slot, links) = (repo.root.clone(), to.to_owned(), links.to_vec());
    blocking(move || {
        let mirror = Mirror { root: &root, slot: &slot };
        links
            .iter()
            .try_for_each(|path| mirror.bring(path).map(drop).doing("copy", &root.join(path)))
    })
    .await?;
    Ok(Some(commit))
}
