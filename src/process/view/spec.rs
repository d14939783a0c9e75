//! Description of what a program sees of the machine. `workspace::view` decides, the supervisor builds.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::process::wire_string::WirePath;

/// Directory of autopack's files in a view.
pub const OWN_DIRECTORY: &str = "/run/autopack";

/// How a view is built.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum ViewMode {
    /// User, mount, PID and IPC namespaces; a network namespace where the network is limited.
    Namespaces,
    /// Landlock rules on the real file system.
    Landlock,
    /// No restriction.
    #[default]
    Off,
}

impl ViewMode {
    /// Returns the mode as written in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Landlock => "landlock",
            Self::Off => "off",
        }
    }
}

/// What a program sees of the machine.
///
/// With [`ViewMode::Namespaces`], everything not named in `mounts` is the real file system, read-only. With
/// [`ViewMode::Landlock`], `landlock` has the rules. Paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewSpec {
    /// How the view is built.
    pub mode: ViewMode,
    /// Mounts in order; a mount covers what earlier mounts show below its target.
    pub mounts: Vec<Mount>,
    /// Rules for [`ViewMode::Landlock`].
    pub landlock: LandlockRules,
    /// The network.
    pub network: NetworkView,
    /// Whether the program can mount file systems in namespaces of its own. Otherwise, named pipes of other programs are
    /// closed to it, too, where the kernel has Landlock.
    pub allows_mounts: bool,
}

/// A mount of a view. Every `source`, `lower`, `upper`, `work` and `backing` is a path outside of the view; every
/// `target` a path in the view without symbolic links. Missing targets below a [`Mount::Mirror`] or a writable
/// [`Mount::Bind`] are created; other mounts with a missing target are skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mount {
    /// A file or directory tree at `target`.
    Bind {
        /// File or directory outside of the view.
        source: WirePath,
        /// Where the program sees it.
        target: WirePath,
        /// Whether the program can write.
        access: Access,
    },
    /// A writable directory with the entries of the original `target`: read-only binds of files and directories, copies
    /// of symbolic links; sockets, named pipes and devices directly in `target` are left out.
    Mirror {
        /// Directory to replace.
        target: WirePath,
        /// Existing directory with the program's own files; a tmpfs without one. An entry that exists in `backing`
        /// is the program's own and hides the original.
        backing: Option<WirePath>,
        /// Names of entries to leave out.
        skip: Vec<WirePath>,
        /// Whether to bind the entries of an overlay over `target`, if that is possible: named pipes and sockets below are
        /// not those of the machine, and file systems mounted below are missing.
        is_separate: bool,
    },
    /// An empty, read-only directory, or an empty file.
    Hide {
        /// Path to hide; a missing path needs no hiding.
        target: WirePath,
    },
    /// Reads come from `lower`, writes go to `upper`.
    Overlay {
        /// Directory with the original files.
        lower: WirePath,
        /// Directory for changes.
        upper: WirePath,
        /// Empty directory on the file system of `upper`.
        work: WirePath,
        /// Where the program sees the result.
        target: WirePath,
    },
}

/// Access to a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Writes fail with `EROFS`.
    ReadOnly,
    /// The same, for a slot shown in place of the user's checkout.
    ReadOnlySlot,
    /// Reads and writes.
    ReadWrite,
}

/// Rules of a view without namespaces. What is not listed fails with `EACCES`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandlockRules {
    /// Files and trees that can be read and executed. Missing paths are ignored.
    pub readable: Vec<WirePath>,
    /// Directories of which only the names can be listed.
    pub listable: Vec<WirePath>,
    /// Files and trees that can be written too.
    pub writable: Vec<WirePath>,
}

/// The network of a view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkView {
    /// The machine's network.
    #[default]
    Host,
    /// Loopback alone. autopack listens on these TCP ports of 127.0.0.1: the proxy, and `sandbox.ports`. In
    /// landlock mode, these are the only TCP ports that the program can connect to.
    Limited {
        /// Ports on which autopack accepts connections.
        ports: Vec<u16>,
    },
}

impl ViewSpec {
    /// Creates a view without mounts and rules.
    pub fn new(mode: ViewMode) -> Self {
        Self {
            mode,
            mounts: Vec::new(),
            landlock: LandlockRules::default(),
            network: NetworkView::Host,
            allows_mounts: false,
        }
    }

