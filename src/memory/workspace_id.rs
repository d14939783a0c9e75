//! Identity of this workspace among all workspaces on a Qdrant server. Stored beside the journal, to survive a lost
//! journal.
//!
//! A moved workspace keeps the id; a copy gets a new id, or both would write and delete the same points. Moves and
//! copies are told apart by the directory (device and inode) and by the existence of the old path.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::memory_entry::uuid_from;

const FILE: &str = "workspace-id.json";

/// Identity of a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceId {
    /// Owner of this workspace's points in Qdrant.
    pub id: String,
    /// Prefix of entry ids in the journal. A copy keeps the original's prefix, to find the contents of the copied
    /// journal.
    pub entries: String,
    /// The repository of this workspace and of those on other machines whose entries it reads; `None` without a remote.
    pub repository: Option<String>,
}

impl WorkspaceId {
    /// Names the repository of the workspace.
    pub fn in_repository(mut self, identity: Option<&str>) -> Self {
        // Whoever lists the points need not read the name of a server.
        self.repository = identity.map(|identity| uuid_from(&["repository", identity]));
        self
    }
}

/// Contents of the file. Earlier versions wrote the first two fields.
#[derive(Clone, Serialize, Deserialize)]
struct Identity {
    id: String,
    /// Path of the workspace when last used.
    path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    directory: Option<Directory>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entries: Option<String>,
}

/// Identity of a directory, unchanged by moves within a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Directory {
    device: u64,
    inode: u64,
}

impl Directory {
    fn at(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino() })
    }
}

/// Returns the identity of a workspace; creates the file if missing.
///
/// # Errors
/// The workspace cannot be read, or the file beside the journal cannot be written.
pub fn of(workspace: &Path, autopack_dir: &Path) -> io::Result<WorkspaceId> {
    let workspace = workspace.canonicalize()?;
    let directory = Directory::at(&workspace)?;
    let path = workspace.to_string_lossy().into_owned();
    let file = autopack_dir.join(FILE);
    let identity = match read(&file) {
        None => Identity {
            id: derive(&path, directory, ""),
            path,
            directory: Some(directory),
            entries: None,
        },
        Some(known) if is_copy(&known, &workspace, directory, autopack_dir) => {
            let id = derive(&path, directory, &known.id);
            let entries = Some(known.entries.unwrap_or(known.id));
            Identity { id, path, directory: Some(directory), entries }
        }
        Some(known) if known.path == path && known.directory == Some(directory) => {
            return Ok(known.into());
        }
        Some(known) => Identity { path, directory: Some(directory), ..known },
    };
    write(&file, &identity)?;
    Ok(identity.into())
}

impl From<Identity> for WorkspaceId {
    fn from(identity: Identity) -> Self {
        let entries = identity.entries.unwrap_or_else(|| identity.id.clone());
        Self { id: identity.id, entries, repository: None }
    }
}

/// Checks whether the file came with a copy of the workspace named in the file.
fn is_copy(known: &Identity, here: &Path, directory: Directory, autopack_dir: &Path) -> bool {
    let old = Path::new(&known.path);
    // The same path: also after a restore from a backup or a new mount.
    if old == here {
        return false;
    }
    match known.directory {
        Some(before) if before == directory => false,
        // Moving within a file system keeps the inode.
        Some(before) => before.device == directory.device || old.is_dir(),
        None => has_same_id(old, known, here, autopack_dir),
    }
}

/// Checks for the same id in the old place; files of earlier versions hold only the path.
fn has_same_id(old: &Path, known: &Identity, here: &Path, autopack_dir: &Path) -> bool {
    let Ok(below) = autopack_dir
        .canonicalize()
        .and_then(|dir| dir.strip_prefix(here).map(Path::to_path_buf).map_err(io::Error::other))
    else {
        return false;
    };
    read(&old.join(below).join(FILE)).is_some_and(|original| original.id == known.id)
}

/// Derives an id from machine, path and directory, so that a workspace without `.autopack` finds the same points again,
/// and a new workspace in the place of a moved workspace does not take over the other's points. A copy adds the
/// original's id as `salt`.
fn derive(path: &str, directory: Directory, salt: &str) -> String {
    let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let Directory { device, inode } = directory;
    let directory = format!("{device} {inode}");
    uuid_from(&["workspace", machine.trim(), host.trim(), path, &directory, salt])
}

fn read(file: &Path) -> Option<Identity> {
    serde_json::from_str(&fs::read_to_string(file).ok()?).ok()
}

