//! `phases show`: shows a phase with spec, state and attempts.

use std::time::Duration;

use serde_json::json;

use super::changed_files::{format_file, read_changed_files};
use super::phase_json;
use crate::cli::Context;
use crate::cli::autofix_limits::fixer;
use crate::cli::open_database::time;
use crate::cli::output::table::table;
use crate::cli::propose_scopes::{describe, proposal_in_effect, proposal_json};
use crate::cli::run_choice::{PhaseArg, RunUse};
use crate::failure::Failure;
use crate::phase::shell;
use crate::phase::words::{counted, quoted, short_commit};
use crate::phase::{Failure as PhaseFailure, FixedSpec, PhaseCi, PhaseState, UnixMs};
use crate::progress::{
    describe_money, dollars, duration, printable, screen, shown_id, shown_message, width, wrap,
};
use crate::store::{AttemptRow, KeptRequest, PhaseDetail, PhaseUsage};
use crate::workspace::ChangedFile;

/// Number of log lines shown.
const TAIL: usize = 15;
/// Number of lines shown of a failing test's message.
const MESSAGE_LINES: usize = 8;
/// Number of changed files shown.
const MAX_FILES: usize = 20;

/// Show a phase and its attempts
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    phase: PhaseArg,
    /// Print only the prompt of the next attempt
    #[arg(long, conflicts_with = "json")]
    prompt: bool,
    /// Print the object of `phases list`, with attempt_log
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let settings = &context.config()?.settings;
    let max_attempts = settings.executor.max_attempts;
    let (store, run, phase) = args.phase.open(context, RunUse::Read).await?;
    let detail = store.phase(&run, &phase).await?;
    let requests = store.scope_requests(&run, &phase).await?;
    let proposals = store.scope_proposals(&run, &phase).await?;
    if args.prompt {
        let shown = super::show_prompt::run(&detail, &requests, &proposals, &store, context).await;
        store.close().await;
        return shown;
    }
    store.close().await;
    let files = read_changed_files(&detail, context).await;
    let row = &detail.row;
    let repair = fixer(settings, &context.workspace()?)(&row.spec, row.last_failure.as_ref());
    let kept = repair.result.as_ref().ok().and_then(|spec| proposal_in_effect(&proposals, spec));
    if args.json {
        let mut value = phase_json::detail(&detail, &requests, &files, max_attempts);
        value["scope_proposal"] = json!(kept.map(proposal_json));
        return context.out.json(&value);
    }
    let needs_scope = repair.result.as_ref().is_ok_and(FixedSpec::needs_scope);
    let proposal = match kept {
        Some(kept) => Some(describe(kept)),
        None => needs_scope.then(|| "made before the phase runs".to_owned()),
    };
    let ci = repair.result.map_or_else(|_| written_ci(&row.spec.0), |spec| ci(spec.ci()));
    let columns = screen::output_columns();
    let requests = requests.iter().map(format_request).collect();
    let shown = ShownSettings { ci, proposal, requests };
    context.out.text(&text(&detail, &files, max_attempts, shown, columns))
}

