//! Usage of an attempt so far, and checks against the budget.

use std::collections::BTreeMap;

use super::event::AttemptBudget;
use super::signal::ReportedUsage;
use crate::agent::prices;
use crate::phase::budget::format_dollars;
use crate::phase::{Tokens, Usage};

#[derive(Debug, Default)]
pub(crate) struct Meter {
    turns: BTreeMap<String, ReportedUsage>,
    total: Option<ReportedUsage>,
    pub model: Option<String>,
    pub stop_reason: Option<String>,
}

impl Meter {
    /// Records a turn, replacing earlier numbers of the same turn.
    pub fn turn(&mut self, spent: ReportedUsage) {
        let id = spent.id.clone().unwrap_or_else(|| format!("#{}", self.turns.len()));
        self.turns.insert(id, spent);
    }

    /// Records a total. A total of zero after turns with usage comes from an interrupted agent, and is
    /// ignored.
    pub fn total(&mut self, spent: ReportedUsage) {
        if tokens_of(&spent.tokens).unwrap_or(0) > 0 || self.turns.is_empty() {
            self.total = Some(spent);
        }
    }

    pub fn usage(&self) -> Usage {
        let spent = self.total.clone().unwrap_or_else(|| sum(self.turns.values()));
        Usage {
            tokens: spent.tokens,
            cost_usd: self.cost(&spent),
            model: self.model.clone(),
            truncated: matches!(self.stop_reason.as_deref(), Some("max_tokens" | "length")),
            stop_reason: self.stop_reason.clone(),
        }
    }

    /// Agents report a cost of zero for models with unknown prices; such a cost is ignored.
    fn cost(&self, spent: &ReportedUsage) -> Option<f64> {
        let used = tokens_of(&spent.tokens).unwrap_or(0) > 0;
        let cost = spent.cost_usd.filter(|cost| *cost > 0.0 || !used);
        cost.or_else(|| prices::cost(self.model.as_deref()?, &spent.tokens))
    }

    /// Checks whether the cost was computed from the price list.
    pub fn computed(&self) -> bool {
        let cost = self.total.clone().unwrap_or_else(|| sum(self.turns.values())).cost_usd;
        cost.is_none_or(|cost| cost == 0.0) && self.usage().cost_usd.is_some_and(|cost| cost > 0.0)
    }

    /// Describes an exceeded limit. The limit may be the attempt's or the rest of a larger budget.
    pub fn exceeded(&self, budget: &AttemptBudget) -> Option<String> {
        let usage = self.usage();
        let tokens =
            tokens_of(&usage.tokens).zip(budget.tokens).filter(|(used, limit)| used > limit);
        let cost = usage.cost_usd.zip(budget.cost_usd).filter(|(used, limit)| used > limit);
        match (tokens, cost) {
            (Some((used, limit)), _) => {
                Some(format!("used {used} of the remaining {limit} tokens"))
            }
            (None, Some((used, limit))) => {
                let [used, limit] = format_dollars([used, limit]);
                Some(format!("used {used} of the remaining {limit}"))
            }
            (None, None) => None,
        }
    }
}

/// Returns the tokens that count against a budget.
fn tokens_of(tokens: &Tokens) -> Option<u64> {
    add(add(tokens.input, tokens.output), tokens.cache_write)
}

fn sum<'a>(turns: impl Iterator<Item = &'a ReportedUsage>) -> ReportedUsage {
    turns.fold(ReportedUsage::default(), |all, one| ReportedUsage {
        id: None,
        tokens: Tokens {
            input: add(all.tokens.input, one.tokens.input),
            output: add(all.tokens.output, one.tokens.output),
            cache_read: add(all.tokens.cache_read, one.tokens.cache_read),
            cache_write: add(all.tokens.cache_write, one.tokens.cache_write),
        },
        cost_usd: match (all.cost_usd, one.cost_usd) {
            (Some(all), Some(one)) => Some(all + one),
            (all, one) => all.or(one),
        },
    })
}

fn add(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.saturating_add(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(id: Option<&str>, input: u64, output: u64) -> ReportedUsage {
        let tokens = Tokens { input: Some(input), output: Some(output), ..Tokens::default() };
        ReportedUsage { id: id.map(str::to_owned), tokens, cost_usd: None }
    }

    fn used(meter: &Meter) -> (Option<u64>, Option<u64>) {
        let tokens = meter.usage().tokens;
        (tokens.input, tokens.output)
    }

    #[test]
    fn a_turn_counts_once_and_a_total_takes_its_place() {
        let mut meter = Meter::default();
        assert_eq!(used(&meter), (None, None));
        meter.turn(spent(Some("a"), 10, 1));
        meter.turn(spent(Some("a"), 10, 5));
        meter.turn(spent(None, 1, 1));
        assert_eq!(used(&meter), (Some(11), Some(6)));
        meter.total(spent(None, 0, 0));
        assert_eq!(used(&meter), (Some(11), Some(6)));
        meter.total(spent(None, 20, 8));
        assert_eq!((used(&meter), meter.usage().tokens.cache_read), ((Some(20), Some(8)), None));
    }

    #[test]
    fn a_budget_ends_an_attempt_when_exceeded() {
        let mut meter = Meter::default();
        let of = |tokens, cost_usd| AttemptBudget { tokens, cost_usd, wall_time: None };
        assert_eq!(meter.exceeded(&of(Some(0), Some(0.0))), None);
        meter.model = Some("gpt-4o".to_owned());
        meter.turn(spent(None, 1_000_000, 0));
        assert_eq!(meter.exceeded(&of(Some(1_000_000), Some(2.5))), None);
        assert!(
            meter
                .exceeded(&of(Some(999_999), None))
                .is_some_and(|what| what.starts_with("used 1000000 of"))
        );
        assert!(
            meter
                .exceeded(&of(None, Some(2.4)))
                .is_some_and(|what| what == "used $2.50 of the remaining $2.40")
        );
        assert!(meter.computed());
    }

    #[test]
    fn a_zero_cost_for_used_tokens_is_unknown() {
        let mut meter = Meter::default();
        meter.total(ReportedUsage { cost_usd: Some(0.0), ..spent(None, 5, 5) });
        assert_eq!((meter.usage().cost_usd, meter.computed()), (None, false));
        meter.total(ReportedUsage { cost_usd: Some(0.25), ..spent(None, 5, 5) });
        assert_eq!((meter.usage().cost_usd, meter.computed()), (Some(0.25), false));
    }
}
