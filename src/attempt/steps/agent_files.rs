//! Files written by an agent to `AUTOPACK_LOG_DIR`, kept with the attempt: with secrets removed, and within limits.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::attempt::AttemptError;
use crate::phase::words::counted;
use crate::process::Redactor;

/// Longest file in bytes; a longer file keeps only the end, usually with the cause of an error.
const LONGEST: u64 = 4 * 1024 * 1024;
const MOST_BYTES: u64 = 32 * 1024 * 1024;
const MOST_FILES: usize = 1000;
const DEEPEST: usize = 16;

/// Log directory of one attempt.
pub(crate) struct AgentFiles {
    dir: PathBuf,
    bytes: u64,
    files: usize,
    shortened: usize,
    removed: usize,
}

impl AgentFiles {
    /// Creates the directory.
    pub fn create(dir: PathBuf) -> Result<Self, AttemptError> {
        fs::create_dir_all(&dir).map_err(|error| AttemptError::io(&dir, error))?;
        Ok(Self { dir, bytes: 0, files: 0, shortened: 0, removed: 0 })
    }

    /// Removes secrets, oversized files and an empty directory. Returns a line for each kind of removal.
    pub fn keep(mut self, redact: &Redactor) -> Vec<String> {
        let dir = self.dir.clone();
        // The agent may have replaced the directory by a symbolic link.
        if !dir.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
            let _ = fs::remove_file(&dir);
            return Vec::new();
        }
        self.look_through(&dir, 0, redact);
        let _ = fs::remove_dir(&dir);
        let what = |count: usize| counted(count as u64, "file");
        let mut notes = Vec::new();
        if self.shortened > 0 {
            let longest = LONGEST / 1024 / 1024;
            notes.push(format!(
                "{} in AUTOPACK_LOG_DIR shortened to the last {longest} MiB",
                what(self.shortened)
            ));
        }
        if self.removed > 0 {
            let most = MOST_BYTES / 1024 / 1024;
            notes.push(format!(
                "{} in AUTOPACK_LOG_DIR not kept: the limit is {most} MiB in {MOST_FILES} regular files",
                what(self.removed)
            ));
        }
        notes
    }

    fn look_through(&mut self, dir: &Path, depth: usize, redact: &Redactor) {
        let mut entries: Vec<_> = fs::read_dir(dir).into_iter().flatten().flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let kept = match path.symlink_metadata() {
                Ok(metadata) if metadata.is_dir() && depth < DEEPEST => {
                    self.look_through(&path, depth + 1, redact);
                    let _ = fs::remove_dir(&path);
                    continue;
                }
                Ok(metadata) if metadata.is_dir() => false,
                Ok(metadata) if metadata.is_file() => self.keep_file(&path, metadata.len(), redact),
                _ => false,
            };
            if !kept {
                self.removed += 1;
                let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
            }
        }
    }

    fn keep_file(&mut self, path: &Path, length: u64, redact: &Redactor) -> bool {
        let kept = length.min(LONGEST);
        // Unreadable files may contain anything, so they are removed.
        if self.files >= MOST_FILES
            || self.bytes + kept > MOST_BYTES
            || clean(path, redact).is_err()
        {
            return false;
        }
        self.files += 1;
        self.bytes += kept;
        self.shortened += usize::from(length > LONGEST);
        true
    }
}

/// Cuts a file to the last bytes and removes secrets.
fn clean(path: &Path, redact: &Redactor) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST)))?;
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    let clean = redact.redact_bytes(&bytes);
    if length <= LONGEST && *clean == bytes[..] {
        return Ok(());
    }
    // A new file is written, because the old file may have other hard links.
    fs::remove_file(path)?;
    File::create_new(path)?.write_all(&clean)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn secrets_and_excess_files_are_removed() {
        let at = tempfile::tempdir().unwrap();
        let outside = at.path().join("outside");
        fs::write(&outside, "theirs").unwrap();
        let dir = at.path().join("files");
        let files = AgentFiles::create(dir.clone()).unwrap();
        let write = |name: &str, bytes: &[u8]| {
            fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
            fs::write(dir.join(name), bytes).unwrap();
        };
        write("log", b"key planted-0123456789 end");
        write("sub/other", b"plain");
        write("empty/dir/gone", b"x");
        fs::remove_file(dir.join("empty/dir/gone")).unwrap();
        let mut big = vec![b'a'; LONGEST as usize];
        big.extend(b"the end");
        for n in 0..9 {
            write(&format!("z{n}"), &big);
        }
        symlink(&outside, dir.join("link")).unwrap();
        let redact = Redactor::new([("MY_API_KEY".into(), "planted-0123456789".into())]);
        let notes = files.keep(&redact);
        let text = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
        assert_eq!(text("log"), "key [redacted: MY_API_KEY] end");
        assert_eq!(text("sub/other"), "plain");
        assert!(text("z0").len() as u64 == LONGEST && text("z0").ends_with("the end"));
        assert!(
            !dir.join("empty").exists() && !dir.join("link").exists() && !dir.join("z8").exists()
        );
        assert_eq!(fs::read_to_string(&outside).unwrap(), "theirs");
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[0].starts_with("7 files") && notes[1].starts_with("3 files"), "{notes:?}");
    }

    #[test]
    fn empty_directory_or_link_in_its_place_leaves_nothing() {
        let at = tempfile::tempdir().unwrap();
        let dir = at.path().join("files");
        let redact = Redactor::formats_only();
        assert!(AgentFiles::create(dir.clone()).unwrap().keep(&redact).is_empty());
        assert!(!dir.exists());
        let files = AgentFiles::create(dir.clone()).unwrap();
        fs::remove_dir(&dir).unwrap();
        symlink(at.path(), &dir).unwrap();
        files.keep(&redact);
        assert!(dir.symlink_metadata().is_err() && at.path().is_dir());
    }
}
