//! Measures an attempt's change on disk against its base commit.
//!
//! The agent's git is not consulted: commits, staged files, ignored files and nested repositories
//! of the agent are irrelevant. Our index sees the files on disk.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::ignored_deliverables::VisibleFiles;
use super::made_objects::MeasuredTree;
use super::outside_diff::DiffExclusions;
use super::untracked_removal::{list_remaining, nested_git, unlock};
use super::{Slot, SlotContents};
use crate::git::command::fields;
use crate::git::diff::{BINARY, DIFF, Diff, RawChange, diff_through_file};
use crate::git::error::{Context, Result, WorkspaceError};
use crate::git::path_bytes::{from_bytes, to_text};
use crate::git::removal::remove_any;
use crate::phase::PathPattern;
use crate::phase::scope::{Change, ChangeKind};
use crate::workspace::blocking_work::blocking;

/// The measured change of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeasuredChange {
    /// Id of the tree to commit.
    pub tree: String,
    /// Changed paths, in git's order.
    pub changes: Vec<Change>,
    /// Changed submodules; each is also listed in `changes`, and none can land.
    pub submodules: Vec<String>,
    /// Repositories created by the attempt in the tree; their files count as files of the tree.
    pub nested: Vec<String>,
    /// New paths missing in the tree only because of `workspace.keep`.
    pub omitted: Vec<String>,
    /// The change as a patch for `git apply`.
    pub patch: Vec<u8>,
    /// Whether the patch lacks the content of binary files, because git failed to include them.
    pub without_binary: bool,
}

impl Slot {
    /// Measures the difference between `base` and the disk. Ignored files are left out, unless a deliverable is
    /// present only as ignored files.
    ///
    /// # Errors
    /// [`WorkspaceError::Unmeasurable`] if the attempt's files cannot be read; otherwise if git fails.
    pub async fn measure(
        &self,
        base: &str,
        deliverables: &[PathPattern],
    ) -> Result<MeasuredChange> {
        let contents = self.contents()?;
        self.reopen();
        let gone = |why: &str| Err(WorkspaceError::Unmeasurable { why: why.to_owned() });
        if !self.top.exists() && !self.top.has_git_directory() {
            return Err(WorkspaceError::SlotGone { dir: self.top.dir.clone() });
        }
        if !self.top.exists() {
            return gone("the attempt removed its own working directory");
        }
        if !self.top.has_git_directory() {
            return gone("the attempt removed the git directory used for measuring it");
        }
        // An agent with access to our git directory may have planted objects there.
        self.top.drop_objects(&self.repo)?;
        self.top.drop_foreign_index(&self.repo)?;
        let before = contents.is_measured.swap(true, Ordering::Relaxed);
        if before || !self.top.git_dir.join("index").exists() {
            // Objects from the previous measurement no longer exist.
            let args = ["read-tree", "--reset", &contents.placed.commit];
            self.top.git.call("list the files again", args).bytes().await?;
        }
        let mut nested = self.set_aside_in_submodules(contents)?;
        self.add_all(contents, &mut nested).await?;
        // Paths left out are never in the index, so both queries can run at once.
        let (compared, omitted) = tokio::join!(self.compare(base), self.find_omitted(contents));
        let (mut diff, omitted) = (compared?, omitted?);
        let repositories: Vec<Vec<u8>> =
            diff.changes.iter().filter_map(RawChange::new_repository).collect();
        if !repositories.is_empty() {
            self.open_repositories(contents, &repositories, &mut nested).await?;
            diff = self.compare(base).await?;
        }
        if self.restore_untouched(contents, &diff).await? {
            diff = self.compare(base).await?;
        }
        let changed = diff.changes.iter().map(|change| to_text(&change.path)).collect();
        let seen = VisibleFiles { top: self.path(), tree: &contents.placed.tree, changed };
        if self.add_ignored(deliverables.iter().filter(|wanted| !seen.has(wanted))).await? {
            diff = self.compare(base).await?;
        }
        let mut changes: Vec<Change> =
            diff.changes.iter().map(|change| change.to_change(self.path())).collect();
        self.mark_escaping_links(&diff.changes, &mut changes).await?;
        let mut measured = MeasuredChange {
            tree: diff.tree.clone(),
            changes,
            nested,
            omitted,
            patch: std::mem::take(&mut diff.patch),
            without_binary: !diff.whole,
            ..MeasuredChange::default()
        };
        self.measure_submodules(contents, &mut measured).await?;
        self.top.record_index(&self.repo);
        self.remember(MeasuredTree::of(base, diff));
        Ok(measured)
    }

