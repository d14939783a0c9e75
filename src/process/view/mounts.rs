//! Makes the mounts of a view, in the new mount namespace of the init process.

use std::ffi::{CString, OsString};
use std::fs::{self, DirBuilder, FileType};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::devices::Devices;
use super::mount_calls::{
    Restrictions, attach, copy_tree, make_private, make_read_only, make_tree_read_only,
    new_file_system, new_overlay, open_exact, temporary, text,
};
use super::separate_directory::SeparateDirectory;
use super::spec::{Access, Mount, ViewSpec};
use super::step_error::{Step, StepError};

/// Files of /proc that root could use to change the machine: read-only (as in the OCI runtime specification).
const READ_ONLY_PROC: [&str; 6] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/proc/acpi"];

type Result<T> = std::result::Result<T, StepError>;

/// A mount whose sources are open, to be attached later.
enum ReadyMount<'a> {
    Tree { tree: OwnedFd, target: &'a Path, is_directory: bool },
    Mirror { tree: OwnedFd, target: &'a Path, entries: Vec<MirrorEntry> },
    Hide { target: &'a Path },
}

/// An entry of a mirrored directory.
struct MirrorEntry {
    name: OsString,
    kind: EntryKind,
}

enum EntryKind {
    Tree { tree: OwnedFd, is_directory: bool },
    Link { to: PathBuf },
}

/// Builds the mounts of a view. Sources are opened before anything is covered.
pub(super) fn build(view: &ViewSpec, is_root: bool) -> Result<()> {
    make_private(c"/").step("separate the mounts")?;
    // A new /proc needs a visible old one.
    let no_programs = Restrictions { no_devices: true, no_programs: true };
    let proc = new_file_system(c"proc", &[], no_programs).step("create /proc")?;
    let devices = Devices::collect()?;
    let mut cover = Cover::default();
    let mut ready = Vec::with_capacity(view.mounts.len());
    for mount in &view.mounts {
        ready.extend(open(mount)?);
    }
    make_read_only(c"/").step("make the file system read-only")?;
    attach_at(proc, Path::new("/proc"))?;
    if is_root {
        for path in READ_ONLY_PROC.map(Path::new) {
            protect(path)?;
        }
    }
    devices.attach()?;
    for mount in ready {
        match mount {
            ReadyMount::Tree { tree, target, is_directory } => place(tree, target, is_directory)?,
            ReadyMount::Mirror { tree, target, entries } => mirror(tree, target, entries)?,
            ReadyMount::Hide { target } => cover.hide(target)?,
        }
    }
    Ok(())
}

fn open(mount: &Mount) -> Result<Option<ReadyMount<'_>>> {
    let target = mount.target();
    Ok(Some(match mount {
        Mount::Bind { source, access, .. } => {
            let source = source.as_path();
            let tree = copy_tree(source).step_at("open", source)?;
            if *access != Access::ReadWrite {
                make_tree_read_only(tree.as_fd()).step_at("make read-only", source)?;
            }
            let is_directory = fs::metadata(source).step_at("read", source)?.is_dir();
            ReadyMount::Tree { tree, target, is_directory }
        }
        Mount::Overlay { lower, upper, work, .. } => {
            let lower = lower.as_path();
            let tree = match overlay(lower, upper.as_path(), work.as_path()) {
                Ok(tree) => tree,
                // Some file systems cannot be the lower one: the program can read, at least.
                Err(_) => {
                    let tree = copy_tree(lower).step_at("open", lower)?;
                    make_tree_read_only(tree.as_fd()).step_at("make read-only", lower)?;
                    tree
                }
            };
            ReadyMount::Tree { tree, target, is_directory: true }
        }
        Mount::Mirror { backing, skip, is_separate, .. } => {
            let separate = match is_separate {
                true => SeparateDirectory::of(target).ok(),
                false => None,
            };
            let directory = separate.as_ref().map_or(target, |separate| &separate.path);
            let backing_path = backing.as_ref().map(|path| path.as_path());
            let entries = entries_of(directory, backing_path, |name| {
                skip.iter().any(|skipped| skipped.as_os_str() == name)
            })?;
            drop(separate);
            let tree = match backing {
                Some(backing) => copy_tree(backing.as_path()).step_at("open", backing.as_path())?,
                None => temporary(c"755").step_at("create a file system for", target)?,
            };
            ReadyMount::Mirror { tree, target, entries }
        }
        Mount::Hide { .. } => ReadyMount::Hide { target },
    }))
}

/// Returns the entries to show in a mirror of a directory; none for a missing directory.
fn entries_of(
    directory: &Path,
    backing: Option<&Path>,
    is_skipped: impl Fn(&std::ffi::OsStr) -> bool,
) -> Result<Vec<MirrorEntry>> {
    let listed = match fs::read_dir(directory) {
        Ok(listed) => listed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        // What autopack cannot list, the program cannot list either.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error).step_at("list", directory),
    };
    let mut entries = Vec::new();
    for entry in listed {
        let entry = entry.step_at("list", directory)?;
        let name = entry.file_name();
        let is_own = backing.is_some_and(|backing| is_own(&backing.join(&name)));
        let Ok(kind) = entry.file_type() else { continue };
        if is_skipped(&name) || is_own {
            continue;
        }
        // An entry that vanished, or that this user may not open, is left out.
        let kind = match kind_of(&entry.path(), kind) {
            Ok(Some(kind)) => kind,
            Ok(None) | Err(Errno::ENOENT | Errno::EACCES | Errno::ELOOP) => continue,
            Err(errno) => return Err(StepError::at("open", &entry.path(), errno)),
        };
        entries.push(MirrorEntry { name, kind });
    }
    Ok(entries)
}

/// Whether an entry of the backing directory belongs to the program: not an empty mount point of an earlier view.
fn is_own(path: &Path) -> bool {
    match fs::symlink_metadata(path) {
        Err(_) => false,
        Ok(found) if found.is_dir() => {
            fs::read_dir(path).map_or(true, |mut entries| entries.next().is_some())
        }
        Ok(found) if found.is_file() => found.len() > 0,
        Ok(_) => true,
    }
}

fn kind_of(path: &Path, kind: FileType) -> nix::Result<Option<EntryKind>> {
    if kind.is_symlink() {
        let to = fs::read_link(path).map_err(|_| Errno::ENOENT)?;
        return Ok(Some(EntryKind::Link { to }));
    }
    if kind.is_socket() || kind.is_fifo() || kind.is_block_device() || kind.is_char_device() {
        return Ok(None);
    }
    let tree = copy_tree(path)?;
    make_tree_read_only(tree.as_fd())?;
    Ok(Some(EntryKind::Tree { tree, is_directory: kind.is_dir() }))
}

fn mirror(tree: OwnedFd, target: &Path, entries: Vec<MirrorEntry>) -> Result<()> {
    place(tree, target, true)?;
    for MirrorEntry { name, kind } in entries {
        let at = target.join(&name);
        match kind {
            EntryKind::Tree { tree, is_directory } => place(tree, &at, is_directory)?,
            // The program may have made a file of this name meanwhile.
            EntryKind::Link { to } => drop(symlink(to, &at)),
        }
    }
    Ok(())
}

/// Attaches a tree at `target`, which is created where the view is writable; skipped if that is impossible.
fn place(tree: OwnedFd, target: &Path, is_directory: bool) -> Result<()> {
    match open_exact(target) {
        Err(Errno::ENOENT) => {
            if !create(target, is_directory).step_at("create", target)? {
                return Ok(());
            }
            attach_at(tree, target)
        }
        opened => {
            attach(tree.as_fd(), opened.step_at("open", target)?.as_fd()).step_at("mount", target)
        }
    }
}

/// Creates a mount point; returns `false` on a read-only file system.
fn create(target: &Path, is_directory: bool) -> std::io::Result<bool> {
    let parent = target.parent().unwrap_or(target);
    let directory = if is_directory { target } else { parent };
    let mut created = DirBuilder::new().recursive(true).mode(0o755).create(directory);
    if created.is_ok() && !is_directory {
        created = fs::File::create_new(target).map(drop);
    }
    match created {
        Ok(()) => Ok(true),
        Err(error) => match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EROFS | Errno::EACCES | Errno::ENOTDIR) => Ok(false),
            _ => Err(error),
        },
    }
}

