//! One attempt of a claimed phase, from start to finish: executed (`attempt`), judged, and recorded in the store
//! (`finish`).
//!
//! Only the diff and CI decide, regardless of an agent's messages and exit code. Problems of autopack are
//! [`Trouble`], and never become a verdict about the phase.

mod activity_writer;
mod artifacts;
mod attempt;
mod attempt_record;
mod base_runs;
mod checkout_runner;
mod child_environment;
mod clean_clone_ci;
mod drain_context;
mod error;
mod estimator;
mod last_landing;
mod lesson;
mod limits;
mod run_end;
mod run_tip_test;
mod steps;

use std::time::{Duration, Instant};

use tracing::{Instrument as _, Span};

use crate::clock::now;
use crate::phase::budget::{Exhausted, Spent};
use crate::phase::{Requeue, UnixMs, Verdict};
use crate::process::Stop;
use crate::progress::PhaseFinished;
use crate::store::Claim;
use attempt::{Attempt, attempt};
use attempt_record::Record;
use limits::disk_shortage::unless_full;
use limits::rate_limit_backoff::Backoff;
use steps::finish_step::finish;

pub use artifacts::AttemptFolder;
pub(crate) use checkout_runner::CheckoutRunner;
pub(crate) use clean_clone_ci::{CloneRun, CloneTest};
pub use drain_context::Site;
pub use error::Trouble;
pub use estimator::{Foreseen, Foresight};
pub use run_end::run_end;
pub use run_tip_test::{TipTest, test_tip};
pub use steps::memory_step::{plan, topic_of};
pub use steps::prompt_step::{Asked, prompt_for};

/// Result of an attempt, for the drain loop.
#[derive(Debug)]
pub struct Executed {
    /// Verdict and state of the phase.
    pub finished: PhaseFinished,
    /// Known or estimated usage.
    pub used: Spent,
    /// Consequence for the drain.
    pub after: After,
}

/// Consequence of an attempt for later attempts.
#[derive(Debug, Default)]
pub enum After {
    /// No consequence.
    #[default]
    Nothing,
    /// The next phase would fail in the same way.
    Systemic(String),
    /// The disk is full.
    Full(String),
    /// The disk was full; removing old slots freed space.
    MadeRoom,
    /// autopack cannot continue; the drain ends.
    Ours(anyhow::Error),
    /// The budget of the run or the drain was exhausted during the attempt.
    OverBudget(Exhausted),
    /// The agent is rate limited.
    Away {
        /// Name of the agent.
        agent: String,
        /// End of the rate limit.
        until: UnixMs,
    },
}

/// Executes a claim and records the result. Only a lost lease leaves the claim unfinished: another drain owns the
/// phase then.
///
/// # Errors
///
/// Another drain reclaimed the phase, recovery has to check for a landing, or the result cannot be recorded.
pub async fn execute(
    site: &Site,
    claim: Claim,
    drain_spent: Spent,
    stop: &Stop,
) -> Result<Executed, Trouble> {
    let span = span(&claim);
    execute_in_span(site, claim, drain_spent, stop).instrument(span).await
}

/// Nests each span in the previous span, so that every log line names run, phase and attempt.
fn span(claim: &Claim) -> Span {
    let run = tracing::error_span!("run", run = claim.run_id.as_str());
    let phase = tracing::error_span!(parent: &run, "phase", phase = claim.phase_id.as_str());
    tracing::error_span!(parent: &phase, "attempt", attempt = claim.attempt)
}

