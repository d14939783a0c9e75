//! Filters that the user's git would run over a file, and ours does not: they are programs, and an agent chooses their
//! input. What lands would be what is on disk, where the user's own commit would hold what the filter made of it.

use super::Slot;
use crate::git::command::fields;
use crate::git::error::Result;
use crate::git::path_bytes::shown;

/// A changed file, and the filter that it lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfiltered {
    pub path: String,
    pub filter: String,
}

impl Slot {
    /// The first of these paths that a filter of the user's configuration is for. LFS is run, where it is there.
    pub async fn unfiltered<'a>(
        &self,
        paths: impl Iterator<Item = &'a str>,
    ) -> Result<Option<Unfiltered>> {
        let configured = &self.repo.config.filters;
        if configured.is_empty() {
            return Ok(None);
        }
        let input: Vec<u8> = paths.flat_map(|path| [path.as_bytes(), b"\0"].concat()).collect();
        let call = self.top.git.call("look for filters", ["check-attr", "-z", "--stdin", "filter"]);
        let said = call.stdin(input).bytes().await?;
        let said: Vec<&[u8]> = fields(&said).collect();
        let facts = said.chunks_exact(3).map(|facts| (shown(facts[0]), shown(facts[2])));
        let mut lacking = facts.filter(|(_, filter)| configured.contains(filter));
        Ok(lacking.next().map(|(path, filter)| Unfiltered { path, filter }))
    }
}
