//! `phases list`: lists the phases of a run, filtered and sorted.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use clap::ValueEnum;

use super::phase_json::PhaseView;
use crate::cli::output::table::table;
use crate::cli::run_choice::choose_run_or_phases;
use crate::cli::start_time::StartTime;
use crate::cli::{Context, open_database};
use crate::clock::now;
use crate::failure::Failure;
use crate::phase::words::short_commit;
use crate::phase::{PhaseId, PhaseState, UnixMs};
use crate::progress::{dollars, duration, thousands};
use crate::store::{PhaseRow, PhaseUsage};

/// List the phases of a run
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A run, or only these phases [default: the run used last]
    #[arg(value_name = "RUN | PHASE")]
    names: Vec<String>,
    /// The run, or the run of the phases
    #[arg(long, value_name = "RUN")]
    run_id: Option<String>,
    /// Only phases in this state: queued, running, complete, failed or skipped
    #[arg(long, value_name = "STATE")]
    state: Option<PhaseState>,
    /// Only failed phases
    #[arg(long, conflicts_with = "state")]
    failed: bool,
    /// Only phases with an attempt since this time: a date, a time, or an age such as 12h
    #[arg(long, value_name = "TIME")]
    since: Option<StartTime>,
    /// Only phases whose latest attempt used this agent
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Order of the list; the largest cost, time and attempts come first
    #[arg(long, value_name = "ORDER", value_enum, default_value_t = ListOrder::Order)]
    sort: ListOrder,
    /// Print a list of objects
    #[arg(long)]
    json: bool,
}

/// Order of a list of phases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ListOrder {
    /// As in the plan
    Order,
    /// Running, failed, queued, skipped, complete
    State,
    /// Most expensive first; phases of unknown cost by their tokens, last
    Cost,
    /// Longest first
    Time,
    /// Most counted attempts first
    Attempts,
    /// Latest attempt first
    Updated,
}

type Usages = HashMap<PhaseId, PhaseUsage>;

pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let max_attempts = context.config()?.settings.executor.max_attempts;
    let store = open_database::open_existing(context).await?;
    let named = args.run_id.as_deref();
    let (run, wanted) = choose_run_or_phases(&store, context, named, &args.names).await?;
    let mut rows =
        store.phases(&run, args.failed.then_some(PhaseState::Failed).or(args.state)).await?;
    let usages = store.phase_usages(&run).await?;
    store.close().await;
    if !wanted.is_empty() {
        let wanted: HashSet<&PhaseId> = wanted.iter().collect();
        rows.retain(|row| wanted.contains(&row.phase_id));
    }
    args.filter(&mut rows, &usages, now());
    args.sort.sort(&mut rows, &usages);
    if args.json {
        let view = |row| PhaseView::new(row, usages.get(&row.phase_id), max_attempts);
        return context.out.json(&rows.iter().map(view).collect::<Vec<_>>());
    }
    if rows.is_empty() {
        return context.out.line("no phase matches");
    }
    context.out.text(&text(&rows, &usages, max_attempts))
}

impl Args {
    fn filter(&self, rows: &mut Vec<PhaseRow>, usages: &Usages, now: UnixMs) {
        let usage = |row: &PhaseRow| usages.get(&row.phase_id);
        if let Some(since) = self.since.map(|since| since.to_absolute(now)) {
            rows.retain(|row| usage(row).is_some_and(|usage| updated(usage) >= since));
        }
        if let Some(agent) = &self.agent {
            rows.retain(|row| usage(row).is_some_and(|usage| usage.agent.as_ref() == Some(agent)));
        }
    }
}

