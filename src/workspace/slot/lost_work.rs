//! Work committed or stashed by an agent and not in its files at the end: on another branch, in a
//! stash, in a second worktree, or removed by a `git reset`. Lost work does not land; it is kept as
//! patches.
//!
//! Our git reads only the agent's objects and the ids in its refs, from a separate git directory.
//! The agent's configuration is never read.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::Slot;
use super::agent_objects::{MOST_OBJECTS, head_of, is_directory, names, objects, refs};
use super::binary_files::strip_binaries;
use super::checkout::Checkout;
use super::measure::MeasuredChange;
use crate::git::diff::{DIFF, Diff, RawChange};
use crate::git::error::{Context, Result};
use crate::git::path_bytes::to_text;
use crate::git::removal::remove_any;
use crate::process::view::ViewSpec;

const MOST_PATCHES: usize = 8;
const REMOTES: &str = "refs/remotes/";

/// Work outside the measured change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostWork {
    /// Part of a file name: `stashed`, `branch-x`.
    pub name: String,
    /// Description for people: "stashed", "committed on branch x".
    pub what: String,
    /// Patch for `git apply`, without the content of binary files.
    pub patch: Vec<u8>,
}

/// Source of a commit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum CommitSource {
    Stash,
    Branch(String),
    Worktree(String),
    /// A commit without a ref.
    Nowhere,
}

/// Parents of the agent's commits, by id.
type Parents = HashMap<String, Vec<String>>;

impl Slot {
    /// Returns work committed or stashed by the agent and missing in `measured`. `view` is the agent's.
    ///
    /// # Errors
    /// If git fails.
    pub async fn find_lost_work(
        &self,
        measured: &MeasuredChange,
        view: Option<&ViewSpec>,
    ) -> Result<Vec<LostWork>> {
        let own = self.top.dir.join(".git");
        if !is_directory(&own) {
            return Ok(Vec::new());
        }
        let (ids, packs) = objects(&own.join("objects"));
        let worktrees = names(&own.join("worktrees"));
        if ids.is_empty() && packs.is_empty() && worktrees.is_empty() {
            return Ok(Vec::new());
        }
        let contents = self.contents()?;
        let mut git_dir = self.top.dir.clone().into_os_string();
        git_dir.push(".reading.git");
        let git_dir = PathBuf::from(git_dir);
        let (dir, hold) = (self.top.dir.clone(), self.lock_fd()?);
        let reading = Checkout::new(&self.repo, dir, git_dir.clone(), &self.repo.common_dir, &hold)
            .borrowing([own.join("objects"), self.top.git_dir.join("objects")]);
        let base = contents.placed.commit.clone();
        let search = LostWorkSearch {
            slot: self,
            own: &own,
            reading: &reading,
            base: &base,
            measured,
            view,
        };
        let found = search.all(ids, &packs, &worktrees).await;
        remove_any(&git_dir).doing("remove", &git_dir)?;
        found
    }
}

struct LostWorkSearch<'a> {
    slot: &'a Slot,
    own: &'a Path,
    reading: &'a Checkout,
    base: &'a str,
    measured: &'a MeasuredChange,
    view: Option<&'a ViewSpec>,
}

