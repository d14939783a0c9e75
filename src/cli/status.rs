//! `status`: what each run has done, what runs now, and why the rest cannot.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Context, database, table};
use crate::clock::now;
use crate::failure::{Exit, Failure};
use crate::phase::{PhaseState, RunId, UnixMs};
use crate::progress::{billed, duration, printable, thousands};
use crate::store::{InFlight, RunSummary, Store, Waiting};

const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Queued phases that are named with what keeps them.
const NAMED: usize = 10;

/// Show counts, what runs now, tokens, and why queued phases cannot run
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this run
    #[arg(long = "run-id", value_name = "RUN")]
    run_id: Option<String>,

    /// Show it again every second, until Ctrl-C
    #[arg(long, conflicts_with = "json")]
    watch: bool,

    /// Print {runs}
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let store = database::open_existing(context).await?;
    let wanted = args.run_id.map(RunId::new);
    loop {
        let seen = look(&store, wanted.as_ref()).await?;
        if args.json {
            context.out.json(&seen.json())?;
            return Ok(Exit::Done);
        }
        if !args.watch {
            context.out.text(&seen.text(&store))?;
            return Ok(Exit::Done);
        }
        // Home and clear, in one write with the text, so that nothing flickers.
        context.out.text(&format!("\x1b[H\x1b[2J{}", seen.text(&store)))?;
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

struct Seen {
    runs: Vec<(RunSummary, Vec<Waiting>)>,
    running: Vec<InFlight>,
    at: UnixMs,
}

async fn look(store: &Store, wanted: Option<&RunId>) -> Result<Seen, Failure> {
    let at = now();
    let summaries = match wanted {
        Some(run) => vec![store.run(run).await?],
        None => store.runs().await?,
    };
    let mut runs = Vec::new();
    for run in summaries {
        let waiting = store.waiting(&run.run_id, at).await?;
        runs.push((run, waiting));
    }
    let executing = store.owners().await?.into_iter().flat_map(|owner| owner.executing);
    let running = executing.filter(|work| wanted.is_none_or(|run| work.run_id == *run)).collect();
    Ok(Seen { runs, running, at })
}

impl Seen {
    fn json(&self) -> Value {
        let runs: Vec<Value> =
            self.runs.iter().map(|(run, waiting)| self.run(run, waiting)).collect();
        json!({ "runs": runs })
    }

    fn run(&self, run: &RunSummary, waiting: &[Waiting]) -> Value {
        let counts = &run.counts;
        json!({
            "run_id": run.run_id,
            "counts": {
                "QUEUED": counts.queued,
                "EXECUTING": counts.executing,
                "COMPLETE": counts.complete,
                "FAILED": counts.failed,
                "SKIPPED": counts.skipped,
            },
            "blocked": run.blocked,
            "tokens": run.tokens,
            "cost_usd": run.cost_usd,
            "branch": run.facts.as_ref().map(|facts| &facts.branch),
            "memory_backend": run.memory_backend.as_deref().unwrap_or("off"),
            "running": self.running.iter().filter(|work| work.run_id == run.run_id).map(|work| json!({
                "phase_id": work.phase_id,
                "attempt": work.attempt,
                "agent": work.agent,
                "elapsed_ms": self.at.0 - work.started_at.0,
            })).collect::<Vec<_>>(),
            "waiting": waiting.iter().map(|phase| json!({
                "phase_id": phase.phase_id,
                "blocked": phase.blocked,
                "why": why(phase, self.at),
            })).collect::<Vec<_>>(),
        })
    }

    fn text(&self, store: &Store) -> String {
        if self.runs.is_empty() {
            return format!("{} holds no run\n", store.path().display());
        }
        let numbers = [1, 2, 3, 4, 5, 6, 7];
        let headers =
            ["RUN", "QUEUED", "RUNNING", "COMPLETE", "FAILED", "SKIPPED", "BLOCKED", "TOKENS"];
        let rows = self.runs.iter().map(|(run, _)| row(run)).collect();
        let mut text = table::table(&headers, &numbers, rows);
        for work in &self.running {
            let elapsed =
                Duration::from_millis(u64::try_from(self.at.0 - work.started_at.0).unwrap_or(0));
            text += &format!(
                "running  {} of {}, attempt {}, for {}\n",
                printable(work.phase_id.as_str()),
                printable(work.run_id.as_str()),
                work.attempt,
                duration(elapsed),
            );
        }
        for (run, waiting) in &self.runs {
            text += &self.kept(run, waiting);
        }
        text
    }

    /// What keeps queued phases from running, the first few by name.
    fn kept(&self, run: &RunSummary, waiting: &[Waiting]) -> String {
        let mut text = String::new();
        for phase in waiting.iter().take(NAMED) {
            let names = (printable(phase.phase_id.as_str()), printable(run.run_id.as_str()));
            text += &format!("waiting  {} of {}: {}\n", names.0, names.1, why(phase, self.at));
        }
        if waiting.len() > NAMED {
            text += &format!("waiting  {} more of {}\n", waiting.len() - NAMED, run.run_id);
        }
        text
    }
}

fn row(run: &RunSummary) -> Vec<String> {
    let counts = &run.counts;
    let mut row = vec![printable(run.run_id.as_str())];
    let numbers = [
        counts.queued,
        counts.executing,
        counts.complete,
        counts.failed,
        counts.skipped,
        run.blocked,
    ];
    row.extend(numbers.map(|n| n.to_string()));
    row.push(billed(&run.tokens).map_or_else(|| "-".to_owned(), thousands));
    row
}

fn why(phase: &Waiting, at: UnixMs) -> String {
    let mut reasons = Vec::new();
    for (id, state) in &phase.needs {
        let what = match state {
            PhaseState::Failed => "failed",
            PhaseState::Executing => "is running",
            _ => "is not done",
        };
        reasons.push(format!("{} {what}", printable(id.as_str())));
    }
    if let Some(until) = phase.not_before {
        let left = Duration::from_millis(u64::try_from(until.0 - at.0).unwrap_or(0));
        reasons.push(format!("rate limited for another {}", duration(left)));
    }
    if let Some(reason) = &phase.unfixable {
        reasons.push(format!("its spec will be refused: {}", printable(reason)));
    }
    reasons.join("; ")
}
