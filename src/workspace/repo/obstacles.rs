//! What of a repository keeps a drain from working in it, found by looking alone: for `health`, before anybody starts one.

use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::Repo;
use crate::git::error::{Result, WorkspaceError};

/// Something that stands in the way, and what removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    pub what: String,
    pub cure: String,
}

impl Obstacle {
    fn new(what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { what: what.into(), cure: cure.into() }
    }
}

/// All of them. `base`: where the configuration lets runs begin.
///
/// # Errors
/// Where git cannot be asked.
pub async fn obstacles(repo: &Repo, base: Option<&str>) -> Result<Vec<Obstacle>> {
    let mut found: Vec<Obstacle> = unwritable(repo).into_iter().collect();
    if let Some(base) = base
        && repo.resolve(base).await?.is_none()
    {
        let what = format!("workspace.base {base:?} names no commit here");
        found.push(Obstacle::new(what, "name another in autopack.yaml, or fetch it"));
    }
    if let Some(why) = repo.refused_slots_dir() {
        let cure = "name another directory in workspace.slots_dir, outside of every git work tree";
        found.push(Obstacle::new(why, cure));
    }
    found.extend(plain_branch(repo).await?);
    found.extend(absent_objects(repo, base).await?);
    found.extend(lfs(repo).await?);
    Ok(found)
}

/// Git keeps `autopack` and `autopack/<run>` in one tree of names.
async fn plain_branch(repo: &Repo) -> Result<Option<Obstacle>> {
    let args = ["for-each-ref", "--format=%(refname)", "refs/heads/autopack"];
    let listed = repo.git.call("look for a branch in the way", args).text().await?;
    let there = listed.lines().any(|name| name == "refs/heads/autopack");
    Ok(there.then(|| {
        Obstacle::new(
            "a branch `autopack` is there, so that git can make no branch `autopack/<run>`",
            "rename it: git branch -m autopack OTHER",
        )
    }))
}

/// Where our files and refs go.
fn unwritable(repo: &Repo) -> Option<Obstacle> {
    let ours = repo.autopack_dir();
    if ours.exists() && !ours.is_dir() {
        let what = format!("{} is a file; autopack keeps its directory there", ours.display());
        return Some(Obstacle::new(what, "move it away"));
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
        Obstacle::new(what, "a drain writes there; make it writable, or work in a clone")
    })
}

/// Of a partial clone, what the first slot would lack: nothing is fetched while a drain works.
async fn absent_objects(repo: &Repo, base: Option<&str>) -> Result<Option<Obstacle>> {
    let Some(commit) = repo.resolve(base.unwrap_or("HEAD")).await?.filter(|_| repo.config.partial)
    else {
        return Ok(None);
    };
    let args = ["rev-list", "--objects", "--no-walk", "--missing=print", &commit];
    let call = repo.git.call("look for absent files", args).env("GIT_NO_LAZY_FETCH", "1");
    let answer = call.answer().await?;
    let listed = String::from_utf8_lossy(&answer.output.stdout).into_owned();
    let absent = listed.lines().filter(|line| line.starts_with('?')).count();
    Ok((absent > 0 || !answer.ok()).then(|| {
        let error = WorkspaceError::PartialClone {
            root: repo.root.clone(),
            commit,
            said: format!("{absent} objects are absent"),
        };
        Obstacle::new(error.to_string(), "fetch them once, as it says, or clone without --filter")
    }))
}

/// Files that LFS keeps, where there is no git-lfs: CI would see their pointers.
async fn lfs(repo: &Repo) -> Result<Option<Obstacle>> {
    if !repo.config.lfs.is_empty() {
        return Ok(None);
    }
    let tracked = ["ls-files", "-z", "--", ":(attr:filter=lfs)"];
    let listed = repo.git.call("look for files of LFS", tracked).answer().await?;
    let count = crate::git::command::fields(&listed.output.stdout).count();
    if count == 0 || !listed.ok() {
        return Ok(None);
    }
    let there = repo.git.call("look for git-lfs", ["lfs", "version"]).answer().await?.ok();
    let (why, cure) = match there {
        true => {
            ("git-lfs is not set up for this user", "run `git lfs install`, then `git lfs pull`")
        }
        false => (
            "git-lfs is not on PATH",
            "install git-lfs, then run `git lfs install` and `git lfs pull`",
        ),
    };
    let files = crate::phase::words::counted(count as u64, "file");
    Ok(Some(Obstacle::new(format!("LFS keeps {files} of this repository, and {why}"), cure)))
}