impl ListOrder {
    /// Sorts the phases; equal phases keep the order of the plan.
    fn sort(self, rows: &mut [PhaseRow], usages: &Usages) {
        let usage = |row: &PhaseRow| usages.get(&row.phase_id).cloned().unwrap_or_default();
        match self {
            Self::Order => {}
            Self::State => rows.sort_by_key(|row| match row.state {
                PhaseState::Executing => 0,
                PhaseState::Failed => 1,
                PhaseState::Queued => 2,
                PhaseState::Skipped => 3,
                PhaseState::Complete => 4,
            }),
            Self::Cost => rows.sort_by(|a, b| {
                let key = |row| {
                    let usage = usage(row);
                    (usage.cost_usd.unwrap_or(-1.0), usage.tokens.billed().unwrap_or(0))
                };
                let ((a, less), (b, more)) = (key(a), key(b));
                b.total_cmp(&a).then(more.cmp(&less))
            }),
            Self::Time => rows.sort_by_key(|row| Reverse(usage(row).duration_ms)),
            Self::Attempts => rows.sort_by_key(|row| Reverse(row.attempts)),
            Self::Updated => rows.sort_by_key(|row| Reverse(updated(&usage(row)))),
        }
    }
}

/// Returns the time of the latest change by an attempt.
fn updated(usage: &PhaseUsage) -> UnixMs {
    usage.ended_at.map_or(usage.started_at, |ended| ended.max(usage.started_at))
}

fn text(rows: &[PhaseRow], usages: &Usages, max_attempts: u32) -> String {
    let cells = |row: &PhaseRow| {
        let attempts = format!("{}/{}", row.attempts, row.max_attempts.unwrap_or(max_attempts));
        let usage = usages.get(&row.phase_id);
        let time = usage.filter(|usage| usage.duration_ms > 0).map_or_else(
            || "-".to_owned(),
            |usage| duration(Duration::from_millis(usage.duration_ms)),
        );
        let cost = usage.and_then(cost).unwrap_or_else(|| "-".to_owned());
        vec![row.phase_id.to_string(), row.state.to_string(), attempts, cost, time, remark(row)]
    };
    let headers = ["PHASE", "STATE", "ATTEMPTS", "COST", "TIME", "REMARK"];
    table(&headers, &[2, 3, 4], rows.iter().map(cells).collect())
}

/// Formats the cost, or the tokens if the cost is unknown.
fn cost(usage: &PhaseUsage) -> Option<String> {
    match usage.cost_usd {
        Some(cost) => Some(dollars(cost)),
        None => usage.tokens.billed().map(|tokens| format!("{} tokens", thousands(tokens))),
    }
}

/// Returns the reason why a phase failed or cannot run, else the commit or name.
fn remark(row: &PhaseRow) -> String {
    if row.state == PhaseState::Complete {
        let commit = row.commit.as_deref().map(short_commit);
        return commit.unwrap_or(&row.name).to_owned();
    }
    if row.held && row.state == PhaseState::Queued {
        return "held until `autopack resume`".to_owned();
    }
    match (&row.unfixable, &row.last_failure) {
        (Some(why), _) => format!("cannot be repaired: {why}"),
        (None, Some(failure)) => format!("{}: {}", failure.kind.as_str(), failure.message),
        (None, None) => row.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(order: ListOrder) -> Vec<String> {
        let row = |id: &str, state, attempts| PhaseRow {
            state,
            attempts,
            ..PhaseRow::sample(id, serde_json::json!({}))
        };
        let mut rows = vec![
            row("done", PhaseState::Complete, 1),
            row("red", PhaseState::Failed, 3),
            row("new", PhaseState::Queued, 0),
        ];
        let usage = |cost, ms, ended| PhaseUsage {
            cost_usd: cost,
            duration_ms: ms,
            ended_at: Some(UnixMs(ended)),
            ..PhaseUsage::default()
        };
        let usages = HashMap::from([
            (PhaseId::new("done"), usage(Some(0.5), 10, 200)),
            (PhaseId::new("red"), usage(None, 90, 100)),
        ]);
        order.sort(&mut rows, &usages);
        rows.iter().map(|row| row.phase_id.to_string()).collect()
    }

    #[test]
    fn phases_are_sorted_by_each_key() {
        assert_eq!(sorted(ListOrder::Order), ["done", "red", "new"]);
        assert_eq!(sorted(ListOrder::State), ["red", "new", "done"]);
        assert_eq!(sorted(ListOrder::Cost), ["done", "red", "new"]);
        assert_eq!(sorted(ListOrder::Time), ["red", "done", "new"]);
        assert_eq!(sorted(ListOrder::Attempts), ["red", "done", "new"]);
        assert_eq!(sorted(ListOrder::Updated), ["done", "red", "new"]);
    }
}
