//! An overview as text. All lines fit 80 columns, except commands and messages in a file or a pipe.

use super::failure_groups::FailureGroup;
use super::next_steps::run_argument;
use super::run_overview::RunOverview;
use super::text_options::TextOptions;
use super::verdict_line::{join_facts, verdict_lines};
use super::waiting_groups::{WaitReason, WaitingGroup};
use crate::phase::words::{counted, first_few, short_commit};
use crate::phase::{PhaseId, PhaseState, RunId, UnixMs};
use crate::progress::{
    LabeledPage, Reason, duration, printable, shown_id, shown_message, shown_phase,
};
use crate::store::CleanOutcome;

/// Width of the labels.
const LABEL: usize = 9;
/// Groups of failures in an overview; the rest are counted.
const FAILURE_GROUPS: usize = 4;
/// Phases named in a group of failures.
const NAMED_FAILED: usize = 4;
/// Landed phases named.
const NAMED_LANDED: usize = 6;
/// Members of the merge queue named; the rest are counted.
const NAMED_QUEUED: usize = 8;
/// Groups of waiting phases named; the rest are counted.
const WAITING_GROUPS: usize = 3;

/// Formats the verdict of a run, in one line if it fits.
pub fn format_verdict(run: &RunOverview, options: &TextOptions) -> String {
    verdict_lines(run, options).iter().map(|line| format!("{line}\n")).collect()
}

/// Formats the drain's own end in a line, for a drain of several runs.
pub fn format_facts(facts: &[String], options: &TextOptions) -> String {
    join_facts(facts, options.width()).iter().map(|line| format!("{line}\n")).collect()
}

/// Formats why the last drain stopped; empty if the verdict says enough.
pub fn format_stop_cause(run: &RunOverview, options: &TextOptions) -> String {
    let is_budget = run.end.as_ref().is_some_and(|end| end.reason == Reason::Budget.as_str());
    let label = if is_budget { "budget" } else { "error" };
    run.stop_cause().map_or_else(String::new, |cause| format_cause(run, label, cause, options))
}

/// Formats the failure that ended an earlier drain, if it explains FAILED phases.
pub fn format_earlier_cause(run: &RunOverview, options: &TextOptions) -> String {
    run.earlier_cause().map_or_else(String::new, |cause| format_cause(run, "error", cause, options))
}

fn format_cause(run: &RunOverview, label: &str, cause: &str, options: &TextOptions) -> String {
    let mut page = LabeledPage::new(LABEL, options.columns, options.color);
    let of = match options.several {
        true => format!("{}: ", shown_id(run.summary.run_id.as_str())),
        false => String::new(),
    };
    page.whole(label, &format!("{of}{}", printable(cause)));
    page.into_text()
}

/// Formats what follows the verdict of a run: failures, waiting phases, landings, final test, review and merge.
pub fn format_details(run: &RunOverview, options: &TextOptions) -> String {
    let page = LabeledPage::new(LABEL, options.columns, options.color);
    let mut details = DetailsPage { page, options };
    let id = &run.summary.run_id;
    for group in run.failures.iter().take(FAILURE_GROUPS) {
        details.page.message("failed", &describe_failure(group, options.several));
        details.page.command("", &group.next_step());
    }
    let more: usize = run.failures.iter().skip(FAILURE_GROUPS).map(|g| g.phases.len()).sum();
    if more > 0 {
        let list = format!("autopack phases list {} --failed", run_argument(id));
        details.page.command("", &format!("… and {more} more: {list}"));
    }
    let of = match options.several {
        true => format!("{}: ", shown_id(id.as_str())),
        false => String::new(),
    };
    let (blocked, waiting): (Vec<&WaitingGroup>, Vec<&WaitingGroup>) =
        run.waiting.iter().partition(|group| group.is_blocked());
    details.waiting("blocked", &of, &blocked);
    details.waiting("waiting", &of, &waiting);
    if let Some(at) = run.summary.paused_at {
        let time =
            options.now.map(|now| format!("for {}; ", duration(now.since(at)))).unwrap_or_default();
        let resume = format!("autopack resume {}", run_argument(id));
        details.page.line("paused", &format!("{of}{time}continue with {resume}"));
    }
    details.merge_queue(run);
    details.landings(run);
    for (n, line) in run.final_test.iter().enumerate() {
        let (label, of) = if n == 0 { ("tested", of.as_str()) } else { ("", "") };
        details.page.message(label, &format!("{of}{}", printable(line)));
    }
    details.merge(run);
    details.page.into_text()
}

/// Formats the command that drains what is left of these runs, with a comment; empty if nothing can run.
pub fn format_next_drain(
    runs: &[RunOverview],
    comment: Option<&str>,
    options: &TextOptions,
) -> String {
    let open: Vec<String> = runs
        .iter()
        .filter(|run| run.summary.has_work() && run.budget_to_raise().is_none())
        .filter(|run| run.summary.paused_at.is_none())
        .map(|run| run_argument(&run.summary.run_id))
        .collect();
    let mut page = LabeledPage::new(LABEL, options.columns, options.color);
    if !open.is_empty() {
        let comment = comment.map_or_else(String::new, |comment| format!("   # {comment}"));
        page.line("next", &format!("autopack drain {}{comment}", open.join(" ")));
    }
    page.into_text()
}

/// Describes each group of failures in a line: `p17, p23: ci_failed: tests/a.py::x`.
pub fn describe_failures(run: &RunOverview, several: bool) -> Vec<String> {
    let line = |group: &FailureGroup| describe_failure(group, several);
    run.failures.iter().map(line).collect()
}

