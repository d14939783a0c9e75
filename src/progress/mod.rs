//! Progress of a drain: a live view on a terminal, plain lines in a pipe, NDJSON with `--json`.
//!
//! The drain reports [`Event`]s; this module makes no decisions. `board` holds the state of the view, `view`
//! its layout, `screen` the terminal, `lines` the permanent lines, `text` the cleaning of text.

mod board;
mod drain_log;
pub mod event_schema;
mod labeled_page;
mod lines;
mod machine_clock;
mod reason;
pub mod screen;
mod terminal_text;
mod usage_text;
pub mod view;

pub use drain_log::{ENDS, NOTES};
pub use labeled_page::LabeledPage;
pub use lines::{LineOptions, finished_line};
pub use machine_clock::{SET_THE_CLOCK, describe_wrong_clock};
pub use reason::Reason;
pub use terminal_text::{
    duration, fill, fit, fit_words, printable, printable_lines, shown_id, shown_message,
    shown_phase, stopwatch, thousands, width, without_escapes, wrap,
};

pub use usage_text::{describe_money, dollars};

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinHandle;

use board::Board;
use lines::in_lines;

use crate::phase::budget::ExhaustedBudget;
use crate::phase::scope_request::DecidedPath;
use crate::phase::{Failure, FailureKind, PhaseId, PhaseState, RunId, Tokens};

/// An event of a drain. Scripts read the serialized form.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The drain started.
    DrainStarted(DrainStarted),
    /// A batch started.
    BatchStarted {
        /// Number of the batch, from 1.
        batch: u32,
        /// Maximum number of phases in the batch.
        batch_size: u32,
    },
    /// A phase started.
    PhaseStarted(PhaseStarted),
    /// A phase finished.
    PhaseFinished(Box<PhaseFinished>),
    /// A batch finished.
    BatchFinished(BatchFinished),
    /// The drain finished.
    DrainFinished(DrainFinished),
}

/// Start of a drain.
#[derive(Clone, Debug, Serialize)]
pub struct DrainStarted {
    /// Runs to drain.
    pub runs: Vec<RunId>,
    /// Root of the workspace.
    pub workspace: String,
    /// URL or path of the database.
    pub database: String,
    /// Name of the agent.
    pub agent: String,
    /// Number of queued phases.
    pub queued: u64,
    /// Number of phases left by a dead drain and reclaimed by this drain.
    pub left_behind: u64,
    /// Number of phases in these runs, in any state.
    pub phases: u64,
    /// Number of settled phases: COMPLETE, FAILED or SKIPPED.
    pub settled: u64,
    /// Number of phases per batch.
    pub batch_size: u32,
    /// Number of workers.
    pub jobs: u32,
    /// Backend of the memory: qdrant, faiss or off.
    pub memory_backend: &'static str,
    /// Why this backend is used, if worth a note.
    pub memory: Option<String>,
}

/// Start of a phase.
#[derive(Clone, Debug, Serialize)]
pub struct PhaseStarted {
    /// Run of the phase.
    pub run_id: RunId,
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// Name of the phase.
    pub name: String,
    /// Attempt number.
    pub attempt: u32,
    /// Number of the counted attempt.
    #[serde(rename = "try")]
    pub try_number: u32,
    /// Maximum number of counted attempts.
    pub max_attempts: u32,
    /// Name of the agent.
    pub agent: String,
}

/// Result of a phase.
#[derive(Clone, Debug, Serialize)]
pub struct PhaseFinished {
    /// Run of the phase.
    pub run_id: RunId,
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// `null` for a phase that ended without an attempt: its spec was refused.
    pub attempt: Option<u32>,
    /// Maximum number of counted attempts.
    pub max_attempts: u32,
    /// Number of counted attempts.
    pub tries: u32,
    /// Whether a person did the work: such an attempt is not counted.
    #[serde(skip)]
    pub is_by_person: bool,
    /// New state of the phase.
    pub state: PhaseState,
    /// Verdict of the attempt.
    pub verdict: &'static str,
    /// Landed commit.
    pub commit: Option<String>,
    /// Failure, if any.
    pub failure: Option<Failure>,
    /// Duration of the attempt in milliseconds.
    pub duration_ms: u64,
    /// Tokens used.
    pub tokens: Tokens,
    /// Cost in US dollars, if known.
    pub cost_usd: Option<f64>,
    /// Files that the agent asked for.
    pub scope_requests: Vec<DecidedPath>,
}

impl PhaseFinished {
    /// Creates the result of a phase refused before an attempt: its spec cannot be executed, or its budget is
    /// exhausted.
    pub fn refused(run_id: RunId, phase_id: PhaseId, failure: Failure) -> Self {
        Self {
            run_id,
            phase_id,
            attempt: None,
            max_attempts: 0,
            tries: 0,
            is_by_person: false,
            state: PhaseState::Failed,
            verdict: match failure.kind {
                FailureKind::OverBudget => "over_budget",
                _ => "unfixable",
            },
            commit: None,
            failure: Some(failure),
            duration_ms: 0,
            tokens: Tokens::default(),
            cost_usd: None,
            scope_requests: Vec::new(),
        }
    }
}

