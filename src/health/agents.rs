//! The check of the agents: each program is there and could be started.
//!
//! None is started: a program that knows no `--version` would take it for a task, and do it.

use std::path::Path;

use super::Finding;
use crate::agent::{self, AgentError};
use crate::config::Settings;
use crate::process::child_env::Env;

/// The default agent must be startable; another that is not only warns.
pub fn agents(settings: &Settings, workspace: &Path, env: &Env) -> Finding {
    let named = &settings.agents.named;
    let Some((default, _)) = settings.agent(None) else {
        return match named.is_empty() {
            true => Finding::warn("none is configured", "name one under `agents` in autopack.yaml"),
            false => Finding::warn("none is the default", "name it as `agents.default`"),
        };
    };
    let broken: Vec<(&str, AgentError)> = named
        .iter()
        .filter_map(|(name, agent)| {
            Some((name.as_str(), agent::check(agent, workspace, env).err()?))
        })
        .collect();
    let worst = broken.iter().find(|(name, _)| *name == default).or(broken.first());
    let Some((name, error)) = worst else { return Finding::ok(default) };
    let (what, hint) = halves(error);
    let detail = format!("{name}: {what}");
    match *name == default {
        true => Finding::fail(detail, hint),
        false => Finding::warn(detail, hint),
    }
}

/// The error in two halves: what is wrong, what to do.
fn halves(error: &AgentError) -> (String, &str) {
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
    use super::super::Status;
    use super::*;
    use crate::config::{AgentSettings, CommandAgentSettings};

    /// Agents `a`, `b`, ... of these commands; the first is the default.
    fn finding(commands: &[&str]) -> Finding {
        let mut settings = Settings::default();
        for (name, command) in ["a", "b"].iter().zip(commands) {
            let [AgentSettings::Command(sample), ..] = AgentSettings::samples() else { panic!() };
            let command = vec![(*command).to_owned()];
            let agent = AgentSettings::Command(CommandAgentSettings { command, ..sample });
            settings.agents.named.insert((*name).to_owned(), agent);
        }
        settings.agents.default = (commands.len() > 1).then(|| "a".to_owned());
        let env = [("PATH".into(), "/usr/bin:/bin".into())].into();
        agents(&settings, Path::new("/"), &env)
    }

    #[test]
    fn a_missing_agent_fails_where_it_is_the_default_and_warns_where_not() {
        assert_eq!(finding(&["sh"]), Finding::ok("a"));
        let missing = finding(&["no-such-agent", "sh"]);
        assert_eq!(missing.status, Status::Fail);
        assert!(missing.detail.starts_with("a: no-such-agent is missing (looked for in /usr/bin"));
        assert!(missing.hint.unwrap().starts_with("install it"));
        assert_eq!(finding(&["sh", "no-such-agent"]).status, Status::Warn);
    }

    #[test]
    fn without_an_agent_it_warns() {
        assert_eq!(finding(&[]).status, Status::Warn);
    }
}
