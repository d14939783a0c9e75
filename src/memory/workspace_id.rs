//! Who this workspace is, among those that share a Qdrant. Kept beside the journal, so that it outlives it.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::entry::{hash_of, uuid_of};

#[derive(Serialize, Deserialize)]
struct Identity {
    id: String,
    /// Where the workspace was when it got its id.
    path: String,
}

/// The id of a workspace; made at first. A workspace that was moved keeps its id, a copy gets one of its own.
pub fn of(workspace: &Path, autopack_dir: &Path) -> io::Result<String> {
    let workspace = workspace.canonicalize()?;
    let path = workspace.to_string_lossy().into_owned();
    let file = autopack_dir.join("workspace-id.json");
    if let Some(known) = read(&file) {
        let here = known.path == path;
        // Of two folders with one id, the one where the id was made is the original.
        let copied = !here && original_is_elsewhere(&known, autopack_dir, &workspace);
        if here {
            return Ok(known.id);
        }
        if !copied {
            write(&file, &Identity { id: known.id.clone(), path })?;
            return Ok(known.id);
        }
    }
    let identity = Identity { id: derive(&path), path };
    write(&file, &identity)?;
    Ok(identity.id)
}

fn original_is_elsewhere(known: &Identity, autopack_dir: &Path, workspace: &Path) -> bool {
    let Ok(below) = autopack_dir.canonicalize().and_then(|dir| {
        dir.strip_prefix(workspace).map(Path::to_path_buf).map_err(io::Error::other)
    }) else {
        return false;
    };
    let there = Path::new(&known.path).join(below).join("workspace-id.json");
    read(&there).is_some_and(|original| original.id == known.id)
}

/// From machine and path, so that even a workspace that lost `.autopack` finds its points again.
fn derive(path: &str) -> String {
    let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let digest = hash_of(&["workspace", machine.trim(), host.trim(), path]);
    uuid_of(&digest.as_bytes()[..16])
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

    #[test]
    fn an_id_stays_moves_along_and_is_not_copied() {
        let dir = tempfile::tempdir().unwrap();
        let (one, one_autopack) = workspace(dir.path(), "one");
        let id = of(&one, &one_autopack).unwrap();
        assert_eq!(of(&one, &one_autopack).unwrap(), id);

        let (copy, copy_autopack) = workspace(dir.path(), "copy");
        fs::copy(one_autopack.join("workspace-id.json"), copy_autopack.join("workspace-id.json"))
            .unwrap();
        assert_ne!(of(&copy, &copy_autopack).unwrap(), id);

        let moved = dir.path().join("moved");
        fs::rename(&one, &moved).unwrap();
        assert_eq!(of(&moved, &moved.join(".autopack")).unwrap(), id);
    }

    #[test]
    fn many_at_once_agree() {
        let dir = tempfile::tempdir().unwrap();
        let (one, autopack) = workspace(dir.path(), "one");
        let ids: std::collections::HashSet<String> = std::thread::scope(|scope| {
            let asking: Vec<_> =
                (0..8).map(|_| scope.spawn(|| of(&one, &autopack).unwrap())).collect();
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
