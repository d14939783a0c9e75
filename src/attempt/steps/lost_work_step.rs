//! Work that an agent committed or stashed and did not leave in its files: kept beside the change, named, never landed.

use crate::attempt::Attempt;
use crate::phase::Verdict;
use crate::workspace::{LostWork, Measured};

/// What was kept of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeptBeside {
    /// What it is, and the file that it is in.
    told: Vec<String>,
    /// A secret was in it.
    pub is_secret: bool,
}

impl KeptBeside {
    /// A failure names what was kept: it may be all that the attempt came to.
    pub fn named_in(&self, mut verdict: Verdict) -> Verdict {
        if let (Verdict::Failed(failure), false) = (&mut verdict, self.told.is_empty()) {
            failure.message =
                format!("{}; not part of the change: {}", failure.message, self.told.join(", "));
        }
        verdict
    }
}

impl Attempt<'_> {
    /// Keeps it as patches, without secrets. What cannot be read is left out: the change itself is measured already.
    pub(crate) async fn keep_lost_work(&self, measured: &Measured) -> KeptBeside {
        let mut kept = KeptBeside::default();
        let lost = self.slot.lost_work(measured).await.unwrap_or_else(|error| {
            tracing::warn!("cannot look for what the agent committed elsewhere: {error}");
            Vec::new()
        });
        for LostWork { name, what, patch } in lost {
            let redacted = self.site.redactor.redact_bytes(&patch);
            kept.is_secret |= redacted.as_ref() as &[u8] != patch.as_slice();
            let file = self.folder.beside_patch(&name);
            if let Err(error) = self.folder.write(&file, redacted) {
                tracing::warn!("{error:#}");
                continue;
            }
            let root = self.site.repo.root();
            let file = file.strip_prefix(root).unwrap_or(&file).display().to_string();
            self.note(&format!("{what} by the agent, and not part of the change: kept in {file}"));
            kept.told.push(format!("what it {what} ({file})"));
        }
        kept
    }
}
