//! What is shown while a drain goes on: a live view on a terminal, plain lines in a pipe, NDJSON with `--json`.
//!
//! The drain says what happens as [`Event`]s; nothing here decides anything. `board` is what the view knows, `view`
//! how it looks, `screen` the terminal, `lines` what stays on it, `text` what may stand there.

mod board;
mod drain_log;
mod lines;
pub mod screen;
mod terminal_text;
pub mod view;

pub use drain_log::{ENDS, NOTES};
pub use lines::{Look, finished_line};
pub use terminal_text::{
    duration, fill, fit, printable, printable_lines, shown_id, shown_message, stopwatch, thousands,
    width, wrap,
};

use std::io::{self, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinHandle;

use board::Board;

use crate::phase::budget::Level;
use crate::phase::{Failure, FailureKind, PhaseId, PhaseState, RunId, Tokens};

/// One thing that happened in a drain. The serialised shapes are what scripts read.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    DrainStarted(DrainStarted),
    BatchStarted { batch: u32, batch_size: u32 },
    PhaseStarted(PhaseStarted),
    PhaseFinished(Box<PhaseFinished>),
    BatchFinished(BatchFinished),
    DrainFinished(DrainFinished),
}

#[derive(Clone, Debug, Serialize)]
pub struct DrainStarted {
    pub runs: Vec<RunId>,
    pub workspace: String,
    pub database: String,
    pub agent: String,
    pub queued: u64,
    /// Left by a drain that died, and taken up by this one.
    pub left_behind: u64,
    /// Phases of these runs, in whatever state.
    pub phases: u64,
    /// Those of them that are over: COMPLETE, FAILED or SKIPPED.
    pub settled: u64,
    pub batch_size: u32,
    /// Phases at a time.
    pub jobs: u32,
    /// What serves the memory: qdrant, faiss or off.
    pub memory_backend: &'static str,
    /// How that came to be, where there is something to say.
    pub memory: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct PhaseStarted {
    pub run_id: RunId,
    pub phase_id: PhaseId,
    pub name: String,
    pub attempt: u32,
    #[serde(rename = "try")]
    pub try_number: u32,
    pub max_attempts: u32,
    pub agent: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct PhaseFinished {
    pub run_id: RunId,
    pub phase_id: PhaseId,
    /// `null` for a phase that ended without one: its spec was refused.
    pub attempt: Option<u32>,
    pub max_attempts: u32,
    pub tries: u32,
    pub state: PhaseState,
    pub verdict: &'static str,
    pub commit: Option<String>,
    pub failure: Option<Failure>,
    pub duration_ms: u64,
    pub tokens: Tokens,
}

impl PhaseFinished {
    /// A phase that was refused when its turn came: its spec cannot be executed, or its budget is spent.
    pub fn refused(run_id: RunId, phase_id: PhaseId, failure: Failure) -> Self {
        Self {
            run_id,
            phase_id,
            attempt: None,
            max_attempts: 0,
            tries: 0,
            state: PhaseState::Failed,
            verdict: match failure.kind {
                FailureKind::OverBudget => "over_budget",
                _ => "unfixable",
            },
            commit: None,
            failure: Some(failure),
            duration_ms: 0,
            tokens: Tokens::default(),
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct BatchFinished {
    pub batch: u32,
    pub done: u64,
    pub failed: u64,
    /// Not settled: queued, or running now, by whomever.
    pub left: u64,
    /// Those of the ones left that wait for a FAILED one.
    pub blocked: u64,
    /// Input, output and cache writes of this batch; what is unknown is left out.
    pub tokens: u64,
    pub phases_per_hour: Option<f64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct DrainFinished {
    pub counts: Vec<RunCounts>,
    pub reason: Reason,
    pub exit_code: u8,
    /// What ended the drain early, in words.
    pub message: Option<String>,
    /// Whether the message says what to do, too.
    #[serde(skip)]
    pub names_cure: bool,
    /// Whose budget is spent, where it is one.
    #[serde(skip)]
    pub budget: Option<Level>,
    /// Whether the user's HEAD names no commit yet.
    #[serde(skip)]
    pub unborn: bool,
    pub duration_ms: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct RunCounts {
    pub run_id: RunId,
    pub branch: Option<String>,
    /// What to merge: the branch, or the ref beside it while the user has the branch checked out.
    pub tip: Option<String>,
    pub complete: u64,
    pub failed: u64,
    pub blocked: u64,
    pub queued: u64,
    pub skipped: u64,
    /// What CI said of the tip in a clean clone: green, red_in_clean_clone or not_reproducible.
    pub clean_clone: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Drained,
    StoppedOnFailure,
    Systemic,
    Budget,
    Failed,
    MaxBatches,
    Interrupted,
}

/// What a running phase is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Preparing,
    Agent,
    Judging,
    Ci,
    Baseline,
    Landing,
}

impl Step {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preparing => "preparing the slot",
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
    /// Live, at the bottom of the terminal that stderr is.
    Live,
    Lines,
    Json,
}

/// How often the view looks whether it has something new to show: times run on, and terminals are resized.
const LOOK: Duration = Duration::from_millis(250);

pub struct Progress {
    mode: Mode,
    /// Whether stdout takes colour.
    color: bool,
    started: Instant,
    board: Arc<Mutex<Board>>,
    /// Draws what changes by itself.
    clock: Option<JoinHandle<()>>,
    /// Why a line could not be written: the first time.
    unwritten: OnceLock<io::Error>,
}

impl Progress {
    /// [`Mode::Live`] needs a runtime.
    pub fn new(mode: Mode, color: bool) -> Self {
        let board = Arc::new(Mutex::new(Board::default()));
        let clock = (mode == Mode::Live).then(|| tokio::spawn(run_on(board.clone())));
        Self { mode, color, started: Instant::now(), board, clock, unwritten: OnceLock::new() }
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Why some of what was to stand on stdout does not, where that is so. That nobody reads any more is no such reason.
    pub fn unwritten(&self) -> Option<&io::Error> {
        self.unwritten.get()
    }

    /// Shows an event. Where nobody reads any more, or nothing can be written, the drain goes on all the same.
    pub fn emit(&self, event: &Event) {
        drain_log::log(event);
        if self.mode == Mode::Json {
            let line = serde_json::to_string(event).unwrap_or_else(|e| {
                format!("{{\"event\":\"error\",\"message\":\"cannot serialise an event: {e}\"}}")
            });
            return self.print(&line);
        }
        let several = self.board(|board| {
            board.take(event, Instant::now());
            board.several_runs()
        });
        if let Event::DrainFinished(_) = event {
            screen::close();
        }
        let columns = if self.mode == Mode::Live { screen::output_columns() } else { None };
        let look = lines::Look { color: self.color, several, columns };
        if let Some(text) = lines::render(event, look) {
            self.print(&text);
        }
        self.draw();
    }

    /// What a running phase does now; only the live view shows it.
    pub fn step(&self, run: &RunId, phase: &PhaseId, step: &str) {
        if self.mode == Mode::Live {
            self.board(|board| board.step(run, phase, step, Instant::now()));
        }
    }

    /// Something the operator should know that is no event: kept off stdout with `--json`.
    pub fn note(&self, text: &str) {
        // Names of phases and runs stand in it as they are.
        let text = printable(text);
        match self.mode {
            Mode::Json => tracing::info!(target: NOTES, "{text}"),
            _ => self.print(&text),
        }
    }

    fn print(&self, text: &str) {
        let mut written = Ok(());
        screen::above(|| written = writeln!(io::stdout().lock(), "{text}"));
        // A reader that has gone away is no reason to stop working, and none to complain.
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

/// Draws whenever a second has passed, something was said or the terminal has another size.
async fn run_on(board: Arc<Mutex<Board>>) {
    loop {
        tokio::time::sleep(LOOK).await;
        draw(&board);
    }
}

/// Under the board's lock, so that no older picture follows a newer one.
fn draw(board: &Mutex<Board>) {
    let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
    let look =
        board::Look { size: screen::Size::of_terminal(), color: console::colors_enabled_stderr() };
    if let Some(lines) = board.picture(look, Instant::now()) {
        screen::paint(lines);
    }
}

fn unless_unread(error: io::Error) -> io::Result<()> {
    // A terminal that is gone answers so.
    let gone = error.raw_os_error() == Some(libc::EIO) && is_a_device(io::stdout());
    if error.kind() == io::ErrorKind::BrokenPipe || gone { Ok(()) } else { Err(error) }
}

/// A terminal is one, also when it is gone and says that it is none.
fn is_a_device(output: impl std::os::fd::AsFd) -> bool {
    use nix::sys::stat::{SFlag, fstat};
    fstat(output).is_ok_and(|found| {
        SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR
    })
}
