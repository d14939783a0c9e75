//! The mounts of a view with namespaces.

use std::path::{Path, PathBuf};

use super::git_objects::show_objects;
use super::hidden_paths::HiddenPaths;
use super::mount_list::{MountList, MountedPath, bind};
use super::needed_paths::{NeededPath, needed_paths};
use super::package_caches::{
    is_overlay_lower, is_served_by_program, private_directories, supports_overlay,
};
use super::path_expansion::{depth, expand, is_strictly_below, resolve, resolve_parent};
use super::placeholders::{EntryKind, Placeholders, kind_below};
use super::private_directory::PrivateDirectory;
use super::service_sockets::{omitted_in_run, resolver_files};
use super::view_place::{Machine, ViewPlace};
use super::{ATTEMPT, PYTHON, SCRATCH, ViewRequest};
use crate::git::error::Result;
use crate::git::path_bytes::to_bytes;
use crate::process::view::spec::{Access, Mount};

/// Mounts of a view, and what they leave in the slot.
pub(super) struct NamespaceMounts {
    pub mounts: Vec<Mount>,
    pub placeholders: Placeholders,
    pub notes: Vec<String>,
}

/// Collects the mounts.
struct MountPlan<'a> {
    place: &'a ViewPlace,
    machine: &'a Machine,
    request: &'a ViewRequest<'a>,
    hidden: &'a HiddenPaths,
    private: &'a PrivateDirectory,
    list: MountList,
    notes: Vec<String>,
}

/// Decides on the mounts of a program.
pub(super) fn namespace_mounts(
    place: &ViewPlace,
    machine: &Machine,
    request: &ViewRequest<'_>,
    hidden: &HiddenPaths,
    private: &PrivateDirectory,
) -> Result<NamespaceMounts> {
    let (list, notes) = (MountList::default(), Vec::new());
    let mut plan = MountPlan { place, machine, request, hidden, private, list, notes };
    plan.add_temporary_directories()?;
    plan.add_run()?;
    plan.add_home()?;
    plan.add_caches()?;
    let access = if request.is_read_only { Access::ReadOnlySlot } else { Access::ReadWrite };
    plan.list.add(bind(&place.copy, &place.checkout, access));
    plan.add_links()?;
    plan.add_state();
    plan.add_written();
    plan.add_needed()?;
    let objects = plan.in_run(super::OBJECTS);
    show_objects(&mut plan.list, place, private, &objects)?;
    let mounts = plan.list.finish(&hidden.all(), private)?;
    let targets =
        mounts.iter().filter_map(|mount| mount.target().strip_prefix(&place.checkout).ok());
    let targets = targets.filter(|below| !below.as_os_str().is_empty()).map(Path::to_owned);
    let placeholders = Placeholders::missing(&place.copy, targets);
    Ok(NamespaceMounts { mounts, placeholders, notes: plan.notes })
}

