//! The mount system calls of Linux 5.12 and later, which have no wrapper in a library used here.
//!
//! Mounts are made detached, from paths of the machine, and attached afterwards: a source may be hidden by an earlier
//! mount of the view.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

const OPEN_TREE_CLONE: libc::c_uint = 1;
const OPEN_TREE_CLOEXEC: libc::c_uint = libc::O_CLOEXEC as libc::c_uint;
const AT_RECURSIVE: libc::c_uint = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x4;
const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40;
const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_SET_FLAG: libc::c_uint = 0;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
const MOUNT_ATTR_RDONLY: u64 = 0x1;
const MOUNT_ATTR_NOSUID: u64 = 0x2;
const MOUNT_ATTR_NODEV: u64 = 0x4;
const MOUNT_ATTR_NOEXEC: u64 = 0x8;

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
#[derive(Default)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Restrictions of a new file system.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Restrictions {
    pub no_devices: bool,
    pub no_programs: bool,
}

/// Makes every mount of the tree at `path` receive nothing from and send nothing to other namespaces.
pub(super) fn make_private(path: &CStr) -> nix::Result<()> {
    let attributes =
        MountAttributes { propagation: libc::MS_PRIVATE, ..MountAttributes::default() };
    set_attributes(libc::AT_FDCWD, path, AT_RECURSIVE, &attributes)
}

/// Makes the tree at `path` read-only, with all mounts below.
pub(super) fn make_read_only(path: &CStr) -> nix::Result<()> {
    let attributes = MountAttributes { set: MOUNT_ATTR_RDONLY, ..MountAttributes::default() };
    set_attributes(libc::AT_FDCWD, path, AT_RECURSIVE, &attributes)
}

/// Makes a detached tree read-only, with all mounts below.
pub(super) fn make_tree_read_only(tree: BorrowedFd<'_>) -> nix::Result<()> {
    let attributes = MountAttributes { set: MOUNT_ATTR_RDONLY, ..MountAttributes::default() };
    let flags = AT_RECURSIVE | libc::AT_EMPTY_PATH as libc::c_uint;
    set_attributes(tree.as_raw_fd(), c"", flags, &attributes)
}

fn set_attributes(
    directory: libc::c_int,
    path: &CStr,
    flags: libc::c_uint,
    attributes: &MountAttributes,
) -> nix::Result<()> {
    // SAFETY: path and attributes live until the call returns; the size is that of the structure.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            directory,
            path.as_ptr(),
            flags,
            std::ptr::from_ref(attributes),
            size_of::<MountAttributes>(),
        )
    };
    Errno::result(result).map(drop)
}

/// Copies the tree of mounts at a path, detached.
pub(super) fn copy_tree(path: &Path) -> nix::Result<OwnedFd> {
    let path = text(path)?;
    let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE;
    // SAFETY: the path lives until the call returns.
    let result =
        unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
    file_of(result)
}

/// Attaches a detached tree to the file or directory `target`.
pub(super) fn attach(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> nix::Result<()> {
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    let empty = c"".as_ptr();
    // SAFETY: both files are open, and the empty path is static.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            empty,
            target.as_raw_fd(),
            empty,
            flags,
        )
    };
    Errno::result(result).map(drop)
}

/// Removes the mount on top of a path; copies of it stay.
pub(super) fn detach(path: &Path) -> nix::Result<()> {
    let path = text(path)?;
    // SAFETY: the path lives until the call returns.
    let result = unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH | libc::UMOUNT_NOFOLLOW) };
    Errno::result(result).map(drop)
}

/// Creates a file system, detached. Options without a value are flags.
pub(super) fn new_file_system(
    kind: &CStr,
    options: &[(&CStr, Option<&CStr>)],
    restrictions: Restrictions,
) -> nix::Result<OwnedFd> {
    // SAFETY: the name lives until the call returns.
    let context =
        file_of(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })?;
    for (name, value) in options {
        let command = if value.is_some() { FSCONFIG_SET_STRING } else { FSCONFIG_SET_FLAG };
        let value = value.map_or(std::ptr::null(), CStr::as_ptr);
        configure(context.as_fd(), command, name.as_ptr(), value)?;
    }
    configure(context.as_fd(), FSCONFIG_CMD_CREATE, std::ptr::null(), std::ptr::null())?;
    let mut attributes = MOUNT_ATTR_NOSUID;
    if restrictions.no_devices {
        attributes |= MOUNT_ATTR_NODEV;
    }
    if restrictions.no_programs {
        attributes |= MOUNT_ATTR_NOEXEC;
    }
    // SAFETY: the context is open.
    file_of(unsafe {
        libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, attributes)
    })
}

/// Creates a tmpfs with this mode (octal digits) for its top.
pub(super) fn temporary(mode: &CStr) -> nix::Result<OwnedFd> {
    let restrictions = Restrictions { no_devices: true, no_programs: false };
    new_file_system(c"tmpfs", &[(c"mode", Some(mode))], restrictions)
}

/// Creates an overlay of these directories, detached.
pub(super) fn new_overlay(directories: &[(&CStr, Option<&CStr>)]) -> nix::Result<OwnedFd> {
    // Ordinary users may not write `trusted.` attributes.
    let options = [&[(c"userxattr", None)], directories].concat();
    let restrictions = Restrictions { no_devices: true, no_programs: false };
    new_file_system(c"overlay", &options, restrictions)
}

fn configure(
    context: BorrowedFd<'_>,
    command: libc::c_uint,
    name: *const libc::c_char,
    value: *const libc::c_char,
) -> nix::Result<()> {
    // SAFETY: the caller's texts are C strings or null, and live until the call returns.
    let result =
        unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, name, value, 0) };
    Errno::result(result).map(drop)
}

/// Opens a path without following any symbolic link, only to name it.
pub(super) fn open_exact(path: &Path) -> nix::Result<OwnedFd> {
    let path = text(path)?;
    // SAFETY: zero is a valid value of every field.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_PATH | libc::O_CLOEXEC | libc::O_NOFOLLOW) as u64;
    how.resolve = libc::RESOLVE_NO_SYMLINKS;
    // SAFETY: path and structure live until the call returns; the size is that of the structure.
    let result = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            libc::AT_FDCWD,
            path.as_ptr(),
            std::ptr::from_ref(&how),
            size_of::<libc::open_how>(),
        )
    };
    file_of(result)
}

fn file_of(result: libc::c_long) -> nix::Result<OwnedFd> {
    let number = Errno::result(result)?;
    // SAFETY: the call just returned this new file, and no other code knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(number as libc::c_int) })
}

/// Converts a path.
pub(super) fn text(path: &Path) -> nix::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)
}
