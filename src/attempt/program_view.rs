//! The view of a program of an attempt: opened before the start of the program, closed after its end.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::AttemptError;
use super::views::Views;
use crate::agent::{self, AgentNeeds};
use crate::config::{AgentSettings, NetworkSetting, Settings};
use crate::process::child_env::Env;
use crate::process::view::{ChildView, ViewMode};
use crate::workspace::view::agent_logins::logins_to_hide;
use crate::workspace::view::agent_state::{PreparedState, StateRequest};
use crate::workspace::view::network::{NetworkGuard, describe_refused, parse_hosts};
use crate::workspace::view::{
    self, Placeholders, PrivateFiles, SandboxPaths, StateMounts, ViewPurpose, ViewRequest,
};
use crate::workspace::{Repo, Side, Slot};

/// Program to run in a view.
pub(crate) struct ViewedProgram<'a> {
    pub purpose: ViewPurpose,
    pub slot: &'a Slot,
    pub side: Side,
    /// Program and arguments, as far as known.
    pub argv: &'a [OsString],
    /// Directory of the attempt's files.
    pub directory: &'a Path,
    /// Private files of earlier programs.
    pub private_files: PrivateFiles,
    /// The agent, and the directory of its sessions.
    pub agent: Option<(&'a AgentSettings, &'a Path)>,
    /// Whether the program only reads the slot.
    pub is_read_only: bool,
}

impl<'a> ViewedProgram<'a> {
    /// Describes a program other than an agent. Temporary files of earlier programs are removed.
    pub fn new(
        purpose: ViewPurpose,
        (slot, side): (&'a Slot, Side),
        argv: &'a [OsString],
        directory: &'a Path,
    ) -> Self {
        let private_files = PrivateFiles::StartAttempt;
        let (agent, is_read_only) = (None, false);
        Self { purpose, slot, side, argv, directory, private_files, agent, is_read_only }
    }
}

/// Opens the views of programs.
pub(crate) struct ViewOpener<'a> {
    pub repo: &'a Repo,
    pub settings: &'a Settings,
    pub views: &'a Views,
}

/// An open view, or none where the sandbox is off.
#[derive(Default)]
pub(crate) struct ProgramView {
    pub child: Option<ChildView>,
    guard: Option<Arc<NetworkGuard>>,
    placeholders: Placeholders,
    state: PreparedState,
    notes: Vec<String>,
}

/// Report at the end of a view: refused hosts, renewed logins, ignored settings.
#[derive(Debug, Default)]
pub(crate) struct ViewReport {
    /// Lines for the user.
    pub notes: Vec<String>,
    /// Refused hosts, in a line.
    pub refused_hosts: Option<String>,
}

impl ViewOpener<'_> {
    /// Returns `sandbox.hide` and the shared directory with the files of other attempts.
    fn hidden_places(&self) -> Vec<String> {
        let shared = self.settings.artifacts.dir.iter();
        let is_beside = |dir: &&String| !self.repo.root().starts_with(self.repo.root().join(dir));
        self.settings.sandbox.hide.iter().chain(shared.filter(is_beside)).cloned().collect()
    }

    /// Prepares the view of a program, and changes its environment accordingly.
    pub fn open(
        &self,
        program: &ViewedProgram<'_>,
        env: &mut Env,
    ) -> Result<ProgramView, AttemptError> {
        let views = self.views;
        if views.mode == ViewMode::Off {
            return Ok(ProgramView::default());
        }
        let ViewedProgram { slot, side, .. } = *program;
        let paths = view::open_private(self.repo, slot, side, program.private_files)?;
        let needs = program.agent.map(|(settings, _)| agent::needs(settings)).unwrap_or_default();
        let home = env.get(OsStr::new("HOME")).map(PathBuf::from);
        let mut opened = ProgramView::default();
        let mut mounts = StateMounts::default();
        let sandbox = &self.settings.sandbox;
        let mut logins = Vec::new();
        if let Some(home) = &home {
            if let Some((_, sessions)) = program.agent {
                let request = StateRequest {
                    needs: &needs,
                    env,
                    home,
                    method: views.state_method(),
                    private: &paths.state,
                    private_home: &paths.home,
                    sessions,
                    checkout: self.repo.root(),
                };
                opened.state = PreparedState::prepare(&request)?;
                mounts = opened.state.mounts.clone();
                mounts.separate_tmp = needs.separate_tmp && views.has_overlays;
            }
            logins = logins_to_hide(&agent::needs_of_all(), &needs, home, env);
        }
        let ports = opened.limit_network(self, program, &needs, env)?;
        let show = home.as_deref().map(|home| needs.shown_paths(home, env)).unwrap_or_default();
        let sessions = program.agent.map(|(_, sessions)| sessions);
        // In namespaces, mounts show them where they are needed.
        let own = [paths.home.as_path(), &paths.state, &paths.scratch];
        let own: Vec<&Path> = match views.mode {
            ViewMode::Landlock => own.into_iter().chain(sessions).collect(),
            ViewMode::Namespaces | ViewMode::Off => Vec::new(),
        };
        let needs_mounts = program.agent.is_some_and(|(settings, _)| {
            agent::keeps_own_sandbox(settings, env, views.agent_place())
        });
        let allows_mounts = sandbox.allow_mounts || needs_mounts;
        let guard_directory = self.repo.autopack_dir().join("python");
        let hide = self.hidden_places();
        let request = ViewRequest {
            mode: views.mode,
            purpose: program.purpose,
            is_read_only: program.is_read_only,
            private_files: PrivateFiles::Keep,
            settings: SandboxPaths {
                write: &sandbox.write,
                hide: &hide,
                show: &sandbox.show,
                sockets: &sandbox.sockets,
            },
            links: &slot.overlay_links(side),
            has_new_links: slot.take_link_reset(side),
            env,
            argv: program.argv,
            attempt_dir: Some(program.directory),
            // Where checkouts are moved, imports need no guard.
            python_guard: Some(guard_directory.as_path()).filter(|_| !views.moves_checkouts()),
            database: views.database.as_deref(),
            state: Some(&mounts),
            show: &show,
            hide: &logins,
            write: &own,
            has_overlays: views.has_overlays,
            allows_mounts,
            limited_ports: ports,
            scratch: Some(&paths.scratch),
        };
        let prepared = view::prepare(self.repo, slot, side, &request)?;
        opened.notes.extend(prepared.notes);
        opened.placeholders = prepared.placeholders;
        for (name, value) in &opened.state.environment {
            match value {
                Some(value) => drop(env.insert(name.clone(), value.clone())),
                None => drop(env.remove(name)),
            }
        }
        env.extend(prepared.environment);
        let guard = opened.guard.clone().filter(|_| views.mode == ViewMode::Namespaces);
        let on_listeners = guard.map(|guard| {
            Arc::new(move |listeners| guard.serve(listeners))
                as Arc<dyn Fn(Vec<(u16, std::net::TcpListener)>) + Send + Sync>
        });
        let child = ChildView::new(prepared.spec, on_listeners);
        opened.child = Some(child.with_scratch(Some(paths.scratch)));
        Ok(opened)
    }
}

