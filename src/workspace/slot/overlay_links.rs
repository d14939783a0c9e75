//! Linked directories that programs see through an overlay over the user's directory: nothing is copied, and
//! changes stay with the slot until its next reset.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::checkout::Checkout;
use super::{Side, Slot};
use crate::git::error::{Context, Result};
use crate::git::removal::remove_any;
use crate::workspace::dependencies::stamp;
use crate::workspace::repo::Repo;
use crate::workspace::repo::linked_directories::{LinkedDirectory, OverlayRule};

/// Directories that a checkout shows through overlays.
#[derive(Default)]
pub(in crate::workspace) struct OverlayLinks {
    links: Vec<LinkedDirectory>,
    /// Whether a program started since the reset.
    is_used: AtomicBool,
}

impl Repo {
    /// Sets which linked directories programs see through overlays instead of copies; none without a rule.
    #[must_use]
    pub fn with_overlay_rule(mut self, rule: Option<OverlayRule>) -> Self {
        self.overlay_rule = rule;
        self
    }
}

impl OverlayLinks {
    pub fn push(&mut self, link: LinkedDirectory) {
        self.links.push(link);
    }
}

impl Slot {
    /// Returns the directory to show through an overlay at a linked path, and removes an earlier copy.
    pub(super) fn overlay_link(
        &self,
        checkout: &Checkout,
        path: &str,
    ) -> Result<Option<LinkedDirectory>> {
        let Some(OverlayRule(allows)) = &self.repo.overlay_rule else { return Ok(None) };
        let is_installed = self.repo.brought.is_installed(&checkout.dir, path);
        let source = self.repo.root.join(path).canonicalize().ok();
        let usable = source.filter(|source| !is_installed && source.is_dir() && allows(source));
        let Some(source) = usable.filter(|_| has_real_parents(&checkout.dir, path)) else {
            return Ok(None);
        };
        let copy = checkout.dir.join(path);
        remove_any(&copy).doing("remove", &copy)?;
        self.repo.brought.with(&checkout.dir, |state| state.stamps.remove(path));
        Ok(Some(LinkedDirectory { path: path.to_owned(), source }))
    }

    /// Returns the directories to show through overlays. A frozen install has its own directory.
    pub fn overlay_links(&self, side: Side) -> Vec<LinkedDirectory> {
        let Some(contents) = self.contents_of(side) else { return Vec::new() };
        let is_shown = |link: &&LinkedDirectory| {
            !self.repo.brought.is_installed(self.path_of(side), &link.path)
        };
        contents.overlay_links.links.iter().filter(is_shown).cloned().collect()
    }

    /// Returns whether changes by earlier programs are to be removed: true once after each reset.
    pub fn take_link_reset(&self, side: Side) -> bool {
        self.contents_of(side)
            .is_some_and(|contents| !contents.overlay_links.is_used.swap(true, Ordering::Relaxed))
    }

    /// Returns the stamps of the user's directories.
    pub fn stamp_overlay_links(&self, side: Side) -> Vec<(String, String)> {
        let links = self.overlay_links(side);
        let stamped = links.into_iter().map(|LinkedDirectory { path, source }| {
            let name = source.file_name().map(|name| name.to_string_lossy().into_owned());
            let above = source.parent().unwrap_or(&source);
            let stamp = stamp(above, &name.unwrap_or_default());
            (path, stamp)
        });
        stamped.collect()
    }

    /// Copies the directories into the checkout, for a program without a view.
    ///
    /// # Errors
    /// If files cannot be written.
    pub async fn copy_overlay_links(&self, side: Side) -> Result<()> {
        for link in self.overlay_links(side) {
            self.copy(self.checkout(side), &link.path).await?;
        }
        Ok(())
    }
}

/// Whether the path leads through no symbolic link in the checkout, which would lead elsewhere.
fn has_real_parents(top: &Path, path: &str) -> bool {
    let parents = Path::new(path).ancestors().skip(1).filter(|path| !path.as_os_str().is_empty());
    parents
        .into_iter()
        .all(|parent| fs::symlink_metadata(top.join(parent)).map_or(true, |found| found.is_dir()))
}
