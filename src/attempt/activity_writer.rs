//! Writing down what an attempt does, for whoever looks from another terminal: best effort, and seldom.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use crate::clock::now;
use crate::phase::UnixMs;
use crate::process::Redactor;
use crate::progress::fit;
use crate::store::{AttemptKey, Store};

/// What the agent says is written at most this often.
const SELDOM: Duration = Duration::from_secs(1);
/// What passes within this time is not worth a write.
const FLEETING: Duration = Duration::from_millis(100);
/// What is kept of a line.
const COLUMNS: usize = 200;

/// Of one attempt. Dropping it ends the writing.
pub struct Activity {
    said: watch::Sender<Said>,
    writing: JoinHandle<()>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Said {
    text: String,
    since: UnixMs,
    /// How many steps there were: a new one is written without waiting.
    steps: u64,
}

impl Activity {
    pub fn new(store: Store, attempt: AttemptKey, redact: Redactor) -> Self {
        let (said, heard) = watch::channel(Said::default());
        let writing = tokio::spawn(write(store, attempt, redact, heard));
        Self { said, writing }
    }

    /// A step of ours.
    pub fn step(&self, text: &str) {
        self.say(text, 1);
    }

    /// What the agent does or says.
    pub fn says(&self, text: &str) {
        self.say(text, 0);
    }

    /// The same words again are no news.
    fn say(&self, text: &str, steps: u64) {
        let text = fit(text, COLUMNS);
        self.said.send_if_modified(|said| {
            let new = said.text != text;
            if new {
                *said = Said { text, since: now(), steps: said.steps + steps };
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

/// On a receiver of its own, so that what it sees stays to be written.
async fn another_step(
    heard: &mut watch::Receiver<Said>,
    than: u64,
) -> Result<(), watch::error::RecvError> {
    heard.wait_for(|now| now.steps > than).await.map(|_| ())
}

async fn write(
    store: Store,
    attempt: AttemptKey,
    redact: Redactor,
    mut heard: watch::Receiver<Said>,
) {
    while heard.changed().await.is_ok() {
        sleep(FLEETING).await;
        let said = heard.borrow_and_update().clone();
        let written = store.note_activity(attempt, &redact.redact(&said.text), said.since).await;
        if let Err(error) = written {
            tracing::debug!("what the attempt does is not written down yet: {error}");
            heard.mark_changed();
        }
        let again = Instant::now() + SELDOM;
        let mut ahead = heard.clone();
        tokio::select! {
            () = sleep_until(again) => {}
            step = another_step(&mut ahead, said.steps) => if step.is_err() { return },
        }
    }
}
