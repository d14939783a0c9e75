//! A directory seen through a read-only overlay: named pipes and sockets below are not those of the machine.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::mount_calls::{attach, detach, new_overlay, open_exact, temporary};

/// A directory seen through an overlay, until this value is dropped. Copies of its mounts stay.
pub(super) struct SeparateDirectory {
    /// Where the overlay is: below the directory, covered meanwhile.
    pub path: PathBuf,
    directory: PathBuf,
}

impl SeparateDirectory {
    /// Shows a directory through an overlay.
    ///
    /// # Errors
    ///
    /// If the file system cannot be the lower one of an overlay.
    pub fn of(directory: &Path) -> nix::Result<Self> {
        let original = open_exact(directory)?;
        // The kernel wants two lower directories, none in the other: the second one is on a file system of its own. It is
        // mounted where nothing else is in the way.
        attach(temporary(c"755")?.as_fd(), original.as_fd())?;
        let separate = Self { path: directory.join("overlay"), directory: directory.to_owned() };
        let empty = directory.join("empty");
        for path in [&separate.path, &empty] {
            fs::create_dir(path)
                .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
        }
        let empty = open_exact(&empty)?;
        let lower =
            format!("/proc/self/fd/{}:/proc/self/fd/{}", empty.as_raw_fd(), original.as_raw_fd());
        let lower = CString::new(lower).map_err(|_| Errno::EINVAL)?;
        let overlay = new_overlay(&[(c"lowerdir", Some(lower.as_c_str()))])?;
        attach(overlay.as_fd(), open_exact(&separate.path)?.as_fd())?;
        Ok(separate)
    }
}

impl Drop for SeparateDirectory {
    fn drop(&mut self) {
        let _ = detach(&self.directory);
    }
}
