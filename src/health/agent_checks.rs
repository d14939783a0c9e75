//! Health check of agents: programs exist, can be started, and have a version tested with autopack.
//!
//! Only known agent kinds are asked for their version; any other program could take `--version` as a task.

use std::path::Path;

use futures_util::future::join_all;

use super::{Finding, Status};
use crate::agent::{self, AgentError};
use crate::attempt::InheritedEnvironments;
use crate::config::{AgentSettings, Settings};
use crate::process::child_env::Env;

/// Checks all agents. The default agent and the agents of the ladder must be startable; other failures only warn.
pub async fn check_agents(
    settings: &Settings,
    workspace: &Path,
    environments: &InheritedEnvironments,
) -> Finding {
    let named = &settings.agents.named;
    let Some((default, _)) = settings.agent(None) else {
        return match named.is_empty() {
            true => Finding::warn(
                "no agent is configured, and none is on PATH",
                "install an agent, set a provider's key, or add an agent under `agents` in autopack.yaml",
            ),
            false => {
                Finding::warn("no default agent is set", "set `agents.default` in autopack.yaml")
            }
        };
    };
    let broken: Vec<(&str, AgentError)> = named
        .iter()
        .filter_map(|(name, agent)| {
            let env = &environments.of_agent(name).env;
            Some((name.as_str(), agent::check(agent, workspace, env).err()?))
        })
        .collect();
    let ladder = &settings.executor.ladder;
    let needed = |name: &str| name == default || ladder.iter().any(|rung| rung == name);
    let worst = broken.iter().find(|(name, _)| needed(name)).or(broken.first());
    if let Some((name, error)) = worst {
        let (what, hint) = split_error(error);
        let detail = format!("{name}: {what}");
        return match needed(name) {
            true => Finding::fail(detail, hint),
            false => Finding::warn(detail, hint),
        };
    }
    list_versions(default, settings, workspace, environments).await
}

/// Lists the default agent and other agents with a version, each with its program version.
async fn list_versions(
    default: &str,
    settings: &Settings,
    workspace: &Path,
    environments: &InheritedEnvironments,
) -> Finding {
    let named = &settings.agents.named;
    let looks = named.iter().map(|(name, agent)| {
        read_version(name, agent, workspace, &environments.of_agent(name).env)
    });
    let mut checks: Vec<AgentVersionCheck<'_>> = join_all(looks).await;
    checks.sort_by_key(|check| check.name != default);
    let descriptions: Vec<String> = checks
        .iter()
        .filter(|check| check.name == default || check.version.is_some())
        .map(|check| match &check.version {
            Some(version) => format!("{} ({version})", check.name),
            None => check.name.to_owned(),
        })
        .collect();
    let detail = descriptions.join(", ");
    let untried: Vec<&str> = checks.iter().filter_map(|check| check.warning.as_deref()).collect();
    match untried.is_empty() {
        true => Finding::ok(detail),
        false => Finding { status: Status::Warn, detail, hint: Some(untried.join("; ")) },
    }
}

/// Agent with the version of its program and a warning about the version.
struct AgentVersionCheck<'a> {
    name: &'a str,
    version: Option<String>,
    warning: Option<String>,
}

async fn read_version<'a>(
    name: &'a str,
    agent: &AgentSettings,
    workspace: &Path,
    env: &Env,
) -> AgentVersionCheck<'a> {
    let Some(version) = agent::version(agent, workspace, env).await else {
        return AgentVersionCheck { name, version: None, warning: None };
    };
    let (program, tried) = (version.program, version.tested_versions.join(", "));
    let (description, warning) = match &version.found {
        Some(number) if version.is_tested() => (format!("{program} {number}"), None),
        Some(number) => {
            let why = format!(
                "{program} {number} is untested with autopack (tested: {tried}): watch its first phases"
            );
            (format!("{program} {number}"), Some(why))
        }
        None => {
            let why = format!(
                "{program} does not report its version (tested: {tried}): run it with --version to see why"
            );
            (format!("{program}, unknown version"), Some(why))
        }
    };
    AgentVersionCheck { name, version: Some(description), warning }
}

/// Splits an error into cause and hint.
fn split_error(error: &AgentError) -> (String, &str) {
    match error {
        AgentError::Missing { program, searched, hint } => {
            (format!("{program} is missing ({searched})"), hint)
        }
        AgentError::CannotStart { program, why, hint } => (format!("{program}: {why}"), hint),
        other => (other.to_string(), "correct this agent in autopack.yaml"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::CommandAgentSettings;
    use crate::process::child_env::SharedDatabase;

    fn environments(settings: &Settings) -> InheritedEnvironments {
        let env = [("PATH".into(), "/usr/bin:/bin".into())].into();
        InheritedEnvironments::new(&env, settings, &[], SharedDatabase::Application)
    }

    /// Checks agents `a`, `b`, ... with these commands; the first is the default.
    async fn finding(commands: &[&str]) -> Finding {
        check_ladder(commands, &[]).await
    }

    async fn check_ladder(commands: &[&str], ladder: &[&str]) -> Finding {
        let mut settings = Settings::default();
        for (name, command) in ["a", "b"].iter().zip(commands) {
            let samples = AgentSettings::samples(&[]);
            let Some(AgentSettings::Command(sample)) = samples.into_iter().next() else { panic!() };
            let command = vec![(*command).to_owned()];
            let agent = AgentSettings::Command(CommandAgentSettings { command, ..sample });
            settings.agents.named.insert((*name).to_owned(), agent);
        }
        settings.agents.default = (commands.len() > 1).then(|| "a".to_owned());
        settings.executor.ladder = ladder.iter().map(|name| (*name).to_owned()).collect();
        check_agents(&settings, Path::new("/"), &environments(&settings)).await
    }

    #[tokio::test]
    async fn missing_agent_fails_as_the_default_and_otherwise_warns() {
        assert_eq!(finding(&["sh"]).await, Finding::ok("a"));
        let missing = finding(&["no-such-agent", "sh"]).await;
        assert_eq!(missing.status, Status::Fail);
        assert!(missing.detail.starts_with("a: no-such-agent is missing (looked for in /usr/bin"));
        assert!(missing.hint.unwrap().starts_with("install it"));
        assert_eq!(finding(&["sh", "no-such-agent"]).await.status, Status::Warn);
        assert_eq!(check_ladder(&["sh", "no-such-agent"], &["a", "b"]).await.status, Status::Fail);
    }

    #[tokio::test]
    async fn no_agent_is_a_warning() {
        assert_eq!(finding(&[]).await.status, Status::Warn);
    }

    /// Checks a fake Codex whose version output is `says`.
    async fn codex(says: &str) -> Finding {
        let at = tempfile::tempdir().unwrap();
        let program = at.path().join("codex");
        std::fs::write(&program, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let yaml = format!("agents: {{mine: {{kind: codex, program: '{}'}}}}", program.display());
        let settings: Settings = serde_yaml::from_str(&yaml).unwrap();
        check_agents(&settings, at.path(), &environments(&settings)).await
    }

    #[tokio::test]
    async fn versions_are_listed_and_untested_versions_warn() {
        assert_eq!(codex("codex-cli 0.169.0").await, Finding::ok("mine (codex 0.169.0)"));
        let new = codex("codex-cli 9.0.0").await;
        assert_eq!((new.status, new.detail.as_str()), (Status::Warn, "mine (codex 9.0.0)"));
        assert!(
            new.hint.unwrap().contains("codex 9.0.0 is untested with autopack (tested: 0.169.0)")
        );
        assert_eq!(codex("what?").await.detail, "mine (codex, unknown version)");
    }
}
