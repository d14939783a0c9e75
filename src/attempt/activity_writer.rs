//! Activity of an attempt, written to the store for commands in other terminals: best effort, and rate limited.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use crate::clock::now;
use crate::phase::UnixMs;
use crate::process::Redactor;
use crate::progress::fit;
use crate::store::{AttemptKey, Store};

/// Shortest interval between writes of agent output.
const SELDOM: Duration = Duration::from_secs(1);
/// Activity shorter than this is not written.
const FLEETING: Duration = Duration::from_millis(100);
/// Longest stored text, in characters.
const COLUMNS: usize = 200;

/// Writer for one attempt. Dropping the value ends the writing.
pub struct Activity {
    sender: watch::Sender<ReportedActivity>,
    writing: JoinHandle<()>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ReportedActivity {
    text: String,
    since: UnixMs,
    /// Number of steps so far: a new step is written without waiting.
    steps: u64,
}

impl Activity {
    /// Starts the writing task of an attempt.
    pub fn new(store: Store, attempt: AttemptKey, redact: Redactor) -> Self {
        let (sender, updates) = watch::channel(ReportedActivity::default());
        let writing = tokio::spawn(write(store, attempt, redact, updates));
        Self { sender, writing }
    }

    /// Reports a step by autopack.
    pub fn step(&self, text: &str) {
        self.report(text, 1);
    }

    /// Reports an action or a message of the agent.
    pub fn report_agent_text(&self, text: &str) {
        self.report(text, 0);
    }

    /// Reports a text unless equal to the current text.
    fn report(&self, text: &str, steps: u64) {
        let text = fit(text, COLUMNS);
        self.sender.send_if_modified(|activity| {
            let new = activity.text != text;
            if new {
                *activity = ReportedActivity { text, since: now(), steps: activity.steps + steps };
            }
            new
        });
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        self.writing.abort();
    }
}

/// Waits for a new step. Uses a separate receiver, so that the writing task still sees the change.
async fn another_step(
    updates: &mut watch::Receiver<ReportedActivity>,
    than: u64,
) -> Result<(), watch::error::RecvError> {
    updates.wait_for(|now| now.steps > than).await.map(|_| ())
}

async fn write(
    store: Store,
    attempt: AttemptKey,
    redact: Redactor,
    mut updates: watch::Receiver<ReportedActivity>,
) {
    while updates.changed().await.is_ok() {
        sleep(FLEETING).await;
        let activity = updates.borrow_and_update().clone();
        let written =
            store.record_activity(attempt, &redact.redact(&activity.text), activity.since).await;
        if let Err(error) = written {
            tracing::debug!("cannot write the activity of the attempt yet: {error}");
            updates.mark_changed();
        }
        let again = Instant::now() + SELDOM;
        let mut ahead = updates.clone();
        tokio::select! {
            () = sleep_until(again) => {}
            step = another_step(&mut ahead, activity.steps) => if step.is_err() { return },
        }
    }
}