/// Describes each group of waiting phases in a line, with the rest of rate limits at `now`.
pub fn describe_waiting(run: &RunOverview, now: UnixMs) -> Vec<String> {
    run.waiting.iter().map(|group| describe_group(group, Some(now))).collect()
}

fn describe_failure(group: &FailureGroup, several: bool) -> String {
    let names = name_phases(&group.run_id, &group.phases, NAMED_FAILED, several);
    let kind = group.kind.map_or_else(String::new, |kind| format!("{}: ", kind.as_str()));
    format!("{names}: {kind}{}", shown_message(&group.reason))
}

/// Names the first few phases, with their run if there are several runs.
fn name_phases(run: &RunId, phases: &[PhaseId], few: usize, several: bool) -> String {
    let names: Vec<String> = phases.iter().map(|id| shown_phase(run, id, several)).collect();
    first_few(&names, few)
}

/// Details of a run.
struct DetailsPage<'a> {
    page: LabeledPage,
    options: &'a TextOptions,
}

impl DetailsPage<'_> {
    fn waiting(&mut self, label: &str, of: &str, groups: &[&WaitingGroup]) {
        if groups.is_empty() {
            return;
        }
        let mut parts: Vec<String> = groups
            .iter()
            .take(WAITING_GROUPS)
            .map(|group| describe_group(group, self.options.now))
            .collect();
        let more: usize = groups.iter().skip(WAITING_GROUPS).map(|group| group.phases.len()).sum();
        if more > 0 {
            parts.push(format!("{more} for other reasons"));
        }
        self.page.prose(label, &format!("{of}{}", parts.join("; ")));
    }

    fn landings(&mut self, run: &RunOverview) {
        let new = run.new_landings();
        if run.landings.is_empty() {
            return;
        }
        let since = match (run.summary.looked_at, self.options.now) {
            (Some(at), Some(now)) if new.len() < run.landings.len() || new.is_empty() => {
                format!(" since your last look {} ago", duration(now.since(at)))
            }
            (Some(_), None) => " since your last look".to_owned(),
            _ => String::new(),
        };
        if new.is_empty() {
            return self.page.prose("landed", &format!("nothing new{since}"));
        }
        let phases: Vec<PhaseId> =
            new.iter().rev().map(|landing| landing.phase_id.clone()).collect();
        let id = &run.summary.run_id;
        let names = name_phases(id, &phases, NAMED_LANDED, self.options.several);
        self.page
            .prose("landed", &format!("{}{since}: {names}", counted(new.len() as u64, "phase")));
    }

    fn merge_queue(&mut self, run: &RunOverview) {
        let members = run.merge_queue.iter().take(NAMED_QUEUED);
        let mut parts: Vec<String> = members
            .map(|member| format!("{} ({})", shown_id(member.phase_id.as_str()), member.state))
            .collect();
        let more = run.merge_queue.len().saturating_sub(NAMED_QUEUED);
        if more > 0 {
            parts.push(format!("{more} more"));
        }
        if !parts.is_empty() {
            self.page.prose("queue", &parts.join(", "));
        }
    }

    fn merge(&mut self, run: &RunOverview) {
        let (Some(tip), Some(facts)) = (&run.tip, &run.summary.facts) else { return };
        if let Some(branch) = &run.merged_into {
            return self.page.line("merged", &format!("into {}", shown_id(branch)));
        }
        let base = short_commit(&facts.base_commit);
        let tip = if tip.len() == 40 { short_commit(tip) } else { tip };
        // Without the commits that an update brought in.
        let own = if run.summary.is_updated { " --first-parent" } else { "" };
        self.page.line("review", &format!("git log --oneline{own} {base}..{}", shown_id(tip)));
        let is_red = run.summary.clean_test.as_ref().is_some_and(|test| {
            test.outcome == CleanOutcome::RedInCleanClone && !run.summary.is_untested
        });
        let green = if is_red { " --to-green" } else { "" };
        self.page
            .line("merge", &format!("autopack merge {}{green}", run_argument(&run.summary.run_id)));
    }
}

/// Describes a group: `31 wait for setup-db`.
fn describe_group(group: &WaitingGroup, now: Option<UnixMs>) -> String {
    let n = group.phases.len();
    let wait = if n == 1 { "waits" } else { "wait" };
    match &group.reason {
        WaitReason::Dependency(id, PhaseState::Failed) => {
            format!("{n} behind {} (failed)", shown_id(id.as_str()))
        }
        WaitReason::Dependency(id, PhaseState::Executing) => {
            format!("{n} {wait} for {} (running)", shown_id(id.as_str()))
        }
        WaitReason::Dependency(id, _) => format!("{n} {wait} for {}", shown_id(id.as_str())),
        WaitReason::Overlap => {
            let touch = if n == 1 { "touches" } else { "touch" };
            format!("{n} {touch} the same paths as phases ahead")
        }
        WaitReason::RateLimit => match (group.until, now) {
            (Some(until), Some(now)) => {
                format!("{n} rate limited for another {}", duration(until.since(now)))
            }
            _ => format!("{n} rate limited"),
        },
        WaitReason::Held => {
            let names: Vec<String> = group.phases.iter().map(|id| shown_id(id.as_str())).collect();
            format!("{} held until `autopack resume`", first_few(&names, NAMED_FAILED))
        }
        WaitReason::Unfixable => {
            let specs = if n == 1 { "a spec" } else { "specs" };
            format!("{n} with {specs} that cannot be repaired")
        }
    }
}
