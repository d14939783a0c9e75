//! Budgets: limits on tokens, money and time, usage so far, and the remainder. Pure arithmetic.
//!
//! Tokens are input + output + cache write: all tokens billed at the provider's full rate or more.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Names of the limits.
const TOKENS: &str = "tokens";
const COST: &str = "cost_usd";
const WALL: &str = "wall_seconds";

/// Limits of a budget. `None` means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Maximum number of tokens.
    pub tokens: Option<u64>,
    /// Maximum cost in US dollars.
    pub cost_usd: Option<f64>,
    /// Maximum wall time in seconds.
    pub wall_seconds: Option<u64>,
}

/// Budgets by level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budgets {
    /// Budget of each attempt.
    pub attempt: Budget,
    /// Budget of each phase, over its attempts.
    pub phase: Budget,
    /// Budget of the run, over all drains.
    pub run: Budget,
    /// Budget of this drain.
    pub drain: Budget,
}

/// Usage of attempts. Unknown tokens count as the estimate, unknown cost as nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BudgetUsage {
    /// Number of attempts, including running ones.
    pub attempts: u64,
    /// Number of running attempts, whose usage is an expectation.
    pub running: u64,
    /// Tokens used.
    pub tokens: u64,
    /// Cost in US dollars.
    pub cost_usd: f64,
    /// Wall time, summed over attempts.
    pub wall: Duration,
}

/// Level of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A single attempt.
    Attempt,
    /// All attempts of a phase.
    Phase,
    /// All attempts of a run.
    Run,
    /// All attempts of a drain.
    Drain,
}

impl Level {
    /// Checks whether reaching the limit ends the drain. Other levels affect a single phase.
    pub fn ends_the_drain(self) -> bool {
        matches!(self, Self::Run | Self::Drain)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attempt => "attempt",
            Self::Phase => "phase",
            Self::Run => "run",
            Self::Drain => "drain",
        })
    }
}

/// An exhausted budget, with the reason in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExhaustedBudget {
    /// Level of the budget.
    pub level: Level,
    /// Name of the reached limit, a field of [`Budget`].
    pub limit: &'static str,
    /// Reason, for people.
    pub why: String,
}

impl ExhaustedBudget {
    /// Returns the key of the reached limit in the configuration.
    pub fn key(&self) -> String {
        format!("executor.budgets.{}.{}", self.level, self.limit)
    }
}

impl Budgets {
    /// Checks whether any budget limits the cost.
    pub fn has_cost_limit(&self) -> bool {
        [self.attempt, self.phase, self.run, self.drain].iter().any(|b| b.cost_usd.is_some())
    }

    /// Checks whether any budget limits the cost without limiting the tokens.
    pub fn has_cost_limit_alone(&self) -> bool {
        let alone = |budget: &Budget| budget.cost_usd.is_some() && budget.tokens.is_none();
        [self.attempt, self.phase, self.run, self.drain].iter().any(alone)
    }

    /// Checks whether anything beyond a single attempt is limited, so past usage must be read.
    pub fn needs_past_usage(&self) -> bool {
        [self.phase, self.run, self.drain].iter().any(|budget| *budget != Budget::default())
    }
}

impl BudgetUsage {
    /// Adds running attempts. Each is expected to use the average of previous attempts, or the prediction if
    /// larger.
    pub fn with_running(self, running: u64, predicted_tokens: u64) -> Self {
        let ended = self.attempts.max(1);
        let expected = (self.tokens / ended).saturating_mul(running).max(predicted_tokens);
        Self {
            attempts: self.attempts + running,
            running: self.running + running,
            tokens: self.tokens.saturating_add(expected),
            cost_usd: self.cost_usd + self.cost_usd / ended as f64 * running as f64,
            wall: self.wall,
        }
    }

    /// Checks whether all usage is an expectation: attempts are running and none has reported its usage.
    pub fn is_only_expected(&self) -> bool {
        self.running > 0 && self.running == self.attempts
    }

    /// Returns the expected usage of another attempt: the larger of its predicted output and the average so
    /// far.
    pub fn next_attempt(&self, predicted_tokens: u64) -> Self {
        let attempts = self.attempts.max(1);
        Self {
            attempts: 1,
            running: 0,
            tokens: predicted_tokens.max(self.tokens / attempts),
            cost_usd: self.cost_usd / attempts as f64,
            wall: Duration::ZERO,
        }
    }
}

impl Budget {
    /// Returns why no attempt may start: the limit is reached, or another attempt would exceed it.
    pub fn refuses(
        &self,
        level: Level,
        spent: &BudgetUsage,
        next: &BudgetUsage,
    ) -> Option<ExhaustedBudget> {
        self.why_not(level, spent, next).map(|(limit, why)| ExhaustedBudget { level, limit, why })
    }

