//! `artifacts.dir`: a directory that machines share, with whole files:
//! `<run>/<phase>/<attempt>-<drain>/`. Drains have unique names, so several databases may use one directory.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::packed_files::open_plain;
use crate::phase::{PhaseId, RunId};
use crate::process::Redactor;
use crate::store::OwnerId;

/// Deepest directory that is copied.
const DEEPEST: usize = 16;

/// The shared directory.
#[derive(Clone, Debug)]
pub struct SharedArtifacts {
    dir: PathBuf,
}

impl SharedArtifacts {
    /// The directory of a setting, relative to the workspace.
    pub fn new(root: &Path, setting: &str) -> Self {
        Self { dir: root.join(setting) }
    }

    /// Returns the directory of an attempt's files, which may be missing.
    pub fn locate(&self, run: &RunId, phase: &PhaseId, attempt: u32, owner: &OwnerId) -> PathBuf {
        let (run, phase) = (run.file_name(), phase.file_name());
        self.dir.join(run).join(phase).join(format!("{attempt}-{owner}"))
    }

    /// Copies a directory of files with secrets removed. Readers see all files or none.
    ///
    /// # Errors
    ///
    /// A file cannot be read or written.
    pub fn store(&self, from: &Path, to: &Path, redactor: &Redactor) -> io::Result<()> {
        if to.is_dir() {
            return Ok(());
        }
        let above = to.parent().ok_or(io::ErrorKind::InvalidInput)?;
        fs::create_dir_all(above)?;
        let beside = tempfile::Builder::new().prefix(&prefix_of_copies(to)).tempdir_in(above)?;
        let files = beside.path().join("files");
        copy_directory(from, &files, 0, redactor)?;
        match fs::rename(&files, to) {
            // Another process was faster.
            Err(_) if to.is_dir() => Ok(()),
            renamed => renamed,
        }
    }

    /// Removes an attempt's files, copies that a killed process began, and empty directories above them. Returns `false` if
    /// there were none.
    ///
    /// # Errors
    ///
    /// A file cannot be removed.
    pub fn remove(files: &Path) -> io::Result<bool> {
        let is_directory = |path: &Path| path.symlink_metadata().is_ok_and(|about| about.is_dir());
        let prefix = prefix_of_copies(files);
        let beside = files.parent().and_then(|above| fs::read_dir(above).ok());
        let copies =
            beside.into_iter().flatten().flatten().filter(|entry| {
                entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes())
            });
        let all = copies.map(|entry| entry.path()).chain([files.to_owned()]);
        let mut is_any = false;
        for directory in all.filter(|path| is_directory(path)) {
            fs::remove_dir_all(directory)?;
            is_any = true;
        }
        if !is_any {
            return Ok(false);
        }
        for empty in files.ancestors().skip(1).take(2) {
            if fs::remove_dir(empty).is_err() {
                break;
            }
        }
        Ok(true)
    }
}

/// Returns the beginning of the names of copies that are not complete.
fn prefix_of_copies(files: &Path) -> String {
    format!(".{}.", files.file_name().unwrap_or_default().to_string_lossy())
}

fn copy_directory(from: &Path, to: &Path, depth: usize, redactor: &Redactor) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, name) = (entry.file_type()?, entry.file_name());
        if kind.is_dir() && depth < DEEPEST {
            copy_directory(&entry.path(), &to.join(name), depth + 1, redactor)?;
        } else if kind.is_file() && !name.as_encoded_bytes().starts_with(b".") {
            copy_file(&entry.path(), &to.join(name), redactor)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path, redactor: &Redactor) -> io::Result<()> {
    let mut source = open_plain(from)?;
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes)?;
    let mut file = File::create_new(to)?;
    file.write_all(&redactor.redact_bytes(&bytes))?;
    // The copies tell the order in which the files were created.
    match source.metadata()?.created() {
        Ok(created) => file.set_modified(created),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_copied_whole_and_removed_with_empty_directories() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        fs::create_dir_all(from.join("agent-files")).unwrap();
        fs::write(from.join("agent.log"), "text\n").unwrap();
        fs::write(from.join(".owner"), "1-1").unwrap();
        fs::write(from.join("agent-files/x"), "x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", from.join("link")).unwrap();
        let shared = SharedArtifacts::new(dir.path(), "shared");
        let to = shared.locate(&RunId::new("r"), &PhaseId::new("p"), 1, &OwnerId::new("1-1"));
        let redactor = Redactor::formats_only();
        shared.store(&from, &to, &redactor).unwrap();
        shared.store(&from, &to, &redactor).unwrap();
        assert_eq!(fs::read_to_string(to.join("agent.log")).unwrap(), "text\n");
        assert_eq!(fs::read_to_string(to.join("agent-files/x")).unwrap(), "x");
        assert!(!to.join("link").exists() && !to.join(".owner").exists());
        assert_eq!(fs::read_dir(to.parent().unwrap()).unwrap().count(), 1);
        // A process was killed while it copied.
        fs::create_dir_all(to.with_file_name(".1-1-1.dead").join("files")).unwrap();
        assert!(SharedArtifacts::remove(&to).unwrap());
        assert!(!SharedArtifacts::remove(&to).unwrap() && !dir.path().join("shared/r").exists());
    }
}
