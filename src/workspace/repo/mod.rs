//! The user's repository: where it is, what of its configuration we carry over, our folder in it.
//!
//! Nothing here changes what the user has, but for one line in `.git/info/exclude` that keeps
//! `.autopack` out of `git status`.

pub mod claim_ref;
pub mod copied_refs;
pub mod free_space;
pub mod green_commit;
pub mod leftovers;
pub mod obstacles;
pub mod run_branch;
pub mod run_refs;
pub mod slot_place;
pub mod slot_room;
pub mod users_checkout;
pub mod users_gc;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use self::slot_place::{Place, PlaceSettings};
use self::users_gc::InVain;
use super::slot::Opened;
use super::slot::checkout::blocking;
use super::slot::dependency_links::Brought;
use super::slot::made_objects::Trees;
use crate::config::Env;
use crate::git::command::{Git, fields};
use crate::git::error::{Context, Result, WorkspaceError};
use crate::git::loose_objects::Objects;
use crate::git::trees::Tree;
use crate::git::user_config::UserConfig;
use crate::phase::RunId;

/// The folder of ours in the user's checkout.
const FOLDER: &str = ".autopack";
/// Without a slash at its end: the folder may be a link to one.
const EXCLUDED: &str = "/.autopack";

/// A repository with a checkout, and git to ask about it.
#[derive(Clone)]
pub struct Repo {
    pub(super) root: PathBuf,
    pub(super) git_dir: PathBuf,
    pub(super) common_dir: PathBuf,
    pub(super) sha256: bool,
    pub(super) config: UserConfig,
    /// Variables that every git gets.
    pub(super) env: Vec<(OsString, OsString)>,
    /// Git on the user's repository.
    pub(super) git: Git,
    pub(super) trees: Trees,
    pub(super) gc_in_vain: InVain,
    pub(super) opened: Opened,
    pub(super) brought: Brought,
    place_settings: PlaceSettings,
    place: Arc<OnceLock<Place>>,
}

impl Repo {
    /// The repository whose checkout holds `dir`.
    pub async fn discover(dir: &Path) -> Result<Self> {
        Self::discover_with(dir, &[]).await
    }

    /// The same, with variables set for every git that is started (`GIT_CONFIG_GLOBAL` in tests).
    pub async fn discover_with(dir: &Path, env: &[(OsString, OsString)]) -> Result<Self> {
        let found = Found::around(dir, env).await?;
        let mut git = Git::at(dir, env).pinned(&found.git_dir, &found.root).durable();
        let config = UserConfig::read(&git).await?;
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
            gc_in_vain: InVain::default(),
            opened: Opened::default(),
            brought: Brought::default(),
            place_settings: place_settings(env),
            place: Arc::default(),
        })
    }

    /// With `workspace.slots_dir`, over the default place.
    #[must_use]
    pub fn with_slots_dir(mut self, slots_dir: Option<&str>) -> Self {
        self.place_settings.slots_dir = slots_dir.map(str::to_owned);
        self.place = Arc::default();
        self
    }

    /// The folder in which this checkout's slots lie. It is made where it is not there.
    ///
    /// # Errors
    ///
    /// [`WorkspaceError::NoPlaceForSlots`]: no place will do.
    pub fn slots_place(&self) -> Result<&Path> {
        self.place().map(|place| place.dir.as_path())
    }

    pub(super) fn refused_slots_dir(&self) -> Option<String> {
        Place::refused_setting(&self.root, &self.place_settings)
    }

    pub(super) fn place(&self) -> Result<&Place> {
        if let Some(place) = self.place.get() {
            return Ok(place);
        }
        let place = Place::choose(&self.root, &self.place_settings)?;
        Ok(self.place.get_or_init(|| place))
    }

    /// The top of the checkout that holds the folder, found by files alone: for whatever needs no git.
    pub fn top_of(dir: &Path) -> Result<PathBuf> {
        for folder in dir.ancestors() {
            if folder.join(".git").exists() {
                return Ok(folder.to_owned());
            }
            if is_git_dir(folder) {
                let within = dir.components().any(|part| part.as_os_str() == ".git");
                let why = if within { WorkspaceError::InsideGitDir } else { WorkspaceError::Bare };
                return Err(why(dir.to_owned()));
            }
        }
        Err(WorkspaceError::NotARepository(dir.to_owned()))
    }

    /// The top of the user's checkout.
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn autopack_dir(&self) -> PathBuf {
        self.root.join(FOLDER)
    }

    /// Tells repositories apart, whichever checkout of theirs is worked in.
    pub fn identity(&self) -> String {
        self.common_dir.display().to_string()
    }

    /// Whether nothing with this identity is there any more: no such folder, or a link that leads here. What cannot be
    /// looked at is taken to be there.
    pub fn took_the_place_of(&self, identity: &str) -> bool {
        match std::fs::canonicalize(identity) {
            Ok(real) => real == self.common_dir,
            Err(error) => {
                matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
            }
        }
    }

    /// The lock of a slot: free when nothing of its last tenant is left.
    pub fn slot_lock(&self, slot: &str) -> PathBuf {
        self.locks_dir().join(format!("{slot}.lock"))
    }

    /// Where the slots' locks lie.
    pub(super) fn locks_dir(&self) -> PathBuf {
        self.autopack_dir().join("slots")
    }

    pub(super) fn objects_dir(&self) -> PathBuf {
        self.common_dir.join("objects")
    }

    /// Whether the user has attributes for all repositories, where git looks for them by itself.
    pub(super) fn has_own_attributes(&self) -> bool {
        let process = Env::of_process();
        let variable = |name: &str| process.all().get(&OsString::from(name)).map(PathBuf::from);
        let config = variable("XDG_CONFIG_HOME");
        let config = config.or_else(|| Some(variable("HOME")?.join(".config")));
        config.is_some_and(|config| config.join("git/attributes").exists())
    }

    /// Makes `.autopack/` and keeps it out of git status, where that is still to be done.
    pub fn prepare_folder(&self) -> Result<PathBuf> {
        let folder = self.autopack_dir();
        std::fs::create_dir_all(&folder).doing("make the folder", &folder)?;
        let exclude = self.common_dir.join("info/exclude");
        // What older versions wrote does not match a link.
        let enough = [EXCLUDED, FOLDER, "/.autopack/", ".autopack/"];
        let enough = if folder.is_symlink() { &enough[..2] } else { &enough[..] };
        exclude_line(&exclude, EXCLUDED, enough).doing("add a line to", &exclude)?;
        Ok(folder)
    }

    /// Whose turn it is to land on a run's branch.
    pub fn landing_lock(&self, run: &RunId) -> PathBuf {
        self.autopack_dir().join("landing").join(format!("{}.lock", run.file_name()))
    }

    /// Held while the tip of a run is tested in a clean clone.
    pub fn clean_test_lock(&self, run: &RunId) -> PathBuf {
        self.autopack_dir().join("clean").join(format!("{}.lock", run.file_name()))
    }

    /// Whether nothing was committed yet where the user works.
    pub async fn is_unborn(&self) -> Result<bool> {
        Ok(self.resolve("HEAD").await?.is_none())
    }

    /// The commit that a revision names.
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

    /// Writes a small blob without a git; `None`: git has to do it, and to say what is wrong.
    pub(super) async fn write_blob(&self, content: Vec<u8>) -> Option<String> {
        let users = self.users_objects()?;
        let written = blocking(move || {
            let loose = users.loose();
            let blob = loose.make("blob", &content).doing("make an object for", loose.objects)?;
            loose.put(std::slice::from_ref(&blob)).doing("write an object to", loose.objects)?;
            Ok(blob.id().to_owned())
        });
        written.await.inspect_err(|error| tracing::debug!("leaving it to git: {error}")).ok()
    }

    /// Where loose objects of ours may go; nowhere where git does more about a new object than to write its file.
    pub(super) fn users_objects(&self) -> Option<Objects> {
        let (dir, sha256) = (self.objects_dir(), self.sha256);
        (!self.config.special_objects).then_some(Objects { dir, sha256, durable: true })
    }

    /// The files of the user's checkout that git tracks, and those that it does not but would, in order; ours are not
    /// among them, and neither are names that are no UTF-8.
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

    /// The paths of a commit.
    pub async fn tree(&self, commit: &str) -> Result<Arc<Tree>> {
        self.tree_by(&self.git, commit).await
    }

    /// What git stands for "no value" in a ref transaction.
    pub(super) fn zero(&self) -> String {
        "0".repeat(if self.sha256 { 64 } else { 40 })
    }
}

