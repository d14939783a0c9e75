//! `sync`: brings a run up to the tracker that it comes from.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::Context;
use super::plan_import::known_phases;
use super::run_choice::{RunArg, RunUse};
use super::tracker_access::{forge_failure, open_forge, report_issues, tracker_of};
use crate::failure::{Exit, Failure};
use crate::forge::{ForgeIssue, IssueState, TrackerName};
use crate::import::trackers::{TrackerChoice, TrackerIssues, draft_issues};
use crate::phase::plan::PlanRun;
use crate::phase::words::quoted;
use crate::phase::{PhaseId, PhaseState, RunId, UnixMs};
use crate::progress::shown_id;
use crate::store::{
    ClosedIssue, RunSource, Store, SyncMode, SyncReport, SyncRequest, TrackedPhase,
};

/// Longest time without a comparison of all issues, in milliseconds.
const COMPARED_EACH_MS: i64 = 60 * 60 * 1000;

/// Bring a run up to its tracker: new, changed, closed and reopened issues
///
/// New issues are queued and changed texts replaced. The phase of a closed issue becomes complete, or skipped if the
/// issue is not planned, a duplicate, gone, or no longer chosen; its running attempt is stopped and does not count.
/// Landed phases and phases that you skipped stay.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    run: RunArg,

    /// Look for deleted issues now, not only once an hour
    #[arg(long)]
    prune: bool,

    /// Show what would change, and write nothing
    #[arg(long)]
    dry_run: bool,

    /// Print {run_id, tracker, changed, added, ...}
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let (store, run) = args.run.open(context, RunUse::Act).await?;
    let Some(source) = store.run_source(&run).await? else { return Err(no_tracker(&run)) };
    let tracker = tracker_of(&source.tracker)
        .unwrap_or_else(|| Err(Failure::new(format!("{:?} is no tracker", source.tracker))))?;
    let forge = open_forge(&tracker, context).await?;
    let seen = forge.latest_change().await.map_err(forge_failure)?;
    let mut left_out = 0;
    let now = crate::clock::now();
    let is_unchanged = seen.is_some() && seen == source.seen;
    let report = if is_unchanged && !args.prune && !is_due(&source, now) {
        SyncReport::default()
    } else {
        let phases = store.tracked_phases(&run, &source.tracker).await?;
        let request = TrackerChoice::of_json(&source.choice).sync_request(&state_of(&phases));
        let found = TrackerIssues::fetch(forge.as_ref(), &request).await.map_err(forge_failure)?;
        report_issues(&tracker, &found);
        left_out = found.left_out;
        let request = SyncDraft { tracker: &tracker, run: &run, phases: &phases, store: &store };
        let request = request.compare(found, seen).await?;
        let mode = if args.dry_run { SyncMode::DryRun } else { SyncMode::Write };
        store.sync_run(&run, &request, mode, now).await?
    };
    for id in &report.taken {
        let id = shown_id(id.as_str());
        tracing::warn!("issue {id} is left out: a phase of yours has this id");
    }
    store.close().await;
    if !args.dry_run {
        forge.keep_pages();
    }
    match args.json {
        true => context.out.json(&json_of(&run, &source, args.dry_run, left_out, &report))?,
        false => context.out.line(text(&run, &source, args.dry_run, &report))?,
    }
    Ok(Exit::Done)
}

/// Whether all issues are to be compared, although the tracker names no change: the deletion of an issue is none.
fn is_due(source: &RunSource, now: UnixMs) -> bool {
    source.compared_at.is_none_or(|at| !(0..COMPARED_EACH_MS).contains(&(now.0 - at.0)))
}

fn no_tracker(run: &RunId) -> Failure {
    let name = shown_id(run.as_str());
    let quoted_name = quoted(&name);
    Failure::new(format!("run {name} does not come from a tracker")).hint(format!(
        "update it from its file: `autopack import --update FILE --run-id {quoted_name}`"
    ))
}

/// The issues of phases, and whether each phase is settled; closed by the tracker, it may be opened again.
fn state_of(phases: &[TrackedPhase]) -> Vec<(u64, bool, bool)> {
    let state =
        |phase: &TrackedPhase| (phase.issue, phase.state.satisfies_dependents(), phase.is_closed);
    phases.iter().map(state).collect()
}

