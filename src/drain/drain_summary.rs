//! Events of a drain at start, between batches and at the end, and the exit code derived from the last.

use std::time::{Duration, Instant};

use super::stop_reason::is_our_failure;
use super::{Drain, StopReason};
use crate::attempt::{AttemptError, compare_with_tip, millis};
use crate::failure::Exit;
use crate::phase::{PhaseState, RunId};
use crate::process::StopLevel;
use crate::progress::{
    BatchFinished, DrainFinished, DrainStarted, Event, PhaseFinished, RunCounts, SET_THE_CLOCK,
    describe_wrong_clock,
};
use crate::store::{Backlog, CleanOutcome, RunSummary};

/// Longest wait for the files of the last attempts, and the wait of a drain that was asked to stop.
const LONGEST_STORING: Duration = Duration::from_secs(30);
const SHORT_STORING: Duration = Duration::from_secs(5);

/// Totals of the current batch.
#[derive(Debug)]
pub struct Tallies {
    started: Instant,
    done: u64,
    failed: u64,
    tokens: u64,
    cost_usd: Option<f64>,
}

impl Default for Tallies {
    fn default() -> Self {
        Self { started: Instant::now(), done: 0, failed: 0, tokens: 0, cost_usd: None }
    }
}

impl Tallies {
    /// Starts a new batch with all totals at zero.
    pub fn start_batch(&mut self) {
        *self = Self::default();
    }

    /// Adds a finished phase to the totals.
    pub fn add(&mut self, phase: &PhaseFinished) {
        match phase.state {
            PhaseState::Complete => self.done += 1,
            PhaseState::Failed => self.failed += 1,
            _ => {}
        }
        self.tokens += phase.tokens.billed().unwrap_or_default();
        let costs = self.cost_usd.into_iter().chain(phase.cost_usd);
        self.cost_usd = costs.reduce(|all, one| all + one);
    }

    fn phases_per_hour(&self) -> Option<f64> {
        let hours = self.started.elapsed().as_secs_f64() / 3600.0;
        (self.done > 0 && hours > 0.0).then(|| self.done as f64 / hours)
    }
}