    fn why_not(
        &self,
        level: Level,
        spent: &BudgetUsage,
        next: &BudgetUsage,
    ) -> Option<(&'static str, String)> {
        if let Some(limit) = self.tokens
            && (spent.tokens >= limit || spent.tokens.saturating_add(next.tokens) > limit)
        {
            let (used, next) = (spent.tokens, next.tokens);
            if limit == 0 {
                let why = format!("the {level}'s budget is 0 tokens: no attempt may start");
                return Some((TOKENS, why));
            }
            let why = match used >= limit {
                true => format!("the {level}'s budget of {limit} tokens is spent: {used} used"),
                false => format!(
                    "the {level}'s budget of {limit} tokens is too small for another attempt: {used} used, \
                     and the next is expected to take {next}"
                ),
            };
            return Some((TOKENS, why));
        }
        if let Some(limit) = self.cost_usd
            && (spent.cost_usd >= limit || spent.cost_usd + next.cost_usd > limit)
        {
            if limit == 0.0 {
                let why = format!("the {level}'s budget is $0.00: no attempt may start");
                return Some((COST, why));
            }
            if spent.cost_usd >= limit {
                let [limit, used] = format_dollars([limit, spent.cost_usd]);
                let why = format!("the {level}'s budget of {limit} is spent: {used} used");
                return Some((COST, why));
            }
            let [limit, used, next] = format_dollars([limit, spent.cost_usd, next.cost_usd]);
            let why = format!(
                "the {level}'s budget of {limit} is too small for another attempt: {used} used, \
                 and the next is expected to cost {next}"
            );
            return Some((COST, why));
        }
        let limit = self.wall_seconds.map(Duration::from_secs)?;
        (spent.wall >= limit).then(|| {
            let why = format!(
                "the {level}'s budget of {} s is spent: {} s used",
                limit.as_secs(),
                spent.wall.as_secs()
            );
            (WALL, why)
        })
    }

    /// Returns the remaining budget.
    pub fn subtract(&self, spent: &BudgetUsage) -> Self {
        Self {
            tokens: self.tokens.map(|limit| limit.saturating_sub(spent.tokens)),
            cost_usd: self.cost_usd.map(|limit| (limit - spent.cost_usd).max(0.0)),
            wall_seconds: self.wall_seconds.map(|limit| limit.saturating_sub(spent.wall.as_secs())),
        }
    }

    /// Checks whether tokens or cost are limited. Attempts report both only after they end.
    pub fn has_usage_limit(&self) -> bool {
        self.tokens.is_some() || self.cost_usd.is_some()
    }

    /// Divides the wall time among parallel attempts, since wall time is summed over attempts.
    pub fn with_time_for_each_of(self, attempts: u64) -> Self {
        Self { wall_seconds: self.wall_seconds.map(|left| left / attempts.max(1)), ..self }
    }

    /// Checks whether the usage reaches any limit.
    pub fn is_reached(&self, used: &BudgetUsage) -> bool {
        self.reached_limit(used).is_some()
    }

    /// Returns the name of the first limit that the usage reaches.
    pub fn reached_limit(&self, used: &BudgetUsage) -> Option<&'static str> {
        let reached = [
            (TOKENS, self.tokens.is_some_and(|limit| used.tokens >= limit)),
            (COST, self.cost_usd.is_some_and(|limit| used.cost_usd >= limit)),
            (WALL, self.wall_seconds.is_some_and(|limit| used.wall.as_secs() >= limit)),
        ];
        reached.into_iter().find(|(_, reached)| *reached).map(|(name, _)| name)
    }

    /// Returns the smaller of each limit.
    pub fn tightest(&self, other: &Self) -> Self {
        fn least<T: PartialOrd>(a: Option<T>, b: Option<T>) -> Option<T> {
            match (a, b) {
                (Some(a), Some(b)) => Some(if b < a { b } else { a }),
                (a, b) => a.or(b),
            }
        }
        Self {
            tokens: least(self.tokens, other.tokens),
            cost_usd: least(self.cost_usd, other.cost_usd),
            wall_seconds: least(self.wall_seconds, other.wall_seconds),
        }
    }
}

