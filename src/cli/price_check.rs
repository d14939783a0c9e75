//! Prices before a drain: the user's own list, and whether a budget of dollars can be held with what is known.

use std::path::Path;

use crate::agent::prices::{self, OwnPrices};
use crate::config::{AgentSettings, Settings};
use crate::failure::Failure;
use crate::phase::budget::Budget;

/// Reads `prices.file`, and refuses a budget of dollars that nothing could be counted in.
pub fn check(settings: &Settings, workspace: &Path, agent: Option<&str>) -> Result<(), Failure> {
    if let Some(file) = &settings.prices.file {
        prices::set_own(read(&workspace.join(file), file)?);
    }
    let Some((level, budget)) = limited(settings) else { return Ok(()) };
    let ladder = &settings.executor.ladder;
    let wanted: Vec<Option<&str>> = match agent {
        Some(name) => vec![Some(name)],
        None if ladder.is_empty() => vec![None],
        None => ladder.iter().map(|name| Some(name.as_str())).collect(),
    };
    for (name, agent) in wanted.into_iter().filter_map(|wanted| settings.agent(wanted)) {
        let (model, says_cost) = model_of(agent);
        match model {
            _ if says_cost => {}
            Some(model) if prices::price(model).is_some() => {}
            Some(model) if budget.tokens.is_none() => {
                return Err(Failure::new(format!(
                    "executor.budgets.{level}.cost_usd cannot be held: the price of {model:?}, the model of agent {name}, is unknown"
                ))
                .hint(format!(
                    "name its price in a file and the file in prices.file, or set executor.budgets.{level}.tokens beside it"
                )));
            }
            Some(model) => tracing::warn!(
                "the price of {model:?}, the model of agent {name}, is unknown: only the budget of tokens holds it"
            ),
            None => tracing::warn!(
                "agent {name} chooses its model by itself: a budget of dollars counts only what it reports, or what has a known price"
            ),
        }
    }
    Ok(())
}

/// The first budget of dollars, those without one of tokens beside them before the others.
fn limited(settings: &Settings) -> Option<(&'static str, Budget)> {
    let budgets = &settings.executor.budgets;
    let all = [
        ("drain", budgets.drain),
        ("run", budgets.run),
        ("phase", budgets.phase),
        ("attempt", budgets.attempt),
    ];
    let mut of_dollars: Vec<_> = all.into_iter().filter(|(_, b)| b.cost_usd.is_some()).collect();
    of_dollars.sort_by_key(|(_, budget)| budget.tokens.is_some());
    of_dollars.first().copied()
}

/// The model as far as it is known before, and whether the agent says itself what it cost.
fn model_of(agent: &AgentSettings) -> (Option<&str>, bool) {
    match agent {
        AgentSettings::Command(_) | AgentSettings::Replay(_) => (None, false),
        AgentSettings::Codex(agent) | AgentSettings::Gemini(agent) => {
            (agent.model.as_deref(), false)
        }
        AgentSettings::Builtin(agent) => (Some(&agent.model), false),
        AgentSettings::Claude(_)
        | AgentSettings::Opencode(_)
        | AgentSettings::Goose(_)
        | AgentSettings::Aider(_)
        | AgentSettings::MiniSweAgent(_) => (None, true),
    }
}

/// YAML, or JSON, which is YAML too. Errors name the file, the model and the line.
fn read(path: &Path, name: &str) -> Result<OwnPrices, Failure> {
    let refused = |why: String| Failure::new(format!("cannot read prices.file {name}: {why}"));
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    serde_yaml::from_str(&text).map_err(|error| refused(error.to_string()))
}
