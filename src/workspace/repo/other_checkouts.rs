//! Other checkouts of the same repository: its main one, and linked worktrees.

use std::path::PathBuf;

use super::Repo;

impl Repo {
    /// Returns the other checkouts of this repository that exist, the main one first. git is not asked: this is for
    /// messages.
    pub fn other_checkouts(&self) -> Vec<PathBuf> {
        let is_main = self.common_dir.file_name().is_some_and(|name| name == ".git");
        let main = self.common_dir.parent().filter(|_| is_main).map(PathBuf::from);
        let entries = std::fs::read_dir(self.common_dir.join("worktrees"));
        let linked = entries.into_iter().flatten().flatten().filter_map(|entry| {
            let text = std::fs::read_to_string(entry.path().join("gitdir")).ok()?;
            PathBuf::from(text.trim_end()).parent().map(PathBuf::from)
        });
        let mut linked: Vec<PathBuf> = linked.collect();
        linked.sort();
        let all = main.into_iter().chain(linked);
        all.filter(|path| *path != self.root && path.is_dir()).collect()
    }
}
