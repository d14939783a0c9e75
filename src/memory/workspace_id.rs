//! Who this workspace is, among those that share a Qdrant. Kept beside the journal, so that it outlives it.
//!
//! A workspace that was moved keeps its id; a copy gets one of its own, or both would write and delete the same points.
//! The two are told apart by the directory itself (device and inode), and by whether the old place is still there.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::memory_entry::uuid_from;

const FILE: &str = "workspace-id.json";

/// A workspace's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceId {
    /// Whose points are ours in Qdrant.
    pub id: String,
    /// What the ids of the journal's entries are made from. A copy goes on with the original's, so that it finds
    /// again what its copied journal holds.
    pub entries: String,
}

/// The file. Earlier versions wrote the first two fields.
#[derive(Clone, Serialize, Deserialize)]
struct Identity {
    id: String,
    /// Where the workspace was when it was last seen.
    path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    directory: Option<Directory>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entries: Option<String>,
}

/// A directory, wherever it is moved on its file system.
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

/// The identity of a workspace; made at first.
///
/// # Errors
/// The workspace cannot be looked at, or the file beside the journal cannot be written.
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
        Self { entries: identity.entries.unwrap_or_else(|| identity.id.clone()), id: identity.id }
    }
}

/// Whether the file came here with a copy of the workspace that it names.
fn is_copy(known: &Identity, here: &Path, directory: Directory, autopack_dir: &Path) -> bool {
    let old = Path::new(&known.path);
    // The same place: also where it was restored from a backup, or mounted anew.
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

/// What earlier versions wrote tells only where the workspace was.
fn has_same_id(old: &Path, known: &Identity, here: &Path, autopack_dir: &Path) -> bool {
    let Ok(below) = autopack_dir
        .canonicalize()
        .and_then(|dir| dir.strip_prefix(here).map(Path::to_path_buf).map_err(io::Error::other))
    else {
        return false;
    };
    read(&old.join(below).join(FILE)).is_some_and(|original| original.id == known.id)
}

/// From machine, path and directory, so that even a workspace that lost `.autopack` finds its points again, and one
/// that is made where another was moved away does not take over that one's. A copy adds its
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
    // A name of its own each time: two processes may be here at once.
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut beside = tempfile::NamedTempFile::new_in(folder)?;
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
    fn an_id_stays_moves_along_and_is_not_copied() {
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
    fn a_copy_is_seen_when_the_original_moved_away_before() {
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
    fn a_copy_of_a_copy_is_a_third() {
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
    fn what_an_earlier_version_wrote_is_kept() {
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
    fn many_at_once_agree() {
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
    fn a_lost_folder_finds_its_id_again() {
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
