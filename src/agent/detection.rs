//! Agents of this machine, for configurations that name none: programs on PATH, else a model provider's key.
//!
//! Only looks: no agent is started and no provider is asked.

use std::path::Path;

use super::AgentError;
use super::adapters::ADAPTERS;
use super::builtin;
use super::runner::program;
use crate::config::{AgentSettings, ProgramAgentSettings};
use crate::process::child_env::Env;

/// An agent of this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectedAgent {
    /// Name under `agents`: its kind.
    pub name: &'static str,
    /// Settings, all at their defaults.
    pub settings: AgentSettings,
    /// How the agent was found, for people.
    pub origin: &'static str,
}

/// Name of the built-in agent under `agents`.
const BUILTIN: &str = "builtin";

/// Returns the agents of this machine, best first: known programs on PATH in the order of the registry, then the
/// built-in agent if a provider's key is set.
pub fn detect(workspace: &Path, env: &Env) -> Vec<DetectedAgent> {
    let programs = ADAPTERS.iter().filter_map(|adapter| {
        let settings = ProgramAgentSettings::default();
        // A program that cannot start here is there: the check before a drain tells why.
        let found = program::locate(*adapter, &settings, workspace, env);
        match found {
            Err(AgentError::Missing { .. }) => return None,
            // A file of the repository: only a configuration may name it.
            Ok(program) if is_in(&program, workspace) => return None,
            _ => {}
        }
        let name = adapter.kind();
        let settings = AgentSettings::Program { kind: name.to_owned(), settings };
        Some(DetectedAgent { name, settings, origin: "found on PATH" })
    });
    let of_key = builtin::of_key(env).map(|(settings, origin)| {
        let settings = AgentSettings::Builtin(settings);
        DetectedAgent { name: BUILTIN, settings, origin }
    });
    programs.chain(of_key).collect()
}

fn is_in(program: &Path, workspace: &Path) -> bool {
    match (program.canonicalize(), workspace.canonicalize()) {
        (Ok(program), Ok(workspace)) => program.starts_with(workspace),
        _ => false,
    }
}

/// Returns the programs and variables that [`detect`] looks for, for hints.
pub fn detectable() -> (Vec<&'static str>, Vec<&'static str>) {
    (ADAPTERS.iter().map(|adapter| adapter.program()).collect(), builtin::key_names().collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(programs: &[&str], keys: &[(&str, &str)]) -> Vec<String> {
        let bin = tempfile::tempdir().unwrap();
        for program in programs {
            let path = bin.path().join(program);
            std::fs::write(&path, "#!/bin/sh\nexit 1\n").unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        let mut env: Env = [("PATH".into(), bin.path().into())].into();
        env.extend(keys.iter().map(|(name, value)| (name.into(), value.into())));
        let found = detect(Path::new("/nonexistent"), &env);
        found.iter().map(|agent| format!("{}: {}", agent.name, agent.origin)).collect()
    }

    #[test]
    fn programs_come_in_the_order_of_the_registry_and_before_keys() {
        assert_eq!(names(&[], &[]), [""; 0]);
        assert_eq!(names(&["mini"], &[]), ["mini-swe-agent: found on PATH"]);
        let all = names(&["aider", "codex", "claude", "vim"], &[("OPENAI_API_KEY", "x")]);
        let expected = [
            "claude: found on PATH",
            "codex: found on PATH",
            "aider: found on PATH",
            "builtin: key in OPENAI_API_KEY",
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn files_of_the_repository_are_not_agents_of_the_machine() {
        let repository = tempfile::tempdir().unwrap();
        let path = repository.path().join("claude");
        std::fs::write(&path, "#!/bin/sh\nexit 1\n").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        for search in [repository.path().as_os_str(), ".".as_ref(), "".as_ref()] {
            let env: Env = [("PATH".into(), search.into())].into();
            assert_eq!(detect(repository.path(), &env), [], "{search:?}");
        }
    }

    #[test]
    fn an_empty_key_is_none_and_each_key_has_a_model_with_a_price() {
        assert_eq!(names(&[], &[("ANTHROPIC_API_KEY", " ")]), [""; 0]);
        for key in builtin::key_names() {
            let env: Env = [(key.into(), "key".into())].into();
            let [agent] = &detect(Path::new("/"), &env)[..] else { panic!("{key}") };
            assert_eq!(agent.origin, format!("key in {key}"));
            let model = agent.settings.model().unwrap();
            assert!(crate::agent::prices::price(model).is_some(), "{model}");
            assert!(crate::agent::check(&agent.settings, Path::new("/"), &env).is_ok(), "{model}");
        }
    }
}