/// Label and value of a line. An empty label continues the previous line.
type LabeledValue = (&'static str, String);

/// Formats the CI settings of the next attempt: `ci` of the phase, then of the scope, then defaults.
fn ci(ci: &PhaseCi) -> Vec<LabeledValue> {
    let PhaseCi { timeout_seconds, per_test_timeout, command, test_cmd, args } = ci;
    let words = |name: &str, words: &[String]| {
        let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
        (!words.is_empty())
            .then(|| ("", format!("{name} {}", shell::in_one_line(&words.join(" ")))))
    };
    let timeouts =
        format!("timeout_seconds {timeout_seconds}, per_test_timeout {per_test_timeout}");
    [
        Some(("ci", timeouts)),
        words("command", command.as_deref().unwrap_or_default()),
        test_cmd
            .as_ref()
            .map(|test_cmd| ("", format!("test_cmd {}", shell::in_one_line(test_cmd)))),
        words("ci_args", args),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Formats the CI settings as written, for specs that cannot be repaired.
fn written_ci(spec: &serde_json::Value) -> Vec<LabeledValue> {
    let own = spec.get("ci").map(|ci| ("ci", ci.to_string()));
    let scope = spec.get("scope").and_then(|scope| scope.get("ci"));
    own.into_iter().chain(scope.map(|ci| ("scope.ci", ci.to_string()))).collect()
}

/// Settings of the next attempt, as shown.
struct ShownSettings {
    ci: Vec<LabeledValue>,
    /// The scope proposal, if any.
    proposal: Option<String>,
    /// Files that agents asked for.
    requests: Vec<String>,
}

fn text(
    detail: &PhaseDetail,
    files: &[ChangedFile],
    max_attempts: u32,
    shown: ShownSettings,
    columns: Option<usize>,
) -> String {
    let row = &detail.row;
    let usage = detail.usage();
    let view = phase_json::PhaseView::new(row, usage.as_ref(), max_attempts);
    let (run, phase) = (shown_id(row.run_id.as_str()), shown_id(row.phase_id.as_str()));
    let heading = format!("{run}/{phase}  {}", shown_message(&row.name));
    let mut page = Page { text: String::new(), columns };
    page.line("", heading.trim_end());
    page.field(
        "state",
        &format!("{} after {} of {} counted attempts", row.state, view.attempts, view.max_attempts),
    );
    page.field("commit", view.commit.as_deref().unwrap_or_default());
    page.list("files changed", format_files(files));
    if let Some(usage) = &usage {
        page.usage(usage);
    }
    let directory = detail.attempt_log.iter().rev().find_map(|attempt| attempt.log_dir.as_deref());
    page.field("directory", directory.unwrap_or_default());
    page.field("category", &view.category);
    page.field("complexity", &view.complexity);
    page.list("depends on", view.depends_on.iter().map(ToString::to_string));
    page.list("deliverables", view.deliverables.into_iter());
    page.list("scope", paths(view.scope.get("paths")));
    page.field("proposal", shown.proposal.as_deref().unwrap_or_default());
    page.list("requested", shown.requests.into_iter());
    for (name, value) in &shown.ci {
        page.field(name, value);
    }
    page.field("unfixable", row.unfixable.as_deref().unwrap_or_default());
    page.field("note", detail.note.as_deref().unwrap_or_default());
    page.list("repaired", detail.fixes.iter().cloned());
    // A failure of a complete phase is listed with its attempt below.
    if row.state != PhaseState::Complete {
        page.failure(row.last_failure.as_ref());
    }
    if !view.description.is_empty() {
        page.text += "\n";
        view.description.trim_end().lines().for_each(|line| page.line("  ", line));
    }
    if !detail.attempt_log.is_empty() {
        page.text += "\n";
        page.text += &attempts(&detail.attempt_log);
    }
    page.text
}

/// Lists the changed files, the first few by name.
fn format_files(files: &[ChangedFile]) -> impl Iterator<Item = String> {
    let more = files.len().saturating_sub(MAX_FILES);
    let more = (more > 0).then(|| format!("… and {more} more"));
    files.iter().take(MAX_FILES).map(format_file).chain(more)
}

fn paths(value: Option<&serde_json::Value>) -> impl Iterator<Item = String> {
    let list = value.and_then(|paths| paths.as_array()).cloned().unwrap_or_default();
    list.into_iter().map(|path| path.as_str().map_or_else(|| path.to_string(), str::to_owned))
}

/// Formats a file that an agent asked for: attempt, path, decision, and the agent's reason.
fn format_request(request: &KeptRequest) -> String {
    let KeptRequest { attempt, decided, .. } = request;
    let reason = decided.reason.as_ref().map_or(String::new(), |reason| format!("; \"{reason}\""));
    format!(
        "attempt {attempt}: {} {} ({}){reason}",
        shown_message(&decided.path),
        decided.decision.as_str(),
        decided.why
    )
}

fn attempts(log: &[AttemptRow]) -> String {
    let number = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let cells = |row: &AttemptRow| {
        let took =
            row.ended_at.map(|end| format!("{} s", (end.0 - row.started_at.0).max(0) / 1000));
        let reason = row.failure.as_ref().map(|f| f.message.clone()).or(row.note.clone());
        let undone = row.reverted_by.as_deref().map(|by| format!("by {}", short_commit(by)));
        vec![
            row.attempt.to_string(),
            row.agent.clone().unwrap_or_else(|| "-".to_owned()),
            took.unwrap_or_else(|| "-".to_owned()),
            number(row.usage.tokens.input),
            number(row.usage.tokens.output),
            row.usage.cost_usd.map_or_else(|| "-".to_owned(), dollars),
            shown_outcome(row).to_owned(),
            reason.or(undone).unwrap_or_default(),
        ]
    };
    let headers = ["ATTEMPT", "AGENT", "TOOK", "TOKENS IN", "OUT", "COST", "OUTCOME", "WHY"];
    table(&headers, &[0, 2, 3, 4, 5], log.iter().map(cells).collect())
}

/// Returns the outcome of an attempt; `undone` for a landing that was taken back.
fn shown_outcome(row: &AttemptRow) -> &'static str {
    match (&row.reverted_by, row.outcome) {
        (Some(_), _) => "undone",
        (None, Some(outcome)) => outcome.as_str(),
        (None, None) => "running",
    }
}

/// Page with labels on the left and values on the right.
struct Page {
    text: String,
    /// Terminal width for wrapping; `None` in a pipe.
    columns: Option<usize>,
}

/// Width of labels.
const NAMES: usize = 14;
/// Minimum width of values.
const LEAST: usize = 20;

impl Page {
    fn field(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.line(&format!("  {name:NAMES$}"), value.trim_end());
        }
    }

    /// Adds a line. Continuation lines are aligned with the start of the text.
    fn line(&mut self, before: &str, text: &str) {
        let text = printable(text);
        let room = self.columns.map(|columns| columns.saturating_sub(width(before)).max(LEAST));
        let parts = match room {
            Some(room) if width(&text) > room => wrap(&text, room),
            _ => vec![text],
        };
        let mut before = before.to_owned();
        for part in parts {
            self.text += format!("{before}{part}").trim_end();
            self.text += "\n";
            before = " ".repeat(width(&before));
        }
    }

    /// Adds cost and times of all attempts.
    fn usage(&mut self, usage: &PhaseUsage) {
        let cost = describe_money(usage.cost_usd, usage.tokens.billed());
        self.field("cost", cost.as_deref().unwrap_or_default());
        // Without milliseconds.
        let time = |at: UnixMs| time(UnixMs(at.0 / 1_000 * 1_000));
        let took = duration(Duration::from_millis(usage.duration_ms));
        let started = time(usage.started_at);
        let times = match usage.ended_at {
            Some(ended) if ended >= usage.started_at => {
                vec![took, format!("last attempt from {started} to {}", time(ended))]
            }
            _ => vec![took, format!("last attempt since {started}")],
        };
        self.list("time", times.into_iter());
    }

    fn list(&mut self, name: &str, values: impl Iterator<Item = String>) {
        for (index, value) in values.enumerate() {
            self.field(if index == 0 { name } else { "" }, &value);
        }
    }

    fn block(&mut self, text: &str, indent: &str) {
        for line in text.trim_end().lines() {
            self.text += format!("{indent}{}", printable(line)).trim_end();
            self.text += "\n";
        }
    }

    /// Adds the message of a test below its name, the first lines of a long one.
    fn message(&mut self, message: &str) {
        let lines: Vec<&str> = message.trim().lines().collect();
        let before = " ".repeat(2 + NAMES + 2);
        for line in lines.iter().take(MESSAGE_LINES) {
            self.line(&before, line.trim_end());
        }
        if let Some(more) = lines.len().checked_sub(MESSAGE_LINES).filter(|more| *more > 0) {
            self.line(&before, &format!("… {} more", counted(more as u64, "line")));
        }
    }

    fn failure(&mut self, failure: Option<&PhaseFailure>) {
        let Some(failure) = failure else { return };
        let code = failure.exit_code.map(|code| format!(" (exit code {code})")).unwrap_or_default();
        self.field(
            "last failure",
            &format!("{}{code}: {}", failure.kind.as_str(), failure.message),
        );
        let detail = &failure.detail;
        self.list("breaches", detail.breaches.iter().cloned());
        self.list("missing", detail.missing.iter().cloned());
        for (n, test) in detail.failing_tests.iter().enumerate() {
            self.field(if n == 0 { "failing tests" } else { "" }, &test.name);
            self.message(&test.message);
        }
        let lines: Vec<&str> = detail.log_tail.trim_end().lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
        self.block(&tail, "    | ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_value_wraps_with_indent_on_a_terminal_and_stays_whole_in_a_pipe() {
        let text = |columns| {
            let mut page = Page { text: String::new(), columns };
            page.field("unfixable", "it leaves the repository through its parent folder");
            page.text
        };
        let wrapped = "  unfixable     it leaves the\n                repository through\n                its parent folder\n";
        assert_eq!(text(Some(36)), wrapped);
        assert_eq!(
            text(None),
            "  unfixable     it leaves the repository through its parent folder\n"
        );
    }
}
