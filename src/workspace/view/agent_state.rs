//! An agent's own state in a view: reads are shared with the user, writes are private to an attempt.
//!
//! Settings, hooks, plugins, MCP servers and instructions written by an agent never reach the user's next session. After
//! an attempt, [`PreparedState::write_back`] takes over renewed logins, and nothing else. Directories with sessions are
//! kept, so that a retry in another slot can continue a session.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::StateMounts;
use super::linked_home::{link_home, linked_environment};
use super::private_copy::{LeftOut, copy_directory};
use super::state_place::{StatePlaces, create, empty};
use super::write_back::WatchedCredential;
use crate::git::error::{Context, Result};
use crate::git::removal::remove_any;
use crate::process::child_env::Env;
use crate::process::view::agent_needs::AgentNeeds;
use crate::process::view::spec::{Access, Mount};

/// Larger state files are not copied, in bytes.
const LARGEST_FILE: u64 = 64 * 1024 * 1024;

/// How an agent gets private state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateMethod {
    /// Overlays over the user's directories.
    Overlays,
    /// Copies mounted at the place of the user's directories, where overlays do not work.
    Copies,
    /// Copies in another HOME, for a view without mounts.
    LinkedHome,
}

/// The state to prepare for an attempt.
pub struct StateRequest<'a> {
    /// What the agent needs.
    pub needs: &'a AgentNeeds,
    /// The agent's environment.
    pub env: &'a Env,
    /// The user's HOME.
    pub home: &'a Path,
    /// How the state becomes private.
    pub method: StateMethod,
    /// Directory for this preparation only, emptied at the start; on one file system with nothing else mounted in it.
    pub private: &'a Path,
    /// Backing of the mirror of HOME; with [`StateMethod::LinkedHome`] the agent's HOME, emptied at the start.
    pub private_home: &'a Path,
    /// Directory for sessions, kept between attempts and used by one attempt at a time.
    pub sessions: &'a Path,
    /// The user's checkout.
    pub checkout: &'a Path,
}

/// An agent's state in a view.
#[derive(Debug, Default)]
pub struct PreparedState {
    /// Mounts; in a view without mounts, the directories that the agent may write to.
    pub mounts: StateMounts,
    /// Changes of the agent's environment; `None` removes a variable.
    pub environment: Vec<(OsString, Option<OsString>)>,
    /// What is different from the user's state.
    pub notes: Vec<String>,
    watched: Vec<WatchedCredential>,
}

/// A directory of state.
struct StateDirectory {
    /// Where the agent looks for it.
    located: PathBuf,
    /// Where it is, without links; `None` if it does not exist.
    resolved: Option<PathBuf>,
    /// Where the agent's files are: a trusted directory, and a path in it.
    layer: (PathBuf, PathBuf),
    /// Where the program sees it, without links.
    target: PathBuf,
}

impl StateDirectory {
    fn layer(&self) -> PathBuf {
        self.layer.0.join(&self.layer.1)
    }
}

impl PreparedState {
    /// Prepares an agent's state for an attempt.
    ///
    /// # Errors
    ///
    /// If a private directory cannot be emptied or written.
    pub fn prepare(request: &StateRequest<'_>) -> Result<Self> {
        let places = StatePlaces {
            home: fs::canonicalize(request.home).unwrap_or_else(|_| request.home.to_owned()),
            private_home: request.private_home,
            private: request.private,
            parents: BTreeMap::new(),
        };
        Preparation { request, places, state: Self::default() }.run()
    }

    /// Writes renewed logins into the user's files, after the agent ended. May be called again. Blocks for a few seconds
    /// at most, while another worker writes. Returns one line for each login that was renewed or left.
    pub fn write_back(&mut self) -> Vec<String> {
        self.watched.iter_mut().filter_map(WatchedCredential::write_back).collect()
    }
}

struct Preparation<'a> {
    request: &'a StateRequest<'a>,
    places: StatePlaces<'a>,
    state: PreparedState,
}

