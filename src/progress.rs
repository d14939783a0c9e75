//! What is shown while a drain goes on: a bar on a terminal, plain lines in a pipe, NDJSON with `--json`.
//!
//! The drain says what happens as [`Event`]s; nothing here decides anything.

mod lines;

pub use lines::{billed, duration, printable, thousands};

use std::io::{self, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::phase::{Failure, PhaseId, PhaseState, RunId, Tokens};

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

#[derive(Clone, Debug, Serialize)]
pub struct BatchFinished {
    pub batch: u32,
    pub done: u64,
    pub failed: u64,
    pub left: u64,
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
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
    Bar,
    Lines,
    Json,
}

pub struct Progress {
    mode: Mode,
    /// Whether stdout takes colour.
    color: bool,
    started: Instant,
    bar: Mutex<Option<ProgressBar>>,
}

impl Progress {
    pub fn new(mode: Mode, color: bool) -> Self {
        Self { mode, color, started: Instant::now(), bar: Mutex::new(None) }
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Shows an event. Where nobody reads any more, the drain goes on all the same.
    pub fn emit(&self, event: &Event) {
        if self.mode == Mode::Json {
            let line = serde_json::to_string(event).unwrap_or_else(|e| {
                format!("{{\"event\":\"error\",\"message\":\"cannot serialise an event: {e}\"}}")
            });
            return self.print(&line);
        }
        if let Some(text) = lines::render(event, self.color) {
            self.print(&text);
        }
        self.advance(event);
    }

    /// What a running phase does now; only a bar shows it.
    pub fn step(&self, phase: &PhaseId, step: &str) {
        self.with_bar(|bar| bar.set_message(printable(&format!("{phase}: {step}"))));
    }

    /// Something the operator should know that is no event: kept off stdout with `--json`.
    pub fn note(&self, text: &str) {
        // Names of phases and runs stand in it as they are.
        let text = printable(text);
        match self.mode {
            Mode::Json => eprintln!("{text}"),
            _ => self.print(&text),
        }
    }

    fn advance(&self, event: &Event) {
        match event {
            Event::DrainStarted(start) if self.mode == Mode::Bar => self.open_bar(start.queued),
            Event::PhaseStarted(phase) => self.step(&phase.phase_id, Step::Preparing.as_str()),
            Event::PhaseFinished(phase) if phase.state != PhaseState::Queued => {
                self.with_bar(|bar| bar.inc(1));
            }
            Event::DrainFinished(_) => self.with_bar(ProgressBar::finish_and_clear),
            _ => {}
        }
    }

    fn open_bar(&self, queued: u64) {
        let bar = ProgressBar::with_draw_target(Some(queued), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{bar:20} {pos}/{len} {elapsed} {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_secs(1));
        *self.lock() = Some(bar);
    }

    fn print(&self, text: &str) {
        let write = || {
            // A reader that has gone away is no reason to stop working.
            let _ = writeln!(io::stdout().lock(), "{text}");
        };
        match self.lock().as_ref() {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn with_bar(&self, act: impl FnOnce(&ProgressBar)) {
        if let Some(bar) = self.lock().as_ref() {
            act(bar);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<ProgressBar>> {
        self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