    /// Adds every file that is not ignored to our index.
    async fn add_all(&self, contents: &SlotContents, nested: &mut Vec<String>) -> Result<()> {
        let Err(first) = self.try_add_all().await? else { return Ok(()) };
        tracing::debug!("slot {}: {first}; unlocking it", self.number());
        self.unlock(contents).await?;
        self.set_aside_everywhere(contents, nested).await?;
        match self.try_add_all().await? {
            Ok(()) => Ok(()),
            Err(why) => Err(WorkspaceError::Unmeasurable { why }),
        }
    }

    /// Adds the files. The inner error lists files git could not read.
    async fn try_add_all(&self) -> Result<std::result::Result<(), String>> {
        let answer = self.top.git.call("add the changes", ["add", "-A"]).answer().await?;
        // Git only warns about an unreadable directory, and treats it as empty.
        let blind =
            String::from_utf8_lossy(&answer.output.stderr).contains("could not open directory");
        Ok(if answer.ok() && !blind { Ok(()) } else { Err(answer.stderr_summary()) })
    }

    /// Compares with `base`: the tree, its changes, and the patch, in a single call.
    async fn compare(&self, base: &str) -> Result<Diff> {
        let tree = self.top.git.call("write the tree", ["write-tree"]).text().await?;
        let first = match self.diff(base, &tree, true).await {
            Err(error @ WorkspaceError::Git { .. }) if !error.is_disk_full() => error,
            done => return done,
        };
        // Git miscounts in patches of files between 2 and 4 GiB; the patch works without their content.
        tracing::debug!("slot {}: {first}; comparing without binary content", self.number());
        match self.diff(base, &tree, false).await {
            Ok(diff) => Ok(Diff { whole: false, ..diff }),
            // Out of memory: caused by the size of the attempt's files.
            Err(WorkspaceError::Git { stderr, .. }) if stderr.contains("Out of memory") => {
                Err(WorkspaceError::Unmeasurable { why: stderr })
            }
            Err(error) => Err(error),
        }
    }

    async fn diff(&self, base: &str, tree: &str, binary: bool) -> Result<Diff> {
        let call = self.top.git.call(format!("compare with {base}"), DIFF);
        let call = call.args(binary.then_some(BINARY));
        let output = diff_through_file(&self.top.git_dir.join("diff"), call, [base, tree]).await?;
        Ok(Diff::parse(tree.to_owned(), &output))
    }

    /// Replaces nested repositories, added as submodules, by their files.
    async fn open_repositories(
        &self,
        contents: &SlotContents,
        repositories: &[Vec<u8>],
        nested: &mut Vec<String>,
    ) -> Result<()> {
        let mut paths = repositories.join(&0);
        paths.push(0);
        let args = ["update-index", "--force-remove", "-z", "--stdin"];
        self.top
            .git
            .call("remove nested repositories from the index", args)
            .stdin(paths)
            .bytes()
            .await?;
        self.set_aside_everywhere(contents, nested).await?;
        self.add_all(contents, nested).await
    }

    /// Sets aside an agent's own `.git` in a submodule: git would read this repository instead of the submodule's
    /// files.
    fn set_aside_in_submodules(&self, contents: &SlotContents) -> Result<Vec<String>> {
        let mut nested = Vec::new();
        for module in &contents.modules {
            let git = module.dir.join(".git");
            // If a parent directory is now a link, the path is outside the submodule.
            if fs::symlink_metadata(&git).is_ok() && self.is_inside(&module.dir) {
                let is_ours = module.has_its_git_file();
                remove_any(&git).doing("remove", &git)?;
                if !is_ours {
                    nested.push(to_text(&module.path));
                }
            }
        }
        Ok(nested)
    }

    fn is_inside(&self, dir: &Path) -> bool {
        match (dir.canonicalize(), self.path().canonicalize()) {
            (Ok(dir), Ok(top)) => dir.starts_with(top),
            _ => false,
        }
    }

