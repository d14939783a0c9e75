//! Validation beyond the types, setting by setting: limits of values, and names that must exist.
//!
//! `bounds` checks single values.

use std::collections::{BTreeMap, BTreeSet};

use super::agent_settings::{AgentSettings, AgentsSettings, ProgramAgentSettings};
use super::bounds::{
    at_least_one, command_line, database_kb, dollars, filled, host, inside, jobs, key_variable,
    linked, passed_name, revision, seconds, secret_url, shared_directory, url, variable,
    without_nul, word,
};
use super::command_setting::CommandLine;
use super::memory_settings::{EmbedderSettings, MemorySettings};
use super::sandbox_validation;
use super::schema::{KeyPath, Problem, SchemaEntry};
use super::settings::{OnLimit, Settings};
use super::suggestion::suggestion;

/// Returns the first problem in `autopack.yaml`.
pub fn settings(settings: &Settings) -> Result<(), Problem> {
    let Settings { executor, agents, ci, workspace, sandbox, notify, publish, artifacts, .. } =
        settings;
    at("executor.max_attempts", at_least_one(executor.max_attempts.into()))?;
    at("executor.lease_seconds", seconds(executor.lease_seconds))?;
    at("executor.jobs", jobs(executor.jobs))?;
    for (key, most) in [("ci.parallel", settings.ci.parallel), ("ci.jobs", settings.ci.jobs)] {
        at(key, most.map_or(Ok(()), |most| at_least_one(most.into())))?;
    }
    at("prices.file", settings.prices.file.as_deref().map_or(Ok(()), filled))?;
    agents_settings(agents)?;
    at("executor.ladder", executor.ladder.iter().try_for_each(|name| known_agent(name, agents)))?;
    if executor.on_limit == OnLimit::NextAgent && distinct(&executor.ladder) < 2 {
        let why = "is next_agent, but executor.ladder names fewer than two agents".to_owned();
        at("executor.on_limit", Err(why))?;
    }
    let budgets = &executor.budgets;
    for (name, budget) in [
        ("attempt", &budgets.attempt),
        ("phase", &budgets.phase),
        ("run", &budgets.run),
        ("drain", &budgets.drain),
    ] {
        let key = format!("executor.budgets.{name}.cost_usd");
        at(&key, budget.cost_usd.map_or(Ok(()), dollars))?;
        let key = format!("executor.budgets.{name}.wall_seconds");
        at(&key, budget.wall_seconds.map_or(Ok(()), seconds))?;
    }
    at("ci.command", ci.command.as_ref().map_or(Ok(()), command_line))?;
    at("ci.max_timeout_seconds", seconds(ci.max_timeout_seconds))?;
    at("ci.final_budget", ci.final_budget.map_or(Ok(()), seconds))?;
    at("workspace.base", workspace.base.as_deref().map_or(Ok(()), revision))?;
    at("workspace.setup", workspace.setup.as_ref().map_or(Ok(()), command_line))?;
    at("workspace.setup_timeout_seconds", seconds(workspace.setup_timeout_seconds))?;
    at("workspace.setup_inputs", workspace.setup_inputs.iter().try_for_each(|p| inside(p)))?;
    at("workspace.slots_dir", workspace.slots_dir.as_deref().map_or(Ok(()), filled))?;
    at("workspace.remote", workspace.run_remote().map_or(Ok(()), revision))?;
    at("workspace.link", workspace.link.iter().try_for_each(|path| linked(path)))?;
    at("workspace.keep", workspace.keep.iter().try_for_each(|path| inside(path)))?;
    at("workspace.protected_paths", workspace.protected_paths.iter().try_for_each(|p| inside(p)))?;
    at("workspace.env_pass", workspace.env_pass.iter().try_for_each(|name| passed_name(name)))?;
    at("ci.env_pass", ci.env_pass.iter().try_for_each(|name| passed_name(name)))?;
    at("notify.command", notify.command.as_ref().map_or(Ok(()), command_line))?;
    at("notify.webhook.url", notify.webhook.url.as_deref().map_or(Ok(()), secret_url))?;
    let url_env = notify.webhook.url_env.as_deref();
    at("notify.webhook.url_env", url_env.map_or(Ok(()), key_variable))?;
    if notify.webhook.url.is_some() && url_env.is_some() {
        let why = "excludes notify.webhook.url; set one of them".to_owned();
        at("notify.webhook.url_env", Err(why))?;
    }
    at("publish.remote", publish.remote.as_deref().map_or(Ok(()), revision))?;
    at("publish.base", publish.base.as_deref().map_or(Ok(()), revision))?;
    at("publish.forge", publish.forge.as_deref().map_or(Ok(()), filled))?;
    at("artifacts.database_kb", database_kb(artifacts.database_kb))?;
    at("artifacts.dir", artifacts.dir.as_deref().map_or(Ok(()), shared_directory))?;
    sandbox_validation::settings(sandbox)
        .or_else(|(key, why)| at(&format!("sandbox.{key}"), Err(why)))
}

