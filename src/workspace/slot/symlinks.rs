//! Symbolic links of the measured tree, for `phase::scope`: finds the change that makes a link lead
//! out of the repository.

use std::collections::BTreeSet;
use std::fs;

use super::Slot;
use crate::git::command::fields;
use crate::git::diff::RawChange;
use crate::git::error::Result;
use crate::git::path_bytes::{from_bytes, to_bytes, to_text};
use crate::phase::scope::{Change, Links};
use crate::workspace::blocking_work::blocking;

/// Start of a link's line in `ls-files --stage`.
const LINK: &[u8] = b"120000 ";

impl Slot {
    /// Marks the changes through which a link leads out of the repository. Older links can lead out as well, after a
    /// change to a directory in their path.
    pub(crate) async fn mark_escaping_links(
        &self,
        raw: &[RawChange],
        changes: &mut [Change],
    ) -> Result<()> {
        if !raw.iter().any(RawChange::is_about_a_link) {
            return Ok(());
        }
        let call = self.top.git.call("list the links", ["ls-files", "-z", "--stage"]);
        let (listed, top) = (call.bytes().await?, self.path().to_owned());
        let changed: Vec<Vec<u8>> = raw.iter().map(|change| change.path.clone()).collect();
        let ways = blocking(move || {
            let links: Links = fields(&listed)
                .filter(|field| field.starts_with(LINK))
                .filter_map(|field| field.splitn(2, |b| *b == b'\t').nth(1))
                .filter_map(|path| {
                    let target = fs::read_link(top.join(from_bytes(path))).ok()?;
                    Some((path.to_vec(), to_bytes(&target).to_vec()))
                })
                .collect();
            let changed: BTreeSet<&[u8]> = changed.iter().map(Vec::as_slice).collect();
            Ok(links.out_by_way_of(&changed))
        })
        .await?;
        for (raw, change) in raw.iter().zip(changes) {
            change.lets_out = ways.get(&raw.path).map(|link| to_text(link));
        }
        Ok(())
    }
}