impl LostWorkSearch<'_> {
    async fn all(
        &self,
        mut ids: Vec<String>,
        packs: &[PathBuf],
        worktrees: &[String],
    ) -> Result<Vec<LostWork>> {
        self.reading.write_private(&self.slot.repo)?;
        for pack in packs {
            let index = fs::read(pack).doing("read", pack)?;
            let call = self.reading.store.call("list a pack", ["show-index"]).stdin(index);
            let listed = call.text().await?;
            ids.extend(listed.lines().filter_map(|line| line.split(' ').nth(1)).map(str::to_owned));
        }
        ids.truncate(MOST_OBJECTS);
        let mut lost = Vec::new();
        let mut seen = HashSet::new();
        for name in worktrees {
            if let Some((head, work)) = self.worktree(name).await? {
                seen.extend(head);
                lost.extend(work);
            }
        }
        let parents = self.commits(&ids).await?;
        let named = self.named(worktrees);
        let kept = self.head().into_iter().chain(self.fetched()).collect();
        for (tip, found) in tips(&parents, kept, &named) {
            if lost.len() < MOST_PATCHES && !seen.contains(&tip) {
                lost.extend(self.commit(&tip, &parents, &found).await?);
            }
        }
        Ok(lost)
    }

    /// Returns the agent's commits, with their parents.
    async fn commits(&self, ids: &[String]) -> Result<Parents> {
        let git = &self.reading.store;
        let input = ids.join("\n") + "\n";
        let kinds = git.call("read the types of new objects", ["cat-file", "--batch-check"]);
        let kinds = kinds.stdin(input).text().await?;
        let commits: Vec<&str> = kinds
            .lines()
            .filter_map(|line| line.split_once(" commit ").map(|(id, _)| id))
            .collect();
        if commits.is_empty() {
            return Ok(Parents::new());
        }
        let args = ["rev-list", "--no-walk=unsorted", "--parents", "--ignore-missing", "--stdin"];
        let call = git.call("read the new commits", args);
        let listed = call.stdin(commits.join("\n") + "\n").text().await?;
        let mut parents = Parents::new();
        for line in listed.lines() {
            let mut ids = line.split(' ').map(str::to_owned);
            if let Some(id) = ids.next() {
                parents.insert(id, ids.collect());
            }
        }
        Ok(parents)
    }

    /// Returns the commits named by the agent's refs.
    fn named(&self, worktrees: &[String]) -> BTreeMap<String, CommitSource> {
        let mut named = BTreeMap::new();
        let mut add = |id: String, found: CommitSource| {
            named
                .entry(id)
                .and_modify(|there: &mut CommitSource| *there = found.clone().min(there.clone()))
                .or_insert(found);
        };
        for (name, id) in refs(self.own) {
            if name.starts_with(REMOTES) {
                continue;
            }
            let found = match name.strip_prefix("refs/heads/") {
                Some(branch) => CommitSource::Branch(branch.to_owned()),
                None if name == "refs/stash" => CommitSource::Stash,
                None => CommitSource::Branch(name.clone()),
            };
            add(id, found);
        }
        let stashes = fs::read_to_string(self.own.join("logs/refs/stash")).unwrap_or_default();
        for line in stashes.lines() {
            add(line.split(' ').nth(1).unwrap_or_default().to_owned(), CommitSource::Stash);
        }
        for name in worktrees {
            if let Some(id) = head_of(self.own, &self.own.join("worktrees").join(name)) {
                add(id, CommitSource::Worktree(name.clone()));
            }
        }
        named
    }

    /// Returns the branches of remotes: others' commits, fetched by setup.
    fn fetched(&self) -> Vec<String> {
        let of_remotes = |name: &String| name.starts_with(REMOTES);
        let refs = refs(self.own).into_iter();
        refs.filter(|(name, _)| of_remotes(name)).map(|(_, id)| id).collect()
    }

    fn head(&self) -> Option<String> {
        head_of(self.own, self.own)
    }

    async fn commit(
        &self,
        tip: &str,
        parents: &Parents,
        found: &CommitSource,
    ) -> Result<Option<LostWork>> {
        let (changes, mut patch) = self.compare(self.base, tip).await?;
        let (missing, _) = self.compare(&self.measured.tree, tip).await?;
        let missing: HashSet<&[u8]> = missing.iter().map(|change| change.path.as_slice()).collect();
        let changed: BTreeSet<&str> =
            self.measured.changes.iter().map(|change| change.path.as_str()).collect();
        // Amended or redone work exists in another form, and no ref asks to keep the old form.
        let is_lost = |change: &RawChange| {
            missing.contains(change.path.as_slice())
                && (*found != CommitSource::Nowhere
                    || !changed.contains(to_text(&change.path).as_str()))
        };
        let mut lost = changes.iter().any(is_lost);
        // `git stash -u` keeps untracked files in a third parent.
        if let (CommitSource::Stash, Some(untracked)) =
            (found, parents.get(tip).and_then(|parents| parents.get(2)))
        {
            let args = ["hash-object", "-t", "tree", "--stdin"];
            let call = self.reading.store.call("write the empty tree", args).stdin("");
            let empty = call.text().await?;
            let (changes, more) = self.compare(&empty, untracked).await?;
            lost |= changes.iter().any(|c| !changed.contains(to_text(&c.path).as_str()));
            patch.extend(more);
        }
        Ok(lost.then(|| found.work(tip, &patch)))
    }

    async fn compare(&self, from: &str, to: &str) -> Result<(Vec<RawChange>, Vec<u8>)> {
        let call = self.reading.store.call("compare the new commits", DIFF).args([from, to]);
        let diff = Diff::parse(String::new(), &call.bytes().await?);
        Ok((diff.changes, diff.patch))
    }

    /// Returns where a path in the agent's git is outside of the agent's view.
    fn outside(&self, path: &Path) -> PathBuf {
        self.view.map_or_else(|| path.to_owned(), |view| view.outside(path))
    }

    /// Returns the files of a second worktree, and its current commit.
    async fn worktree(&self, name: &str) -> Result<Option<(Option<String>, Option<LostWork>)>> {
        let registered = self.own.join("worktrees").join(name);
        let Ok(git_file) = fs::read_to_string(registered.join("gitdir")) else { return Ok(None) };
        let git_file = self.outside(Path::new(git_file.trim_end()));
        let Some(dir) = git_file.parent().and_then(|dir| dir.canonicalize().ok()) else {
            return Ok(None);
        };
        let points_back = fs::read_to_string(dir.join(".git")).unwrap_or_default();
        let points_back = points_back.trim_end().strip_prefix("gitdir: ");
        let points_back = points_back.map(|path| self.outside(Path::new(path)));
        let root = &self.slot.repo.root;
        // Only directories created by the agent: neither a parent of other directories, nor a directory of the
        // user's.
        let is_its_own = points_back.as_deref() == Some(registered.as_path())
            && !self.slot.path().starts_with(&dir)
            && !root.starts_with(&dir)
            && !dir.starts_with(root)
            && !dir.starts_with(self.slot.path());
        if !is_its_own {
            return Ok(None);
        }
        let head = head_of(self.own, &registered);
        let from = head.clone().unwrap_or_else(|| self.base.to_owned());
        let git = self.reading.git.clone().pinned(&self.reading.git_dir, &dir);
        git.call("read the worktree's commit", ["read-tree", &from]).bytes().await?;
        git.call("add the files of the worktree", ["add", "-A", "--ignore-errors"])
            .answer()
            .await?;
        let tree = git.call("write the tree", ["write-tree"]).text().await?;
        let (changes, patch) = self.compare(self.base, &tree).await?;
        let (missing, _) = self.compare(&self.measured.tree, &tree).await?;
        let missing: HashSet<&[u8]> = missing.iter().map(|change| change.path.as_slice()).collect();
        let lost = changes.iter().any(|change| missing.contains(change.path.as_slice()));
        let work = lost.then(|| CommitSource::Worktree(name.to_owned()).work("", &patch));
        Ok(Some((head, work)))
    }
}

