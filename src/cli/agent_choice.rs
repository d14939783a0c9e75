//! The agents of a drain, checked before the first claim.

use super::Context;
use crate::agent::{self, detectable};
use crate::attempt::Views;
use crate::config::suggestion::nearest;
use crate::failure::{Exit, Failure};

/// Checks that the agents of a drain can be started. `named` is the value of `--agent`.
pub(super) async fn check_agents(named: Option<&str>, context: &Context) -> Result<(), Failure> {
    let config = context.config()?;
    let settings = &config.settings;
    let file = config.settings_file(Some(&context.workspace()?));
    let known = settings.agents.named.keys().map(String::as_str).collect::<Vec<_>>();
    if known.is_empty() {
        return Err(no_agent(&file));
    }
    let ladder = &settings.executor.ladder;
    let wanted: Vec<Option<&str>> = match named {
        Some(name) => vec![Some(name)],
        None if ladder.is_empty() => vec![None],
        None => ladder.iter().map(|name| Some(name.as_str())).collect(),
    };
    let views = Views::try_mode(&settings.sandbox).await?;
    let environments = context.inherited_environments(config).in_view(&views, settings);
    for wanted in wanted {
        let Some((name, agent)) = settings.agent(wanted) else {
            return Err(missing_agent(wanted, &known, &file));
        };
        let env = &environments.of_agent(name).env;
        let checked = agent::check(agent, &context.workspace()?, env);
        checked.map_err(|error| Failure::from(error).exit(Exit::Systemic))?;
    }
    Ok(())
}

/// Describes the agent found on this machine, and the key that sets another; `None` if an agent is configured, or
/// `--agent` names one.
pub(super) fn describe_found_agent(
    named: Option<&str>,
    context: &Context,
) -> Result<Option<String>, Failure> {
    let config = context.config()?;
    let Some((name, found)) = config.found_agent().filter(|_| named.is_none()) else {
        return Ok(None);
    };
    let file = config.settings_file(Some(&context.workspace()?));
    let agent = config.settings.agent(Some(name)).map(|(_, agent)| agent);
    let model = agent.and_then(|agent| agent.model()).map(|model| format!(" with {model}"));
    let model = model.unwrap_or_default();
    Ok(Some(format!("agent: {name}{model} ({found}; for another, set agents.default in {file})")))
}

fn no_agent(file: &str) -> Failure {
    let (programs, keys) = detectable();
    Failure::new(format!(
        "no agent is configured, none is on PATH ({}), and no provider's key is set ({})",
        programs.join(", "),
        keys.join(", ")
    ))
    .hint(format!("install an agent, set a key, or name an agent under `agents` in {file}"))
}

/// Builds the error for an unknown agent name or a missing default.
fn missing_agent(wanted: Option<&str>, known_names: &[&str], file: &str) -> Failure {
    let known = known_names.join(", ");
    match wanted {
        Some(name) => Failure::new(format!("unknown agent {name:?}; configured agents: {known}"))
            .hint(match nearest(name, known_names) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("add it under `agents` in {file}, or name another"),
            })
            .exit(Exit::Usage),
        None => Failure::new(format!("no default agent is set; configured agents: {known}"))
            .hint(format!("set `agents.default` in {file}, or use --agent")),
    }
}