/// Appends a line, where none of those that are enough is there yet; what the user wrote stays byte for byte.
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
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let gap = if before.is_empty() || before.ends_with(b"\n") { "" } else { "\n" };
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file)?;
    // One write, so that two of us at once cannot tear each other's line apart.
    file.write_all(format!("{gap}{line}\n").as_bytes())
}

fn place_settings(extra: &[(OsString, OsString)]) -> PlaceSettings {
    let process = Env::of_process();
    let variable = |name: &str| {
        let own = extra.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        own.or_else(|| process.all().get(&OsString::from(name)).cloned()).map(PathBuf::from)
    };
    let (state_home, home) = (variable("XDG_STATE_HOME"), variable("HOME"));
    PlaceSettings { slots_dir: None, state_home, home }
}

/// What git takes for a folder of its own (`is_git_directory` in its setup.c).
pub(super) fn is_git_dir(folder: &Path) -> bool {
    folder.join("HEAD").is_file() && folder.join("objects").is_dir() && folder.join("refs").is_dir()
}

/// What git says about the folder that we were given.
struct Found {
    root: PathBuf,
    git_dir: PathBuf,
    common_dir: PathBuf,
    sha256: bool,
}

impl Found {
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
            return Err(why_not(dir, &lines, answer));
        }
        // Anything else has a line break in a path, which alternates cannot hold either.
        let [_, _, format, git_dir, common_dir, root] = lines[..] else {
            return Err(WorkspaceError::OddPath { dir: dir.to_owned() });
        };
        if text.contains('\u{FFFD}') {
            return Err(answer.odd());
        }
        Ok(Self {
            root: root.into(),
            git_dir: git_dir.into(),
            common_dir: common_dir.into(),
            sha256: format == "sha256",
        })
    }
}

fn why_not(dir: &Path, lines: &[&str], answer: crate::git::command::Answer) -> WorkspaceError {
    let dir = dir.to_owned();
    let said = String::from_utf8_lossy(&answer.output.stderr).into_owned();
    match lines {
        ["true", ..] => WorkspaceError::Bare(dir),
        [_, "true", ..] => WorkspaceError::InsideGitDir(dir),
        _ if said.contains("dubious ownership") => WorkspaceError::NotTrusted { dir },
        _ if said.contains("not a git repository") => WorkspaceError::NotARepository(dir),
        _ => answer.error(),
    }
}