impl ProgramView {
    /// Starts the guard of a limited network; returns the ports open to the program.
    fn limit_network(
        &mut self,
        runner: &ViewOpener<'_>,
        program: &ViewedProgram<'_>,
        needs: &AgentNeeds,
        env: &mut Env,
    ) -> Result<Option<Vec<u16>>, AttemptError> {
        let sandbox = &runner.settings.sandbox;
        let setting = match program.purpose {
            ViewPurpose::Agent => &sandbox.network,
            ViewPurpose::Setup | ViewPurpose::Ci => &sandbox.ci_network,
        };
        let hosts = match setting {
            NetworkSetting::Allow => return Ok(None),
            NetworkSetting::Deny => Vec::new(),
            NetworkSetting::Hosts { hosts, agent } => {
                let own = if *agent { needs.needed_hosts(env) } else { Vec::new() };
                hosts.iter().cloned().chain(own).collect()
            }
        };
        let (list, own_services) = parse_hosts(&hosts)
            .map_err(|why| AttemptError::Systemic(format!("sandbox.network: {why}")))?;
        let mut services = sandbox.ports.clone();
        services.extend(own_services);
        services.sort_unstable();
        services.dedup();
        let upstream = runner.views.upstream.clone();
        let guard = if runner.views.mode == ViewMode::Namespaces {
            let port = NetworkGuard::choose_proxy_port(&services);
            NetworkGuard::with_upstream(list, port, &services, upstream)
        } else {
            let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0));
            let listener = listener.map_err(|error| AttemptError::Internal(error.into()))?;
            let port =
                listener.local_addr().map_err(|error| AttemptError::Internal(error.into()))?;
            let guard = NetworkGuard::with_upstream(list, port.port(), &[], upstream);
            guard.serve(vec![(port.port(), listener)]);
            guard
        };
        let jvm = guard.jvm_environment(env);
        for (name, value) in guard.environment().into_iter().chain(jvm) {
            env.insert(name.into(), value.into());
        }
        let mut ports = guard.ports();
        ports.extend(services.iter().filter(|port| !guard.ports().contains(port)));
        self.guard = Some(guard);
        Ok(Some(ports))
    }

    /// Removes the empty files and directories that the mounts of the view left in the slot.
    pub fn remove_mount_points(&self) {
        if let Err(error) = self.placeholders.remove() {
            tracing::warn!("cannot remove the mount points of a view: {error}");
        }
    }

    /// Ends the view after the program ended.
    pub async fn close(self) -> ViewReport {
        self.remove_mount_points();
        let Self { guard, mut state, mut notes, .. } = self;
        notes.extend(std::mem::take(&mut state.notes));
        // May wait for another worker.
        let written = tokio::task::spawn_blocking(move || state.write_back()).await;
        notes.extend(written.unwrap_or_else(|panic| vec![panic.to_string()]));
        let refused = guard.as_ref().map(|guard| guard.refused()).unwrap_or_default();
        ViewReport { notes, refused_hosts: describe_refused(&refused) }
    }
}
