//! The user's repository: its location, the settings carried over from its configuration, and
//! autopack's directory in it.
//!
//! Nothing here changes the user's files, except for adding a line to `.git/info/exclude` to keep
//! `.autopack` out of `git status`. Only `merging` moves a branch of the user, on the user's order.

pub mod change_listing;
pub mod claim_ref;
pub mod commit_files;
pub mod copied_refs;
pub mod dependency_baseline;
pub mod green_commit;
pub mod landed_files;
pub mod leftovers;
pub mod linked_directories;
pub mod merging;
pub mod obstacles;
mod other_checkouts;
pub mod queue_refs;
pub mod recent_changes;
pub mod remotes;
mod repository_identity;
pub mod reservations;
pub mod run_branch;
pub mod run_commits;
pub mod run_refs;
pub mod run_remote;
pub mod slot_place;
pub mod slot_room;
pub mod users_checkout;
pub mod users_gc;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use self::dependency_baseline::DependencyBaseline;
use self::linked_directories::{LinkedDirectories, OverlayRule};
use self::run_remote::RunRemote;
use self::slot_place::{LocationSettings, SlotLocation};
use self::users_gc::AbandonedGcWait;
use crate::config::Env;
use crate::file_stamp::WrittenFiles;
use crate::git::command::{Git, fields};
use crate::git::error::{Context, Result, WorkspaceError};
use crate::git::loose_objects::ObjectDirectory;
use crate::git::trees::{Tree, Trees};
use crate::git::user_config::{UserConfig, list_config};
use crate::phase::RunId;
use crate::phase::clone_identity::MachineName;
use crate::workspace::blocking_work::blocking;

/// Autopack's directory in the user's checkout.
const DIRECTORY: &str = ".autopack";
/// Without a slash at the end: the directory may be a link.
const EXCLUDED: &str = "/.autopack";

/// A repository with a checkout, and git for its queries.
#[derive(Clone)]
pub struct Repo {
    pub(super) root: PathBuf,
    pub(super) git_dir: PathBuf,
    pub(super) common_dir: PathBuf,
    pub(super) sha256: bool,
    pub(super) config: UserConfig,
    /// Environment variables for every git call.
    pub(super) env: Vec<(OsString, OsString)>,
    /// Git for the user's repository.
    pub(super) git: Git,
    pub(super) trees: Trees,
    pub(super) gc_in_vain: AbandonedGcWait,
    pub(super) written_files: WrittenFiles,
    pub(super) brought: LinkedDirectories,
    pub(super) dependency_baseline: DependencyBaseline,
    /// Whether programs see a checkout of a slot at the path of the user's checkout.
    pub(super) is_seen_in_place: bool,
    /// Decides about overlays in place of copies of linked directories.
    pub(super) overlay_rule: Option<OverlayRule>,
    /// Remote with the runs' branches and claims.
    pub(super) run_remote: Option<Arc<RunRemote>>,
    /// This machine, if others share the database.
    machine: Option<MachineName>,
    location_settings: LocationSettings,
    place: Arc<OnceLock<SlotLocation>>,
}

impl Repo {
    /// Finds the repository whose checkout contains `dir`.
    ///
    /// # Errors
    /// If there is none, or git cannot use it.
    pub async fn discover(dir: &Path) -> Result<Self> {
        Self::discover_with(dir, &[]).await
    }

