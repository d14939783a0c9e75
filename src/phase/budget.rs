//! What may be spent, what was, and what that leaves: pure arithmetic over tokens, money and time.
//!
//! Tokens are input + output + cache write: what a provider bills at its full rate or more.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    pub tokens: Option<u64>,
    pub cost_usd: Option<f64>,
    pub wall_seconds: Option<u64>,
}

/// For each of these in turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budgets {
    pub attempt: Budget,
    pub phase: Budget,
    pub run: Budget,
    pub drain: Budget,
}

/// What attempts have used. Unknown tokens count as the estimate, unknown cost as nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    pub attempts: u64,
    /// How many of them are under way, and only expected to use what they do.
    pub running: u64,
    pub tokens: u64,
    pub cost_usd: f64,
    pub wall: Duration,
}

/// What a limit is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Attempt,
    Phase,
    Run,
    Drain,
}

impl Level {
    /// Whether it ends the drain; the others are about one phase.
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

/// That nothing more may begin: whose budget it is, and in words why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhausted {
    pub level: Level,
    pub why: String,
}

impl Budgets {
    /// Whether any of them is one of dollars.
    pub fn limit_dollars(&self) -> bool {
        [self.attempt, self.phase, self.run, self.drain].iter().any(|b| b.cost_usd.is_some())
    }

    /// Whether anything is limited beyond a single attempt.
    pub fn look_back(&self) -> bool {
        [self.phase, self.run, self.drain].iter().any(|budget| *budget != Budget::default())
    }
}

impl Spent {
    /// With attempts that are under way: each is taken to use as much as those before it did, or what was predicted.
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

    /// Whether all that is known is predicted: attempts are under way, and none has told what one takes.
    pub fn is_only_expected(&self) -> bool {
        self.running > 0 && self.running == self.attempts
    }

    /// What one more attempt is taken to cost: the larger of its predicted output and what attempts took so far.
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
    /// Why nothing more may begin: the limit is reached, or one more attempt would go over it.
    pub fn refuses(&self, level: Level, spent: &Spent, next: &Spent) -> Option<Exhausted> {
        self.why_not(level, spent, next).map(|why| Exhausted { level, why })
    }

    fn why_not(&self, level: Level, spent: &Spent, next: &Spent) -> Option<String> {
        if let Some(limit) = self.tokens
            && (spent.tokens >= limit || spent.tokens.saturating_add(next.tokens) > limit)
        {
            let (used, next) = (spent.tokens, next.tokens);
            if limit == 0 {
                return Some(format!("the {level}'s budget is 0 tokens: nothing may begin"));
            }
            return Some(match used >= limit {
                true => format!("the {level}'s budget of {limit} tokens is spent: {used} used"),
                false => format!(
                    "the {level}'s budget of {limit} tokens does not reach for another attempt: {used} used, \
                     and the next is expected to take {next}"
                ),
            });
        }
        if let Some(limit) = self.cost_usd
            && (spent.cost_usd >= limit || spent.cost_usd + next.cost_usd > limit)
        {
            if limit == 0.0 {
                return Some(format!("the {level}'s budget is $0.00: nothing may begin"));
            }
            if spent.cost_usd >= limit {
                let [limit, used] = dollars([limit, spent.cost_usd]);
                return Some(format!("the {level}'s budget of {limit} is spent: {used} used"));
            }
            let [limit, used, next] = dollars([limit, spent.cost_usd, next.cost_usd]);
            return Some(format!(
                "the {level}'s budget of {limit} does not reach for another attempt: {used} used, \
                 and the next is expected to cost {next}"
            ));
        }
        let limit = self.wall_seconds.map(Duration::from_secs)?;
        (spent.wall >= limit).then(|| {
            format!(
                "the {level}'s budget of {} s is spent: {} s used",
                limit.as_secs(),
                spent.wall.as_secs()
            )
        })
    }

    /// What is left of it.
    pub fn less(&self, spent: &Spent) -> Self {
        Self {
            tokens: self.tokens.map(|limit| limit.saturating_sub(spent.tokens)),
            cost_usd: self.cost_usd.map(|limit| (limit - spent.cost_usd).max(0.0)),
            wall_seconds: self.wall_seconds.map(|limit| limit.saturating_sub(spent.wall.as_secs())),
        }
    }

    /// Whether tokens or money are limited: what attempts use up, and tell only when they have ended.
    pub fn limits_use(&self) -> bool {
        self.tokens.is_some() || self.cost_usd.is_some()
    }