impl Drain<'_> {
    /// Emits the start event and notes about unproven phases and relocated variables.
    pub(super) async fn announce(&self) -> anyhow::Result<()> {
        let runs = self.summaries().await?;
        let left_behind = self.count_left_behind().await?;
        let sum = |of: fn(&RunSummary) -> u64| runs.iter().map(of).sum();
        self.context.progress.emit(&Event::DrainStarted(DrainStarted {
            runs: self.request.runs.clone(),
            workspace: self.context.repo.root().display().to_string(),
            database: self.context.store.name().to_string(),
            agent: self.context.default_agent().unwrap_or("none").to_owned(),
            queued: sum(|run| run.counts.queued),
            left_behind,
            phases: sum(|run| run.counts.total()),
            settled: sum(|run| run.counts.settled()),
            batch_size: self.request.batch_size,
            jobs: self.request.jobs,
            memory_backend: self.context.memory.backend().as_str(),
            memory: self.memory_line.clone(),
        }));
        for note in self.unproven().await? {
            self.context.progress.note(&note);
        }
        if let Some(clock) = describe_wrong_clock() {
            self.context.progress.note(&format!("{clock}; {SET_THE_CLOCK}"));
        }
        if let Some(limit) = &self.request.time_limit {
            self.context.progress.note(&format!("no phase starts from {} on", limit.shown));
        }
        self.context.note_sandbox();
        if self.request.is_trial {
            self.context
                .progress
                .note("no budget is set (executor.budgets): running one phase; --yes runs all");
        }
        self.context.note_withheld_variables();
        self.context.note_relocated_variables();
        self.context.note_ignored_keys();
        Ok(())
    }

    /// Emits the totals of the batch and the size of the remaining backlog.
    pub(super) async fn batch_finished(&self, batch: u32) -> Result<(), AttemptError> {
        let Backlog { queued, executing, blocked } =
            self.context.store.backlog(&self.request.runs).await?;
        self.context.progress.emit(&Event::BatchFinished(BatchFinished {
            batch,
            done: self.tallies.done,
            failed: self.tallies.failed,
            left: queued + executing,
            blocked,
            tokens: self.tallies.tokens,
            cost_usd: self.tallies.cost_usd,
            phases_per_hour: self.tallies.phases_per_hour(),
        }));
        Ok(())
    }

    /// Returns whether no phase of these runs is running or can run.
    pub(super) async fn is_empty(&self) -> Result<bool, AttemptError> {
        Ok(!self.context.store.has_work(&self.request.runs).await?)
    }

    /// Emits the final summary, retires the owner and returns the exit code.
    pub(super) async fn conclude(mut self, reason: StopReason) -> anyhow::Result<Exit> {
        self.notify_stop(&reason);
        let mut runs = self.summaries().await?;
        for run in &mut runs {
            compare_with_tip(run, &self.context.repo).await;
        }
        let is_red = |run: &RunSummary| {
            run.clean_test
                .as_ref()
                .is_some_and(|test| test.outcome == CleanOutcome::RedInCleanClone)
        };
        let is_troubled =
            runs.iter().any(|run| run.counts.failed > 0 || run.blocked > 0 || is_red(run));
        let exit = match &reason {
            StopReason::FirstFailure => Exit::StoppedAtFirstFailure,
            StopReason::Budget(_) => Exit::Systemic,
            StopReason::Error(error) if is_our_failure(error) => Exit::OurFailure,
            StopReason::Error(_) => Exit::Systemic,
            StopReason::Interrupted => self.signals.exit(),
            StopReason::Drained
            | StopReason::MaxBatches
            | StopReason::Trial
            | StopReason::ClaimsEnded(_)
                if is_troubled =>
            {
                Exit::PhasesFailed
            }
            StopReason::Drained
            | StopReason::MaxBatches
            | StopReason::Trial
            | StopReason::ClaimsEnded(_) => Exit::Done,
        };
        // Every phase passed, but some phases count as settled without evidence.
        let unproven = self.unproven().await?.join("; ");
        let exit = match exit {
            Exit::Done | Exit::PhasesFailed if !unproven.is_empty() => Exit::OurFailure,
            exit => exit,
        };
        let exit = self.unless_unwritten(exit);
        let mut end = DrainFinished {
            counts: self.counts(&runs).await,
            reason: reason.reason(),
            exit_code: exit.code(),
            message: reason.why().or(Some(unproven).filter(|text| !text.is_empty())),
            names_cure: reason.names_cure(),
            is_budget_lasting: reason.budget().is_some_and(|budget| self.is_lasting(&budget)),
            budget: reason.budget(),
            to_retry: self.runs_to_retry(reason.reason(), &runs).await?,
            overview: String::new(),
            duration_ms: millis(self.context.progress.elapsed()),
        };
        let records = self.end_records(&end, &runs).await?;
        let ids: Vec<RunId> = runs.iter().map(|run| run.run_id.clone()).collect();
        end.overview = self.overview(&end, runs, &records).await;
        self.notify_end(&end);
        self.context.progress.emit(&Event::DrainFinished(end));
        self.record_end(&ids, &records).await;
        self.retire().await?;
        self.store_last_files().await;
        self.context.notifier.close(&self.stop).await;
        if let Some(why) = self.context.progress.unwritten() {
            tracing::error!(
                "cannot write to stdout: {why}; the drain continued without output; run `autopack status` to see the result"
            );
        }
        // The write of the final event may have failed, too.
        Ok(self.unless_unwritten(exit))
    }

    /// Waits for the files of the last attempts. The next drain stores what remains.
    async fn store_last_files(&self) {
        let time = if self.stop.level() > StopLevel::Run { SHORT_STORING } else { LONGEST_STORING };
        if let Some(missing) = self.context.artifacts.finish(time).await {
            tracing::warn!("{missing}");
        }
    }

    /// Replaces a success code if stdout is incomplete: a reader of the output lacks some events.
    fn unless_unwritten(&self, exit: Exit) -> Exit {
        match self.context.progress.unwritten() {
            Some(_) if exit == Exit::Done => Exit::OurFailure,
            _ => exit,
        }
    }

    /// Retires the owner. Waits for space if the disk is full.
    async fn retire(&self) -> anyhow::Result<()> {
        let retire = || self.owner.retire(&self.context.store);
        Ok(self.context.disk.retry_while_full(&self.stop, retire).await?)
    }

    async fn counts(&self, runs: &[RunSummary]) -> Vec<RunCounts> {
        let mut all = Vec::new();
        for run in runs {
            let mut counts = RunCounts::from(run);
            if let (Some(branch), Ok(tip)) =
                (&counts.branch, self.context.repo.tip(&run.run_id).await)
            {
                let held = tip.on != format!("refs/heads/{branch}");
                counts.tip = Some(if held || tip.shadowed { tip.on } else { branch.clone() });
                // A tip with red CI in a clean clone is not offered for merging.
                if let Some(test) = run.clean_test.as_ref().filter(|test| {
                    test.outcome == CleanOutcome::RedInCleanClone && test.commit == tip.commit
                }) {
                    counts.tip.clone_from(&test.last_green);
                }
            }
            all.push(counts);
        }
        all
    }

    async fn summaries(&self) -> anyhow::Result<Vec<RunSummary>> {
        let wanted = |run: &RunId| self.request.runs.contains(run);
        let runs = self.context.store.runs().await?;
        Ok(runs.into_iter().filter(|run| wanted(&run.run_id)).collect())
    }
}

impl From<&RunSummary> for RunCounts {
    fn from(run: &RunSummary) -> Self {
        Self {
            run_id: run.run_id.clone(),
            branch: run.facts.as_ref().map(|facts| facts.branch.clone()),
            tip: None,
            complete: run.counts.complete,
            failed: run.counts.failed,
            blocked: run.blocked,
            held: run.held,
            queued: run.counts.queued,
            skipped: run.counts.skipped,
            clean_clone: run.clean_test.as_ref().map(|test| test.outcome.as_str()),
            clean_clone_commit: run.clean_test.as_ref().map(|test| test.commit.clone()),
            changed_since_test: run.has_changed_since_test(),
        }
    }
}