async fn execute_in_span(
    site: &Site,
    claim: Claim,
    drain_spent: Spent,
    stop: &Stop,
) -> Result<Executed, Trouble> {
    let started = Instant::now();
    let mut record = Record::default();
    let (tried, shortage) =
        site.with_shortage(attempt(site, &claim, drain_spent, stop, &mut record)).await;
    let tried = match unless_full(tried, shortage) {
        Err(trouble) => unless_landed(site, &claim, &record, trouble).await,
        judged => judged,
    };
    let used = record.used();
    let (verdict, after) = match tried {
        Ok(verdict) => (verdict, std::mem::take(&mut record.after)),
        Err(Trouble::LeaseLost) => return Err(Trouble::LeaseLost),
        Err(Trouble::Unsettled(why)) => return Err(Trouble::Unsettled(why)),
        Err(Trouble::Crashed(why)) => match site.repeats.met_error(&claim.phase_id, &why) {
            // The circuit breaker opened: the failure is not caused by this phase.
            Some(shared) => {
                let message = shared.clone();
                (Verdict::Requeued(Requeue::Systemic { message }), After::Systemic(shared))
            }
            None => {
                site.progress.note(&format!("{}: {why}", claim.phase_id));
                (Verdict::Requeued(Requeue::Crashed), std::mem::take(&mut record.after))
            }
        },
        Err(trouble) => {
            let message = trouble.to_string();
            let after = match trouble {
                Trouble::Full(_) if site.make_room(&claim).await => After::MadeRoom,
                trouble => After::of(trouble),
            };
            (Verdict::Requeued(Requeue::Systemic { message }), after)
        }
    };
    let (verdict, after) = waiting_longer(&claim, verdict, after);
    tracing::debug!(verdict = verdict.as_str(), "judged");
    let landed_patch = record.kept.take().filter(|_| matches!(verdict, Verdict::Passed { .. }));
    let lessons = steps::memory_step::entries(&site.memory, &claim, &verdict, &record.lesson);
    match (finish(site, claim, verdict, record, started, stop).await, after) {
        (Ok(finished), after) => {
            if let Some(Err(error)) = landed_patch.map(std::fs::remove_file) {
                tracing::warn!("cannot remove the patch of a landed change: {error}");
            }
            site.memory.remember_all(lessons).await;
            Ok(Executed { finished, used, after })
        }
        // The user needs to know the first error.
        (Err(later), After::Ours(first)) if !matches!(later, Trouble::LeaseLost) => {
            Err(Trouble::Ours(first))
        }
        (Err(trouble), _) => Err(trouble),
    }
}

/// Extends the wait for a provider unavailable over several drains: each drain starts from the count stored with the
/// phase.
fn waiting_longer(claim: &Claim, verdict: Verdict, after: After) -> (Verdict, After) {
    match (verdict, after) {
        (
            Verdict::Requeued(Requeue::Unavailable { not_before, message }),
            After::Away { agent, until },
        ) => {
            let least = Backoff::at_least(claim.uncounted, now());
            let later = |at: UnixMs| UnixMs(at.0.max(least.0));
            let requeue = Requeue::Unavailable { not_before: later(not_before), message };
            (Verdict::Requeued(requeue), After::Away { agent, until: later(until) })
        }
        others => others,
    }
}

impl After {
    /// Converts the error of an interrupted attempt into the consequence for the drain.
    fn of(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Full(why) => Self::Full(why),
            Trouble::Ours(error) => Self::Ours(error),
            trouble => Self::Systemic(trouble.to_string()),
        }
    }
}

/// Returns a passed verdict if the branch contains the commit of an interrupted attempt: another attempt would do the
/// work twice.
async fn unless_landed(
    site: &Site,
    claim: &Claim,
    record: &Record,
    trouble: Trouble,
) -> Result<Verdict, Trouble> {
    let Some(commit) = record.landing.clone().filter(|_| !matches!(trouble, Trouble::LeaseLost))
    else {
        return Err(trouble);
    };
    match site.repo.has_landed(&claim.run_id, &commit).await {
        Ok(true) => {
            tracing::warn!("{trouble}; {commit} had already landed");
            Ok(Verdict::Passed { commit: Some(commit) })
        }
        Ok(false) => Err(trouble),
        Err(error) => Err(Trouble::Unsettled(format!(
            "{trouble}; the next drain checks whether {} landed: {error}",
            claim.phase_id
        ))),
    }
}

/// Converts a duration to milliseconds.
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
