//! One attempt of a claimed phase, from start to finish: executed (`attempt`), judged, and recorded in the store
//! (`finish`).
//!
//! Whatever an agent says or exits with, only the diff and CI decide. What is wrong with us is
//! [`AttemptError`], and never becomes a verdict about the phase.

mod activity_writer;
mod agent_choice;
mod agents_view;
mod artifacts;
#[expect(clippy::module_inception, reason = "the file with the steps of an attempt on one screen")]
mod attempt;
mod attempt_record;
mod base_runs;
mod base_update;
mod branch_change;
mod checkout_runner;
mod child_environment;
mod clean_clone_ci;
mod drain_context;
mod earlier_patch;
mod error;
mod estimator;
mod inherited_environments;
mod kept_files;
mod last_landing;
mod lesson;
mod likely_files;
mod limits;
mod permitted_ci;
mod persons_attempt;
mod persons_view;
mod program_view;
mod read_only_call;
mod remote_outage;
mod remote_run;
mod remote_waits;
mod run_end;
mod run_tip_test;
mod steps;
mod undo;
mod view_shell;
mod views;

use std::time::{Duration, Instant};

use tracing::{Instrument as _, Span};

use crate::clock::now;
use crate::phase::budget::{BudgetUsage, ExhaustedBudget};
use crate::phase::{RequeueReason, UnixMs, Verdict};
use crate::process::StopReceiver;
use crate::progress::PhaseFinished;
use crate::store::Claim;
use crate::workspace::ClaimedWork;
use attempt::{Attempt, attempt};
use attempt_record::Record;
use limits::disk_space::unless_full;
use limits::rate_limit_backoff::Backoff;
use persons_attempt::persons_attempt;
use steps::finish_step::finish;

pub use artifacts::{AttemptDirectory, copy_plain};
pub use base_update::{UpdateEnd, land_update};
pub(crate) use checkout_runner::CheckoutRunner;
pub(crate) use clean_clone_ci::{CloneRun, CloneTest};
pub use drain_context::DrainContext;
pub use earlier_patch::{KeptWork, shown_host};
pub use error::AttemptError;
pub use estimator::{Estimate, Estimator};
pub use inherited_environments::InheritedEnvironments;
pub use kept_files::{
    ArtifactKeeper, AttemptFileFinder, AttemptFiles, FilesPlace, FoundFiles, SharedArtifacts,
    decompress, gap_line, list_files, unpack_from,
};
pub use persons_attempt::PersonsWork;
pub use persons_view::PersonsPlace;
pub use read_only_call::{ReadOnlyAnswer, ReadOnlyCall};
pub(crate) use remote_run::drop_change_fence;
pub(crate) use remote_waits::RemoteEnd;
pub use run_end::{compare_with_tip, run_end};
pub use run_tip_test::{TipTest, test_tip};
pub use steps::memory_step::{plan, topic_of};
pub use steps::prompt_step::{PromptRequest, prompt_for};
pub use steps::request_step::request_offer;
pub use undo::{UndoEnd, land_revert};
pub use view_shell::{DescribedView, ShellPlace};
pub use views::Views;

/// Result of a claim's attempt, for the drain.
#[derive(Debug)]
pub struct AttemptResult {
    /// The stored verdict; `None` if the attempt has none.
    pub finished: Option<Finished>,
    /// Consequence for later attempts, or the error instead of a verdict.
    pub next: Result<NextStep, AttemptError>,
}

/// An attempt finished in the store.
#[derive(Debug)]
pub struct Finished {
    /// Result for the progress output.
    pub phase: PhaseFinished,
    /// Known or estimated usage.
    pub used: BudgetUsage,
}