    async fn set_aside_everywhere(
        &self,
        contents: &SlotContents,
        nested: &mut Vec<String>,
    ) -> Result<()> {
        let (dir, outside) = (self.path().to_owned(), contents.outside.clone());
        let tree = contents.placed.tree.clone();
        let found = blocking(move || {
            let found = nested_git(&dir, &outside, &tree).doing("search", &dir)?;
            for git in found.iter().map(|path| dir.join(from_bytes(path))) {
                remove_any(&git).doing("remove", &git)?;
            }
            Ok(found)
        })
        .await?;
        nested
            .extend(found.iter().map(|path| to_text(path.strip_suffix(b"/.git").unwrap_or(path))));
        Ok(())
    }

    async fn unlock(&self, contents: &SlotContents) -> Result<()> {
        let (dir, outside) = (self.path().to_owned(), contents.outside.clone());
        let tree = contents.placed.tree.clone();
        let unlocked = blocking(move || Ok(unlock(&dir, &outside, &tree))).await?;
        unlocked.map_err(|error| WorkspaceError::Unmeasurable { why: error.to_string() })
    }

    async fn measure_submodules(
        &self,
        contents: &SlotContents,
        measured: &mut MeasuredChange,
    ) -> Result<()> {
        for module in &contents.modules {
            if !module.is_changed().await? {
                continue;
            }
            let path = to_text(&module.path);
            if !measured.changes.iter().any(|change| change.path == path) {
                let kind = ChangeKind::Modified;
                let (symlink_target, lets_out) = (None, None);
                let path = path.clone();
                measured.changes.push(Change { path, kind, symlink_target, lets_out });
            }
            measured.submodules.push(path);
        }
        Ok(())
    }

    /// Returns the paths left out by our own ignore patterns but not by the repository's.
    async fn find_omitted(&self, contents: &SlotContents) -> Result<Vec<String>> {
        let (dir, outside) = (self.path().to_owned(), contents.outside.clone());
        let tree = contents.placed.tree.clone();
        let listed = blocking(move || Ok(list_remaining(&dir, &tree, &outside))).await?;
        // Git is asked if there are any, or if the directory cannot be read here.
        match listed {
            Ok((kept, _)) if kept.iter().all(|path| is_known(contents, path)) => Ok(Vec::new()),
            _ => self.ask_for_omitted(contents).await,
        }
    }

    /// Asks git for the paths left out. Git reads all of these directories; unreadable ones are not part of the work,
    /// and no reason to stop.
    async fn ask_for_omitted(&self, contents: &SlotContents) -> Result<Vec<String>> {
        let mut call = self.top.git.call(
            "find the files left out",
            ["ls-files", "-z", "--others", "--directory", "--no-empty-directory"],
        );
        call = call.arg("--exclude-per-directory=.gitignore");
        let users = self.top.stands_for.join("info/exclude");
        let files = [Some(users.as_path()), self.repo.config.excludes_file.as_deref()];
        for file in files.into_iter().flatten().filter(|file| file.is_file()) {
            let mut arg = std::ffi::OsString::from("--exclude-from=");
            arg.push(file);
            call = call.arg(arg);
        }
        let answer = call.answer().await?;
        if !answer.ok() {
            tracing::debug!("slot {}: {}", self.number(), answer.stderr_summary());
            return Ok(Vec::new());
        }
        let listed = answer.bytes()?;
        let new = fields(&listed).filter(|path| !is_known(contents, path)).map(to_text);
        Ok(new.filter(|path| !DiffExclusions::is_interpreter_file(path)).collect())
    }
}

/// Whether a path was there before the attempt, or was linked.
fn is_known(contents: &SlotContents, path: &[u8]) -> bool {
    let before = contents.placed.kept.iter().map(Vec::as_slice);
    let mut all = before.chain(contents.outside.links.iter().map(String::as_bytes));
    all.any(|kept| overlap(kept, path.strip_suffix(b"/").unwrap_or(path)))
}

/// Whether two paths are equal, or one contains the other.
fn overlap(a: &[u8], b: &[u8]) -> bool {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    long.strip_prefix(short).is_some_and(|rest| rest.first().is_none_or(|b| *b == b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_overlap_at_component_boundaries() {
        assert!(overlap(b"a/b", b"a") && overlap(b"a", b"a/b") && overlap(b"a", b"a"));
        assert!(!overlap(b"a/b", b"a/bc") && !overlap(b"ab", b"a"));
    }
}