/// A run to compare with its tracker.
struct SyncDraft<'a> {
    tracker: &'a TrackerName,
    run: &'a RunId,
    phases: &'a [TrackedPhase],
    store: &'a Store,
}

impl SyncDraft<'_> {
    /// Compares what the tracker has with the phases of the run.
    async fn compare(
        &self,
        mut found: TrackerIssues,
        seen: Option<String>,
    ) -> Result<SyncRequest, Failure> {
        let by_issue: HashMap<u64, &TrackedPhase> =
            self.phases.iter().map(|phase| (phase.issue, phase)).collect();
        let (open, ended): (Vec<ForgeIssue>, Vec<ForgeIssue>) =
            found.issues.into_iter().partition(|issue| issue.state == IssueState::Open);
        found.issues = open;
        let closed = ended.iter().map(|issue| (issue.number, closing_of(issue.state)));
        let gone = found.gone.iter().map(|number| (*number, (PhaseState::Skipped, "gone from")));
        let uncounted = found.uncounted.iter();
        let uncounted =
            uncounted.map(|number| (*number, (PhaseState::Skipped, "no longer chosen in")));
        let closed = closed.chain(gone).chain(uncounted).filter_map(|(number, (state, what))| {
            let phase_id = by_issue.get(&number)?.phase_id.clone();
            Some(ClosedIssue { phase_id, state, note: format!("{what} {}", self.tracker) })
        });
        let closed = closed.collect();
        let open = found.issues.iter().filter_map(|issue| by_issue.get(&issue.number));
        let open = open.map(|phase| phase.phase_id.clone()).collect();
        let plan = if found.issues.is_empty() { None } else { self.plan(&found).await? };
        let tracker = self.tracker.repository().to_string();
        Ok(SyncRequest { tracker, plan, closed, open, seen })
    }

    /// Returns the open issues as phases.
    async fn plan(&self, found: &TrackerIssues) -> Result<Option<PlanRun>, Failure> {
        // A text that closes a cycle keeps no other issue from coming in.
        let draft = draft_issues(self.tracker, found, self.run, true)?;
        for warning in &draft.warnings {
            tracing::warn!("{warning}");
        }
        let existing = known_phases(self.store, &draft).await?;
        let run = draft.resolve(&existing)?.runs.pop();
        // Phases of vanished issues are among the closed ones.
        Ok(run.map(|run| PlanRun { left_out: Vec::new(), ..run }))
    }
}

/// Returns the state of a phase whose issue is closed, and the words for its note.
fn closing_of(state: IssueState) -> (PhaseState, &'static str) {
    match state {
        IssueState::Open | IssueState::Completed => (PhaseState::Complete, "closed in"),
        IssueState::NotPlanned => (PhaseState::Skipped, "closed as not planned in"),
        IssueState::Duplicate => (PhaseState::Skipped, "closed as a duplicate in"),
    }
}

/// The lists of a report, with their names in JSON and in the summary.
fn lists(report: &SyncReport) -> [(&'static str, &'static str, &[PhaseId]); 6] {
    [
        ("added", "added", &report.added),
        ("updated", "updated", &report.updated),
        ("completed", "complete", &report.completed),
        ("skipped", "skipped", &report.skipped),
        ("stopped", "stopped", &report.stopped),
        ("requeued", "queued again", &report.requeued),
    ]
}

fn text(run: &RunId, source: &RunSource, dry_run: bool, report: &SyncReport) -> String {
    let counts = lists(report).into_iter().filter(|(_, _, phases)| !phases.is_empty());
    let counts: Vec<String> =
        counts.map(|(_, what, phases)| format!("{} {what}", phases.len())).collect();
    let name = shown_id(run.as_str());
    match (counts.is_empty(), dry_run) {
        (true, _) => format!("run {name}: no change in {}", source.tracker),
        (false, false) => format!("run {name}: {}", counts.join(", ")),
        (false, true) => format!("dry run of {name}: {}", counts.join(", ")),
    }
}

fn json_of(
    run: &RunId,
    source: &RunSource,
    dry_run: bool,
    left_out: u64,
    report: &SyncReport,
) -> Value {
    let mut value = json!({
        "run_id": run,
        "tracker": source.tracker,
        "dry_run": dry_run,
        "changed": lists(report).iter().any(|(_, _, phases)| !phases.is_empty()),
    });
    for (name, _, phases) in lists(report) {
        value[name] = json!(phases);
    }
    value["left_out"] = json!(left_out);
    value
}