/// Consequence of a verdict for later attempts.
#[derive(Debug, Default)]
pub enum NextStep {
    /// No consequence.
    #[default]
    Continue,
    /// The attempt proposed a scope, and the phase is claimed again for the work.
    ScopeStep,
    /// The disk was full; removing old slots freed space, and the attempt does not count.
    FreedSpace,
    /// The agent must not be asked before `until`.
    DeferAgent {
        /// Name of the agent.
        agent: String,
        /// End of the rate limit.
        until: UnixMs,
    },
    /// A budget of the run or of the drain ran out.
    OverBudget(ExhaustedBudget),
}

/// Executes a claim and records the result. Only a lost lease leaves the claim unfinished: another drain owns the
/// phase then.
pub async fn execute(
    context: &DrainContext,
    claim: Claim,
    drain_spent: BudgetUsage,
    stop: &StopReceiver,
) -> AttemptResult {
    execute_work(context, claim, Work::OfAgent { drain_spent }, stop).await
}

/// Judges and lands the work of a person, and records the result like [`execute`].
pub async fn execute_persons_work(
    context: &DrainContext,
    claim: Claim,
    work: PersonsWork,
    stop: &StopReceiver,
) -> AttemptResult {
    execute_work(context, claim, Work::OfPerson(Box::new(work)), stop).await
}

/// Who does the work of an attempt.
enum Work {
    OfAgent { drain_spent: BudgetUsage },
    OfPerson(Box<PersonsWork>),
}

async fn execute_work(
    context: &DrainContext,
    claim: Claim,
    work: Work,
    stop: &StopReceiver,
) -> AttemptResult {
    let (span, executed) = (span(&claim), claim.executed_attempt());
    let result = execute_in_span(context, claim, work, stop).instrument(span).await;
    context.artifacts.end(executed);
    result
}

/// Nests each span in the previous span, so that every log line names run, phase and attempt.
fn span(claim: &Claim) -> Span {
    let run = tracing::error_span!("run", run = claim.run_id.as_str());
    let phase = tracing::error_span!(parent: &run, "phase", phase = claim.phase_id.as_str());
    tracing::error_span!(parent: &phase, "attempt", attempt = claim.attempt)
}

async fn execute_in_span(
    context: &DrainContext,
    claim: Claim,
    work: Work,
    stop: &StopReceiver,
) -> AttemptResult {
    let started = Instant::now();
    let mut record = Record::default();
    let judged = async {
        match work {
            Work::OfAgent { drain_spent } => {
                attempt(context, &claim, drain_spent, stop, &mut record).await
            }
            Work::OfPerson(work) => {
                persons_attempt(context, &claim, *work, stop, &mut record).await
            }
        }
    };
    let (tried, shortage) = context.disk.watch(judged).await;
    let tried = match unless_full(tried, shortage) {
        Err(error) => unless_landed(context, &claim, &record, error, stop).await,
        judged => judged,
    };
    let used = record.used();
    let next = std::mem::take(&mut record.next);
    let (verdict, next) = match tried {
        Ok(verdict) => {
            let (verdict, next) = extend_wait(&claim, verdict, next);
            (verdict, Ok(next))
        }
        Err(error @ (AttemptError::LeaseLost | AttemptError::Unsettled(_))) => {
            return AttemptResult::unfinished(error);
        }
        Err(AttemptError::Crashed(why)) => match context.repeats.count_error(&claim.phase_id, &why)
        {
            Some(shared) => requeue_after(AttemptError::Systemic(shared)),
            None => {
                context.progress.note(&format!("{}: {why}", claim.phase_id));
                (Verdict::Requeued(RequeueReason::Crashed), Ok(next))
            }
        },
        Err(error @ AttemptError::Full(_)) => {
            let (verdict, full) = requeue_after(error);
            let freed_space = context.disk.free_space(&claim).await;
            (verdict, if freed_space { Ok(NextStep::FreedSpace) } else { full })
        }
        Err(error) => requeue_after(error),
    };
    tracing::debug!(verdict = verdict.as_str(), "judged");
    let landed_patch = record.kept.take().filter(|_| matches!(verdict, Verdict::Passed { .. }));
    let lessons = steps::memory_step::entries(&context.memory, &claim, &verdict, &record.lesson);
    let is_landing = matches!(verdict, Verdict::Passed { commit: Some(_) });
    let work = ClaimedWork::from(&claim);
    let is_rate_limit = matches!(verdict, Verdict::Requeued(RequeueReason::RateLimited { .. }));
    let result = match finish(context, claim, verdict, record, started, stop).await {
        Ok(phase) => {
            if let (true, Ok(NextStep::DeferAgent { agent, until })) = (is_rate_limit, &next) {
                context.share_rate_limit(agent, *until, &phase).await;
            }
            if let Some(Err(error)) = landed_patch.map(std::fs::remove_file) {
                tracing::warn!("cannot remove the patch of a landed change: {error}");
            }
            context.memory.remember_all(lessons).await;
            AttemptResult { finished: Some(Finished { phase, used }), next }
        }
        // The user needs to know the first error.
        Err(AttemptError::LeaseLost) => AttemptResult::unfinished(AttemptError::LeaseLost),
        Err(later) => AttemptResult::unfinished(match next {
            Err(first @ AttemptError::Internal(_)) => first,
            _ => later,
        }),
    };
    // The landing deleted its claim.
    if !is_landing {
        Box::pin(context.release_claim(&work)).await;
    }
    result
}

