//! Checks prices before a drain: reads the user's price list and verifies that a dollar budget can be enforced.

use std::path::Path;

use crate::agent;
use crate::agent::prices::{self, OwnPrices};
use crate::config::{AgentSettings, Settings};
use crate::failure::Failure;
use crate::phase::budget::Budget;

/// Reads `prices.file`, and refuses a dollar budget if no cost could be counted.
pub fn check(settings: &Settings, workspace: &Path, agent: Option<&str>) -> Result<(), Failure> {
    if let Some(file) = &settings.prices.file {
        prices::set_own(read(&workspace.join(file), file)?);
    }
    let Some((level, budget)) = find_dollar_budget(settings) else { return Ok(()) };
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
                    "cannot enforce executor.budgets.{level}.cost_usd: the price of {model:?}, the model of agent {name}, is unknown"
                ))
                .hint(format!(
                    "add its price to the file in prices.file, or also set executor.budgets.{level}.tokens"
                )));
            }
            Some(model) => tracing::warn!(
                "the price of {model:?}, the model of agent {name}, is unknown: only the token budget applies"
            ),
            None => tracing::warn!(
                "agent {name} chooses its own model: the dollar budget counts only reported costs and models with known prices"
            ),
        }
    }
    Ok(())
}

/// Returns the first dollar budget; budgets without a token limit come first.
fn find_dollar_budget(settings: &Settings) -> Option<(&'static str, Budget)> {
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

/// Returns the configured model, and whether the agent reports its cost.
fn model_of(settings: &AgentSettings) -> (Option<&str>, bool) {
    match agent::reports_cost(settings) {
        true => (None, true),
        false => (settings.model(), false),
    }
}

/// Reads prices from YAML or JSON. Errors name the file, the model and the line.
fn read(path: &Path, name: &str) -> Result<OwnPrices, Failure> {
    let refused = |why: String| Failure::new(format!("cannot read prices.file {name}: {why}"));
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    serde_yaml::from_str(&text).map_err(|error| refused(error.to_string()))
}