    /// Like [`Self::discover`], with environment variables for every git call (`GIT_CONFIG_GLOBAL` in tests).
    ///
    /// # Errors
    /// As for [`Self::discover`].
    pub async fn discover_with(dir: &Path, env: &[(OsString, OsString)]) -> Result<Self> {
        let git = Git::at(dir, env).durable();
        // Both at the same time; outside of a repository, the first answers with the reason.
        let (found, listed) = tokio::join!(GitLocation::around(dir, env), list_config(&git));
        let (found, listed) = (found?, listed?);
        let mut git = git.pinned(&found.git_dir, &found.root);
        let config = UserConfig::parse(&listed, &git).await?;
        config.identity.set(&mut git);
        Ok(Self {
            root: found.root,
            git_dir: found.git_dir,
            common_dir: found.common_dir,
            sha256: found.sha256,
            config,
            env: env.to_vec(),
            git,
            trees: Trees::default(),
            gc_in_vain: AbandonedGcWait::default(),
            written_files: WrittenFiles::default(),
            brought: LinkedDirectories::default(),
            dependency_baseline: DependencyBaseline::default(),
            is_seen_in_place: false,
            overlay_rule: None,
            run_remote: None,
            machine: None,
            location_settings: location_settings(env),
            place: Arc::default(),
        })
    }

    /// Sets whether programs see a checkout of a slot at the path of the user's checkout: then copies of dependencies
    /// keep the paths in them.
    #[must_use]
    pub fn seen_in_place(mut self, is_seen_in_place: bool) -> Self {
        self.is_seen_in_place = is_seen_in_place;
        self
    }

    /// Overrides the default place with `workspace.slots_dir`.
    #[must_use]
    pub fn with_slots_dir(mut self, slots_dir: Option<&str>) -> Self {
        self.location_settings.slots_dir = slots_dir.map(str::to_owned);
        self.place = Arc::default();
        self
    }

    /// Returns the directory of this checkout's slots, created if missing.
    ///
    /// # Errors
    /// [`WorkspaceError::NoPlaceForSlots`] if every place is refused.
    pub fn slots_directory(&self) -> Result<&Path> {
        self.place().map(|place| place.dir.as_path())
    }

    pub(super) fn refused_slots_dir(&self) -> Option<String> {
        SlotLocation::setting_refusal(&self.root, &self.location_settings)
    }

    pub(super) fn place(&self) -> Result<&SlotLocation> {
        if let Some(place) = self.place.get() {
            return Ok(place);
        }
        let place = SlotLocation::choose(&self.root, &self.location_settings)?;
        Ok(self.place.get_or_init(|| place))
    }

    /// Returns the top of the checkout containing the directory, from files alone: for callers that need no git.
    ///
    /// # Errors
    /// If the directory is in no checkout.
    pub fn find_top(dir: &Path) -> Result<PathBuf> {
        for directory in dir.ancestors() {
            if directory.join(".git").exists() {
                return Ok(directory.to_owned());
            }
            if is_git_dir(directory) {
                let within = dir.components().any(|part| part.as_os_str() == ".git");
                let why = if within { WorkspaceError::InsideGitDir } else { WorkspaceError::Bare };
                return Err(why(dir.to_owned()));
            }
        }
        Err(WorkspaceError::NotARepository(dir.to_owned()))
    }

    /// Records the start of an agent: it may write to dependency directories of the user's checkout.
    pub fn note_agent(&self) {
        self.dependency_baseline.note_agent();
    }

    /// Returns the top of the user's checkout.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the directory that git shares between work trees.
    pub fn common_dir(&self) -> &Path {
        &self.common_dir
    }
    /// Returns the path of autopack's directory in the checkout.
    pub fn autopack_dir(&self) -> PathBuf {
        self.root.join(DIRECTORY)
    }

    /// Returns the path of a slot's lock: free once no process of its last user is left.
    pub fn slot_lock(&self, slot: &str) -> PathBuf {
        self.locks_dir().join(format!("{slot}.lock"))
    }

    /// Returns the directory of the slots' locks.
    pub(super) fn locks_dir(&self) -> PathBuf {
        self.autopack_dir().join("slots")
    }

    pub(super) fn objects_dir(&self) -> PathBuf {
        self.common_dir.join("objects")
    }

    /// Whether the user has attributes for all repositories, in git's default location.
    pub(super) fn has_own_attributes(&self) -> bool {
        let process = Env::of_process();
        let variable = |name: &str| process.all().get(&OsString::from(name)).map(PathBuf::from);
        let config = variable("XDG_CONFIG_HOME");
        let config = config.or_else(|| Some(variable("HOME")?.join(".config")));
        config.is_some_and(|config| config.join("git/attributes").exists())
    }

