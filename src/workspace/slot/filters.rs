//! Finds files with filters run by the user's git but not by ours: filters are programs, and an
//! agent would choose their input. Such a file would land unfiltered, while the user's own commit
//! would contain the filter's output.

use super::Slot;
use crate::git::command::fields;
use crate::git::error::Result;
use crate::git::path_bytes::to_text;

/// A changed file, and its missing filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfilteredFile {
    /// Path of the file.
    pub path: String,
    /// Name of the filter in the user's configuration.
    pub filter: String,
}

impl Slot {
    /// Returns the first of these paths with a filter in the user's configuration. LFS is run, if installed.
    ///
    /// # Errors
    /// If git fails.
    pub async fn find_unfiltered<'a>(
        &self,
        paths: impl Iterator<Item = &'a str>,
    ) -> Result<Option<UnfilteredFile>> {
        let configured = &self.repo.config.filters;
        if configured.is_empty() {
            return Ok(None);
        }
        let input: Vec<u8> = paths.flat_map(|path| [path.as_bytes(), b"\0"].concat()).collect();
        let call = self.top.git.call("find filters", ["check-attr", "-z", "--stdin", "filter"]);
        let output = call.stdin(input).bytes().await?;
        let output: Vec<&[u8]> = fields(&output).collect();
        let facts = output.chunks_exact(3).map(|facts| (to_text(facts[0]), to_text(facts[2])));
        let mut lacking = facts.filter(|(_, filter)| configured.contains(filter));
        Ok(lacking.next().map(|(path, filter)| UnfilteredFile { path, filter }))
    }
}