impl MountPlan<'_> {
    /// Returns one of our paths in `/run`.
    fn in_run(&self, path: &str) -> PathBuf {
        self.machine.run.join(path.trim_start_matches("/run/"))
    }

    fn add_temporary_directories(&mut self) -> Result<()> {
        for (index, directory) in self.machine.temporary.iter().enumerate() {
            if *directory == self.place.checkout {
                continue;
            }
            let name = if index == 0 { "tmp" } else { "var-tmp" };
            let own = self.private.directory(name, 0o1777)?;
            if index == 0 && self.request.state.is_some_and(|state| state.separate_tmp) {
                let lower = self.private.directory("tmp-lower", 0o700)?.into();
                let work = self.private.directory("tmp-work", 0o700)?.into();
                let (upper, target) = (own.into(), directory.into());
                self.list.add(Mount::Overlay { lower, upper, work, target });
                continue;
            }
            self.list.add(bind(&own, directory, Access::ReadWrite));
        }
        let named = ["TMPDIR", "TMP", "TEMP"].map(|name| (name, "other-tmp"));
        for (variable, name) in named.into_iter().chain([("XDG_RUNTIME_DIR", "runtime")]) {
            let Some(path) = self.place.path_variable(variable).map(|path| resolve(&path)) else {
                continue;
            };
            let is_kept = self.place.is_above(&path) || path.starts_with(&self.place.checkout);
            if is_kept || self.hidden.contains(&path) || path == self.machine.run {
                continue;
            }
            let shared = self.machine.temporary.iter().position(|at| path.starts_with(at));
            if let Some(index) = shared {
                let own =
                    self.private.directory(if index == 0 { "tmp" } else { "var-tmp" }, 0o1777)?;
                let below = path.strip_prefix(&self.machine.temporary[index]).unwrap_or(&path);
                self.private.directory_below(&own, below)?;
            } else if path.is_dir() {
                let own = self.private.directory(name, 0o700)?;
                self.list.add(bind(&own, &path, Access::ReadWrite));
            }
        }
        Ok(())
    }

    fn add_run(&mut self) -> Result<()> {
        let run = self.machine.run.clone();
        let skip = omitted_in_run(self.machine).into_iter().map(Into::into).collect();
        self.list.add(Mount::Mirror {
            target: run.into(),
            backing: None,
            skip,
            is_separate: false,
        });
        if self.request.limited_ports.is_none() {
            for path in resolver_files(self.machine) {
                self.list.add_same(&path, Access::ReadOnly);
            }
        }
        let given = |path: Option<&Path>| path.map(resolve).filter(|path| path.exists());
        if let Some(attempt) = given(self.request.attempt_dir) {
            self.list.add(bind(&attempt, &self.in_run(ATTEMPT), Access::ReadWrite));
        }
        if let Some(scratch) = given(self.request.scratch) {
            self.list.add(bind(&scratch, &self.in_run(SCRATCH), Access::ReadWrite));
        }
        if let Some(guard) = given(self.request.python_guard) {
            self.list.add(bind(&guard, &self.in_run(PYTHON), Access::ReadOnly));
        }
        Ok(())
    }

    /// Adds the home directory, unless it is in the slot, in a replaced directory, or missing.
    fn add_home(&mut self) -> Result<()> {
        let Some(home) = &self.place.home else { return Ok(()) };
        let is_taken = home == &self.place.checkout
            || *home == self.machine.run
            || self.machine.temporary.contains(home)
            || self.place.in_copy(home).is_some();
        let may_be_missing = self.machine.temporary.iter().any(|at| home.starts_with(at))
            || is_strictly_below(home, &self.place.checkout);
        if is_taken || !home.is_dir() && !may_be_missing {
            return Ok(());
        }
        let backing = self.private.directory("home", 0o700)?;
        if self.hidden.contains(home) {
            self.list.add(bind(&backing, home, Access::ReadWrite));
            return Ok(());
        }
        let skip = self.request.state.iter().flat_map(|state| &state.skip);
        let skip = skip.map(|name| PathBuf::from(name).into()).collect();
        let is_separate = self.request.has_overlays && is_overlay_lower(home, self.machine);
        let (target, backing) = (home.into(), Some(backing.into()));
        self.list.add(Mount::Mirror { target, backing, skip, is_separate });
        if is_separate {
            let home = home.clone();
            self.add_mounts_below(&home);
        }
        Ok(())
    }

    /// Adds the file systems mounted below a directory: an overlay does not show them.
    fn add_mounts_below(&mut self, directory: &Path) {
        for (point, kind) in self.machine.mounts.below(directory) {
            let is_ours = self.hidden.contains(point) || self.place.is_above(point);
            if !is_served_by_program(kind) && !is_ours && point.exists() {
                self.list.add_same(point, Access::ReadOnly);
            }
        }
    }

    fn add_caches(&mut self) -> Result<()> {
        let mut overlays: Vec<PathBuf> = Vec::new();
        for directory in private_directories(self.place, self.machine, self.hidden) {
            // An overlay has its subdirectories.
            if overlays.iter().any(|above| directory.starts_with(above)) {
                continue;
            }
            let is_overlay = self.request.has_overlays
                && supports_overlay(&directory, self.place.private.as_path(), self.machine);
            if is_overlay {
                self.add_overlay("over", &directory, &directory)?;
                overlays.push(directory);
            } else {
                let backing = Some(self.private.backing(&directory)?.into());
                let target = directory.into();
                self.list.add(Mount::Mirror {
                    target,
                    backing,
                    skip: Vec::new(),
                    is_separate: false,
                });
            }
        }
        for overlay in &overlays {
            self.add_mounts_below(overlay);
        }
        Ok(())
    }

    fn add_overlay(&mut self, group: &str, lower: &Path, target: &Path) -> Result<()> {
        let own = self.private.overlay(group, target)?;
        let (upper, work) = (own.upper.into(), own.work.into());
        self.list.add(Mount::Overlay { lower: lower.into(), upper, work, target: target.into() });
        Ok(())
    }

    /// Adds the linked directories of the user's checkout.
    fn add_links(&mut self) -> Result<()> {
        for link in self.request.links {
            let there = kind_below(&self.place.copy, Path::new(&link.path));
            if matches!(there, None | Some(EntryKind::Directory)) {
                self.add_overlay("link", &link.source, &self.place.checkout.join(&link.path))?;
            }
        }
        Ok(())
    }

    /// Adds the agent's own state, on top of the home directory.
    fn add_state(&mut self) {
        for mount in self.request.state.iter().flat_map(|state| &state.mounts) {
            if !self.place.is_above(mount.target()) {
                self.list.add(mount.clone());
            }
        }
    }

    fn add_written(&mut self) {
        let home = self.place.home.as_deref();
        for text in self.request.settings.write {
            let path = expand(text, home, &self.place.checkout).map(|path| resolve(&path));
            let Some(path) = path.filter(|path| path.parent().is_some()) else {
                self.notes.push(format!("sandbox.write: {text:?} is ignored"));
                continue;
            };
            if !path.exists() {
                self.notes.push(format!("sandbox.write: {} does not exist", path.display()));
            } else if self.hidden.has_ours(&path)
                || [&self.place.checkout, &self.machine.run].contains(&&path)
            {
                self.notes.push(format!("sandbox.write: {} belongs to autopack", path.display()));
            } else if path.strip_prefix(&self.place.checkout).is_ok_and(|at| !self.is_free(at)) {
                self.notes.push(format!("sandbox.write: {} is a link in the slot", path.display()));
            } else {
                self.list.add_same(&path, Access::ReadWrite);
            }
        }
    }

    fn add_needed(&mut self) -> Result<()> {
        let mut needed = needed_paths(self.place, self.machine, self.hidden, self.request);
        let home = self.place.home.as_deref();
        let settings = &self.request.settings;
        let shown = settings.show.iter().chain(settings.sockets);
        let shown = shown.filter_map(|text| expand(text, home, &self.place.checkout));
        for path in shown.chain(self.request.show.iter().cloned()) {
            let source = resolve(&path);
            if source.exists() && !self.hidden.has_ours(&source) {
                for target in [resolve_parent(&path), source.clone()] {
                    needed.insert(NeededPath { target, source: source.clone() });
                }
            }
        }
        let mut needed: Vec<NeededPath> = needed.into_iter().collect();
        needed.sort_by_key(|path| depth(&path.target));
        let mut in_slot = Vec::new();
        for NeededPath { target, source } in needed {
            let is_taken = self.list.nearest(&target).is_some_and(|there| there.target() == target);
            if is_taken || self.is_shown(&target) {
                continue;
            }
            if let Ok(below) = target.strip_prefix(&self.place.checkout) {
                in_slot.push(below.to_owned());
                // Builds may write beside the programs of the checkout: the changes are private.
                if source.is_dir() && self.request.has_overlays && self.is_free(below) {
                    self.add_overlay("link", &source, &target)?;
                    continue;
                }
                if !self.is_free(below) {
                    continue;
                }
            }
            self.list.add(bind(&source, &target, Access::ReadOnly));
        }
        self.exclude_from_git(&in_slot)
    }

    /// Whether mounts of a directory above already show the path.
    fn is_shown(&self, path: &Path) -> bool {
        if path.ancestors().any(|at| self.hidden.contains(at)) {
            return false;
        }
        match (self.list.find(path), self.list.nearest(path)) {
            (MountedPath::Original, _) => true,
            (MountedPath::File(file), Some(Mount::Overlay { .. })) => file.exists(),
            _ => false,
        }
    }

    /// Whether nothing in the slot is in the way of a mount point.
    fn is_free(&self, below: &Path) -> bool {
        matches!(
            kind_below(&self.place.copy, below),
            None | Some(EntryKind::Directory | EntryKind::File)
        )
    }

    /// Keeps mount points out of the program's `git status`.
    fn exclude_from_git(&mut self, paths: &[PathBuf]) -> Result<()> {
        let file = Path::new(".git/info/exclude");
        if paths.is_empty() || kind_below(&self.place.copy, file) != Some(EntryKind::File) {
            return Ok(());
        }
        let mut text = self.place.exclude.clone();
        for path in paths {
            text.extend_from_slice(b"\n/");
            for byte in to_bytes(path) {
                if b"*?[\\ ".contains(byte) {
                    text.push(b'\\');
                }
                text.push(*byte);
            }
        }
        text.push(b'\n');
        let written = self.private.file("exclude", &text)?;
        self.list.add(bind(&written, &self.place.checkout.join(file), Access::ReadOnly));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::StateMounts;
    use super::super::fake_machine::FakeMachine;
    use super::*;

    #[test]
    fn tmp_is_a_file_system_of_its_own_for_agents_that_need_it() {
        let fake = FakeMachine::new();
        let separate = StateMounts { separate_tmp: true, ..StateMounts::default() };
        for (state, is_overlay) in [(StateMounts::default(), false), (separate, true)] {
            let view = fake.prepare(&ViewRequest { state: Some(&state), ..fake.request() });
            let tmp = view.spec.mounts.iter().find(|mount| mount.target() == fake.at("/tmp"));
            assert_eq!(matches!(tmp, Some(Mount::Overlay { .. })), is_overlay, "{tmp:?}");
        }
    }

    #[test]
    fn a_question_sees_the_slot_read_only_in_place_of_the_checkout() {
        let fake = FakeMachine::new();
        for is_read_only in [false, true] {
            let view = fake.prepare(&ViewRequest { is_read_only, ..fake.request() });
            let is_slot =
                |mount: &&Mount| matches!(mount, Mount::Bind { access: Access::ReadOnlySlot, .. });
            let slot = view.spec.mounts.iter().find(is_slot);
            assert_eq!(slot.is_some_and(|slot| slot.moved().is_some()), is_read_only);
        }
    }
}
