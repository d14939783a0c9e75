//! A repository for tests, with no configuration but its own.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use autopack::config::WorkspaceSettings;
use autopack::phase::scope::ChangeKind;
use autopack::phase::{PathPattern, PhaseId, RunId};
use autopack::workspace::{
    CommitMessage, FenceOutcome, MeasuredChange, Repo, RunBranch, Slot, WorkspaceError,
};

pub use crate::support::executable;

pub struct Lab {
    /// Removed when this is dropped.
    pub temp: tempfile::TempDir,
    pub root: PathBuf,
    /// The user's global configuration.
    pub global: PathBuf,
}

impl Lab {
    /// `src/a.py`, `run.sh`, `README`, committed on `main`.
    pub fn new() -> Self {
        Self::with("repo", &[])
    }

    /// The same in a directory of this name, made by `git init` with more arguments.
    pub fn with(name: &str, init: &[&str]) -> Self {
        let lab = Self::unborn(name, init);
        lab.write("src/a.py", "a = 1\n");
        lab.write("run.sh", "#!/bin/sh\n");
        lab.write("README", "read me\n");
        lab.commit_all("first");
        lab
    }

    pub fn unborn(name: &str, init: &[&str]) -> Self {
        let temp = tempfile::tempdir().unwrap();
        // git prints paths without links in them, and so does autopack.
        let top = temp.path().canonicalize().unwrap();
        let (root, global) = (top.join(name), top.join("gitconfig"));
        fs::create_dir(&root).unwrap();
        let basic = "[user]\nname=Una\nemail=una@example.org\n[init]\ndefaultBranch=main\n[protocol \"file\"]\nallow=always\n";
        fs::write(&global, basic).unwrap();
        let lab = Self { temp, root, global };
        lab.git(&[&["init", "-q", "."], init].concat());
        lab
    }

    pub fn env(&self) -> Vec<(OsString, OsString)> {
        vec![
            ("GIT_CONFIG_GLOBAL".into(), self.global.clone().into()),
            ("GIT_CONFIG_NOSYSTEM".into(), "1".into()),
            ("XDG_STATE_HOME".into(), self.temp.path().join("state").into()),
        ]
    }

    pub fn git(&self, args: &[&str]) -> String {
        self.git_in(&self.root, args)
    }

    pub fn git_in(&self, dir: &Path, args: &[&str]) -> String {
        let (ok, text) = self.try_git_in(dir, args);
        assert!(ok, "git {args:?} in {}: {text}", dir.display());
        text
    }

    pub fn try_git_in(&self, dir: &Path, args: &[&str]) -> (bool, String) {
        let mut command = Command::new("git");
        command.args(args).current_dir(dir).envs(self.env());
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).trim_end().to_owned())
    }

    pub fn write(&self, path: &str, text: &str) {
        write(&self.root, path, text);
    }

    pub fn commit_all(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--no-gpg-sign", "--no-verify", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub async fn repo(&self) -> Repo {
        Repo::discover_with(&self.root, &self.env()).await.unwrap()
    }

    /// A slot with the repository's HEAD in it.
    pub async fn slot(&self) -> (Repo, Slot, String) {
        let repo = self.repo().await;
        let mut slot = repo.acquire_slot().await.unwrap();
        let head = self.git(&["rev-parse", "HEAD"]);
        slot.reset(&head, &settings()).await.unwrap();
        (repo, slot, head)
    }

    /// Everything that must not change: status, index, refs, configuration, hooks, files.
    pub fn fingerprint(&self) -> Vec<String> {
        let read = |path: &str| format!("{path} {:x?}", fs::read(self.root.join(path)).ok());
        let mut all = vec![
            // First of all, since git status may write the index.
            read(".git/index"),
            read(".git/config"),
            read(".git/HEAD"),
            self.git(&["for-each-ref", "refs/heads", "refs/tags"]),
            self.git(&["--no-optional-locks", "status", "--porcelain", "--untracked-files=all"]),
            self.git(&["stash", "list"]),
        ];
        for entry in fs::read_dir(self.root.join(".git/hooks")).into_iter().flatten().flatten() {
            all.push(entry.path().display().to_string());
        }
        all
    }
}

pub fn write(root: &Path, path: &str, text: &str) {
    let file = root.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

/// The run's branch: as recorded, else planned and created, as in a drain.
pub async fn ensure_branch(
    repo: &Repo,
    run: &RunId,
    base: Option<&str>,
    recorded: Option<&RunBranch>,
) -> Result<RunBranch, WorkspaceError> {
    let branch = match recorded {
        Some(branch) => branch.clone(),
        None => repo.plan_branch(run, base).await?,
    };
    repo.make_branch(run, &branch).await?;
    Ok(branch)
}

/// No caches, no links.
pub fn settings() -> WorkspaceSettings {
    WorkspaceSettings { keep: Vec::new(), ..WorkspaceSettings::default() }
}

pub fn pattern(path: &str) -> PathPattern {
    serde_json::from_value(path.into()).unwrap()
}

/// `path kind`, in order.
pub fn change_lines(measured: &MeasuredChange) -> Vec<String> {
    let letter = |kind| match kind {
        ChangeKind::Added => 'A',
        ChangeKind::Modified => 'M',
        ChangeKind::Deleted => 'D',
        ChangeKind::TypeChanged => 'T',
        ChangeKind::ModeChanged => 'X',
    };
    measured.changes.iter().map(|c| format!("{} {}", letter(c.kind), c.path)).collect()
}

pub async fn measure(slot: &Slot, base: &str) -> MeasuredChange {
    slot.measure(base, &[]).await.unwrap()
}

pub fn run() -> RunId {
    RunId::new("r1")
}

pub fn phase(name: &str) -> PhaseId {
    PhaseId::new(name)
}

/// Commits the slot's content.
pub async fn commit(slot: &Slot, base: &str, name: &str) -> String {
    let measured = measure(slot, base).await;
    let (run, phase) = (run(), phase(name));
    let message = CommitMessage {
        run: &run,
        phase: &phase,
        attempt: 1,
        name,
        body: "",
        is_of_strangers: false,
        credit: None,
    };
    slot.commit(&measured.tree, base, &message).await.unwrap()
}

pub async fn claimed(
    repo: &Repo,
    name: &str,
    attempt: u32,
    owner: &str,
) -> autopack::workspace::ClaimRef {
    match repo.fence(&run(), &phase(name), attempt, owner).await.unwrap() {
        FenceOutcome::Ours(claim) => claim,
        fenced => panic!("{fenced:?}"),
    }
}

pub fn error<T>(result: Result<T, WorkspaceError>) -> WorkspaceError {
    match result {
        Ok(_) => panic!("it should have failed"),
        Err(error) => error,
    }
}
