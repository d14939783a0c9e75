//! Reads and writes loose objects without starting git for each object. The file
//! `objects/xx/rest-of-the-id` is a zlib stream of `kind size`, a NUL and the content; the id is
//! the hash of these bytes.
//!
//! This format of git has never changed (gitrepository-layout(5)), regardless of a repository's
//! formats for refs, index and packs. Only new objects are written, in the same way as git does: a
//! temporary file, sync, rename. Everything else is left to git: each function reports such cases
//! instead of failing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::phase::words::hex;

/// Maximum compressed size, in bytes. Git streams larger objects.
const LARGEST: u64 = 32 * 1024 * 1024;
/// Number of concurrent syncs: a journal writes them all at once.
const AT_ONCE: usize = 8;

/// A directory of objects.
#[derive(Clone, Copy)]
pub(crate) struct LooseObjects<'a> {
    pub objects: &'a Path,
    pub sha256: bool,
    /// Whether written objects must survive a power cut.
    pub durable: bool,
}

/// Owned form of [`LooseObjects`], for use in a blocking task.
pub(crate) struct ObjectDirectory {
    pub dir: PathBuf,
    pub sha256: bool,
    pub durable: bool,
}

impl ObjectDirectory {
    pub fn loose(&self) -> LooseObjects<'_> {
        LooseObjects { objects: &self.dir, sha256: self.sha256, durable: self.durable }
    }
}

/// A compressed object as stored in its file; the content matches the id.
pub(crate) struct CompressedObject {
    id: String,
    compressed: Vec<u8>,
}

impl LooseObjects<'_> {
    /// Builds an object with this content.
    pub fn make(&self, kind: &str, content: &[u8]) -> io::Result<CompressedObject> {
        let head = format!("{kind} {}\0", content.len());
        let mut hash = Hash::new(self.sha256);
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        for part in [head.as_bytes(), content] {
            hash.update(part);
            zlib.write_all(part)?;
        }
        Ok(CompressedObject { id: hash.hex(), compressed: zlib.finish()? })
    }

    /// Reads an object and checks its id; `None` if there is no such loose object here, or if it is too large to hold
    /// in memory.
    pub fn take(&self, id: &str) -> io::Result<Option<CompressedObject>> {
        let Some(path) = self.path(id) else { return Ok(None) };
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if file.metadata()?.len() > LARGEST {
            return Ok(None);
        }
        let mut compressed = Vec::new();
        file.read_to_end(&mut compressed)?;
        let mut hash = Hash::new(self.sha256);
        let mut zlib = ZlibDecoder::new(compressed.as_slice());
        let mut some = [0; 16 * 1024];
        loop {
            match zlib.read(&mut some)? {
                0 => break,
                read => hash.update(&some[..read]),
            }
        }
        Ok((hash.hex() == id).then(|| CompressedObject { id: id.to_owned(), compressed }))
    }

    /// Writes the objects, each completely or not at all. Existing objects only get the current time, so that `git
    /// gc` keeps them.
    pub fn put(&self, objects: &[CompressedObject]) -> io::Result<()> {
        let mut beside = Vec::new();
        let written = self
            .write_beside(objects, &mut beside)
            .and_then(|()| if self.durable { sync(&beside) } else { Ok(()) });
        for (_, temporary, path) in &beside {
            match &written {
                Ok(()) => fs::rename(temporary, path)?,
                Err(_) => drop(fs::remove_file(temporary)),
            }
        }
        written
    }

    fn write_beside(
        &self,
        objects: &[CompressedObject],
        beside: &mut Vec<PendingRename>,
    ) -> io::Result<()> {
        for object in objects {
            let path = self.path(&object.id).ok_or(ErrorKind::InvalidInput)?;
            if let Ok(there) = File::open(&path) {
                // The time of another user's file cannot be set, but the file is there.
                let _ = there.set_modified(SystemTime::now());
                continue;
            }
            let directory = path.parent().ok_or(ErrorKind::InvalidInput)?;
            fs::create_dir_all(directory)?;
            let temporary = directory.join(temporary_name());
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o444).open(&temporary)?;
            beside.push((file.try_clone()?, temporary, path));
            file.write_all(&object.compressed)?;
        }
        Ok(())
    }

    /// `None` for an invalid id.
    fn path(&self, id: &str) -> Option<PathBuf> {
        let whole = id.len() == if self.sha256 { 64 } else { 40 };
        (whole && id.bytes().all(|b| b.is_ascii_hexdigit()))
            .then(|| self.objects.join(&id[..2]).join(&id[2..]))
    }
}

impl CompressedObject {
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// A temporary file, its path, and its final path.
type PendingRename = (File, PathBuf, PathBuf);

fn sync(files: &[PendingRename]) -> io::Result<()> {
    if let [(file, ..)] = files {
        return file.sync_all();
    }
    for some in files.chunks(AT_ONCE) {
        std::thread::scope(|scope| {
            let syncs: Vec<_> =
                some.iter().map(|(file, ..)| scope.spawn(|| file.sync_all())).collect();
            syncs.into_iter().try_for_each(|sync| match sync.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })?;
    }
    Ok(())
}

/// `git gc` removes stale files with this prefix.
fn temporary_name() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("tmp_obj_autopack_{}_{number}", std::process::id())
}

enum Hash {
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Hash {
    fn new(sha256: bool) -> Self {
        if sha256 { Self::Sha256(Sha256::new()) } else { Self::Sha1(Sha1::new()) }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hash) => hash.update(bytes),
            Self::Sha256(hash) => hash.update(bytes),
        }
    }

    fn hex(self) -> String {
        match self {
            Self::Sha1(hash) => hex(&hash.finalize()),
            Self::Sha256(hash) => hex(&hash.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_gits_id_and_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        // As printed by `git hash-object --stdin`.
        for (sha256, id) in [
            (false, "ce013625030ba8dba906f756967f9e9ca394464a"),
            (true, "2cf8d83d9ee29543b34a87727421fdecb7e3f3a183d337639025de576db9ebb4"),
        ] {
            let objects = dir.path().join(id);
            let loose = LooseObjects { objects: &objects, sha256, durable: true };
            let made = loose.make("blob", b"hello\n").unwrap();
            assert_eq!(made.id(), id);
            assert!(loose.take(id).unwrap().is_none());
            loose.put(&[made]).unwrap();
            assert_eq!(loose.take(id).unwrap().unwrap().id(), id);
            // Writing again changes nothing and leaves no temporary file.
            loose.put(&[loose.make("blob", b"hello\n").unwrap()]).unwrap();
            assert_eq!(fs::read_dir(objects.join(&id[..2])).unwrap().count(), 1);
        }
    }

    #[test]
    fn an_object_with_another_hash_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let loose = LooseObjects { objects: dir.path(), sha256: false, durable: false };
        let made = loose.make("blob", b"hello\n").unwrap();
        let other = "0".repeat(40);
        let forged = CompressedObject { id: other.clone(), compressed: made.compressed };
        loose.put(&[forged]).unwrap();
        assert!(loose.take(&other).unwrap().is_none());
        assert!(loose.take("../../x").unwrap().is_none());
    }
}
