//! Collects the mounts of a view and puts them in order: a directory before what is mounted below it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::path_expansion::{depth, is_strictly_below};
use super::private_directory::PrivateDirectory;
use crate::git::error::{Context, Result};
use crate::process::view::spec::{Access, Mount};

/// Mounts of a view, in any order.
#[derive(Default)]
pub(super) struct MountList {
    mounts: Vec<Mount>,
}

/// What a program finds at a path, as far as mounts decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MountedPath {
    /// The file of the machine.
    Original,
    /// This file outside of the view, if it exists.
    File(PathBuf),
    /// Nothing.
    Nothing,
}

impl MountList {
    /// Adds a mount. It replaces an earlier mount at the same target.
    pub fn add(&mut self, mount: Mount) {
        self.mounts.retain(|earlier| earlier.target() != mount.target());
        self.mounts.push(mount);
    }

    /// Adds a file or tree at its own path.
    pub fn add_same(&mut self, path: &Path, access: Access) {
        self.add(bind(path, path, access));
    }

    /// Returns the deepest mount at or above a path.
    pub fn nearest(&self, path: &Path) -> Option<&Mount> {
        nearest(&self.mounts, path)
    }

    /// Returns what a program finds at a path.
    pub fn find(&self, path: &Path) -> MountedPath {
        self.nearest(path).map_or(MountedPath::Original, |mount| found_through(mount, path))
    }

    /// Adds names to leave out of a mirror; false if there is no mirror at the target.
    pub fn skip(&mut self, directory: &Path, names: impl IntoIterator<Item = PathBuf>) -> bool {
        for mount in &mut self.mounts {
            if let Mount::Mirror { target, skip, .. } = mount
                && target.as_path() == directory
            {
                skip.extend(names.into_iter().map(Into::into));
                return true;
            }
        }
        false
    }

    /// Returns the mounts in order, with `hidden` paths covered. Mounts below a hidden directory are kept, in a
    /// directory with nothing else.
    pub fn finish(
        mut self,
        hidden: &BTreeSet<PathBuf>,
        private: &PrivateDirectory,
    ) -> Result<Vec<Mount>> {
        // Parents first: what is below a hidden directory need not be hidden again.
        let mut hidden: Vec<&PathBuf> = hidden.iter().collect();
        hidden.sort_by_key(|path| depth(path));
        for path in hidden {
            self.hide(path, private)?;
        }
        for mount in &mut self.mounts {
            if let Mount::Mirror { skip, .. } = mount {
                skip.sort();
                skip.dedup();
            }
        }
        self.mounts
            .sort_by(|a, b| (depth(a.target()), a.target()).cmp(&(depth(b.target()), b.target())));
        Ok(self.mounts)
    }

    fn hide(&mut self, path: &Path, private: &PrivateDirectory) -> Result<()> {
        if self.nearest(path).is_some_and(|mount| mount.target() == path) {
            return Ok(());
        }
        match self.find(path) {
            MountedPath::Nothing => return Ok(()),
            MountedPath::File(file) if fs::symlink_metadata(&file).is_err() => return Ok(()),
            _ => {}
        }
        if let (Some(parent), Some(name)) = (path.parent(), path.file_name())
            && self.skip(parent, [PathBuf::from(name)])
        {
            return Ok(());
        }
        let below: Vec<&Mount> =
            self.mounts.iter().filter(|mount| is_strictly_below(mount.target(), path)).collect();
        if below.is_empty() {
            self.mounts.push(Mount::Hide { target: path.into() });
            return Ok(());
        }
        let shell = private.shell(path)?;
        for mount in below {
            let parents = self.mounts.iter().filter(|other| other.target().starts_with(path));
            let is_top =
                !parents.map(Mount::target).any(|other| is_strictly_below(mount.target(), other));
            if let (true, Ok(rest)) = (is_top, mount.target().strip_prefix(path)) {
                make_mount_point(&shell, rest, is_file(mount)).doing("write to", &shell)?;
            }
        }
        self.mounts.push(bind(&shell, path, Access::ReadOnly));
        Ok(())
    }
}

/// Describes a bind mount.
pub(super) fn bind(source: &Path, target: &Path, access: Access) -> Mount {
    Mount::Bind { source: source.into(), target: target.into(), access }
}

fn nearest<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    let above = mounts.iter().filter(|mount| path.starts_with(mount.target()));
    above.max_by_key(|mount| depth(mount.target()))
}

