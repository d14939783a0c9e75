//! Checks for problems of a repository that would stop a drain, without changing anything: for
//! `health`, before a drain starts.

use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::Repo;
use crate::git::error::{Result, WorkspaceError};

/// A problem and its remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The problem, for people.
    pub problem: String,
    /// The remedy, for people.
    pub remedy: String,
}

impl Obstacle {
    pub(super) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into() }
    }
}

/// Returns all obstacles. `base` is the configured base of new runs.
///
/// # Errors
/// If git cannot be run.
pub async fn find_obstacles(repo: &Repo, base: Option<&str>) -> Result<Vec<Obstacle>> {
    let mut found: Vec<Obstacle> = unwritable(repo).into_iter().collect();
    if let Some(base) = base
        && repo.resolve(base).await?.is_none()
    {
        let what = format!("workspace.base {base:?} names no commit in this repository");
        found.push(Obstacle::new(what, "name another in autopack.yaml, or fetch it"));
    }
    if let Some(why) = repo.refused_slots_dir() {
        let remedy = "set workspace.slots_dir to a directory outside of every git work tree";
        found.push(Obstacle::new(why, remedy));
    }
    found.extend(plain_branch(repo).await?);
    found.extend(absent_objects(repo, base).await?);
    found.extend(lfs(repo).await?);
    Ok(found)
}

/// Checks for a branch named `autopack`: git refs are a tree, so `autopack/<run>` could not be created.
async fn plain_branch(repo: &Repo) -> Result<Option<Obstacle>> {
    let args = ["for-each-ref", "--format=%(refname)", "refs/heads/autopack"];
    let listed = repo.git.call("find a branch in the way", args).text().await?;
    let there = listed.lines().any(|name| name == "refs/heads/autopack");
    Ok(there.then(|| {
        Obstacle::new(
            "a branch `autopack` is there, and git cannot create `autopack/<run>` beside it",
            "rename the branch: git branch -m autopack OTHER",
        )
    }))
}

/// Checks for write access to the directories of our files and refs.
fn unwritable(repo: &Repo) -> Option<Obstacle> {
    let ours = repo.autopack_dir();
    if ours.exists() && !ours.is_dir() {
        let what = format!("{} is a file, but autopack needs a directory there", ours.display());
        return Some(Obstacle::new(what, "move the file away"));
    }
    let info = repo.common_dir.join("info");
    let exclude = info.join("exclude");
    let first_there =
        |paths: &[&Path]| paths.iter().find(|path| path.exists()).map(|path| path.to_path_buf());
    let written: [Option<PathBuf>; 4] = [
        first_there(&[&ours, &repo.root]),
        first_there(&[&exclude, &info, &repo.common_dir]),
        Some(repo.objects_dir()),
        first_there(&[&repo.common_dir.join("refs")]),
    ];
    let closed = written.into_iter().flatten().find_map(|path| {
        let error = access(&path, AccessFlags::W_OK).err()?;
        Some(format!("{} cannot be written: {}", path.display(), error.desc()))
    });
    closed.map(|what| {
        Obstacle::new(what, "drains write there; make the path writable, or use a clone")
    })
}

/// Checks a partial clone for objects missing in the first slot: nothing is fetched during a drain.
async fn absent_objects(repo: &Repo, base: Option<&str>) -> Result<Option<Obstacle>> {
    let Some(commit) = repo.resolve(base.unwrap_or("HEAD")).await?.filter(|_| repo.config.partial)
    else {
        return Ok(None);
    };
    let args = ["rev-list", "--objects", "--no-walk", "--missing=print", &commit];
    let call = repo.git.call("find absent objects", args).env("GIT_NO_LAZY_FETCH", "1");
    let answer = call.answer().await?;
    let listed = String::from_utf8_lossy(&answer.output.stdout).into_owned();
    let absent = listed.lines().filter(|line| line.starts_with('?')).count();
    Ok((absent > 0 || !answer.ok()).then(|| {
        let error = WorkspaceError::PartialClone {
            root: repo.root.clone(),
            commit,
            stderr: format!("{absent} objects are absent"),
        };
        Obstacle::new(error.to_string(), "run this git command once, or clone without --filter")
    }))
}

/// Checks for files in LFS without git-lfs installed: CI would see their pointers.
async fn lfs(repo: &Repo) -> Result<Option<Obstacle>> {
    if !repo.config.lfs.is_empty() {
        return Ok(None);
    }
    let tracked = ["ls-files", "-z", "--", ":(attr:filter=lfs)"];
    let listed = repo.git.call("list the files in LFS", tracked).answer().await?;
    let count = crate::git::command::fields(&listed.output.stdout).count();
    if count == 0 || !listed.ok() {
        return Ok(None);
    }
    let there = repo.git.call("look for git-lfs", ["lfs", "version"]).answer().await?.ok();
    let (why, remedy) = match there {
        true => {
            ("git-lfs is not set up for this user", "run `git lfs install`, then `git lfs pull`")
        }
        false => (
            "git-lfs is not on PATH",
            "install git-lfs, then run `git lfs install` and `git lfs pull`",
        ),
    };
    let files = crate::phase::words::counted(count as u64, "file");
    Ok(Some(Obstacle::new(format!("LFS keeps {files} of this repository, and {why}"), remedy)))
}
