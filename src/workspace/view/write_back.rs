//! Takes over logins that an agent renewed, and nothing else.
//!
//! Providers replace a login's tokens when they are renewed: without the new ones, the user would be logged out. The
//! agent's file is not trusted: only the values of known keys are taken, into the user's file as it was at the start. The
//! first of several workers wins; the others find a changed file and leave it.

use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use serde_json::Value;

use crate::file_stamp::FileStamp;
use crate::process::view::agent_needs::CredentialFile;

/// Larger files are left, in bytes.
const LARGEST: u64 = 1024 * 1024;
/// Limit of waiting for other workers.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
const WAIT: Duration = Duration::from_millis(20);

/// A file with a login: the user's as it was at the start, and where the agent's is.
#[derive(Debug)]
pub(super) struct WatchedCredential {
    file: CredentialFile,
    /// The user's file. Its directory has no links.
    path: PathBuf,
    original: Original,
    /// Directory that the agent cannot replace.
    base: PathBuf,
    /// The agent's file in `base`.
    new: PathBuf,
}

/// The user's file at the start.
#[derive(Debug)]
enum Original {
    Missing,
    Unusable(Refusal),
    Present(Content),
}

/// Content of a file, with its metadata at that time.
#[derive(Debug)]
struct Content {
    bytes: Vec<u8>,
    stamp: FileStamp,
    mode: u32,
}

/// Why a file is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("it is a link")]
    Link,
    #[error("it is not a regular file")]
    Kind,
    #[error("it belongs to another user")]
    Owner,
    #[error("it is larger than {} MiB", LARGEST / 1024 / 1024)]
    Size,
    #[error("it is not a JSON object")]
    Format,
    #[error("your file changed meanwhile")]
    Changed,
    #[error("you had no such file")]
    Missing,
    #[error("another worker is writing it")]
    Busy,
    #[error("{0}")]
    System(Errno),
}

impl From<Errno> for Refusal {
    fn from(error: Errno) -> Self {
        match error {
            // With O_NOFOLLOW and O_DIRECTORY, a link is ENOTDIR.
            Errno::ELOOP | Errno::ENOTDIR => Self::Link,
            other => Self::System(other),
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        error.raw_os_error().map_or(Self::Kind, |code| Errno::from_raw(code).into())
    }
}

type Result<T> = std::result::Result<T, Refusal>;

impl WatchedCredential {
    /// Records the user's file `path`. The agent's file will be `new.1` in the directory `new.0`, which the agent cannot
    /// replace.
    pub(super) fn record(
        file: CredentialFile,
        path: &Path,
        (base, new): (PathBuf, PathBuf),
    ) -> Self {
        let original = match open_parent(path).and_then(|(directory, name)| read(&directory, name))
        {
            Ok(None) => Original::Missing,
            Ok(Some(content)) if object(&content.bytes).is_none() => {
                Original::Unusable(Refusal::Format)
            }
            Ok(Some(content)) => Original::Present(content),
            Err(refusal) => Original::Unusable(refusal),
        };
        Self { file, path: path.to_owned(), original, base, new }
    }

    /// Writes renewed values into the user's file. Returns a line if there was something to write.
    pub(super) fn write_back(&mut self) -> Option<String> {
        let shown = format!("~/{}", self.file.path);
        match self.try_write_back() {
            Ok(false) => None,
            Ok(true) => Some(format!("{shown}: took over the login renewed by the agent")),
            Err(refusal) => Some(format!("{shown}: left the agent's version, because {refusal}")),
        }
    }

    /// Returns whether the user's file was written.
    fn try_write_back(&mut self) -> Result<bool> {
        let Some(new) = self.read_new()? else { return Ok(false) };
        let old = match &self.original {
            Original::Missing => return Err(Refusal::Missing),
            Original::Unusable(refusal) => return Err(*refusal),
            Original::Present(old) => old,
        };
        if new.bytes == old.bytes {
            return Ok(false);
        }
        let new = object(&new.bytes).ok_or(Refusal::Format)?;
        let mut merged = object(&old.bytes).ok_or(Refusal::Format)?;
        if !renew(&mut merged, &new, self.file.renewed) {
            return Ok(false);
        }
        let bytes = print(&merged, &old.bytes).ok_or(Refusal::Format)?;
        self.original = Original::Present(replace(&self.path, old, &bytes)?);
        Ok(true)
    }

