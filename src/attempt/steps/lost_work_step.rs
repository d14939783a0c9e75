//! Work committed or stashed by an agent and missing from the files: kept as patches and named, never landed.

use crate::attempt::Attempt;
use crate::phase::Verdict;
use crate::process::view::ChildView;
use crate::workspace::{LostWork, MeasuredChange};

/// Patches of work outside the change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeptPatches {
    /// Description and file of each patch.
    descriptions: Vec<String>,
    /// Whether a secret was found.
    pub is_secret: bool,
}

impl KeptPatches {
    /// Adds the kept patches to a failure: they may be the only result of the attempt.
    pub fn named_in(&self, mut verdict: Verdict) -> Verdict {
        if let (Verdict::Failed(failure), false) = (&mut verdict, self.descriptions.is_empty()) {
            failure.message = format!(
                "{}; not part of the change: {}",
                failure.message,
                self.descriptions.join(", ")
            );
        }
        verdict
    }
}

impl Attempt<'_> {
    /// Keeps the work as patches, with secrets removed. Unreadable work is skipped: the change itself is measured
    /// already.
    pub(crate) async fn keep_lost_work(&self, measured: &MeasuredChange) -> KeptPatches {
        let mut kept = KeptPatches::default();
        let view = self.agents_view.as_ref().map(ChildView::spec);
        let lost = self.slot.find_lost_work(measured, view).await.unwrap_or_else(|error| {
            tracing::warn!("cannot search for commits of the agent outside the change: {error}");
            Vec::new()
        });
        for LostWork { name, what, patch } in lost {
            let redacted = self.context.redactor.redact_bytes(&patch);
            kept.is_secret |= redacted.as_ref() as &[u8] != patch.as_slice();
            let file = self.directory.beside_patch(&name);
            if let Err(error) = self.directory.write(&file, redacted) {
                tracing::warn!("{error:#}");
                continue;
            }
            let root = self.context.repo.root();
            let file = file.strip_prefix(root).unwrap_or(&file).display().to_string();
            self.note(&format!("{what} by the agent, but not part of the change: kept in {file}"));
            kept.descriptions.push(format!("work {what} by the agent ({file})"));
        }
        kept
    }
}