    /// Creates `.autopack/` if missing, and keeps it out of git status.
    ///
    /// # Errors
    /// If the directory or the exclude file cannot be written.
    pub fn prepare_directory(&self) -> Result<PathBuf> {
        let directory = self.autopack_dir();
        std::fs::create_dir_all(&directory).doing("create the directory", &directory)?;
        let exclude = self.common_dir.join("info/exclude");
        // Lines written by older versions do not match a link.
        let enough = [EXCLUDED, DIRECTORY, "/.autopack/", ".autopack/"];
        let enough = if directory.is_symlink() { &enough[..2] } else { &enough[..] };
        exclude_line(&exclude, EXCLUDED, enough).doing("add a line to", &exclude)?;
        Ok(directory)
    }

    /// Returns the path of the lock held during a test of a run's tip in a clean clone.
    pub fn clean_test_lock(&self, run: &RunId) -> PathBuf {
        self.autopack_dir().join("clean").join(format!("{}.lock", run.file_name()))
    }

    /// Whether the user's current branch has no commits yet.
    ///
    /// # Errors
    /// If git fails.
    pub async fn is_unborn(&self) -> Result<bool> {
        Ok(self.resolve("HEAD").await?.is_none())
    }

    /// Resolves a revision to a commit.
    ///
    /// # Errors
    /// If git fails.
    pub async fn resolve(&self, revision: &str) -> Result<Option<String>> {
        if revision.starts_with('-') || revision.is_empty() {
            return Ok(None);
        }
        let call = self
            .git
            .call("look up a revision", ["rev-parse", "--verify", "--quiet"])
            .arg(format!("{revision}^{{commit}}"));
        let answer = call.answer().await?;
        if answer.ok() { answer.text().map(Some) } else { Ok(None) }
    }

    /// Returns the id of a commit's tree; `None` for an unknown commit.
    ///
    /// # Errors
    /// If git fails.
    pub async fn tree_id(&self, commit: &str) -> Result<Option<String>> {
        let call = self.git.call("find a tree", ["rev-parse", "--verify", "--quiet"]);
        let answer = call.arg(format!("{commit}^{{tree}}")).answer().await?;
        if answer.ok() { answer.text().map(Some) } else { Ok(None) }
    }

    /// Writes a small blob without starting git; `None` leaves the write, and the error message, to git.
    pub(super) async fn write_blob(&self, content: Vec<u8>) -> Option<String> {
        let users = self.users_objects()?;
        let written = blocking(move || {
            let loose = users.loose();
            let blob = loose.make("blob", &content).doing("create an object for", loose.objects)?;
            loose.put(std::slice::from_ref(&blob)).doing("write an object to", loose.objects)?;
            Ok(blob.id().to_owned())
        });
        written
            .await
            .inspect_err(|error| tracing::debug!("leaving the object to git: {error}"))
            .ok()
    }

    /// Returns the directory for our loose objects; `None` if git does more for a new object than writing its file.
    pub(super) fn users_objects(&self) -> Option<ObjectDirectory> {
        let (dir, sha256) = (self.objects_dir(), self.sha256);
        (!self.config.special_objects).then_some(ObjectDirectory { dir, sha256, durable: true })
    }

    /// Returns the tracked files of the user's checkout and the untracked files git would add, in order, except
    /// autopack's own and names in invalid UTF-8.
    ///
    /// # Errors
    /// If git fails.
    pub async fn files(&self) -> Result<Vec<String>> {
        let args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let listed = self.git.call("list the repository's files", args).bytes().await?;
        let mut paths: Vec<String> = fields(&listed)
            .filter_map(|name| String::from_utf8(name.to_vec()).ok())
            .filter(|name| !name.starts_with(".autopack/"))
            .collect();
        paths.sort();
        paths.dedup();
        Ok(paths)
    }

