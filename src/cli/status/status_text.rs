//! `status` as text: the overview of the runs, with running phases below their verdicts.

use super::status_snapshot::StatusSnapshot;
use crate::overview::{
    TextOptions, format_details, format_earlier_cause, format_stop_cause, format_verdict,
};
use crate::progress::{duration, printable, shown_id};
use crate::store::InFlight;

/// Formats the status. `options.now` is `None` for a text without times and agent activity, to detect changes.
pub(super) fn format_status(snapshot: &StatusSnapshot, options: &TextOptions) -> String {
    if snapshot.runs.is_empty() {
        return format!("{} has no runs\n", snapshot.database);
    }
    let options = TextOptions { several: snapshot.runs.len() > 1, ..*options };
    let mut text = String::new();
    for run in &snapshot.runs {
        text += &format_verdict(&run.overview, &options);
    }
    for work in &snapshot.running {
        text += &format_running(snapshot, work, &options);
    }
    for run in &snapshot.runs {
        text += &format_stop_cause(&run.overview, &options);
        text += &format_earlier_cause(&run.overview, &options);
        text += &format_details(&run.overview, &options);
    }
    for limit in &snapshot.key_limits {
        let agent = printable(&limit.agent);
        text += &format!("limit    agent {agent}, key {}", limit.fingerprint);
        if options.now.is_some() {
            text += &format!(": for another {}", duration(limit.until.since(snapshot.at)));
        }
        text.push('\n');
    }
    if let Some(advice) = snapshot.advice().filter(|_| snapshot.has_work()) {
        text += &format!("{advice}\n");
    }
    text
}

impl StatusSnapshot {
    /// Checks whether any run has work for a drain.
    fn has_work(&self) -> bool {
        self.runs.iter().any(|run| run.overview.summary.has_work())
    }
}

fn format_running(snapshot: &StatusSnapshot, work: &InFlight, options: &TextOptions) -> String {
    let what = format!(
        "{} of {}, attempt {}",
        shown_id(work.phase_id.as_str()),
        shown_id(work.run_id.as_str()),
        work.attempt,
    );
    if snapshot.is_abandoned(work) {
        return format!("left     {what}: its drain died, the next drain reclaims it\n");
    }
    let agent =
        work.agent.as_ref().map_or_else(String::new, |agent| format!(", {}", shown_id(agent)));
    let mut text = format!("running  {what}{agent}");
    if options.now.is_some() {
        text += &format!(", for {}\n", duration(snapshot.since(work.started_at)));
        if let Some((activity, since)) = &work.activity {
            text += &format!(
                "         {} for {}\n",
                printable(activity),
                duration(snapshot.since(*since))
            );
        }
        return text;
    }
    text + "\n"
}