/// Returns the first problem in `memory.yaml`.
pub fn memory(memory: &MemorySettings) -> Result<(), Problem> {
    let qdrant = &memory.qdrant;
    at("memory.qdrant.host", host(&qdrant.host))?;
    at("memory.qdrant.port", at_least_one(qdrant.port.into()))?;
    at("memory.qdrant.grpc_port", at_least_one(qdrant.grpc_port.into()))?;
    if qdrant.port == qdrant.grpc_port {
        at("memory.qdrant.grpc_port", Err("must differ from memory.qdrant.port".to_owned()))?;
    }
    at("memory.qdrant.image", filled(&qdrant.image))?;
    let timeout = qdrant.autostart_timeout_seconds;
    at("memory.qdrant.autostart_timeout_seconds", seconds(timeout))?;
    match &memory.embedder {
        EmbedderSettings::Builtin => Ok(()),
        EmbedderSettings::Http(http) => {
            at("memory.embedder.url", url(&http.url))?;
            at("memory.embedder.model", filled(&http.model))?;
            at("memory.embedder.api_key_env", key_variable(&http.api_key_env))
        }
        EmbedderSettings::Model2vec(local) => at("memory.embedder.folder", filled(&local.folder)),
    }
}

fn agents_settings(agents: &AgentsSettings) -> Result<(), Problem> {
    for (name, settings) in &agents.named {
        let key = |key: &str| vec!["agents".to_owned(), name.clone(), key.to_owned()];
        match settings {
            AgentSettings::Replay(agent) => at_path(key("folder"), filled(&agent.folder))?,
            AgentSettings::Command(agent) => {
                let argv = CommandLine::Argv(agent.command.clone());
                at_path(key("command"), command_line(&argv))?;
                at_path(key("timeout_seconds"), seconds(agent.timeout_seconds))?;
                at_path(key("idle_timeout_seconds"), seconds(agent.idle_timeout_seconds))?;
                variables(key("env"), &agent.env)?;
                let names = agent.env_pass.iter();
                at_path(key("env_pass"), names.map(String::as_str).try_for_each(passed_name))?;
            }
            AgentSettings::Program { settings, .. } => program_agent(&key, settings)?,
            AgentSettings::Builtin(agent) => {
                at_path(key("model"), filled(&agent.model))?;
                let name = agent.api_key_env.as_deref().unwrap_or_default();
                at_path(key("api_key_env"), key_variable(name))?;
                at_path(key("base_url"), agent.base_url.as_deref().map_or(Ok(()), url))?;
                at_path(key("timeout_seconds"), seconds(agent.timeout_seconds))?;
                at_path(key("idle_timeout_seconds"), seconds(agent.idle_timeout_seconds))?;
                at_path(key("max_turns"), at_least_one(agent.max_turns.into()))?;
                at_path(key("max_output_tokens"), at_least_one(agent.max_output_tokens.into()))?;
                at_path(key("max_context_tokens"), at_least_one(agent.max_context_tokens.into()))?;
            }
        }
    }
    match &agents.default {
        Some(default) if !agents.named.contains_key(default) => {
            at("agents.default", Err(no_such_agent(default, agents)))
        }
        _ => Ok(()),
    }
}