    /// Of time that is added up over attempts, each of so many at once can take its part only.
    pub fn with_time_for_each_of(self, attempts: u64) -> Self {
        Self { wall_seconds: self.wall_seconds.map(|left| left / attempts.max(1)), ..self }
    }

    /// Whether this much reaches it.
    pub fn is_reached(&self, used: &Spent) -> bool {
        self.tokens.is_some_and(|limit| used.tokens >= limit)
            || self.cost_usd.is_some_and(|limit| used.cost_usd >= limit)
            || self.wall_seconds.is_some_and(|limit| used.wall.as_secs() >= limit)
    }

    /// Whichever is tighter, limit by limit.
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

/// Amounts that stand side by side, each with as many digits as tell all of them apart and are true to 5 %.
pub fn dollars<const N: usize>(amounts: [f64; N]) -> [String; N] {
    /// Beyond them lies what adding up leaves behind.
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
        assert_eq!(dollars([1.2, 1.0, 0.5]), ["$1.20", "$1.00", "$0.50"]);
        assert_eq!(dollars([0.005, 0.005]), ["$0.005", "$0.005"]);
        assert_eq!(dollars([0.005, 0.0049]), ["$0.0050", "$0.0049"]);
        assert_eq!(dollars([20.0, 20.004]), ["$20.000", "$20.004"]);
        assert_eq!(dollars([0.0, 3.0]), ["$0.00", "$3.00"]);
        assert_eq!(dollars([0.3, 0.1 + 0.2]), ["$0.30", "$0.30"], "the same, but for adding up");
        assert_eq!(dollars([1e-9]), ["$0.000000"]);
    }

    fn spent(attempts: u64, tokens: u64) -> Spent {
        Spent { attempts, tokens, ..Spent::default() }
    }

    #[test]
    fn nothing_begins_that_would_go_over() {
        let budget = Budget { tokens: Some(100_000), ..Budget::default() };
        let refuses = |spent: Spent| budget.refuses(Level::Run, &spent, &spent.next_attempt(2_000));
        assert_eq!(refuses(spent(0, 0)), None);
        assert_eq!(refuses(spent(2, 60_000)), None);
        let of_run = |why: &str| Exhausted { level: Level::Run, why: why.to_owned() };
        let why = refuses(spent(3, 90_000)).unwrap();
        assert_eq!(
            why,
            of_run(
                "the run's budget of 100000 tokens does not reach for another attempt: 90000 used, \
             and the next is expected to take 30000"
            )
        );
        let why = refuses(spent(1, 100_000)).unwrap();
        assert_eq!(why, of_run("the run's budget of 100000 tokens is spent: 100000 used"));
    }

    #[test]
    fn what_runs_counts_as_what_ended_before_it() {
        let running = spent(2, 60_000).with_running(2, 4_000);
        assert!(!running.is_only_expected() && spent(0, 0).with_running(1, 9).is_only_expected());
        assert_eq!(running.running, 2);
        assert_eq!((running.attempts, running.tokens), (4, 120_000));
        assert_eq!(spent(0, 0).with_running(1, 2_000).tokens, 2_000);
        assert_eq!(spent(2, 60_000).with_running(0, 0), spent(2, 60_000));
    }

    #[test]
    fn a_limit_of_nothing_lets_nothing_begin() {
        let free = Budget { cost_usd: Some(0.0), ..Budget::default() };
        let why = |budget: Budget| {
            budget.refuses(Level::Run, &Spent::default(), &Spent::default()).unwrap().why
        };
        assert_eq!(why(free), "the run's budget is $0.00: nothing may begin");
        let none = Budget { tokens: Some(0), ..Budget::default() };
        assert_eq!(why(none), "the run's budget is 0 tokens: nothing may begin");
        let unlimited = Budget::default();
        assert_eq!(unlimited.refuses(Level::Run, &spent(9, u64::MAX), &spent(1, 9)), None);
    }

    #[test]
    fn the_tighter_limit_holds() {
        let phase = Budget { tokens: Some(10), cost_usd: None, wall_seconds: Some(5) };
        let run = Budget { tokens: Some(30), cost_usd: Some(1.0), wall_seconds: None };
        let left = run.less(&spent(1, 25));
        let both = phase.tightest(&left);
        assert_eq!(both, Budget { tokens: Some(5), cost_usd: Some(1.0), wall_seconds: Some(5) });
        assert!(both.is_reached(&spent(1, 5)) && !both.is_reached(&spent(1, 4)));
    }
}