    /// Lists the paths of a commit.
    ///
    /// # Errors
    /// If git fails.
    pub async fn tree(&self, commit: &str) -> Result<Arc<Tree>> {
        self.trees.list(&self.git, commit).await
    }

    /// Returns git's object id for "no value" in a ref transaction.
    pub(super) fn zero(&self) -> String {
        "0".repeat(if self.sha256 { 64 } else { 40 })
    }
}

/// Appends a line unless the file has a line listed in `enough`; the user's text stays byte for byte.
fn exclude_line(file: &Path, line: &str, enough: &[&str]) -> std::io::Result<()> {
    let before = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let same = |known: &[u8]| enough.iter().any(|line| line.as_bytes() == known);
    if before.split(|b| *b == b'\n').any(|known| same(known.trim_ascii())) {
        return Ok(());
    }
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let gap = if before.is_empty() || before.ends_with(b"\n") { "" } else { "\n" };
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file)?;
    // A single write, so that two drains at once cannot split each other's line.
    file.write_all(format!("{gap}{line}\n").as_bytes())
}

fn location_settings(extra: &[(OsString, OsString)]) -> LocationSettings {
    let process = Env::of_process();
    let variable = |name: &str| {
        let own = extra.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        own.or_else(|| process.all().get(&OsString::from(name)).cloned()).map(PathBuf::from)
    };
    let (state_home, home) = (variable("XDG_STATE_HOME"), variable("HOME"));
    LocationSettings { slots_dir: None, state_home, home }
}

/// Whether git accepts the directory as a git directory (`is_git_directory` in its setup.c).
pub(super) fn is_git_dir(directory: &Path) -> bool {
    directory.join("HEAD").is_file()
        && directory.join("objects").is_dir()
        && directory.join("refs").is_dir()
}

/// Git's answer about a directory.
struct GitLocation {
    root: PathBuf,
    git_dir: PathBuf,
    common_dir: PathBuf,
    sha256: bool,
}

impl GitLocation {
    async fn around(dir: &Path, env: &[(OsString, OsString)]) -> Result<Self> {
        let args = [
            "rev-parse",
            "--path-format=absolute",
            "--is-bare-repository",
            "--is-inside-git-dir",
            "--show-object-format",
            "--git-dir",
            "--git-common-dir",
            "--show-toplevel",
        ];
        if !dir.is_dir() {
            let source = std::io::ErrorKind::NotADirectory.into();
            return Err(WorkspaceError::Io { doing: "work in", path: dir.to_owned(), source });
        }
        let answer = Git::at(dir, env).call("find the repository", args).answer().await?;
        let text = String::from_utf8_lossy(&answer.output.stdout).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        if !answer.ok() {
            return Err(explain_refusal(dir, &lines, answer));
        }
        // Any other answer has a line break in a path, invalid in alternates too.
        let [_, _, format, git_dir, common_dir, root] = lines[..] else {
            return Err(WorkspaceError::OddPath { dir: dir.to_owned() });
        };
        if text.contains('\u{FFFD}') {
            return Err(answer.unexpected());
        }
        Ok(Self {
            root: root.into(),
            git_dir: git_dir.into(),
            common_dir: common_dir.into(),
            sha256: format == "sha256",
        })
    }
}

fn explain_refusal(
    dir: &Path,
    lines: &[&str],
    answer: crate::git::command::GitAnswer,
) -> WorkspaceError {
    let dir = dir.to_owned();
    let stderr = String::from_utf8_lossy(&answer.output.stderr).into_owned();
    match lines {
        ["true", ..] => WorkspaceError::Bare(dir),
        [_, "true", ..] => WorkspaceError::InsideGitDir(dir),
        _ if stderr.contains("dubious ownership") => WorkspaceError::NotTrusted { dir },
        _ if stderr.contains("not a git repository") => WorkspaceError::NotARepository(dir),
        _ => answer.error(),
    }
}
