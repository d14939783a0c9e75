//! Messages of the commits made by `autopack merge`.

use super::merge_plan::{MergeKind, MergePlan, SQUASHED};
use super::target::MergeTarget;
use crate::git::harmless_text::harmless;
use crate::phase::RunId;
use crate::phase::words::counted;
use crate::workspace::slot::message_text::{one_line, trailer};

/// Returns the message of a merge: for a squash, with the landed phases as a list and as trailers. `phases` has ids and
/// names, `undone` the ids of phases that are taken out.
pub fn merge_message(
    run: &RunId,
    plan: &MergePlan,
    target: &MergeTarget,
    phases: &[(&str, &str)],
    undone: &[String],
) -> String {
    let run_name = one_line(run.as_str());
    let of_run = trailer(run.as_str());
    if plan.kind != MergeKind::Squash {
        return format!(
            "Merge run {run_name} into {}\n\n{}Autopack-Run: {of_run}\n",
            target.short(),
            list(phases, undone)
        );
    }
    let count = match (phases.len(), undone.len()) {
        (0, undone) if undone > 0 => counted(undone as u64, "undone phase"),
        (landed, _) => counted(landed as u64, "phase"),
    };
    let trailers: String =
        phases.iter().map(|(id, _)| format!("Autopack-Phase: {}\n", trailer(id))).collect();
    format!(
        "Run {run_name}: {count}\n\n{}Autopack-Run: {of_run}\n{trailers}{SQUASHED}: {}\n",
        list(phases, undone),
        plan.tip
    )
}

fn list(phases: &[(&str, &str)], undone: &[String]) -> String {
    let mut lines: String = phases
        .iter()
        .map(|(id, name)| match (harmless(&one_line(id)), harmless(&one_line(name))) {
            (id, name) if name.is_empty() || name == id => format!("- {id}\n"),
            (id, name) => format!("- {id}: {name}\n"),
        })
        .collect();
    undone.iter().for_each(|id| lines += &format!("- undone: {}\n", harmless(&one_line(id))));
    if lines.is_empty() { lines } else { lines + "\n" }
}
