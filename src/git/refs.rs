//! Refs: errors of moving them, and reading them from files.
//!
//! Reads the current branches, tags and remote-tracking branches of the user, and those of remotes
//! on this machine, from files: starting git would cost two processes for each attempt.
//! Repositories with another ref format (reftable) yield no refs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::command::GitAnswer;
use super::error::WorkspaceError;

/// Prefixes of autopack's branches: of runs, and of claims at remotes that refuse other refs.
const OURS: [&str; 4] = [
    "refs/heads/autopack/",
    "refs/heads/autopack-claims/",
    "refs/heads/autopack-queue/",
    "refs/heads/autopack-undos/",
];

/// Returns the target of each branch and tag of the user, by full ref name.
pub(crate) fn users_refs(common_dir: &Path) -> BTreeMap<String, String> {
    let kinds = ["refs/heads", "refs/tags", "refs/remotes"];
    read(common_dir, &kinds, |name| is_the_users(name) || is_of_remote(name))
}

/// Like [`users_refs`], with the refs of `origin`. The target of a symbolic ref is `ref: <name>`.
pub(crate) fn all_refs(common_dir: &Path) -> BTreeMap<String, String> {
    let kinds = ["refs/heads", "refs/tags", "refs/remotes/origin"];
    read(common_dir, &kinds, |name| is_the_users(name) || name.starts_with("refs/remotes/origin/"))
}

fn read(
    common_dir: &Path,
    kinds: &[&str],
    is_wanted: impl Fn(&str) -> bool,
) -> BTreeMap<String, String> {
    let mut refs = BTreeMap::new();
    // Loose refs first, like git: otherwise a ref packed in between would be missed.
    for kind in kinds {
        add_loose(common_dir, kind, &mut refs);
    }
    if let Ok(packed) = fs::read(common_dir.join("packed-refs")) {
        let packed = String::from_utf8_lossy(&packed);
        // Lines starting with `#` or `^` are about the file, or about the previous line.
        let lines = packed.lines().filter(|line| !line.starts_with(['#', '^']));
        for (leads_to, name) in lines.filter_map(|line| line.split_once(' ')) {
            if is_wanted(name) {
                // A loose ref overrides the packed ref.
                refs.entry(name.to_owned()).or_insert_with(|| leads_to.to_owned());
            }
        }
    }
    refs
}

/// Whether a ref is of a remote, and no branch that autopack pushed: another process may publish at any time.
fn is_of_remote(name: &str) -> bool {
    let branch = name.strip_prefix("refs/remotes/").and_then(|rest| rest.split_once('/'));
    branch.is_some_and(|(_, branch)| !branch.starts_with("autopack/"))
}

fn is_the_users(name: &str) -> bool {
    let is_branch = name.starts_with("refs/heads/") && !is_ours(name);
    is_branch || name.starts_with("refs/tags/")
}

fn is_ours(name: &str) -> bool {
    OURS.iter().any(|prefix| name.starts_with(prefix))
}

/// Returns branches and tags of remotes that are directories, prefixed with the remote's name: pushing to such a
/// directory by path leaves no trace in the user's repository.
pub(crate) fn refs_of_remotes(common_dir: &Path, checkout: &Path) -> BTreeMap<String, String> {
    let config = fs::read_to_string(common_dir.join("config")).unwrap_or_default();
    let mut refs = BTreeMap::new();
    for (name, dir) in local_remotes(&config, checkout) {
        let inner = dir.join(".git");
        let dir = if inner.is_dir() { inner } else { dir };
        let theirs =
            users_refs(&dir).into_iter().filter(|(full, _)| !full.starts_with("refs/remotes/"));
        refs.extend(theirs.map(|(full, to)| (format!("{name}: {full}"), to)));
    }
    refs
}

fn local_remotes(config: &str, checkout: &Path) -> Vec<(String, PathBuf)> {
    let mut remotes = Vec::new();
    let mut remote = None;
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            let name = line.strip_prefix("[remote \"").and_then(|rest| rest.strip_suffix("\"]"));
            remote = name.map(str::to_owned);
        } else if let (Some(name), Some((key, url))) = (&remote, line.split_once('='))
            && ["url", "pushurl"].contains(&key.trim().to_ascii_lowercase().as_str())
        {
            let url = url.trim().trim_matches('"');
            let path = url.strip_prefix("file://").unwrap_or(url);
            // `host:path` and `scheme://` are on other machines, unless such a directory exists.
            let path = checkout.join(path);
            if path.is_dir() {
                remotes.push((name.clone(), path));
            }
        }
    }
    remotes
}

fn add_loose(common_dir: &Path, directory: &str, refs: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(common_dir.join(directory)).into_iter().flatten().flatten() {
        let name = format!("{directory}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if !is_ours(&format!("{name}/")) {
                add_loose(common_dir, &name, refs);
            }
        } else if !name.ends_with(".lock")
            && let Ok(leads_to) = fs::read_to_string(entry.path())
        {
            refs.insert(name, leads_to.trim_end().to_owned());
        }
    }
}

/// Explains why a ref could not be moved: a lock has an error of its own.
pub(crate) fn ref_error(answer: GitAnswer) -> WorkspaceError {
    let stderr = String::from_utf8_lossy(&answer.output.stderr).into_owned();
    let lock = stderr.split('\'').find(|part| part.ends_with(".lock"));
    match lock.filter(|_| stderr.contains("File exists")) {
        Some(lock) => WorkspaceError::RefLocked { doing: answer.doing, lock: lock.into() },
        None => answer.error(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loose_refs_override_packed_refs_and_own_refs_are_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "packed-refs",
            "# pack-refs with: peeled fully-peeled sorted \n1 refs/heads/autopack/r\n2 refs/heads/main\n\
             3 refs/heads/old\n4 refs/remotes/origin/main\n5 refs/tags/v1\n^6\n",
        );
        write("refs/heads/main", "7\n");
        write("refs/heads/feature/x", "8\n");
        write("refs/heads/feature/x.lock", "");
        write("refs/heads/autopack/r", "9\n");
        let found: Vec<String> =
            users_refs(dir.path()).iter().map(|(name, to)| format!("{name} {to}")).collect();
        assert_eq!(
            found,
            [
                "refs/heads/feature/x 8",
                "refs/heads/main 7",
                "refs/heads/old 3",
                "refs/remotes/origin/main 4",
                "refs/tags/v1 5"
            ]
        );
        assert!(users_refs(&dir.path().join("nowhere")).is_empty());
    }

    #[test]
    fn remotes_on_this_machine_are_read_too() {
        let dir = tempfile::tempdir().unwrap();
        let ours = dir.path().join("ours/.git");
        let theirs = dir.path().join("theirs.git");
        fs::create_dir_all(&ours).unwrap();
        fs::create_dir_all(theirs.join("refs/heads")).unwrap();
        fs::write(theirs.join("refs/heads/main"), "1\n").unwrap();
        let config = "[core]\n\turl = /nowhere\n[remote \"origin\"]\n\turl = ../theirs.git\n\
                      [remote \"far\"]\n\turl = git@example.com:x.git\n[branch \"main\"]\n\tremote = origin\n";
        fs::write(ours.join("config"), config).unwrap();
        let found = refs_of_remotes(&ours, &dir.path().join("ours"));
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [("origin: refs/heads/main".into(), "1".into())]
        );
    }
}
