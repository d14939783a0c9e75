//! Directory of an attempt's files: `.autopack/attempts/<run>/<phase>/<attempt>/`.

use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::phase::{PhaseId, RunId};
use crate::store::OwnerId;
use crate::workspace::Side;

/// Names the drain whose attempt this is. Only beside a database that machines share.
const OWNER: &str = ".owner";

/// Directory of one attempt's files.
pub struct AttemptDirectory {
    path: PathBuf,
}

impl AttemptDirectory {
    /// Name of the patch with the attempt's change.
    pub const PATCH: &str = "changes.patch";
    /// Name of the patch that the previous attempt left on another machine.
    pub const EARLIER_PATCH: &str = "earlier.patch";

    /// Creates the directory. An attempt number is used once, but numbers start over with a new database: files of an
    /// earlier attempt with this number are moved aside, not overwritten.
    ///
    /// # Errors
    ///
    /// The directory cannot be created, or an old directory cannot be moved aside.
    pub fn create(
        autopack_dir: &Path,
        run: &RunId,
        phase: &PhaseId,
        attempt: u32,
    ) -> anyhow::Result<Self> {
        let path = Self::locate(autopack_dir, run, phase, attempt);
        move_aside(&path)
            .and_then(|()| std::fs::create_dir_all(&path))
            .with_context(|| format!("cannot create the attempt directory {}", path.display()))?;
        Ok(Self { path })
    }

    /// Opens an existing directory by path.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Returns the path of an attempt's directory without creating anything.
    pub fn locate(autopack_dir: &Path, run: &RunId, phase: &PhaseId, attempt: u32) -> PathBuf {
        autopack_dir
            .join("attempts")
            .join(run.file_name())
            .join(phase.file_name())
            .join(attempt.to_string())
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path relative to the repository root, as stored and shown.
    pub fn relative_to(&self, root: &Path) -> String {
        self.path.strip_prefix(root).unwrap_or(&self.path).display().to_string()
    }

    /// Path of the prompt given to the agent.
    pub fn prompt(&self) -> PathBuf {
        self.path.join("prompt.md")
    }

    /// Path of the phase in JSON, given to the agent.
    pub fn phase(&self) -> PathBuf {
        self.path.join("phase.json")
    }

    /// Path of the result file, written by the agent.
    pub fn result(&self) -> PathBuf {
        self.path.join("result.json")
    }

    /// Path of the file named by `AUTOPACK_REQUEST_FILE`, written by the agent.
    pub fn request(&self) -> PathBuf {
        self.path.join("request.json")
    }

    /// Path of the agent's output.
    pub fn agent_log(&self) -> PathBuf {
        self.path.join("agent.log")
    }

    /// Path of the directory named by `AUTOPACK_LOG_DIR`.
    pub fn agent_files(&self) -> PathBuf {
        self.path.join("agent-files")
    }

    /// Path of the output of `workspace.setup` for the agent.
    pub fn setup_log(&self) -> PathBuf {
        self.path.join("setup.log")
    }

    /// Path of the output of `workspace.setup` for CI.
    pub fn ci_setup_log(&self) -> PathBuf {
        self.path.join("setup-ci.log")
    }

    /// Path of the output of frozen installs in a checkout.
    pub fn install_log(&self, side: Side) -> PathBuf {
        self.path.join(match side {
            Side::Agent => "install.log",
            Side::Ci => "install-ci.log",
        })
    }

    /// Path of the output of a CI run, counted from 1.
    pub fn ci_log(&self, run: u32) -> PathBuf {
        match run {
            1 => self.path.join("ci.log"),
            n => self.path.join(format!("ci-{n}.log")),
        }
    }

    /// Path of the patch with the attempt's change.
    pub fn patch(&self) -> PathBuf {
        self.path.join(Self::PATCH)
    }

    /// Path for a patch of work outside the change; never an existing file.
    pub fn beside_patch(&self, name: &str) -> PathBuf {
        let numbered = |n: u32| match n {
            1 => self.path.join(format!("{name}.patch")),
            n => self.path.join(format!("{name}-{n}.patch")),
        };
        let mut n = 1;
        while numbered(n).exists() {
            n += 1;
        }
        numbered(n)
    }

    /// Returns the patch of the previous attempt, if any.
    pub fn earlier_patch(&self) -> Option<PathBuf> {
        let number: u32 = self.path.file_name()?.to_str()?.parse().ok()?;
        kept_patch(&self.path.with_file_name(number.checked_sub(1)?.to_string()))
    }

    /// Returns the patch kept by an attempt, if any.
    pub fn patch_of(
        autopack_dir: &Path,
        run: &RunId,
        phase: &PhaseId,
        attempt: u32,
    ) -> Option<PathBuf> {
        kept_patch(&Self::locate(autopack_dir, run, phase, attempt))
    }

    /// Records the drain whose attempt this is.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn mark_owner(&self, owner: &OwnerId) -> anyhow::Result<()> {
        self.write(&self.path.join(OWNER), owner.as_str())
    }

    /// Returns the recorded drain, if any.
    pub fn owner(&self) -> Option<OwnerId> {
        std::fs::read_to_string(self.path.join(OWNER)).ok().map(OwnerId::new)
    }

    /// Writes a file of the attempt, for its owner alone. Programs of the attempt can write to the directory: a link in
    /// place of the file is removed, not followed.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write(&self, file: &Path, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
        write_plain(file, bytes.as_ref())
            .with_context(|| format!("cannot write {}", file.display()))
    }
}

fn write_plain(file: &Path, bytes: &[u8]) -> io::Result<()> {
    if file.symlink_metadata().is_ok_and(|found| !found.is_file()) {
        std::fs::remove_file(file)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    options.open(file)?.write_all(bytes)
}

/// Copies a file of an attempt, unless it is a link or missing.
///
/// # Errors
///
/// The file cannot be read, or the copy not written.
pub fn copy_plain(file: &Path, to: &Path) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let opened = options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(file);
    let mut bytes = Vec::new();
    match opened {
        Err(_) if !file.is_file() || file.is_symlink() => return Ok(()),
        opened => opened?.read_to_end(&mut bytes)?,
    };
    write_plain(to, &bytes)
}

pub(super) fn kept_patch(directory: &Path) -> Option<PathBuf> {
    Some(directory.join(AttemptDirectory::PATCH)).filter(|patch| patch.is_file())
}

fn move_aside(path: &Path) -> io::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    for n in 1.. {
        let aside = path.with_extension(format!("old-{n}"));
        if !aside.exists() {
            return std::fs::rename(path, aside);
        }
    }
    unreachable!("some number is free")
}