fn write(file: &Path, identity: &Identity) -> io::Result<()> {
    // A new name each time: two processes may be writing.
    let directory = file.parent().unwrap_or(Path::new("."));
    let mut beside = tempfile::NamedTempFile::new_in(directory)?;
    beside.write_all(serde_json::to_string(identity)?.as_bytes())?;
    beside.as_file().sync_all()?;
    beside.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(root: &Path, name: &str) -> (std::path::PathBuf, std::path::PathBuf) {
        let workspace = root.join(name);
        let autopack = workspace.join(".autopack");
        fs::create_dir_all(&autopack).unwrap();
        (workspace, autopack)
    }

    fn copy(from: &Path, to: &Path) {
        fs::copy(from.join(FILE), to.join(FILE)).unwrap();
    }

    #[test]
    fn id_follows_a_move_but_not_a_copy() {
        let dir = tempfile::tempdir().unwrap();
        let (one, one_autopack) = workspace(dir.path(), "one");
        let id = of(&one, &one_autopack).unwrap();
        assert_eq!(of(&one, &one_autopack).unwrap(), id);

        let (copied, copy_autopack) = workspace(dir.path(), "copy");
        copy(&one_autopack, &copy_autopack);
        let of_copy = of(&copied, &copy_autopack).unwrap();
        assert_ne!(of_copy.id, id.id);
        assert_eq!(of_copy.entries, id.entries, "it knows the entries that were copied");
        assert_eq!(of(&copied, &copy_autopack).unwrap(), of_copy);

        let moved = dir.path().join("moved");
        fs::rename(&one, &moved).unwrap();
        assert_eq!(of(&moved, &moved.join(".autopack")).unwrap(), id);
        let (anew, anew_autopack) = workspace(dir.path(), "one");
        assert_ne!(of(&anew, &anew_autopack).unwrap().id, id.id, "the place is not the workspace");
    }

    #[test]
    fn copy_is_detected_after_a_move_of_the_original() {
        let dir = tempfile::tempdir().unwrap();
        let (one, one_autopack) = workspace(dir.path(), "one");
        let id = of(&one, &one_autopack).unwrap();
        let (copied, copy_autopack) = workspace(dir.path(), "copy");
        copy(&one_autopack, &copy_autopack);
        let moved = dir.path().join("moved");
        fs::rename(&one, &moved).unwrap();
        assert_ne!(of(&copied, &copy_autopack).unwrap().id, id.id);
        assert_eq!(of(&moved, &moved.join(".autopack")).unwrap(), id);
    }

    #[test]
    fn copy_of_a_copy_gets_a_third_id() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["one", "two", "three"].map(|name| workspace(dir.path(), name));
        let mut ids = vec![of(&names[0].0, &names[0].1).unwrap()];
        for pair in names.windows(2) {
            copy(&pair[0].1, &pair[1].1);
            ids.push(of(&pair[1].0, &pair[1].1).unwrap());
        }
        assert!(ids[0].id != ids[1].id && ids[1].id != ids[2].id && ids[0].id != ids[2].id);
        assert!(ids.iter().all(|id| id.entries == ids[0].id));
    }

    #[test]
    fn id_of_an_earlier_version_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (one, autopack) = workspace(dir.path(), "one");
        let path = one.canonicalize().unwrap();
        let before = format!(r#"{{"id":"an-id","path":{:?}}}"#, path.to_str().unwrap());
        fs::write(autopack.join(FILE), &before).unwrap();
        let (copied, copy_autopack) = workspace(dir.path(), "copy");
        copy(&autopack, &copy_autopack);
        let id = of(&one, &autopack).unwrap();
        assert_eq!((id.id.as_str(), id.entries.as_str()), ("an-id", "an-id"));
        let of_copy = of(&copied, &copy_autopack).unwrap();
        assert_ne!(of_copy.id, "an-id");
        assert_eq!(of_copy.entries, "an-id");
    }

    #[test]
    fn concurrent_processes_get_the_same_id() {
        let dir = tempfile::tempdir().unwrap();
        let (one, autopack) = workspace(dir.path(), "one");
        let ids: std::collections::HashSet<String> = std::thread::scope(|scope| {
            let asking: Vec<_> =
                (0..8).map(|_| scope.spawn(|| of(&one, &autopack).unwrap().id)).collect();
            asking.into_iter().map(|asking| asking.join().unwrap()).collect()
        });
        assert_eq!(ids.len(), 1);
        assert_eq!(fs::read_dir(&autopack).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn id_is_restored_after_loss_of_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let (one, autopack) = workspace(dir.path(), "one");
        let id = of(&one, &autopack).unwrap();
        fs::remove_dir_all(&autopack).unwrap();
        fs::create_dir_all(&autopack).unwrap();
        assert_eq!(of(&one, &autopack).unwrap(), id);
        let (two, two_autopack) = workspace(dir.path(), "two");
        assert_ne!(of(&two, &two_autopack).unwrap(), id);
    }
}