/// End of a batch.
#[derive(Clone, Debug, Serialize)]
pub struct BatchFinished {
    /// Number of the batch, from 1.
    pub batch: u32,
    /// Number of completed phases.
    pub done: u64,
    /// Number of failed phases.
    pub failed: u64,
    /// Number of unsettled phases: queued, or running in any drain.
    pub left: u64,
    /// Number of remaining phases blocked by a failed phase.
    pub blocked: u64,
    /// Input, output and cache writes of this batch; unknown tokens are left out.
    pub tokens: u64,
    /// Known cost of this batch in US dollars; `None` if no cost is known.
    pub cost_usd: Option<f64>,
    /// Completed phases per hour.
    pub phases_per_hour: Option<f64>,
}

/// End of a drain.
#[derive(Clone, Debug, Serialize)]
pub struct DrainFinished {
    /// Counters by run.
    pub counts: Vec<RunCounts>,
    /// Why the drain ended.
    pub reason: Reason,
    /// Exit code of the program.
    pub exit_code: u8,
    /// Reason of an early end, for people.
    pub message: Option<String>,
    /// Whether the message includes the action to take.
    #[serde(skip)]
    pub names_cure: bool,
    /// The exhausted budget, if any.
    #[serde(skip)]
    pub budget: Option<ExhaustedBudget>,
    /// Whether the exhausted budget would end the next drain, too.
    #[serde(skip)]
    pub is_budget_lasting: bool,
    /// Runs with phases that are FAILED for the reason of this end.
    #[serde(skip)]
    pub to_retry: Vec<RunId>,
    /// Overview of the runs, as text.
    #[serde(skip)]
    pub overview: String,
    /// Duration of the drain in milliseconds.
    pub duration_ms: u64,
}

impl DrainFinished {
    /// Returns the message and the hint of an early end as lines.
    pub fn explanation(&self, columns: Option<usize>) -> String {
        let error = self.message.as_ref().map(|text| format!("error: {}", printable(text)));
        let hint = self.hint().map(|text| format!("hint: {text}"));
        let lines = error.into_iter().chain(hint).flat_map(|line| match columns {
            Some(columns) => wrap(&line, columns),
            None => vec![line],
        });
        lines.map(|line| format!("{line}\n")).collect()
    }
}

/// Counters of a run.
#[derive(Clone, Debug, Serialize)]
pub struct RunCounts {
    /// Id of the run.
    pub run_id: RunId,
    /// Branch of the run.
    pub branch: Option<String>,
    /// Ref to merge: the branch, or the ref beside the branch while the user has the branch checked out.
    pub tip: Option<String>,
    /// Number of complete phases.
    pub complete: u64,
    /// Number of failed phases.
    pub failed: u64,
    /// Number of blocked phases.
    pub blocked: u64,
    /// Number of phases held by the operator, and phases behind them.
    pub held: u64,
    /// Number of queued phases, including blocked and held ones.
    pub queued: u64,
    /// Number of skipped phases.
    pub skipped: u64,
    /// Result of CI for the tip in a clean clone: green, red_in_clean_clone or not_reproducible.
    pub clean_clone: Option<&'static str>,
    /// The commit with this result.
    pub clean_clone_commit: Option<String>,
    /// Whether the branch has changed since; `None` without a result.
    pub changed_since_test: Option<bool>,
}

/// Current step of a running phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Preparing the slot.
    Preparing,
    /// The scope of the phase is being proposed.
    Scope,
    /// The agent is running.
    Agent,
    /// Checking the changes.
    Judging,
    /// CI is running.
    Ci,
    /// CI is running without the change.
    Baseline,
    /// Landing the change.
    Landing,
}

impl Step {
    /// Returns the text shown to people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preparing => "preparing the slot",
            Self::Scope => "proposing a scope",
            Self::Agent => "agent at work",
            Self::Judging => "reading the diff",
            Self::Ci => "running CI",
            Self::Baseline => "running CI without the change",
            Self::Landing => "landing",
        }
    }
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Live view at the bottom of the terminal on stderr.
    Live,
    /// Plain lines.
    Lines,
    /// A JSON object per line.
    Json,
    /// Only notes, on stderr: the command prints its own result.
    Notes,
}

/// Interval for redrawing the view: times advance, and terminals are resized.
const LOOK: Duration = Duration::from_millis(250);

