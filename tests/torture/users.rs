//! The user's possessions, which must not change: checkout, index, configuration, hooks, branches.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use crate::support::Project;

/// State by readable names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users(BTreeMap<String, String>);

impl Users {
    pub fn of(project: &Project) -> Self {
        let mut facts = BTreeMap::new();
        let git = project.path(".git");
        for file in ["HEAD", "index", "config"] {
            facts.insert(format!(".git/{file}"), digest(&git.join(file)));
        }
        files(&git.join("hooks"), &git, &mut facts);
        files(&project.root(), &project.root(), &mut facts);
        let format = "--format=%(refname) %(objectname)";
        for line in project.git(["for-each-ref", format]).lines() {
            let (name, id) = line.split_once(' ').unwrap();
            if !name.starts_with("refs/heads/autopack/") && !name.starts_with("refs/autopack/") {
                facts.insert(name.to_owned(), id.to_owned());
            }
        }
        facts.insert("worktrees".to_owned(), project.git(["worktree", "list", "--porcelain"]));
        Self(facts)
    }

    /// Differences, one line each.
    pub fn changes(&self, now: &Self) -> Vec<String> {
        let names = self.0.keys().chain(now.0.keys().filter(|name| !self.0.contains_key(*name)));
        names
            .filter(|name| self.0.get(*name) != now.0.get(*name))
            .map(|name| format!("{name}: {:?} became {:?}", self.0.get(name), now.0.get(name)))
            .collect()
    }
}

/// All files under `at`, except git's and autopack's.
fn files(at: &Path, top: &Path, facts: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(at).into_iter().flatten().flatten() {
        let path = entry.path();
        if [".git", ".autopack"].iter().any(|ours| entry.file_name() == *ours) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            files(&path, top, facts);
        } else {
            facts.insert(path.strip_prefix(top).unwrap().display().to_string(), digest(&path));
        }
    }
}

fn digest(path: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    std::fs::read(path).unwrap_or_default().hash(&mut hasher);
    format!("{:x}", hasher.finish())
}
