//! Where an attempt's files are kept: `.autopack/attempts/<run>/<phase>/<attempt>/`.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::phase::{PhaseId, RunId};
use crate::workspace::Side;

const PATCH: &str = "changes.patch";

pub struct AttemptFolder {
    path: PathBuf,
}

impl AttemptFolder {
    /// Makes the folder. An attempt number is used once, but a lost database starts over: what an
    /// earlier attempt of that number left is moved aside, not overwritten.
    pub fn create(
        autopack_dir: &Path,
        run: &RunId,
        phase: &PhaseId,
        attempt: u32,
    ) -> anyhow::Result<Self> {
        let path = Self::locate(autopack_dir, run, phase, attempt);
        move_aside(&path)
            .and_then(|()| std::fs::create_dir_all(&path))
            .with_context(|| format!("cannot make the attempt's folder {}", path.display()))?;
        Ok(Self { path })
    }

    /// One that was made before, by its path.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub fn locate(autopack_dir: &Path, run: &RunId, phase: &PhaseId, attempt: u32) -> PathBuf {
        autopack_dir
            .join("attempts")
            .join(run.file_name())
            .join(phase.file_name())
            .join(attempt.to_string())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As it is stored and shown: from the repository's top.
    pub fn relative_to(&self, root: &Path) -> String {
        self.path.strip_prefix(root).unwrap_or(&self.path).display().to_string()
    }

    pub fn prompt(&self) -> PathBuf {
        self.path.join("prompt.md")
    }

    pub fn phase(&self) -> PathBuf {
        self.path.join("phase.json")
    }

    pub fn result(&self) -> PathBuf {
        self.path.join("result.json")
    }

    pub fn agent_log(&self) -> PathBuf {
        self.path.join("agent.log")
    }

    /// What `AUTOPACK_LOG_DIR` names.
    pub fn agent_files(&self) -> PathBuf {
        self.path.join("agent-files")
    }

    pub fn setup_log(&self) -> PathBuf {
        self.path.join("setup.log")
    }

    pub fn ci_setup_log(&self) -> PathBuf {
        self.path.join("setup-ci.log")
    }

    pub fn install_log(&self, side: Side) -> PathBuf {
        self.path.join(match side {
            Side::Agent => "install.log",
            Side::Ci => "install-ci.log",
        })
    }

    pub fn ci_log(&self, run: u32) -> PathBuf {
        match run {
            1 => self.path.join("ci.log"),
            n => self.path.join(format!("ci-{n}.log")),
        }
    }

    pub fn patch(&self) -> PathBuf {
        self.path.join(PATCH)
    }

    /// Of work that is not part of the change, by a name that no other has here.
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

    /// The patch of the attempt before this one, where that one left one.
    pub fn earlier_patch(&self) -> Option<PathBuf> {
        let number: u32 = self.path.file_name()?.to_str()?.parse().ok()?;
        kept_patch(&self.path.with_file_name(number.checked_sub(1)?.to_string()))
    }

    /// What an attempt left of its work, where it did.
    pub fn patch_of(
        autopack_dir: &Path,
        run: &RunId,
        phase: &PhaseId,
        attempt: u32,
    ) -> Option<PathBuf> {
        kept_patch(&Self::locate(autopack_dir, run, phase, attempt))
    }

    pub fn write(&self, file: &Path, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
        std::fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
    }
}

fn kept_patch(folder: &Path) -> Option<PathBuf> {
    Some(folder.join(PATCH)).filter(|patch| patch.is_file())
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