/// Formats amounts shown side by side, with enough digits to tell them apart and within 5% of the value.
pub fn format_dollars<const N: usize>(amounts: [f64; N]) -> [String; N] {
    /// Further digits are rounding errors of the sum.
    const MOST_DIGITS: usize = 6;
    let with = |digits: usize| amounts.map(|amount| format!("{amount:.digits$}"));
    let equal = with(MOST_DIGITS);
    let tells = |digits: &usize| {
        let texts = with(*digits);
        let true_to_it = |(amount, text): (&f64, &String)| {
            text.parse::<f64>().is_ok_and(|shown| (shown - amount).abs() <= amount.abs() / 20.0)
        };
        let apart = |a: usize, b: usize| texts[a] != texts[b] || equal[a] == equal[b];
        amounts.iter().zip(&texts).all(true_to_it)
            && (0..N).all(|a| (a + 1..N).all(|b| apart(a, b)))
    };
    let digits = (2..MOST_DIGITS).find(tells).unwrap_or(MOST_DIGITS);
    with(digits).map(|text| format!("${text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_digits_that_tell_them_apart() {
        assert_eq!(format_dollars([1.2, 1.0, 0.5]), ["$1.20", "$1.00", "$0.50"]);
        assert_eq!(format_dollars([0.005, 0.005]), ["$0.005", "$0.005"]);
        assert_eq!(format_dollars([0.005, 0.0049]), ["$0.0050", "$0.0049"]);
        assert_eq!(format_dollars([20.0, 20.004]), ["$20.000", "$20.004"]);
        assert_eq!(format_dollars([0.0, 3.0]), ["$0.00", "$3.00"]);
        assert_eq!(
            format_dollars([0.3, 0.1 + 0.2]),
            ["$0.30", "$0.30"],
            "the same, but for adding up"
        );
        assert_eq!(format_dollars([1e-9]), ["$0.000000"]);
    }

    fn spent(attempts: u64, tokens: u64) -> BudgetUsage {
        BudgetUsage { attempts, tokens, ..BudgetUsage::default() }
    }

    #[test]
    fn no_attempt_starts_if_the_budget_would_be_exceeded() {
        let budget = Budget { tokens: Some(100_000), ..Budget::default() };
        let refuses =
            |spent: BudgetUsage| budget.refuses(Level::Run, &spent, &spent.next_attempt(2_000));
        assert_eq!(refuses(spent(0, 0)), None);
        assert_eq!(refuses(spent(2, 60_000)), None);
        let of_run =
            |why: &str| ExhaustedBudget { level: Level::Run, limit: TOKENS, why: why.to_owned() };
        let why = refuses(spent(3, 90_000)).unwrap();
        assert_eq!(
            why,
            of_run(
                "the run's budget of 100000 tokens is too small for another attempt: 90000 used, \
             and the next is expected to take 30000"
            )
        );
        assert_eq!(why.key(), "executor.budgets.run.tokens");
        let why = refuses(spent(1, 100_000)).unwrap();
        assert_eq!(why, of_run("the run's budget of 100000 tokens is spent: 100000 used"));
    }

    #[test]
    fn running_attempts_count_as_the_average_of_ended_attempts() {
        let running = spent(2, 60_000).with_running(2, 4_000);
        assert!(!running.is_only_expected() && spent(0, 0).with_running(1, 9).is_only_expected());
        assert_eq!(running.running, 2);
        assert_eq!((running.attempts, running.tokens), (4, 120_000));
        assert_eq!(spent(0, 0).with_running(1, 2_000).tokens, 2_000);
        assert_eq!(spent(2, 60_000).with_running(0, 0), spent(2, 60_000));
    }

    #[test]
    fn a_zero_limit_starts_no_attempt() {
        let free = Budget { cost_usd: Some(0.0), ..Budget::default() };
        let why = |budget: Budget| {
            budget
                .refuses(Level::Run, &BudgetUsage::default(), &BudgetUsage::default())
                .unwrap()
                .why
        };
        assert_eq!(why(free), "the run's budget is $0.00: no attempt may start");
        let none = Budget { tokens: Some(0), ..Budget::default() };
        assert_eq!(why(none), "the run's budget is 0 tokens: no attempt may start");
        let unlimited = Budget::default();
        assert_eq!(unlimited.refuses(Level::Run, &spent(9, u64::MAX), &spent(1, 9)), None);
    }

    #[test]
    fn the_lower_limit_applies() {
        let phase = Budget { tokens: Some(10), cost_usd: None, wall_seconds: Some(5) };
        let run = Budget { tokens: Some(30), cost_usd: Some(1.0), wall_seconds: None };
        let left = run.subtract(&spent(1, 25));
        let both = phase.tightest(&left);
        assert_eq!(both, Budget { tokens: Some(5), cost_usd: Some(1.0), wall_seconds: Some(5) });
        assert!(both.is_reached(&spent(1, 5)) && !both.is_reached(&spent(1, 4)));
    }
}