fn program_agent(
    key: &dyn Fn(&str) -> KeyPath,
    agent: &ProgramAgentSettings,
) -> Result<(), Problem> {
    at_path(key("program"), agent.program.as_deref().map_or(Ok(()), word))?;
    at_path(key("model"), agent.model.as_deref().map_or(Ok(()), word))?;
    at_path(key("extra_args"), agent.extra_args.iter().try_for_each(|arg| without_nul(arg)))?;
    at_path(key("timeout_seconds"), seconds(agent.timeout_seconds))?;
    at_path(key("idle_timeout_seconds"), seconds(agent.idle_timeout_seconds))?;
    variables(key("env"), &agent.env)?;
    at_path(key("env_pass"), agent.env_pass.iter().try_for_each(|name| passed_name(name)))
}

fn variables(path: KeyPath, env: &BTreeMap<String, String>) -> Result<(), Problem> {
    env.iter().try_for_each(|(name, value)| {
        at_path([path.clone(), vec![name.clone()]].concat(), variable(name, value))
    })
}

fn distinct(names: &[String]) -> usize {
    names.iter().collect::<BTreeSet<_>>().len()
}

fn known_agent(name: &str, agents: &AgentsSettings) -> Result<(), String> {
    match agents.named.contains_key(name) {
        true => Ok(()),
        false => Err(no_such_agent(name, agents)),
    }
}

fn no_such_agent(name: &str, agents: &AgentsSettings) -> String {
    let names: Vec<&str> = agents.named.keys().map(String::as_str).collect();
    let known = match names.is_empty() {
        true => "no agent is configured".to_owned(),
        false => suggestion(name, &names),
    };
    format!("names {name:?}, which is not a configured agent; {known}")
}

fn at(path: &str, result: Result<(), String>) -> Result<(), Problem> {
    at_path(path.split('.').map(str::to_owned).collect(), result)
}

