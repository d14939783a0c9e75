//! The mode of the sandbox in a drain, chosen by trying.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::config::{Env, NetworkSetting, SandboxMode, SandboxSettings};
use crate::process::view::{ViewMode, ViewSpec, probe, probe_overlay};
use crate::process::{Job, JobEnd, StopReceiver, run};
use crate::workspace::Repo;
use crate::workspace::view::network::UpstreamProxies;

/// Time for trying whether namespaces nest.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What is possible for the programs of a drain.
#[derive(Clone)]
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

impl Default for Views {
    fn default() -> Self {
        Self {
            mode: ViewMode::Off,
            has_overlays: false,
            nests: false,
            database: None,
            upstream: UpstreamProxies::default(),
            skipped: Vec::new(),
        }
    }
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
        let is_limited = settings.network.is_limited() || settings.ci_network.is_limited();
        if is_limited {
            views.upstream = UpstreamProxies::of_environment(env).map_err(anyhow::Error::msg)?;
        }
        let slots = repo.slots_directory().context("the slots have no place")?;
        if views.mode == ViewMode::Namespaces {
            views.has_overlays = probe_overlay(slots).await.is_ok();
            views.nests = nests().await;
        }
        Ok(views)
    }

    /// Tries the configured mode of the sandbox.
    ///
    /// # Errors
    ///
    /// If the mode does not work here, or the network is limited without a mode that can limit it.
    pub async fn try_mode(settings: &SandboxSettings) -> anyhow::Result<Self> {
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
                    views.skipped.push(format!("{}: {why}", name_of(*mode)));
                }
                Err(why) => bail!(
                    "sandbox.mode: {} does not work here: {why}; set sandbox.mode: auto to use what works",
                    settings.mode.as_str()
                ),
            }
        }
        let is_limited = settings.network.is_limited() || settings.ci_network.is_limited();
        if views.mode == ViewMode::Off && is_limited {
            bail!(
                "sandbox.network cannot be limited here: sandbox.mode is off{}",
                views.skipped.iter().map(|why| format!("; {why}")).collect::<String>()
            );
        }
        Ok(views)
    }

    /// Whether checkouts are seen at the path of the user's checkout.
    pub fn moves_checkouts(&self) -> bool {
        self.mode == ViewMode::Namespaces
    }

    /// Returns the name of the mode in the configuration.
    pub fn name(&self) -> &'static str {
        name_of(self.mode)
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
            name_of(self.mode)
        )
    }
}

/// Returns the name of a mode in the configuration.
fn name_of(mode: ViewMode) -> &'static str {
    match mode {
        ViewMode::Namespaces => "namespaces",
        ViewMode::Landlock => "landlock",
        ViewMode::Off => "off",
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

/// Tries whether a program in a view can create a user namespace.
async fn nests() -> bool {
    let path = Env::of_process().key("PATH").unwrap_or_else(|| "/usr/bin:/bin".to_owned());
    let env = [("PATH".into(), path.into())].into();
    let view = Some(Arc::new(ViewSpec::new(ViewMode::Namespaces)));
    let job = Job { view, ..Job::new(["unshare", "-Ur", "true"], "/", env, TIMEOUT) };
    run(job, &StopReceiver::never()).await.is_ok_and(|ended| ended.end == JobEnd::Exited(0))
}
