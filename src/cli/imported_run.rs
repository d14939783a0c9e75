//! What an import did to a run, as text and as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::phase::plan::PlanRun;
use crate::phase::words::{counted, first_few};
use crate::phase::{PhaseId, PhaseState, RunId};
use crate::progress::shown_id;
use crate::store::{ImportReport, RemovedPhase};

/// Removed phases named in a line.
const NAMED: usize = 10;
/// Format whose summary says nothing new, because all its items are phases to do.
const PLAN: &str = "plan";

/// A run as imported.
#[derive(Serialize)]
pub(super) struct ImportedRun<'a> {
    run_id: &'a RunId,
    added: u64,
    updated: u64,
    unchanged: u64,
    differing: u64,
    kept: u64,
    samples: u64,
    #[serde(skip_serializing_if = "is_none")]
    done: u64,
    #[serde(skip_serializing_if = "is_none")]
    skipped: u64,
    #[serde(skip_serializing_if = "is_none")]
    stopped: u64,
    #[serde(skip_serializing_if = "is_none")]
    reopened: u64,
    /// Phases that the source no longer has, and their states.
    #[serde(skip_serializing_if = "<[_]>::is_empty", serialize_with = "ids")]
    removed: &'a [RemovedPhase],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pruned: &'a [PhaseId],
    /// Decisions of the import, for people.
    notes: Vec<String>,
    /// The items of the source.
    summary: SourceSummary<'a>,
    /// The same notes without those that `summary` counts.
    #[serde(skip)]
    pub shown_notes: Vec<String>,
}

/// Items of a source by status.
#[derive(Serialize)]
struct SourceSummary<'a> {
    format: &'a str,
    queued: u64,
    done: u64,
    dropped: &'a BTreeMap<String, u64>,
    dependencies: u64,
}

impl<'a> ImportedRun<'a> {
    pub fn new((run, report): (&'a PlanRun, &'a ImportReport)) -> Self {
        let counts = &run.counts;
        let is_counted = |state| matches!(state, PhaseState::Complete | PhaseState::Skipped);
        // Shown once, not on each repeated import of the same file.
        let is_new = report.added + report.done + report.skipped > 0;
        let noted = run.phases.iter().filter(|_| is_new);
        let noted: Vec<(bool, String)> = noted
            .filter_map(|phase| {
                let note = phase.note.as_ref()?;
                Some((is_counted(phase.state), format!("{}: {note}", phase.phase_id)))
            })
            .collect();
        let shown = noted.iter().filter(|(is_counted, _)| counts.format == PLAN || !is_counted);
        let dependencies = run.phases.iter().map(|phase| phase.depends_on.len() as u64).sum();
        Self {
            run_id: &run.run_id,
            added: report.added,
            updated: report.updated,
            unchanged: report.unchanged,
            differing: report.differing,
            kept: report.kept,
            samples: report.samples,
            done: report.done,
            skipped: report.skipped,
            stopped: report.stopped,
            reopened: report.reopened,
            removed: &report.removed,
            pruned: &report.pruned,
            shown_notes: shown.map(|(_, note)| note.clone()).collect(),
            notes: noted.into_iter().map(|(_, note)| note).collect(),
            summary: SourceSummary {
                format: counts.format,
                queued: counts.queued,
                done: counts.done,
                dropped: &counts.dropped,
                dependencies,
            },
        }
    }

    /// Formats the counts of a run.
    pub fn line(&self) -> String {
        // The summary has the same numbers, if all of them are new.
        let is_summarized =
            self.updated == 0 && self.summary.format != PLAN && self.summary_line().is_some();
        let settled = |count| if is_summarized { 0 } else { count };
        let parts = [
            (self.added, "added"),
            (self.updated, "updated"),
            (self.unchanged, "unchanged"),
            (self.differing, "different here and kept (--update replaces them)"),
            (self.kept, "kept because work on them has started"),
            (self.samples, "telemetry samples"),
            (settled(self.done), "complete (done in the source)"),
            (settled(self.skipped), "skipped (dropped in the source)"),
            (self.stopped, "stopped (settled in the source)"),
            (self.reopened, "queued again (open in the source)"),
            (self.pruned.len() as u64, "skipped (no longer in the source)"),
        ];
        let counts: Vec<String> = parts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let counts = if counts.is_empty() { "nothing new".to_owned() } else { counts.join(", ") };
        format!("run {}: {counts}", shown_id(self.run_id.as_str()))
    }

    /// Formats the items of the source by status: `taskmaster: 22 queued, 113 done before, 30 deleted; 119
    /// dependencies`. `None` for a plan whose phases are all to do.
    pub fn summary_line(&self) -> Option<String> {
        let SourceSummary { format, queued, done, dropped, dependencies } = &self.summary;
        if format.is_empty() || *format == PLAN && *done == 0 && dropped.is_empty() {
            return None;
        }
        let mut parts = vec![format!("{queued} queued")];
        if *done > 0 {
            parts.push(format!("{done} done before"));
        }
        parts.extend(dropped.iter().map(|(word, count)| format!("{count} {}", shown_id(word))));
        let parts = parts.join(", ");
        Some(format!("{format}: {parts}; {}", counted(*dependencies, "dependency")))
    }

    /// Names the phases that the source no longer has; `hint` says how to skip the open phases among them.
    pub fn removed_line(&self, source: &str, hint: &str) -> Option<String> {
        let name = |phase: &RemovedPhase| {
            let id = shown_id(phase.phase_id.as_str());
            match phase.state {
                PhaseState::Queued => id,
                state => format!("{id} ({})", state.display_name()),
            }
        };
        let names: Vec<String> = self.removed.iter().map(name).collect();
        let is_open =
            |phase: &RemovedPhase| matches!(phase.state, PhaseState::Queued | PhaseState::Failed);
        let hint = match self.removed.iter().any(is_open) {
            true => format!("; {hint}"),
            false => String::new(),
        };
        let count = counted(names.len() as u64, "phase");
        (!names.is_empty())
            .then(|| format!("{count} no longer in {source}: {}{hint}", first_few(&names, NAMED)))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

fn ids<S: serde::Serializer>(phases: &[RemovedPhase], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(phases.iter().map(|phase| &phase.phase_id))
}