fn at_path(path: KeyPath, result: Result<(), String>) -> Result<(), Problem> {
    result.map_err(|why| Problem { path, what: SchemaEntry::BadValue(why) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ReplayAgentSettings;

    fn complaint(change: impl FnOnce(&mut Settings)) -> String {
        let mut changed = Settings::default();
        change(&mut changed);
        problem(settings(&changed))
    }

    fn problem(result: Result<(), Problem>) -> String {
        match result.map_err(|problem| (problem.path.join("."), problem.what)) {
            Err((path, SchemaEntry::BadValue(why))) => format!("{path} {why}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(settings(&Settings::default()), Ok(()));
        assert_eq!(memory(&MemorySettings::default()), Ok(()));
    }

    #[test]
    fn bounds_are_held() {
        assert_eq!(
            complaint(|s| s.executor.max_attempts = 0),
            "executor.max_attempts is 0; must be at least 1"
        );
        assert_eq!(complaint(|s| s.executor.jobs = 0), "executor.jobs is 0; must be at least 1");
        assert_eq!(
            complaint(|s| s.executor.jobs = 257),
            "executor.jobs is 257; must be at most 256"
        );
        assert_eq!(
            complaint(|s| s.ci.max_timeout_seconds = u64::MAX),
            "ci.max_timeout_seconds is 18446744073709551615; must be at most 2592000 (30 days)"
        );
        assert_eq!(
            complaint(|s| s.ci.command = Some(CommandLine::Argv(vec![]))),
            "ci.command names no program"
        );
        let of_run = |cost| complaint(|s| s.executor.budgets.run.cost_usd = Some(cost));
        let key = "executor.budgets.run.cost_usd";
        assert_eq!(of_run(-0.5), format!("{key} is -0.5; must not be negative"));
        let no_limit = "expected an amount in dollars, or null for no limit";
        assert_eq!(of_run(f64::INFINITY), format!("{key} is inf, {no_limit}"));
        assert_eq!(of_run(f64::NAN), format!("{key} is NaN, {no_limit}"));
        assert_eq!(
            complaint(|s| s.workspace.keep = vec!["../x".to_owned()]),
            "workspace.keep has \"../x\", which leaves the repository"
        );
    }

    #[test]
    fn the_default_agent_must_exist() {
        let replay = AgentSettings::Replay(ReplayAgentSettings { folder: "f".to_owned() });
        let named = [("recorded".to_owned(), replay)];
        assert_eq!(
            complaint(|s| s.agents.default = Some("x".to_owned())),
            "agents.default names \"x\", which is not a configured agent; no agent is configured"
        );
        assert_eq!(
            complaint(|s| {
                s.agents.named = named.into();
                s.agents.default = Some("recordd".to_owned());
            }),
            "agents.default names \"recordd\", which is not a configured agent; did you mean \"recorded\"?"
        );
    }

    #[test]
    fn agents_that_are_programs_are_held_to_their_bounds() {
        let complaint = |change: fn(&mut ProgramAgentSettings)| {
            let mut agent = ProgramAgentSettings::default();
            change(&mut agent);
            let agent = AgentSettings::Program { kind: "codex".to_owned(), settings: agent };
            complaint(|s| s.agents.named = [("x".to_owned(), agent)].into())
        };
        assert!(
            complaint(|a| a.model = Some("-m".to_owned())).starts_with("agents.x.model is \"-m\"")
        );
        assert_eq!(complaint(|a| a.program = Some(" ".to_owned())), "agents.x.program is empty");
        assert!(complaint(|a| a.extra_args = vec!["\0".to_owned()]).contains("NUL"));
        assert_eq!(
            complaint(|a| a.timeout_seconds = 0),
            "agents.x.timeout_seconds is 0; must be at least 1"
        );
        let bad = |a: &mut ProgramAgentSettings| a.env = [("A=".to_owned(), String::new())].into();
        assert_eq!(complaint(bad), "agents.x.env.A= is not a valid environment variable");
        let bad = |a: &mut ProgramAgentSettings| a.env_pass = vec!["*_TOKEN".to_owned()];
        assert_eq!(
            complaint(bad),
            "agents.x.env_pass has \"*_TOKEN\"; `*` stands only at the end, as in \"AWS_*\""
        );
    }

    #[test]
    fn the_built_in_agent_is_held_to_its_bounds() {
        let complaint = |change: fn(&mut crate::config::BuiltinAgentSettings)| {
            let mut agent =
                crate::config::BuiltinAgentSettings { model: "m".to_owned(), ..Default::default() };
            change(&mut agent);
            complaint(|s| {
                drop(s.agents.named.insert("own".to_owned(), AgentSettings::Builtin(agent)))
            })
        };
        assert_eq!(complaint(|a| a.model = " ".to_owned()), "agents.own.model is empty");
        assert_eq!(complaint(|a| a.max_turns = 0), "agents.own.max_turns is 0; must be at least 1");
        assert!(complaint(|a| a.base_url = Some("x".to_owned())).contains("own.base_url is \"x\""));
    }

    #[test]
    fn the_memory_is_held_to_its_bounds() {
        let complaint = |change: fn(&mut MemorySettings)| {
            let mut changed = MemorySettings::default();
            change(&mut changed);
            problem(memory(&changed))
        };
        assert!(complaint(|m| m.qdrant.host = "http://x".to_owned()).contains("without scheme"));
        assert!(complaint(|m| m.qdrant.grpc_port = 6333).contains("must differ"));
        assert!(complaint(|m| m.qdrant.autostart_timeout_seconds = 0).contains("at least 1"));
        assert!(
            complaint(|m| m.embedder = EmbedderSettings::Http(Default::default()))
                .contains("memory.embedder.url")
        );
    }
}