fn found_through(mount: &Mount, path: &Path) -> MountedPath {
    let rest = path.strip_prefix(mount.target()).unwrap_or(Path::new(""));
    let within = |directory: &Path| match rest.as_os_str().is_empty() {
        true => directory.to_owned(),
        false => directory.join(rest),
    };
    match mount {
        Mount::Bind { source, target, .. } if source == target => MountedPath::Original,
        Mount::Bind { source, .. } => MountedPath::File(within(source.as_path())),
        Mount::Hide { .. } => MountedPath::Nothing,
        Mount::Mirror { skip, .. } => {
            let first = rest.components().next();
            let is_skipped = first
                .is_some_and(|first| skip.iter().any(|name| name.as_os_str() == first.as_os_str()));
            if is_skipped { MountedPath::Nothing } else { MountedPath::Original }
        }
        Mount::Overlay { lower, upper, .. } => {
            let changed = within(upper.as_path());
            let is_changed = fs::symlink_metadata(&changed).is_ok();
            MountedPath::File(if is_changed { changed } else { within(lower.as_path()) })
        }
    }
}

fn is_file(mount: &Mount) -> bool {
    matches!(mount, Mount::Bind { source, .. } if !source.as_path().is_dir())
}

fn make_mount_point(shell: &Path, rest: &Path, is_file: bool) -> std::io::Result<()> {
    let point = shell.join(rest);
    match point.parent() {
        Some(parent) if is_file => {
            fs::create_dir_all(parent)?;
            fs::write(&point, "")
        }
        _ => fs::create_dir_all(&point),
    }
}

#[cfg(test)]
mod tests {
    use super::super::PrivateFiles;
    use super::*;

    fn targets(mounts: &[Mount]) -> Vec<&str> {
        mounts.iter().map(|mount| mount.target().to_str().unwrap()).collect()
    }

    fn mirror(target: &str) -> Mount {
        Mount::Mirror { target: target.into(), backing: None, skip: Vec::new(), is_separate: false }
    }

    fn private(at: &Path) -> PrivateDirectory {
        PrivateDirectory::open(at, "agent", PrivateFiles::Keep).unwrap()
    }

    fn set(paths: &[&str]) -> BTreeSet<PathBuf> {
        paths.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn parents_are_mounted_first_and_the_last_mount_of_a_target_stays() {
        let temp = tempfile::tempdir().unwrap();
        let mut list = MountList::default();
        for target in ["/home/u/a/b", "/tmp", "/home/u/a"] {
            list.add_same(Path::new(target), Access::ReadOnly);
        }
        list.add(mirror("/home/u"));
        list.add_same(Path::new("/tmp"), Access::ReadWrite);
        let mounts = list.finish(&BTreeSet::new(), &private(temp.path())).unwrap();
        assert_eq!(targets(&mounts), ["/tmp", "/home/u", "/home/u/a", "/home/u/a/b"]);
        assert!(matches!(mounts[0], Mount::Bind { access: Access::ReadWrite, .. }));
    }

    #[test]
    fn hidden_paths_are_left_out_or_covered_once() {
        let temp = tempfile::tempdir().unwrap();
        let top = temp.path().canonicalize().unwrap();
        let (slot, tmp) = (top.join("slot"), top.join("private"));
        fs::create_dir_all(slot.join("keys")).unwrap();
        fs::create_dir_all(&tmp).unwrap();
        let mut list = MountList::default();
        list.add(mirror("/home/u"));
        list.add(bind(&slot, Path::new("/app"), Access::ReadWrite));
        list.add(bind(&tmp, Path::new("/tmp"), Access::ReadWrite));
        let hidden = set(&[
            "/home/u/.ssh",
            "/home/u/.ssh/id",
            "/home/u/.config/gh",
            "/etc/shadow",
            "/tmp/secret",
            "/app/keys",
            "/app/other",
        ]);
        let mounts = list.finish(&hidden, &private(&top)).unwrap();
        assert_eq!(
            targets(&mounts),
            ["/app", "/tmp", "/app/keys", "/etc/shadow", "/home/u", "/home/u/.config/gh"]
        );
        let Mount::Mirror { skip, .. } = &mounts[4] else { panic!("{mounts:?}") };
        assert_eq!(skip, &[PathBuf::from(".ssh").into()]);
    }

    #[test]
    fn mounts_below_a_hidden_directory_have_mount_points() {
        let temp = tempfile::tempdir().unwrap();
        let top = temp.path().canonicalize().unwrap();
        fs::create_dir(top.join("slot")).unwrap();
        fs::write(top.join("key"), "").unwrap();
        let mut list = MountList::default();
        list.add(bind(&top.join("slot"), Path::new("/root/w/app"), Access::ReadWrite));
        list.add(bind(&top.join("slot"), Path::new("/root/w/app/sub"), Access::ReadOnly));
        list.add(bind(&top.join("key"), Path::new("/root/key"), Access::ReadOnly));
        let private = private(&top);
        let mounts = list.finish(&set(&["/root"]), &private).unwrap();
        assert_eq!(targets(&mounts)[0], "/root");
        let Mount::Bind { source, access: Access::ReadOnly, .. } = &mounts[0] else { panic!() };
        assert!(source.as_path().join("w/app").is_dir());
        assert!(source.as_path().join("key").is_file());
        assert!(!source.as_path().join("w/app/sub").exists());
    }
}
