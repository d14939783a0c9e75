//! The changes of landed phases: files of all phases, patches of the first ones.

use std::collections::HashMap;

use super::excerpt::{self, Excerpt};
use super::figure_words::counted;
use crate::process::Redactor;
use crate::workspace::{ChangeForm, ChangedFile, Repo};

/// Maximum number of patches in a report; each needs a call of git.
const PATCHES: usize = 80;
/// Maximum changed lines of a commit whose patch is read.
const READ_LINES: u64 = 5_000;
/// Maximum shown lines of a patch.
const PATCH_LINES: usize = 160;

/// The change of a landed phase.
#[derive(Clone, Debug, Default)]
pub struct LandedChange {
    /// Changed files.
    pub files: Vec<ChangedFile>,
    /// Beginning of the patch.
    pub patch: Option<Excerpt>,
}

impl LandedChange {
    /// Returns the added and removed lines of all files.
    pub fn lines(&self) -> (u64, u64) {
        let sum = |count: fn(&ChangedFile) -> Option<u64>| {
            self.files.iter().filter_map(count).fold(0, u64::saturating_add)
        };
        (sum(|file| file.added), sum(|file| file.removed))
    }

    /// Returns the size in words: `3 files, +120 -4`.
    pub fn size(&self) -> String {
        let (added, removed) = self.lines();
        format!("{}, +{added} -{removed}", counted(self.files.len() as u64, "file"))
    }
}

/// Returns the changes by commit. `room` is the size left for patches in bytes. Without git, there are none.
pub async fn read_changes(
    repo: &Repo,
    commits: &[&str],
    redactor: &Redactor,
    mut room: usize,
) -> HashMap<String, LandedChange> {
    let files = repo.files_of_commits(commits).await.unwrap_or_else(|error| {
        tracing::warn!("the report has no changed files: {error}");
        HashMap::new()
    });
    let mut changes: HashMap<String, LandedChange> = HashMap::new();
    let clean =
        |file: ChangedFile| ChangedFile { path: excerpt::line(&file.path, redactor), ..file };
    for (commit, files) in files {
        let files = files.into_iter().map(clean).collect();
        changes.insert(commit, LandedChange { files, patch: None });
    }
    let mut read = 0;
    for commit in commits {
        let Some(change) = changes.get_mut(*commit) else { continue };
        let (added, removed) = change.lines();
        if read == PATCHES || added.saturating_add(removed) > READ_LINES {
            continue;
        }
        read += 1;
        let Ok(patch) = repo.change_of_commit(commit, ChangeForm::Patch).await else { continue };
        let text = excerpt::block(&String::from_utf8_lossy(&patch), redactor);
        let excerpt = excerpt::head(&text, PATCH_LINES);
        // Escaping may lengthen the text.
        let size = excerpt.text.len() * 5 / 4;
        if size <= room {
            room -= size;
            change.patch = Some(excerpt);
        }
    }
    changes
}