    /// Reads the agent's file without following any link; `None` if the agent wrote none.
    fn read_new(&self) -> Result<Option<Content>> {
        let mut at: OwnedFd = File::open(&self.base)?.into();
        let parent = self.new.parent().unwrap_or(Path::new(""));
        for part in parent.components() {
            let Component::Normal(part) = part else { return Err(Refusal::Kind) };
            at = match open_directory(&at, part) {
                Ok(next) => next,
                Err(Errno::ENOENT) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
        }
        match self.new.file_name() {
            Some(name) => read(&at, name),
            None => Ok(None),
        }
    }
}

/// Replaces the user's file if it is still `old`. Returns the new content.
fn replace(path: &Path, old: &Content, bytes: &[u8]) -> Result<Content> {
    let (directory, name) = open_parent(path)?;
    let directory = File::from(directory);
    // The lock ends with `directory`.
    lock(&directory)?;
    let unchanged = || match read(&directory, name)? {
        Some(now) if now.stamp == old.stamp && now.bytes == old.bytes => Ok(()),
        _ => Err(Refusal::Changed),
    };
    unchanged()?;
    let temporary = temporary_name(name);
    let written = write(&directory, &temporary, bytes, old.mode)
        .and_then(|()| unchanged())
        .and_then(|()| Ok(renameat(&directory, &*temporary, &directory, name)?));
    if let Err(refusal) = written {
        let _ = unlinkat(&directory, &*temporary, UnlinkatFlags::NoRemoveDir);
        return Err(refusal);
    }
    directory.sync_all()?;
    read(&directory, name)?.ok_or(Refusal::Changed)
}

/// Waits for a lock on the directory: a lock file would stay among the user's files.
fn lock(directory: &File) -> Result<()> {
    let start = Instant::now();
    loop {
        match directory.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if start.elapsed() < LONGEST_WAIT => thread::sleep(WAIT),
            Err(TryLockError::WouldBlock) => return Err(Refusal::Busy),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
}

fn temporary_name(name: &OsStr) -> OsString {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut temporary = name.to_owned();
    temporary.push(format!(".autopack-{}-{number}", std::process::id()));
    temporary
}

/// Writes a new file to the disk.
fn write(directory: &impl AsFd, name: &OsStr, bytes: &[u8], mode: u32) -> Result<()> {
    let flags =
        OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let private = Mode::from_bits_truncate(0o600);
    let mut file = File::from(openat(directory, name, flags, private)?);
    file.write_all(bytes)?;
    fchmod(&file, Mode::from_bits_truncate(mode & 0o777))?;
    Ok(file.sync_all()?)
}

/// Reads a file of ours; `None` if it is missing.
fn read(directory: &impl AsFd, name: &OsStr) -> Result<Option<Content>> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = match openat(directory, name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::ENOENT) => return Ok(None),
        // A socket, or a device without a driver: a deleted file in an overlay.
        Err(Errno::ENXIO | Errno::ENODEV) => return Err(Refusal::Kind),
        Err(error) => return Err(error.into()),
    };
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(Refusal::Kind);
    }
    if found.uid() != geteuid().as_raw() {
        return Err(Refusal::Owner);
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Refusal::Size);
    }
    Ok(Some(Content { bytes, stamp: FileStamp::from(&found), mode: found.mode() }))
}

/// Opens the directory of a path that has no links up to there.
fn open_parent(path: &Path) -> Result<(OwnedFd, &OsStr)> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Refusal::Kind);
    };
    let root: OwnedFd = File::open("/")?.into();
    let names = parent.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name),
        _ => None,
    });
    let directory = names.map(Ok).try_fold(root, |at, name: Result<&OsStr>| {
        open_directory(&at, name?).map_err(Refusal::from)
    })?;
    Ok((directory, name))
}

fn open_directory(at: &impl AsFd, name: &OsStr) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(at, name, flags, Mode::empty())
}

fn object(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok().filter(Value::is_object)
}

/// Takes the values of the keys `renewed` from `new`, wherever `old` has the same object. Returns whether anything
/// changed.
fn renew(old: &mut Value, new: &Value, renewed: &[&str]) -> bool {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return false };
    let mut is_changed = false;
    let is_login = old.keys().any(|key| renewed.contains(&key.as_str()));
    for (key, value) in new {
        let is_renewed = renewed.contains(&key.as_str());
        match old.get_mut(key) {
            Some(known) if !is_renewed => is_changed |= renew(known, value, renewed),
            Some(known) if *known != *value && replaces(known, value) => {
                *known = value.clone();
                is_changed = true;
            }
            None if is_renewed && is_login && is_plain(value) => {
                old.insert(key.clone(), value.clone());
                is_changed = true;
            }
            _ => {}
        }
    }
    is_changed
}

/// Whether a value may take the place of another.
fn replaces(old: &Value, new: &Value) -> bool {
    let is_alike = match old {
        Value::Null => true,
        Value::String(_) => new.is_string(),
        Value::Number(_) => new.is_number(),
        _ => false,
    };
    is_alike && is_plain(new)
}

/// Whether a value can be a token or a time.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()),
        Value::Number(_) => true,
        _ => false,
    }
}

/// Returns the text of a value, with the line breaks of the original.
fn print(value: &Value, original: &[u8]) -> Option<Vec<u8>> {
    let body = original.trim_ascii_end();
    let mut bytes = match body.contains(&b'\n') {
        true => serde_json::to_vec_pretty(value),
        false => serde_json::to_vec(value),
    }
    .ok()?;
    bytes.extend_from_slice(&original[body.len()..]);
    Some(bytes)
}
