//! Loose objects, read and written without starting a git for each: one file, `objects/xx/rest-of-the-id`, which is
//! a zlib stream of `kind size`, a NUL and the content, under the hash of just that.
//!
//! It is the one format of git's that never changed (gitrepository-layout(5)), whatever a repository keeps its refs,
//! index and packs in. Only what is new is written here, as git does it: beside, synced, renamed. What cannot be done
//! this way is left to git: each function says so instead of failing.

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

/// Compressed. Larger ones go through git, which streams them.
const LARGEST: u64 = 32 * 1024 * 1024;
/// Syncs that wait for the disk together: a journal writes them all at once.
const AT_ONCE: usize = 8;

/// A folder of objects.
#[derive(Clone, Copy)]
pub(crate) struct Loose<'a> {
    pub objects: &'a Path,
    pub sha256: bool,
    /// Whether what is written has to outlive a power cut.
    pub durable: bool,
}

/// The same, to be sent to where files are written.
pub(crate) struct Objects {
    pub dir: PathBuf,
    pub sha256: bool,
    pub durable: bool,
}

impl Objects {
    pub fn loose(&self) -> Loose<'_> {
        Loose { objects: &self.dir, sha256: self.sha256, durable: self.durable }
    }
}

/// An object as it lies in its file; the content is that of the id.
pub(crate) struct Packed {
    id: String,
    compressed: Vec<u8>,
}

impl Loose<'_> {
    /// A new object of this content.
    pub fn make(&self, kind: &str, content: &[u8]) -> io::Result<Packed> {
        let head = format!("{kind} {}\0", content.len());
        let mut hash = Hash::new(self.sha256);
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        for part in [head.as_bytes(), content] {
            hash.update(part);
            zlib.write_all(part)?;
        }
        Ok(Packed { id: hash.hex(), compressed: zlib.finish()? })
    }

    /// The object, checked against its id; `None` where it is no loose object here, or none that should be carried
    /// over in memory.
    pub fn take(&self, id: &str) -> io::Result<Option<Packed>> {
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
        Ok((hash.hex() == id).then(|| Packed { id: id.to_owned(), compressed }))
    }

    /// Writes them, whole or not at all each; what is there already is only made to look new, so that
    /// no `git gc` takes it away.
    pub fn put(&self, objects: &[Packed]) -> io::Result<()> {
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

    fn write_beside(&self, objects: &[Packed], beside: &mut Vec<Beside>) -> io::Result<()> {
        for object in objects {
            let path = self.path(&object.id).ok_or(ErrorKind::InvalidInput)?;
            if let Ok(there) = File::open(&path) {
                // Of somebody else's file the time cannot be set; it is there all the same.
                let _ = there.set_modified(SystemTime::now());
                continue;
            }
            let folder = path.parent().ok_or(ErrorKind::InvalidInput)?;
            fs::create_dir_all(folder)?;
            let temporary = folder.join(temporary_name());
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o444).open(&temporary)?;
            beside.push((file.try_clone()?, temporary, path));
            file.write_all(&object.compressed)?;
        }
        Ok(())
    }

    /// `None` for what is no id.
    fn path(&self, id: &str) -> Option<PathBuf> {
        let whole = id.len() == if self.sha256 { 64 } else { 40 };
        (whole && id.bytes().all(|b| b.is_ascii_hexdigit()))
            .then(|| self.objects.join(&id[..2]).join(&id[2..]))
    }
}

impl Packed {
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// A file that is to be renamed, and to what.
type Beside = (File, PathBuf, PathBuf);

fn sync(files: &[Beside]) -> io::Result<()> {
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

/// `git gc` removes what begins so and was left behind.
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
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect();
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
        // As `git hash-object --stdin` has them.
        for (sha256, id) in [
            (false, "ce013625030ba8dba906f756967f9e9ca394464a"),
            (true, "2cf8d83d9ee29543b34a87727421fdecb7e3f3a183d337639025de576db9ebb4"),
        ] {
            let objects = dir.path().join(id);
            let loose = Loose { objects: &objects, sha256, durable: true };
            let made = loose.make("blob", b"hello\n").unwrap();
            assert_eq!(made.id(), id);
            assert!(loose.take(id).unwrap().is_none());
            loose.put(&[made]).unwrap();
            assert_eq!(loose.take(id).unwrap().unwrap().id(), id);
            // Twice is once, and nothing is left beside it.
            loose.put(&[loose.make("blob", b"hello\n").unwrap()]).unwrap();
            assert_eq!(fs::read_dir(objects.join(&id[..2])).unwrap().count(), 1);
        }
    }

    #[test]
    fn an_object_that_is_not_what_its_name_says_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let loose = Loose { objects: dir.path(), sha256: false, durable: false };
        let made = loose.make("blob", b"hello\n").unwrap();
        let other = "0".repeat(40);
        let forged = Packed { id: other.clone(), compressed: made.compressed };
        loose.put(&[forged]).unwrap();
        assert!(loose.take(&other).unwrap().is_none());
        assert!(loose.take("../../x").unwrap().is_none());
    }
}