impl AttemptResult {
    /// Creates the result of an attempt that ended with an error before a verdict.
    pub fn unfinished(error: AttemptError) -> Self {
        Self { finished: None, next: Err(error) }
    }
}
fn requeue_after(error: AttemptError) -> (Verdict, Result<NextStep, AttemptError>) {
    (Verdict::Requeued(RequeueReason::Systemic { message: error.to_string() }), Err(error))
}
fn extend_wait(claim: &Claim, verdict: Verdict, next: NextStep) -> (Verdict, NextStep) {
    match (verdict, next) {
        (
            Verdict::Requeued(RequeueReason::Unavailable { not_before, message }),
            NextStep::DeferAgent { agent, until },
        ) => {
            let least = Backoff::at_least(claim.uncounted, now());
            let later = |at: UnixMs| UnixMs(at.0.max(least.0));
            // A phase handed on to another agent does not wait.
            let is_handed_on = not_before.0 <= now().0;
            let not_before = if is_handed_on { not_before } else { later(not_before) };
            let requeue = RequeueReason::Unavailable { not_before, message };
            (Verdict::Requeued(requeue), NextStep::DeferAgent { agent, until: later(until) })
        }
        others => others,
    }
}

/// Returns a passed verdict if the branch contains the commit of an interrupted attempt: another attempt would do the
/// work twice.
async fn unless_landed(
    context: &DrainContext,
    claim: &Claim,
    record: &Record,
    error: AttemptError,
    stop: &StopReceiver,
) -> Result<Verdict, AttemptError> {
    let is_settled =
        |error| matches!(error, &AttemptError::LeaseLost | &AttemptError::Unsettled(_));
    let Some(commit) = record.landing.clone().filter(|_| !is_settled(&error)) else {
        return Err(error);
    };
    let unsettled = |unknown: &str| {
        AttemptError::Unsettled(format!(
            "{error}; the next drain checks whether {} landed: {unknown}",
            claim.phase_id
        ))
    };
    let work = ClaimedWork::from(claim);
    match Box::pin(context.has_landed_for_good(&work, &commit, Some(stop))).await {
        Ok(Some(true)) => {
            tracing::warn!("{error}; {commit} had already landed");
            Ok(Verdict::Passed { commit: Some(commit) })
        }
        Ok(Some(false)) => Err(error),
        Ok(None) => Err(unsettled("the remote does not answer")),
        Err(unknown) => Err(unsettled(&unknown.to_string())),
    }
}

/// Converts a duration to milliseconds.
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