impl CommitSource {
    fn work(&self, tip: &str, patch: &[u8]) -> LostWork {
        let short: String = tip.chars().take(10).collect();
        let (name, what) = match self {
            Self::Stash => ("stashed".to_owned(), "stashed".to_owned()),
            Self::Branch(name) => {
                (format!("branch-{}", file_name(name)), format!("committed on branch {name}"))
            }
            Self::Worktree(name) => {
                (format!("worktree-{}", file_name(name)), format!("left in the worktree {name}"))
            }
            Self::Nowhere => {
                (format!("commit-{short}"), format!("committed as {short} and removed by a reset"))
            }
        };
        LostWork { name, what, patch: strip_binaries(patch) }
    }
}

/// Returns the latest commits not reachable from the kept commits: the agent's final HEAD, and fetched branches.
fn tips(
    parents: &Parents,
    kept: Vec<String>,
    named: &BTreeMap<String, CommitSource>,
) -> Vec<(String, CommitSource)> {
    let mut reached = HashSet::new();
    let mut open: Vec<&str> = kept.iter().map(String::as_str).collect();
    while let Some(id) = open.pop() {
        if reached.insert(id)
            && let Some(parents) = parents.get(id)
        {
            open.extend(parents.iter().map(String::as_str));
        }
    }
    let left = || parents.iter().filter(|(id, _)| !reached.contains(id.as_str()));
    let inner: HashSet<&str> =
        left().flat_map(|(_, parents)| parents).map(String::as_str).collect();
    let mut tips: Vec<(String, CommitSource)> = left()
        .filter(|(id, _)| !inner.contains(id.as_str()) || named.contains_key(id.as_str()))
        .map(|(id, _)| (id.clone(), named.get(id).cloned().unwrap_or(CommitSource::Nowhere)))
        .collect();
    tips.sort_by(|a, b| (&a.1, &a.0).cmp(&(&b.1, &b.0)));
    tips
}

/// Shortens a name to characters valid in a file name.
fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    name.chars().map(plain).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ancestors_of_the_result_are_not_lost() {
        let commit = |id: &str, parents: &[&str]| {
            (id.to_owned(), parents.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>())
        };
        // a - b - head; a - x - y (branch y); s is a stash on a, with i and u.
        let parents = Parents::from([
            commit("a", &["base"]),
            commit("b", &["a"]),
            commit("head", &["b"]),
            commit("x", &["a"]),
            commit("y", &["x"]),
            commit("s", &["a", "i", "u"]),
            commit("i", &["a"]),
            commit("u", &[]),
            commit("gone", &["b"]),
        ]);
        let named = BTreeMap::from([
            ("y".to_owned(), CommitSource::Branch("y".to_owned())),
            ("s".to_owned(), CommitSource::Stash),
        ]);
        let found = tips(&parents, vec!["head".to_owned()], &named);
        let found: Vec<_> = found.iter().map(|(id, found)| (id.as_str(), found)).collect();
        let branch = CommitSource::Branch("y".to_owned());
        assert_eq!(
            found,
            [("s", &CommitSource::Stash), ("y", &branch), ("gone", &CommitSource::Nowhere)]
        );
    }

    #[test]
    fn a_patch_is_named_after_its_branch() {
        let work = CommitSource::Branch("feature/x y".to_owned()).work("", b"");
        assert_eq!(work.name, "branch-feature-x-y");
        assert!(CommitSource::Nowhere.work(&"a".repeat(40), b"").what.contains("aaaaaaaaaa "));
    }
}