impl Preparation<'_> {
    fn run(mut self) -> Result<PreparedState> {
        let request = self.request;
        let is_linked = request.method == StateMethod::LinkedHome;
        empty(request.private)?;
        create(request.sessions)?;
        if is_linked {
            empty(request.private_home)?;
            let own: Vec<&str> =
                request.needs.directories.iter().chain(&request.needs.files).copied().collect();
            let user = (request.home, request.env);
            link_home(request.needs, &own, user, request.private_home)
                .doing("fill", request.private_home)?;
            self.state.environment =
                linked_environment(request.needs, request.env, request.private_home);
            // Nothing is mounted in such a view, but its rules take writable directories from here.
            for directory in [request.private_home, request.sessions] {
                self.state.mounts.mounts.push(Mount::Bind {
                    source: directory.into(),
                    target: directory.into(),
                    access: Access::ReadWrite,
                });
            }
        }
        for file in &request.needs.files {
            self.copy_file(file)?;
        }
        let mut directories = Vec::new();
        for name in &request.needs.directories {
            match is_linked {
                true => directories.push(self.copy_into_home(name)?),
                false => directories.extend(self.mount(name, &directories)?),
            }
        }
        if !is_linked {
            self.add_mounts(&directories);
        }
        self.add_sessions(&directories)?;
        self.watch(&directories);
        Ok(self.state)
    }

    /// Copies a state file into the private HOME. Agents replace these files by renaming, so they cannot be mounted.
    fn copy_file(&mut self, name: &'static str) -> Result<()> {
        let copy = self.request.private_home.join(name);
        remove_any(&copy).doing("remove", &copy)?;
        // A lock of the user's session would block the agent.
        self.state.mounts.skip.push(format!("{name}.lock").into());
        let original = self.request.needs.locate(name, self.request.home, self.request.env);
        match fs::metadata(&original) {
            Ok(found) if found.is_file() && found.len() <= LARGEST_FILE => {
                create(self.request.private_home)?;
                fs::copy(&original, &copy).doing("copy", &original)?;
            }
            Ok(_) => self.note(name, "is too large to copy, so the agent can only read it"),
            Err(_) => {}
        }
        Ok(())
    }

    /// Copies a state directory into a HOME of links.
    fn copy_into_home(&mut self, name: &'static str) -> Result<StateDirectory> {
        let located = self.locate(name);
        let target = self.request.private_home.join(name);
        create(&target)?;
        let resolved = fs::canonicalize(&located).ok();
        if let Some(resolved) = &resolved {
            self.copy(name, resolved, &target)?;
        }
        let layer = (self.request.private_home.to_owned(), name.into());
        Ok(StateDirectory { located, resolved, layer, target })
    }

    fn copy(&mut self, name: &'static str, from: &Path, to: &Path) -> Result<()> {
        let needs = self.request.needs;
        let skip: Vec<PathBuf> = needs
            .sessions
            .iter()
            .chain(&needs.records)
            .filter_map(|path| Some(from.join(Path::new(path).strip_prefix(name).ok()?)))
            .collect();
        let left_out = copy_directory(from, to, &skip).doing("copy", from)?;
        if left_out != LeftOut::default() {
            let LeftOut { large, unreadable } = left_out;
            let why = format!("is copied without {large} large and {unreadable} unreadable files");
            self.note(name, &why);
        }
        Ok(())
    }

    /// Decides how a state directory is mounted, and prepares its layer.
    fn mount(
        &mut self,
        name: &'static str,
        earlier: &[StateDirectory],
    ) -> Result<Option<StateDirectory>> {
        let located = self.locate(name);
        let resolved = fs::canonicalize(&located).ok();
        let is_shown = |known: &StateDirectory| {
            resolved.as_ref().is_some_and(|resolved| resolved.starts_with(&known.target))
        };
        if earlier.iter().any(is_shown) {
            return Ok(None);
        }
        let is_in_checkout = |path: &Path| path.starts_with(self.request.checkout);
        let target = match &resolved {
            Some(resolved) if !resolved.is_dir() => None,
            Some(resolved) if !is_in_checkout(resolved) => Some(resolved.clone()),
            Some(_) => self.places.in_home(&located)?,
            None => self.places.of_missing(&located)?,
        };
        let Some(target) = target.filter(|target| !is_in_checkout(target)) else {
            self.note(name, "cannot be made private, so the agent sees it as it sees other files");
            return Ok(None);
        };
        let base = self.request.private.join(format!("state-{}", earlier.len()));
        let layer = match (self.request.method, &resolved) {
            (StateMethod::Overlays, Some(_)) => {
                create(&base.join("work"))?;
                base.join("upper")
            }
            _ => base.join("own"),
        };
        create(&layer)?;
        if let (StateMethod::Copies, Some(resolved)) = (self.request.method, &resolved) {
            self.copy(name, resolved, &layer)?;
        }
        Ok(Some(StateDirectory { located, resolved, layer: (layer, PathBuf::new()), target }))
    }

    /// Adds the mounts of mirrors and directories, parents before their children.
    fn add_mounts(&mut self, directories: &[StateDirectory]) {
        let mounts = &mut self.state.mounts.mounts;
        for (target, backing) in &self.places.parents {
            mounts.push(Mount::Mirror {
                target: target.into(),
                backing: Some(backing.into()),
                skip: Vec::new(),
                is_separate: self.request.method == StateMethod::Overlays,
            });
        }
        let mut ordered: Vec<&StateDirectory> = directories.iter().collect();
        ordered.sort_by(|a, b| a.target.cmp(&b.target));
        for directory in ordered {
            let (layer, target) = (&directory.layer.0, (&directory.target).into());
            mounts.push(match (self.request.method, &directory.resolved) {
                (StateMethod::Overlays, Some(lower)) => Mount::Overlay {
                    lower: lower.into(),
                    upper: layer.into(),
                    work: (&layer.with_file_name("work")).into(),
                    target,
                },
                _ => Mount::Bind { source: layer.into(), target, access: Access::ReadWrite },
            });
        }
    }

    /// Puts the kept directories of sessions in place.
    fn add_sessions(&mut self, directories: &[StateDirectory]) -> Result<()> {
        for session in &self.request.needs.sessions {
            let located = self.locate(session);
            let kept = self.request.sessions.join(session);
            create(&kept)?;
            let owner = directories.iter().find_map(|directory| {
                Some((directory, located.strip_prefix(&directory.located).ok()?))
            });
            let Some((directory, rest)) = owner else { continue };
            let in_layer = directory.layer().join(rest);
            if self.request.method == StateMethod::LinkedHome {
                if let Some(parent) = in_layer.parent() {
                    create(parent)?;
                }
                symlink(&kept, &in_layer).doing("create", &in_layer)?;
                continue;
            }
            // A link in the user's directory leads elsewhere.
            let real = fs::canonicalize(&located).ok().filter(|real| {
                directory.resolved.as_ref().is_some_and(|top| *real != top.join(rest))
            });
            let target = match real {
                Some(elsewhere) => elsewhere,
                None => {
                    create(&in_layer)?;
                    directory.target.join(rest)
                }
            };
            self.state.mounts.mounts.push(Mount::Bind {
                source: kept.into(),
                target: target.into(),
                access: Access::ReadWrite,
            });
        }
        Ok(())
    }

    /// Records the logins as they are now.
    fn watch(&mut self, directories: &[StateDirectory]) {
        for file in &self.request.needs.credentials {
            let located = self.locate(file.path);
            let (Some(parent), Some(name)) = (located.parent(), located.file_name()) else {
                continue;
            };
            let Ok(parent) = fs::canonicalize(parent) else { continue };
            // A link out of the directory leads to files that the agent cannot change.
            let watched = directories.iter().find_map(|directory| {
                let below = parent.strip_prefix(directory.resolved.as_ref()?).ok()?;
                let (base, path) = &directory.layer;
                Some((base.clone(), path.join(below).join(name)))
            });
            if let Some(new) = watched {
                self.state.watched.push(WatchedCredential::record(*file, &parent.join(name), new));
            }
        }
    }

    fn locate(&self, path: &str) -> PathBuf {
        self.request.needs.locate(path, self.request.home, self.request.env)
    }

    fn note(&mut self, name: &str, what: &str) {
        self.state.notes.push(format!("~/{name} {what}"));
    }
}
