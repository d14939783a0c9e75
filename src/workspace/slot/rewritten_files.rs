//! Tracked files rewritten by CI.

use std::collections::BTreeSet;

use super::{Side, Slot};
use crate::file_stamp::DirectoryStats;
use crate::git::command::fields;
use crate::git::error::{Result, WorkspaceError};
use crate::git::path_bytes::to_text;
use crate::git::trees::Entry;
use crate::workspace::blocking_work::blocking;

impl Slot {
    /// Returns the tracked files of CI's checkout whose content was changed after the reset.
    ///
    /// # Errors
    /// If git fails, or CI's checkout was never reset.
    pub async fn find_rewritten(&self) -> Result<Vec<String>> {
        let written = self.find_written().await?;
        if written.is_empty() {
            return Ok(Vec::new());
        }
        let args = ["diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-textconv"];
        let call = self.ci.git.call("find rewritten files", args).arg("--ignore-submodules");
        let different = call.bytes().await?;
        // Without a write since the reset, the reset itself made the file differ, by a conversion of line ends.
        Ok(fields(&different).filter(|path| written.contains(*path)).map(to_text).collect())
    }

    /// Returns the tracked files of CI's checkout written, replaced or removed after the reset. A call of git for the
    /// same takes twice as long.
    async fn find_written(&self) -> Result<BTreeSet<Vec<u8>>> {
        let contents = self.contents_of(Side::Ci).ok_or(WorkspaceError::NotReset(self.number()))?;
        let (dir, tree) = (self.ci.dir.clone(), contents.placed.tree.clone());
        let placed_at = contents.placed.placed_at;
        blocking(move || {
            let leaves = tree.leaves().filter(|(_, entry)| *entry == Entry::Leaf);
            let mut stats = DirectoryStats::new(&dir);
            Ok(leaves
                .map(|(path, _)| path)
                .filter(|path| stats.changed_at(path).is_none_or(|at| at > placed_at))
                .map(<[u8]>::to_vec)
                .collect())
        })
        .await
    }
}
