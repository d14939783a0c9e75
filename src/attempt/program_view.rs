//! The view of one program of an attempt: prepared before the program starts, closed after it ended.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::geteuid;

use super::AttemptError;
use super::views::Views;
use crate::agent::{self, AgentNeeds};
use crate::config::{AgentSettings, NetworkSetting, Settings};
use crate::process::child_env::Env;
use crate::process::view::{ChildView, ViewMode};
use crate::workspace::view::agent_logins::logins_to_hide;
use crate::workspace::view::agent_state::{PreparedState, StateMethod, StateRequest};
use crate::workspace::view::network::{HostList, NetworkGuard, RefusedHost};
use crate::workspace::view::{
    self, Placeholders, PrivateFiles, SandboxPaths, StateMounts, ViewPurpose, ViewRequest,
};
use crate::workspace::{Repo, Side, Slot};

/// Most refused hosts in a note.
const SHOWN_HOSTS: usize = 5;

/// A program that needs a view.
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

/// What a view refused, and what became of its files.
#[derive(Debug, Default)]
pub(crate) struct ViewReport {
    /// Lines for the user.
    pub notes: Vec<String>,
    /// Refused hosts in one line.
    pub refused_hosts: Option<String>,
}

impl ViewOpener<'_> {
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
        let mut hide = sandbox.hide.clone();
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
            let logins = logins_to_hide(&agent::needs_of_all(), &needs, home, env);
            hide.extend(logins.iter().map(|path| path.display().to_string()));
        }
        let ports = opened.limit_network(self, program, &needs, env)?;
        let show = home.as_deref().map(|home| needs.shown_paths(home, env)).unwrap_or_default();
        let mut writable = sandbox.write.clone();
        if views.mode == ViewMode::Landlock {
            let sessions = program.agent.map(|(_, sessions)| sessions.to_owned());
            let own = [paths.home.clone(), paths.state.clone(), paths.scratch.clone()];
            let own = own.into_iter().chain(sessions);
            writable.extend(own.map(|path| path.display().to_string()));
        }
        let request = ViewRequest {
            mode: views.mode,
            purpose: program.purpose,
            private_files: PrivateFiles::Keep,
            settings: SandboxPaths {
                write: &writable,
                hide: &hide,
                show: &sandbox.show,
                sockets: &sandbox.sockets,
            },
            links: &[],
            env,
            argv: program.argv,
            attempt_dir: Some(program.directory),
            python_guard: None,
            database: views.database.as_deref(),
            state: Some(&mounts),
            show: &show,
            has_overlays: views.has_overlays,
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
    /// Starts the guard of a limited network; returns the ports that the program can connect to.
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
        let list = HostList::parse(&hosts)
            .map_err(|why| AttemptError::Systemic(format!("sandbox.network: {why}")))?;
        let mut services = sandbox.ports.clone();
        // No proxy is used for this machine.
        services.extend(hosts.iter().filter_map(|host| own_port(host)));
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

/// Returns the port of a listed host that is this machine, such as a model server.
fn own_port(host: &str) -> Option<u16> {
    let (name, port) = host.rsplit_once(':')?;
    ["localhost", "127.0.0.1", "[::1]"].contains(&name).then(|| port.parse().ok())?
}

/// Describes refused hosts in one line: `network: refused example.com 3 times, a.example 1 time`.
fn describe_refused(refused: &[RefusedHost]) -> Option<String> {
    if refused.is_empty() {
        return None;
    }
    let shown = refused.iter().take(SHOWN_HOSTS).map(|host| {
        let text = host.to_string();
        text.strip_prefix("network: refused ").map_or(text.clone(), str::to_owned)
    });
    let mut text = format!("network: refused {}", shown.collect::<Vec<_>>().join(", "));
    if refused.len() > SHOWN_HOSTS {
        text += &format!(" and {} more hosts", refused.len() - SHOWN_HOSTS);
    }
    Some(text)
}

impl Views {
    /// Returns how an agent's state becomes private.
    fn state_method(&self) -> StateMethod {
        match self.mode {
            ViewMode::Namespaces if self.has_overlays => StateMethod::Overlays,
            ViewMode::Namespaces => StateMethod::Copies,
            ViewMode::Landlock | ViewMode::Off => StateMethod::LinkedHome,
        }
    }

    /// Returns the place in which agents run.
    pub fn agent_place(&self) -> agent::AgentPlace {
        agent::AgentPlace {
            mode: self.mode,
            is_root: geteuid().is_root(),
            nests: self.nests,
            has_overlays: self.has_overlays,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_host_may_be_a_service_of_this_machine() {
        let ports = ["127.0.0.1:8000", "localhost:11434", "[::1]:1", "[::1]", "localhost", "a.b:2"];
        let ports: Vec<u16> = ports.iter().filter_map(|host| own_port(host)).collect();
        assert_eq!(ports, [8000, 11434, 1]);
    }
}