/// Output of a drain's progress.
pub struct Progress {
    mode: Mode,
    /// Whether stdout accepts color.
    color: bool,
    started: Instant,
    board: Arc<Mutex<Board>>,
    /// Task that redraws the view.
    clock: Option<JoinHandle<()>>,
    /// First error in writing a line.
    unwritten: OnceLock<io::Error>,
}

impl Progress {
    /// Creates the output. [`Mode::Live`] requires a runtime.
    pub fn new(mode: Mode, color: bool) -> Self {
        let board = Arc::new(Mutex::new(Board::default()));
        let clock = (mode == Mode::Live).then(|| tokio::spawn(run_on(board.clone())));
        Self { mode, color, started: Instant::now(), board, clock, unwritten: OnceLock::new() }
    }

    /// Returns the time since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns the first error in writing to stdout. A reader that went away is not an error.
    pub fn unwritten(&self) -> Option<&io::Error> {
        self.unwritten.get()
    }

    /// Shows an event. The drain goes on even if there is no reader or writing fails.
    pub fn emit(&self, event: &Event) {
        drain_log::log(event);
        if self.mode == Mode::Notes {
            return;
        }
        if self.mode == Mode::Json {
            let line = serde_json::to_string(event).unwrap_or_else(|e| {
                format!("{{\"event\":\"error\",\"message\":\"cannot serialize an event: {e}\"}}")
            });
            return self.print(&line);
        }
        self.board(|board| board.take(event, Instant::now()));
        if let Event::DrainFinished(_) = event {
            screen::close();
        }
        if let Some(text) = lines::render(event, self.line_options()) {
            self.print(&text);
        }
        self.draw();
    }

    /// Shows the current activity of a running phase; live view only.
    pub fn step(&self, run: &RunId, phase: &PhaseId, step: &str) {
        if self.mode == Mode::Live {
            self.board(|board| board.step(run, phase, step, Instant::now()));
        }
    }

    /// Shows that a rate limit defers an agent for this long; live view only.
    pub fn defer_agent(&self, agent: &str, time: Duration) {
        if self.mode == Mode::Live {
            self.board(|board| board.defer(agent, Instant::now() + time));
        }
    }

    /// Shows a note to the operator that is not an event: not on stdout with `--json`.
    pub fn note(&self, text: &str) {
        // The text may contain names of phases and runs as written.
        let text = printable(text);
        match self.mode {
            Mode::Json | Mode::Notes => tracing::info!(target: NOTES, "{text}"),
            // A terminal would break words.
            Mode::Live => self.print(&in_lines(text, 0, self.line_options()).join("\n")),
            Mode::Lines => self.print(&text),
        }
    }

    /// Returns the options for text between the lines of this drain.
    pub fn line_options(&self) -> LineOptions {
        let several = self.board(|board| board.several_runs());
        let columns = if self.mode == Mode::Live { screen::output_columns() } else { None };
        LineOptions { color: self.color, several, columns }
    }

    /// Checks whether a person sees the lines: stdout is a terminal.
    pub fn is_seen(&self) -> bool {
        self.mode != Mode::Json && io::stdout().is_terminal()
    }

    fn print(&self, text: &str) {
        let mut written = Ok(());
        screen::above(|| written = writeln!(io::stdout().lock(), "{text}"));
        // A reader that went away does not stop the drain and is not reported.
        if let Err(error) = written.or_else(unless_unread) {
            let _ = self.unwritten.set(error);
        }
    }

    fn draw(&self) {
        if self.mode == Mode::Live {
            draw(&self.board);
        }
    }

    fn board<T>(&self, act: impl FnOnce(&mut Board) -> T) -> T {
        act(&mut self.board.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(clock) = &self.clock {
            clock.abort();
            self.board(|board| *board = Board::default());
            screen::close();
        }
    }
}

/// Redraws after each second, activity or change of the terminal size.
async fn run_on(board: Arc<Mutex<Board>>) {
    loop {
        tokio::time::sleep(LOOK).await;
        draw(&board);
    }
}

/// Draws under the board's lock, so that an older view never replaces a newer view.
fn draw(board: &Mutex<Board>) {
    let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
    let options = board::DisplayOptions {
        size: screen::Size::of_terminal(),
        color: console::colors_enabled_stderr(),
    };
    if let Some(lines) = board.picture(options, Instant::now()) {
        screen::paint(lines);
    }
}

fn unless_unread(error: io::Error) -> io::Result<()> {
    // EIO is the answer of a terminal that is gone.
    let gone = error.raw_os_error() == Some(libc::EIO) && is_a_device(io::stdout());
    if error.kind() == io::ErrorKind::BrokenPipe || gone { Ok(()) } else { Err(error) }
}

/// Checks for a terminal, including a terminal that is gone and no longer reports itself as such.
fn is_a_device(output: impl std::os::fd::AsFd) -> bool {
    use nix::sys::stat::{SFlag, fstat};
    fstat(output).is_ok_and(|status| {
        SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR
    })
}
