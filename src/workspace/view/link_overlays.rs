//! Which linked directories an overlay can show.

use std::sync::Arc;

use super::package_caches::supports_overlay;
use super::view_place::Machine;
use crate::git::error::Result;
use crate::workspace::{OverlayRule, Repo};

/// Returns the rule for linked directories. An overlay does not show other file systems mounted below a directory.
///
/// # Errors
/// If the repository has no place for slots.
pub fn overlay_rule(repo: &Repo) -> Result<OverlayRule> {
    let (slots, machine) = (repo.slots_directory()?.to_owned(), Machine::of_host());
    Ok(OverlayRule(Arc::new(move |source| {
        machine.mounts.below(source).next().is_none() && supports_overlay(source, &slots, &machine)
    })))
}