fn attach_at(tree: OwnedFd, target: &Path) -> Result<()> {
    let at = open_exact(target).step_at("open", target)?;
    attach(tree.as_fd(), at.as_fd()).step_at("mount", target)
}

/// Makes an existing path read-only.
fn protect(path: &Path) -> Result<()> {
    match copy_tree(path) {
        Err(Errno::ENOENT | Errno::EACCES) => Ok(()),
        copied => {
            let tree = copied.step_at("open", path)?;
            make_tree_read_only(tree.as_fd()).step_at("make read-only", path)?;
            attach_at(tree, path)
        }
    }
}

fn overlay(lower: &Path, upper: &Path, work: &Path) -> nix::Result<OwnedFd> {
    let lower = escaped(lower)?;
    let (upper, work) = (text(upper)?, text(work)?);
    new_overlay(&[
        (c"lowerdir", Some(lower.as_c_str())),
        (c"upperdir", Some(upper.as_c_str())),
        (c"workdir", Some(work.as_c_str())),
    ])
}

/// In `lowerdir`, a colon separates directories.
fn escaped(path: &Path) -> nix::Result<CString> {
    let mut text = Vec::new();
    for byte in path.as_os_str().as_bytes() {
        if matches!(byte, b':' | b'\\') {
            text.push(b'\\');
        }
        text.push(*byte);
    }
    CString::new(text).map_err(|_| Errno::EINVAL)
}

/// Hides paths behind an empty directory or an empty file.
#[derive(Default)]
struct Cover {
    /// A hidden directory: the next one is a copy of its mount, which is cheaper than a new file system.
    empty: Option<PathBuf>,
}

impl Cover {
    fn hide(&mut self, target: &Path) -> Result<()> {
        let at = match open_exact(target) {
            // Missing, below something hidden already, or a link, whose target is hidden on its own.
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES | Errno::ELOOP) => return Ok(()),
            opened => opened.step_at("open", target)?,
        };
        let kind = fs::symlink_metadata(target).step_at("read", target)?.file_type();
        if kind.is_symlink() {
            return Ok(());
        }
        if !kind.is_dir() {
            let null = copy_tree(Path::new("/dev/null")).step_at("hide", target)?;
            make_tree_read_only(null.as_fd()).step_at("hide", target)?;
            return attach(null.as_fd(), at.as_fd()).step_at("hide", target);
        }
        let copy = self.empty.as_ref().and_then(|empty| copy_tree(empty).ok());
        let tree = match copy {
            Some(tree) => tree,
            None => {
                let tree = temporary(c"555").step_at("hide", target)?;
                make_tree_read_only(tree.as_fd()).step_at("hide", target)?;
                tree
            }
        };
        attach(tree.as_fd(), at.as_fd()).step_at("hide", target)?;
        self.empty.get_or_insert_with(|| target.to_owned());
        Ok(())
    }
}
