//! The rest of a budget in words.

use std::time::Duration;

use crate::phase::budget::{Budget, BudgetUsage, format_dollars};
use crate::progress::{duration, thousands};

fn dollars(amount: f64) -> String {
    let [text] = format_dollars([amount]);
    text
}

/// Describes the rest of each limit of a budget: `$5.69 of $10.00 left`.
pub(super) fn describe_left(budget: &Budget, spent: &BudgetUsage) -> Vec<String> {
    let left = budget.subtract(spent);
    let cost = left
        .cost_usd
        .zip(budget.cost_usd)
        .map(|(left, limit)| format!("{} of {} left", dollars(left), dollars(limit)));
    let tokens = left
        .tokens
        .zip(budget.tokens)
        .map(|(left, limit)| format!("{} of {} tokens left", thousands(left), thousands(limit)));
    let time = left.wall_seconds.zip(budget.wall_seconds).map(|(left, limit)| {
        let [left, limit] = [left, limit].map(|seconds| duration(Duration::from_secs(seconds)));
        format!("{left} of {limit} left")
    });
    [cost, tokens, time].into_iter().flatten().collect()
}
