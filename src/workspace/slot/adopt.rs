//! Takes over a slot with work in it: what a reset would know of the agent's checkout, without touching its files.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::checkout::PreparedCheckout;
use super::dependency_links::WantedDependencies;
use super::outside_diff::DiffExclusions;
use super::overlay_links::OverlayLinks;
use super::submodule::{Filling, ParentCheckout, fill};
use super::{Slot, SlotContents};
use crate::config::WorkspaceSettings;
use crate::git::error::{Result, WorkspaceError};
use crate::git::exact_directory::ExactDirectory;

impl Slot {
    /// Opens the agent's checkout with work on top of `commit`, left by another process. The files stay as they are.
    ///
    /// # Errors
    /// [`WorkspaceError::SlotGone`], or git fails.
    pub async fn adopt(&mut self, commit: &str, settings: &WorkspaceSettings) -> Result<()> {
        self.contents = None;
        self.reopen();
        if !self.top.exists() {
            return Err(WorkspaceError::SlotGone { dir: self.top.dir.clone() });
        }
        let checkout = self.top.clone();
        let mut outside = DiffExclusions::new(settings)?;
        checkout.drop_objects(&self.repo)?;
        checkout.drop_foreign_index(&self.repo)?;
        let tree = checkout.open(&self.repo, commit).await?;
        outside.dependencies = self.repo.automatic_links(&tree, settings);
        self.keep_installed(&checkout, &mut outside);
        let exclude = checkout.write_exclude(&self.repo, &outside.exclude_lines(&tree))?;
        let mut overlay_links = OverlayLinks::default();
        for link in outside.links.iter().chain(&outside.dependencies) {
            // An install, or the person, may have made a directory of its own there.
            let is_free = !tree.has_file(link)
                && !tree.has_directory(link)
                && is_missing_or_empty(&checkout.dir.join(link));
            if is_free && let Some(overlay) = self.overlay_link(&checkout, link)? {
                overlay_links.push(overlay);
            }
        }
        let parent = ParentCheckout {
            path: b"",
            hold: &self.lock_fd()?,
            checkout: &checkout,
            tree: &tree,
            own_git: Some(".git".into()),
            users_git: vec![self.repo.git_dir.clone(), self.repo.common_dir.clone()],
            users_dir: self.repo.root.clone(),
        };
        let modules = fill(&self.repo, parent, &outside, Filling::Adopt).await?;
        let placed = PreparedCheckout {
            commit: commit.to_owned(),
            tree,
            kept: Vec::new(),
            exclude,
            placed_at: 0,
        };
        self.contents = Some(SlotContents {
            placed,
            outside,
            wanted: WantedDependencies::default(),
            modules,
            refs: self.repo.copied_refs().await?,
            own_git: ExactDirectory::default(),
            // Our index is listed again from the commit.
            is_measured: AtomicBool::new(true),
            overlay_links,
        });
        Ok(())
    }
}

fn is_missing_or_empty(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}