    /// Returns where the program sees a path of the machine: the target of the last bind that shows it, else the
    /// same path.
    pub fn inside(&self, path: &Path) -> PathBuf {
        let mut best: Option<(usize, PathBuf)> = None;
        for mount in &self.mounts {
            let Some((source, target)) = mount.moved() else { continue };
            let Ok(below) = path.strip_prefix(source) else { continue };
            let length = source.components().count();
            if best.as_ref().is_none_or(|(longest, _)| length >= *longest) {
                let shown = if below.as_os_str().is_empty() {
                    target.to_owned()
                } else {
                    target.join(below)
                };
                best = Some((length, shown));
            }
        }
        best.map_or_else(|| path.to_owned(), |(_, shown)| shown)
    }

    /// Returns where a file that the program made at a path is on the machine.
    pub fn outside(&self, path: &Path) -> PathBuf {
        let covering = self.mounts.iter().rev().find(|mount| path.starts_with(mount.target()));
        let made = covering.and_then(|mount| match mount {
            Mount::Bind { source, .. } => Some((mount, source)),
            Mount::Overlay { upper, .. } => Some((mount, upper)),
            Mount::Mirror { backing, .. } => Some((mount, backing.as_ref()?)),
            Mount::Hide { .. } => None,
        });
        let below =
            made.and_then(|(mount, at)| Some((at, path.strip_prefix(mount.target()).ok()?)));
        match below {
            Some((at, below)) if !below.as_os_str().is_empty() => at.as_path().join(below),
            Some((at, _)) => at.as_path().to_owned(),
            None => path.to_owned(),
        }
    }
}

impl Mount {
    /// Returns source and target of a bind that shows files of autopack elsewhere: the slot, and what is below
    /// `/run/autopack`.
    pub fn moved(&self) -> Option<(&Path, &Path)> {
        let Self::Bind { source, target, access } = self else { return None };
        let (source, target) = (source.as_path(), target.as_path());
        let is_ours = *access != Access::ReadOnly || target.starts_with(OWN_DIRECTORY);
        (source != target && is_ours).then_some((source, target))
    }

    /// Whether the program can write to files of the mount.
    pub fn is_writable(&self) -> bool {
        match self {
            Self::Bind { access, .. } => *access == Access::ReadWrite,
            Self::Mirror { .. } | Self::Overlay { .. } => true,
            Self::Hide { .. } => false,
        }
    }

    /// Where the program sees the mount.
    pub fn target(&self) -> &Path {
        match self {
            Self::Bind { target, .. }
            | Self::Mirror { target, .. }
            | Self::Hide { target }
            | Self::Overlay { target, .. } => target.as_path(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_mount_decides_where_a_made_file_is() {
        let spec = ViewSpec {
            mounts: vec![
                Mount::Mirror {
                    target: "/home/u".into(),
                    backing: Some("/slots/home".into()),
                    skip: Vec::new(),
                    is_separate: true,
                },
                Mount::Bind {
                    source: "/slots/tmp".into(),
                    target: "/tmp".into(),
                    access: Access::ReadWrite,
                },
                Mount::Overlay {
                    lower: "/home/u/.cache".into(),
                    upper: "/slots/upper".into(),
                    work: "/slots/work".into(),
                    target: "/home/u/.cache".into(),
                },
                Mount::Bind {
                    source: "/tmp/shared".into(),
                    target: "/tmp/shared".into(),
                    access: Access::ReadWrite,
                },
            ],
            ..ViewSpec::new(ViewMode::Namespaces)
        };
        for (path, expected) in [
            ("/tmp/x", "/slots/tmp/x"),
            ("/tmp", "/slots/tmp"),
            ("/tmp/shared/x", "/tmp/shared/x"),
            ("/home/u/new", "/slots/home/new"),
            ("/home/u/.cache/x", "/slots/upper/x"),
            ("/etc/x", "/etc/x"),
        ] {
            assert_eq!(spec.outside(Path::new(path)), Path::new(expected), "{path}");
        }
    }

    #[test]
    fn the_longest_source_decides_where_a_path_is_seen() {
        let bind = |source: &str, target: &str| Mount::Bind {
            source: Path::new(source).into(),
            target: Path::new(target).into(),
            access: Access::ReadWrite,
        };
        let spec = ViewSpec {
            mounts: vec![bind("/slots/1", "/app"), bind("/slots/1/x", "/run/x")],
            ..ViewSpec::new(ViewMode::Namespaces)
        };
        let seen = |path: &str| spec.inside(Path::new(path)).to_str().unwrap().to_owned();
        assert_eq!(
            ["/slots/1", "/slots/1/a", "/slots/1/x/b", "/slots/10"].map(seen),
            ["/app", "/app/a", "/run/x/b", "/slots/10"]
        );
    }
}
