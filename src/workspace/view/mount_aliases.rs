//! The mounts of the machine: finds other paths at which the same files appear, such as bind mounts of the user's
//! checkout.
//!
//! `/proc/self/mountinfo` names, for each mount, the file system by device and the directory of that file system that
//! is mounted (proc_pid_mountinfo(5)):
//!
//! ```text
//! 27 1 254:0 / / rw - ext4 /dev/vda rw
//! 90 27 254:0 /home/u/app /srv/app rw - ext4 /dev/vda rw     /home/u/app is also /srv/app
//! ```

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::path_expansion::{depth, is_strictly_below};

/// Mounts of the machine, in the order of the kernel.
#[derive(Clone, Debug, Default)]
pub(super) struct MountTable {
    mounts: Vec<MountEntry>,
}

/// A line of `/proc/self/mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct MountEntry {
    device: Vec<u8>,
    /// Mounted directory, from the root of its file system.
    root: PathBuf,
    point: PathBuf,
    /// Number of parts of `point`.
    depth: usize,
    kind: String,
}

impl MountTable {
    /// Reads the mounts of this process; none where `/proc` is missing.
    pub fn of_process() -> Self {
        Self::parse(&fs::read("/proc/self/mountinfo").unwrap_or_default())
    }

    /// Parses the text of a `mountinfo`. Lines of another form are ignored.
    pub fn parse(text: &[u8]) -> Self {
        Self { mounts: text.split(|byte| *byte == b'\n').filter_map(MountEntry::parse).collect() }
    }

    /// Returns the other paths of a file or directory, and the mounts of something below it.
    pub fn aliases(&self, path: &Path) -> Vec<PathBuf> {
        let Some(own) = self.containing(path) else { return Vec::new() };
        let own = &self.mounts[own];
        let Some(inner) = own.inner(path) else { return Vec::new() };
        let mut aliases = Vec::new();
        for (index, mount) in self.mounts.iter().enumerate() {
            if mount.device != own.device {
                continue;
            }
            let alias = match inner.strip_prefix(&mount.root) {
                Ok(rest) if rest.as_os_str().is_empty() => mount.point.clone(),
                Ok(rest) => mount.point.join(rest),
                Err(_) if mount.root.starts_with(&inner) => mount.point.clone(),
                Err(_) => continue,
            };
            // Below the path, the mount goes with it. Another mount may cover the alias.
            if !alias.starts_with(path) && self.containing(&alias) == Some(index) {
                aliases.push(alias);
            }
        }
        aliases.sort();
        aliases.dedup();
        aliases
    }

    /// Returns the kind of the file system of a path, such as `ext4`.
    pub fn kind_at(&self, path: &Path) -> Option<&str> {
        self.containing(path).map(|index| self.mounts[index].kind.as_str())
    }

    /// Returns the mounts below a directory, each with the kind of its file system.
    pub fn below<'a>(
        &'a self,
        directory: &'a Path,
    ) -> impl Iterator<Item = (&'a Path, &'a str)> + 'a {
        let mounts = self.mounts.iter().filter(|mount| is_strictly_below(&mount.point, directory));
        mounts.map(|mount| (mount.point.as_path(), mount.kind.as_str()))
    }

    /// Finds the mount with a path: the deepest, and the last of several at the same place.
    fn containing(&self, path: &Path) -> Option<usize> {
        let above =
            self.mounts.iter().enumerate().filter(|(_, mount)| path.starts_with(&mount.point));
        above.max_by_key(|(index, mount)| (mount.depth, *index)).map(|(index, _)| index)
    }
}

impl MountEntry {
    fn parse(line: &[u8]) -> Option<Self> {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let separator = fields.iter().position(|field| *field == b"-")?;
        let [_, _, device, root, point] = fields.get(..5)? else { return None };
        let kind = String::from_utf8_lossy(fields.get(separator + 1)?).into_owned();
        let (root, point) = (unescaped(root), unescaped(point));
        let is_usable = root.is_absolute() && point.is_absolute();
        is_usable.then(|| {
            let (device, depth) = (device.to_vec(), depth(&point));
            Self { device, root, point, depth, kind }
        })
    }

    /// Returns a path of the mount from the root of its file system.
    fn inner(&self, path: &Path) -> Option<PathBuf> {
        let rest = path.strip_prefix(&self.point).ok()?;
        Some(if rest.as_os_str().is_empty() { self.root.clone() } else { self.root.join(rest) })
    }
}

/// Decodes `\040` and other octal escapes of the kernel.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, after @ ..] = rest {
        let code = match (first, after) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..]) => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        plain.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    OsString::from_vec(plain).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TABLE: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
90 27 254:0 /home/u/my\\040app /srv/app rw,relatime shared:1 - ext4 /dev/vda rw
91 27 254:0 /home/u /mnt/home ro - ext4 /dev/vda rw
92 27 254:0 /home/u/my\\040app/src /opt/src rw - ext4 /dev/vda rw
93 27 254:0 /home/u /mnt/old rw - ext4 /dev/vda rw
94 27 0:40 / /mnt/old rw - tmpfs tmpfs rw
95 27 254:0 /home/u/my\\040app/data /home/u/my\\040app/d rw - ext4 /dev/vda rw
96 27 0:41 /home/u/my\\040app /media/other rw - fuse.sshfs me@host rw
97 27 0:42 / /home/u/.cache/img rw - tmpfs tmpfs rw
bad line
";

    fn aliases(table: &str, path: &str) -> Vec<String> {
        let found = MountTable::parse(table.as_bytes()).aliases(Path::new(path));
        found.into_iter().map(|path| path.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn other_paths_of_a_directory_are_found_by_device_and_root() {
        let found = aliases(TABLE, "/home/u/my app");
        assert_eq!(found, ["/mnt/home/my app", "/opt/src", "/srv/app"]);
        // From an alias, the path itself is found.
        let found = aliases(TABLE, "/srv/app");
        assert_eq!(found, ["/home/u/my app", "/home/u/my app/d", "/mnt/home/my app", "/opt/src"]);
        assert_eq!(aliases(TABLE, "/home/u/.ssh"), ["/mnt/home/.ssh"]);
        assert_eq!(aliases(TABLE, "/proc/1"), [""; 0]);
        assert_eq!(aliases("", "/home"), [""; 0]);
    }

    #[test]
    fn btrfs_subvolumes_are_directories_of_one_file_system() {
        let table = "20 1 0:30 /@ / rw - btrfs /dev/sda rw\n21 20 0:30 /@home /home rw - btrfs /dev/sda rw\n\
                     22 20 0:30 / /mnt/pool rw - btrfs /dev/sda rw\n";
        assert_eq!(aliases(table, "/home/u/app"), ["/mnt/pool/@home/u/app"]);
        assert_eq!(aliases(table, "/app"), ["/mnt/pool/@/app"]);
    }

    #[test]
    fn mounts_below_a_directory_are_listed_with_their_kind() {
        let table = MountTable::parse(TABLE.as_bytes());
        let below: Vec<_> = table.below(Path::new("/home/u/.cache")).collect();
        assert_eq!(below, [(Path::new("/home/u/.cache/img"), "tmpfs")]);
        assert_eq!(table.kind_at(Path::new("/media/other/x")), Some("fuse.sshfs"));
        assert_eq!(table.kind_at(Path::new("/home")), Some("ext4"));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed(text in "[0-9: /a\\\\47\\n-]{0,80}") {
            let table = MountTable::parse(text.as_bytes());
            table.aliases(Path::new("/a"));
        }
    }
}
