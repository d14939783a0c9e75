//! The user's refs copied into a slot: tags, the base branch and `origin/*`, so that `git describe
//! --tags`, `git diff main...HEAD` and `git diff origin/main...` print the same in a slot as in a
//! clone.
//!
//! They are copied, not shared: an agent can only change the copy. `fetch_remote` adds the remote for CI and setup.

use std::collections::BTreeMap;
use std::path::Path;

use super::Repo;
use crate::git::error::Result;
use crate::git::refs::all_refs;

/// Above this number of refs, branches of `origin` other than the default branch are left out.
const MOST: usize = 10_000;

const BRANCHES: &str = "refs/heads/";
const ORIGIN: &str = "refs/remotes/origin/";
const ORIGIN_HEAD: &str = "refs/remotes/origin/HEAD";

/// Refs for a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CopiedRefs {
    /// In the format of `packed-refs`.
    pub packed: String,
    /// Target of `origin/HEAD`.
    pub origin_head: Option<String>,
}

impl Repo {
    pub(crate) async fn copied_refs(&self) -> Result<CopiedRefs> {
        let mut refs = all_refs(&self.common_dir);
        if self.common_dir.join("reftable").is_dir() {
            let args = ["for-each-ref", "--format=%(objectname) %(refname)"];
            let listed = self.git.call("list the refs", args).text().await?;
            let pairs = listed.lines().filter_map(|line| line.split_once(' '));
            refs = pairs.map(|(id, name)| (name.to_owned(), id.to_owned())).collect();
        }
        let head = std::fs::read_to_string(self.git_dir.join("HEAD")).unwrap_or_default();
        let head = head.trim().strip_prefix("ref: ").unwrap_or_default();
        Ok(choose(&refs, head))
    }
}

/// Selects the refs for a copy; `head` is the user's current branch.
fn choose(refs: &BTreeMap<String, String>, head: &str) -> CopiedRefs {
    let named = |name: &str| refs.get(name).filter(|id| is_id(id));
    let default = refs.get(ORIGIN_HEAD).and_then(|to| to.strip_prefix("ref: "));
    let default_name = default.and_then(|name| name.strip_prefix(ORIGIN));
    let mut copied = BTreeMap::new();
    let wanted = [default_name, head.strip_prefix(BRANCHES), Some("main"), Some("master")];
    for branch in wanted.into_iter().flatten() {
        // Reserved for the copy's own branch.
        if branch == "work" || branch.starts_with("work/") || branch.starts_with("autopack/") {
            continue;
        }
        let name = format!("{BRANCHES}{branch}");
        if let Some(id) = named(&name) {
            copied.insert(name, id.clone());
        }
    }
    let few = refs.len() <= MOST;
    for (name, id) in refs.iter().filter(|(_, id)| is_id(id)) {
        let of_origin = name.starts_with(ORIGIN) && (few || Some(name.as_str()) == default);
        if name.starts_with("refs/tags/") || of_origin {
            copied.insert(name.clone(), id.clone());
        }
    }
    let mut origin_head = default.map(str::to_owned);
    // A clone of this repository would have its branches as branches of `origin`.
    if !refs.keys().any(|name| name.starts_with(ORIGIN)) {
        let own: Vec<(String, String)> = copied
            .iter()
            .filter_map(|(name, id)| Some((name.strip_prefix(BRANCHES)?.to_owned(), id.clone())))
            .collect();
        origin_head = head.strip_prefix(BRANCHES).map(|branch| format!("{ORIGIN}{branch}"));
        copied.extend(own.into_iter().map(|(branch, id)| (format!("{ORIGIN}{branch}"), id)));
    }
    let origin_head = origin_head.filter(|to| copied.contains_key(to));
    let mut packed = String::from("# pack-refs with: sorted \n");
    for (name, id) in &copied {
        packed.push_str(&format!("{id} {name}\n"));
    }
    CopiedRefs { packed, origin_head }
}

fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Path of `origin/HEAD` in a git directory.
pub(crate) fn origin_head() -> &'static Path {
    Path::new(ORIGIN_HEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refs(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        list.iter().map(|(name, id)| ((*name).to_owned(), (*id).to_owned())).collect()
    }

    #[test]
    fn tags_the_base_and_origin_are_copied() {
        let id = &"1".repeat(40);
        let all = refs(&[
            ("refs/heads/main", id),
            ("refs/heads/topic", id),
            ("refs/heads/other", id),
            ("refs/heads/autopack/run", id),
            ("refs/remotes/origin/HEAD", "ref: refs/remotes/origin/main"),
            ("refs/remotes/origin/main", id),
            ("refs/remotes/upstream/main", id),
            ("refs/tags/v1", id),
        ]);
        let copied = choose(&all, "refs/heads/topic");
        let names: Vec<&str> =
            copied.packed.lines().skip(1).map(|line| line.split_once(' ').unwrap().1).collect();
        assert_eq!(
            names,
            ["refs/heads/main", "refs/heads/topic", "refs/remotes/origin/main", "refs/tags/v1"]
        );
        assert_eq!(copied.origin_head.as_deref(), Some("refs/remotes/origin/main"));
    }

    #[test]
    fn without_a_remote_the_copy_has_the_refs_of_a_clone() {
        let id = &"1".repeat(40);
        let copied = choose(&refs(&[("refs/heads/main", id)]), "refs/heads/main");
        assert!(copied.packed.contains("refs/remotes/origin/main"), "{}", copied.packed);
        assert_eq!(copied.origin_head.as_deref(), Some("refs/remotes/origin/main"));
        assert_eq!(choose(&refs(&[]), "").packed.lines().count(), 1);
    }

    #[test]
    fn with_too_many_refs_only_origins_default_branch_is_copied() {
        let id = "1".repeat(40);
        let mut all: BTreeMap<String, String> =
            (0..MOST).map(|n| (format!("refs/remotes/origin/b{n}"), id.clone())).collect();
        all.insert("refs/remotes/origin/main".to_owned(), id.clone());
        all.insert(ORIGIN_HEAD.to_owned(), "ref: refs/remotes/origin/main".to_owned());
        let copied = choose(&all, "refs/heads/main");
        assert_eq!(copied.packed.lines().count(), 2, "{}", copied.packed);
    }
}
