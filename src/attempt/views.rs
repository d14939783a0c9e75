//! The mode of the sandbox in a drain, chosen by trying.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow, bail};
use nix::unistd::geteuid;

use crate::agent;
use crate::config::{Env, NetworkSetting, SandboxMode, SandboxSettings};
use crate::process::view::{ViewMode, probe, probe_nesting, probe_overlay};
use crate::workspace::Repo;
use crate::workspace::view::agent_state::StateMethod;
use crate::workspace::view::network::{UpstreamProxies, parse_hosts};
use crate::workspace::view::overlay_rule;

/// What is possible for the programs of a drain.
#[derive(Clone, Default)]
pub struct Views {
    /// How views are built.
    pub mode: ViewMode,
    /// Whether overlays work on the slots' disk.
    pub has_overlays: bool,
    /// Whether programs in a view can create a user namespace.
    pub nests: bool,
    /// The database's file, hidden from programs.
    pub database: Option<PathBuf>,
    /// Proxies of the machine.
    pub upstream: UpstreamProxies,
    /// Why `auto` did not take an earlier mode.
    pub skipped: Vec<String>,
}

impl Views {
    /// Chooses the mode of the sandbox.
    ///
    /// # Errors
    ///
    /// If the configured mode does not work here, the slots have no place, or the network is limited without a mode
    /// that can limit it.
    pub async fn choose(
        settings: &SandboxSettings,
        repo: &Repo,
        database: Option<PathBuf>,
        env: &Env,
    ) -> anyhow::Result<Self> {
        let mut views = Self { database, ..Self::try_mode(settings).await? };
        if views.mode == ViewMode::Off {
            return Ok(views);
        }
        if settings.limits_network() {
            views.upstream = UpstreamProxies::of_environment(env).map_err(anyhow::Error::msg)?;
        }
        let slots = repo.slots_directory().context("the slots have no place")?;
        if views.mode == ViewMode::Namespaces {
            views.has_overlays = probe_overlay(slots).await.is_ok();
            views.nests = probe_nesting().await.is_ok();
        }
        Ok(views)
    }

    /// Tries the configured mode of the sandbox.
    ///
    /// # Errors
    ///
    /// If a listed host cannot be matched, the mode does not work here, or the network is limited without a mode that can
    /// limit it.
    pub async fn try_mode(settings: &SandboxSettings) -> anyhow::Result<Self> {
        let networks = [("network", &settings.network), ("ci_network", &settings.ci_network)];
        for (key, network) in networks {
            if let NetworkSetting::Hosts { hosts, .. } = network {
                parse_hosts(hosts).map_err(|why| anyhow!("sandbox.{key}: {why}"))?;
            }
        }
        let mut views = Self::default();
        let wanted: &[ViewMode] = match settings.mode {
            SandboxMode::Auto => &[ViewMode::Namespaces, ViewMode::Landlock],
            SandboxMode::Namespaces => &[ViewMode::Namespaces],
            SandboxMode::Landlock => &[ViewMode::Landlock],
            SandboxMode::Off => &[],
        };
        for mode in wanted {
            match probe(*mode).await {
                Ok(()) => {
                    views.mode = *mode;
                    break;
                }
                Err(why) if settings.mode == SandboxMode::Auto => {
                    views.skipped.push(format!("{}: {why}", mode.as_str()));
                }
                Err(why) => bail!(
                    "sandbox.mode: {} does not work here: {why}; set sandbox.mode: auto to use what works",
                    settings.mode.as_str()
                ),
            }
        }
        if views.mode == ViewMode::Off && settings.limits_network() {
            bail!(
                "sandbox.network cannot be limited here: sandbox.mode is off{}",
                views.skipped.iter().map(|why| format!("; {why}")).collect::<String>()
            );
        }
        Ok(views)
    }

    /// Returns how an agent's state becomes private.
    pub(super) fn state_method(&self) -> StateMethod {
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

    /// Whether checkouts are seen at the path of the user's checkout.
    pub fn moves_checkouts(&self) -> bool {
        self.mode == ViewMode::Namespaces
    }

    /// Tells the repository how programs see copies and links.
    ///
    /// # Errors
    ///
    /// If the slots have no place.
    pub fn prepare_repo(&self, repo: Repo) -> anyhow::Result<Repo> {
        let rule = match self.has_overlays {
            true => Some(overlay_rule(&repo)?),
            false => None,
        };
        Ok(repo.seen_in_place(self.moves_checkouts()).with_overlay_rule(rule))
    }

    /// Describes mode, network and writable places in one line.
    pub fn describe(&self, settings: &SandboxSettings) -> String {
        let skipped = match self.skipped.as_slice() {
            [] => String::new(),
            why => format!(" ({})", why.join("; ")),
        };
        if self.mode == ViewMode::Off {
            return format!(
                "sandbox: off{skipped}; agents, setup and CI can read and write all that you can"
            );
        }
        let network = match (&settings.network, &settings.ci_network) {
            (agent, ci) if agent == ci => describe_network(agent),
            (agent, ci) => {
                format!("{}, setup and CI {}", describe_network(agent), describe_network(ci))
            }
        };
        let more = match settings.write.as_slice() {
            [] => String::new(),
            paths => format!(", {}", paths.join(", ")),
        };
        format!(
            "sandbox: {}{skipped}; network: {network}; writable: the slot, private copies of /tmp, caches and agent state{more}",
            self.mode.as_str()
        )
    }
}

fn describe_network(setting: &NetworkSetting) -> String {
    match setting {
        NetworkSetting::Allow => "allowed".to_owned(),
        NetworkSetting::Deny => "denied".to_owned(),
        NetworkSetting::Hosts { hosts, agent: true } if hosts.is_empty() => {
            "the agent's hosts".to_owned()
        }
        NetworkSetting::Hosts { hosts, agent } => {
            let own = if *agent { " and the agent's" } else { "" };
            format!("{} listed hosts{own}", hosts.len())
        }
    }
}
