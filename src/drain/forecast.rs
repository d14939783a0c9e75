//! Forecast of a drain's cost and time, from the phases that ended before. Pure.

use std::collections::HashMap;

use super::PlannedPhase;
use crate::store::SettledPhase;

/// Ended phases of an agent that a forecast needs.
const ENOUGH: usize = 3;

/// Expected value with its range.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Range {
    /// Sum over the phases, if each is like a phase of the lower quartile.
    pub low: f64,
    /// Sum over the phases, if each is like the average.
    pub expected: f64,
    /// Sum over the phases, if each is like a phase of the upper quartile.
    pub high: f64,
}

/// Expected cost and time of a drain, all attempts included.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Forecast {
    /// Cost in US dollars; `None` if the cost of an agent is unknown.
    pub cost_usd: Option<Range>,
    /// Input and output tokens; `None` if too few phases have ended.
    pub tokens: Option<Range>,
    /// Seconds with one worker; `None` if too few phases have ended.
    pub seconds: Option<Range>,
    /// Ended phases that the forecast rests on.
    pub phases: usize,
}

/// Forecasts the phases that would run from `history`. Agents without enough history count as the average of all.
pub fn forecast(planned: &[PlannedPhase], history: &[SettledPhase]) -> Forecast {
    let mut wanted: HashMap<Option<&str>, usize> = HashMap::new();
    for phase in planned.iter().filter(|phase| phase.order.is_some()) {
        *wanted.entry(phase.agent.as_deref()).or_default() += 1;
    }
    let values = |agent: Option<&str>, of: &dyn Fn(&SettledPhase) -> Option<f64>| {
        let own = history.iter().filter(|phase| phase.agent.as_deref() == agent);
        let own: Vec<f64> = own.filter_map(of).collect();
        if own.len() >= ENOUGH { own } else { history.iter().filter_map(of).collect() }
    };
    let sum = |of: &dyn Fn(&SettledPhase) -> Option<f64>| {
        let mut total = Range::default();
        for (agent, count) in &wanted {
            let each = Range::of(values(*agent, of))?;
            let count = *count as f64;
            total.low += each.low * count;
            total.expected += each.expected * count;
            total.high += each.high * count;
        }
        (!wanted.is_empty()).then_some(total)
    };
    Forecast {
        cost_usd: sum(&|phase| phase.cost_usd),
        tokens: sum(&|phase| phase.tokens.map(|tokens| tokens as f64)),
        seconds: sum(&|phase| Some(phase.duration_ms as f64 / 1e3)),
        phases: history.len(),
    }
}

impl Range {
    /// Returns quartiles and average; `None` for too few values.
    fn of(mut values: Vec<f64>) -> Option<Self> {
        if values.len() < ENOUGH {
            return None;
        }
        values.sort_by(f64::total_cmp);
        let expected = values.iter().sum::<f64>() / values.len() as f64;
        let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
        // A few large values may lift the average above the upper quartile.
        Some(Self { low: at(0.25).min(expected), expected, high: at(0.75).max(expected) })
    }

    /// Divides all values.
    pub fn divided_by(self, by: f64) -> Self {
        Self { low: self.low / by, expected: self.expected / by, high: self.high / by }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(agent: &str, cost: Option<f64>, seconds: u64) -> SettledPhase {
        SettledPhase {
            agent: Some(agent.to_owned()),
            cost_usd: cost,
            tokens: Some(100 * seconds as i64),
            duration_ms: seconds * 1_000,
        }
    }

    fn planned(agent: &str, count: usize) -> Vec<PlannedPhase> {
        let phase = |order| PlannedPhase {
            order: Some(order),
            agent: Some(agent.to_owned()),
            ..PlannedPhase::sample("p")
        };
        (1..=count).map(phase).collect()
    }

    #[test]
    fn the_forecast_scales_the_phases_that_ended() {
        let history: Vec<SettledPhase> =
            [10, 20, 30, 40, 100].map(|n| settled("a", Some(n as f64 / 100.0), n)).into();
        let forecast = forecast(&planned("a", 10), &history);
        let seconds = forecast.seconds.unwrap();
        assert_eq!((seconds.low, seconds.expected, seconds.high), (200.0, 400.0, 400.0));
        assert_eq!(forecast.tokens.unwrap().expected, 40_000.0);
        assert!((forecast.cost_usd.unwrap().expected - 4.0).abs() < 1e-9);
    }

    #[test]
    fn without_history_nothing_is_forecast() {
        let two = [settled("a", None, 10), settled("a", None, 20)];
        assert_eq!(forecast(&planned("a", 1), &two).seconds, None);
        let three = [two.to_vec(), vec![settled("b", Some(0.1), 30)]].concat();
        let known = forecast(&planned("a", 1), &three);
        assert_eq!(known.seconds.unwrap().expected, 20.0, "as the average of all agents");
        assert_eq!(known.cost_usd, None);
    }
}
