//! Overview of the runs at the end of a drain, and its record for `status`.

use std::time::Duration;

use super::Drain;
use crate::attempt::run_end;
use crate::clock::now;
use crate::overview::{
    RunOverview, TextOptions, format_details, format_earlier_cause, format_facts,
    format_next_drain, format_verdict, read_run,
};
use crate::phase::budget::{ExhaustedBudget, Level};
use crate::phase::{FailureKind, PhaseState, RunId};
use crate::progress::{DrainFinished, LineOptions, Reason, RunCounts, describe_money};
use crate::store::{BudgetStop, CommonFailure, LastDrain, PhaseRow, RunSummary};

impl Drain<'_> {
    /// Whether this budget would end the next drain at once. A fresh budget of a drain lets it go on, unless it is too
    /// small for a single attempt.
    pub(super) fn is_lasting(&self, budget: &ExhaustedBudget) -> bool {
        budget.level == Level::Run || self.limits.spent().attempts == 0
    }

    /// Creates the record of this end.
    fn end_record(&self, end: &DrainFinished) -> LastDrain {
        let spent = self.limits.spent();
        let budget = end.budget.as_ref().filter(|_| end.is_budget_lasting);
        LastDrain {
            reason: end.reason.as_str().to_owned(),
            message: end.message.clone(),
            exit_code: end.exit_code,
            ended_at: now(),
            duration_ms: end.duration_ms,
            tokens: spent.tokens,
            cost_usd: spent.cost_usd,
            budget: budget.map(|budget| BudgetStop {
                key: budget.key(),
                budgets: self.context.settings.executor.budgets,
            }),
            has_no_ci: self.has_no_ci,
            common_failure: self.common_failure(end.reason),
        }
    }

    /// Returns the failure of several phases that ended this drain.
    fn common_failure(&self, reason: Reason) -> Option<CommonFailure> {
        self.context.repeats.end().filter(|_| reason == Reason::Systemic)
    }

    /// Returns the record of each run. A failure that ended an earlier drain stays until a phase lands.
    pub(super) async fn end_records(
        &self,
        end: &DrainFinished,
        runs: &[RunSummary],
    ) -> anyhow::Result<Vec<LastDrain>> {
        let record = self.end_record(end);
        let mut records = Vec::new();
        for run in runs {
            let mut record = record.clone();
            if let (None, Some(before)) = (&record.common_failure, &run.last_drain)
                && before.common_failure.is_some()
            {
                let landings = self.context.store.landings(&run.run_id).await?;
                if landings.iter().all(|landing| landing.ended_at <= before.ended_at) {
                    record.common_failure.clone_from(&before.common_failure);
                }
            }
            records.push(record);
        }
        Ok(records)
    }

    /// Returns the runs with phases that are FAILED for the reason of this end.
    pub(super) async fn runs_to_retry(
        &self,
        reason: Reason,
        runs: &[RunSummary],
    ) -> anyhow::Result<Vec<RunId>> {
        let mut to_retry = Vec::new();
        if reason != Reason::Systemic {
            return Ok(to_retry);
        }
        let common = self.common_failure(reason);
        for run in runs.iter().filter(|run| run.counts.failed > 0) {
            let failed = self.context.store.phases(&run.run_id, Some(PhaseState::Failed)).await?;
            let is_common = |row: &PhaseRow| {
                let kind = row.last_failure.as_ref().map(|failure| failure.kind);
                // Phases gave up after attempts that ended for reasons of others.
                kind == Some(FailureKind::GaveUp)
                    || common.as_ref().is_some_and(|common| {
                        common.phases.contains(&row.phase_id)
                            && (common.kind.is_none() || common.kind == kind)
                    })
            };
            if failed.iter().any(is_common) {
                to_retry.push(run.run_id.clone());
            }
        }
        Ok(to_retry)
    }

    /// Records the end for `status`, and the look of a person at the terminal. Best effort: the drain itself is over.
    pub(super) async fn record_end(&self, runs: &[RunId], ends: &[LastDrain]) {
        let store = &self.context.store;
        let mut recorded = Ok(());
        for (run, end) in runs.iter().zip(ends) {
            recorded = recorded.and(store.record_drain_end(run, end).await);
        }
        if let Some(end) = ends.first().filter(|_| self.context.progress.is_seen()) {
            recorded = recorded.and(store.record_look(runs, end.ended_at).await);
        }
        if let Err(error) = recorded {
            tracing::warn!("cannot record the end of the drain for `autopack status`: {error}");
        }
    }

    /// Formats the overview: the verdict, the reason of an early end, then the details of each run.
    pub(super) async fn overview(
        &self,
        end: &DrainFinished,
        runs: Vec<RunSummary>,
        records: &[LastDrain],
    ) -> String {
        let record = records.first().cloned().unwrap_or_else(|| self.end_record(end));
        let LineOptions { color, columns, .. } = self.context.progress.line_options();
        let several = runs.len() > 1;
        let options = TextOptions { columns, color, now: Some(record.ended_at), several };
        let mut overviews = Vec::new();
        for ((summary, counts), record) in runs.into_iter().zip(&end.counts).zip(records) {
            match self.read_overview(summary, counts, record).await {
                Ok(overview) => overviews.push(overview),
                Err(error) => tracing::warn!("cannot read the result of a run: {error}"),
            }
        }
        let mut text = String::new();
        // Several runs ended for the same reason.
        if several || overviews.is_empty() {
            text += &format_facts(&self.describe_drain(end, &record), &options);
            overviews.iter_mut().for_each(|run| run.end = None);
        }
        overviews.iter().for_each(|run| text += &format_verdict(run, &options));
        text += &end.explanation(columns);
        for run in &overviews {
            text += &format_earlier_cause(run, &options);
            text += &format_details(run, &options);
        }
        if is_continued(end) {
            let is_spent = end.reason == Reason::Budget;
            let comment = is_spent.then_some("with a fresh budget of the drain");
            text += &format_next_drain(&overviews, comment, &options);
        }
        text
    }

    async fn read_overview(
        &self,
        summary: RunSummary,
        counts: &RunCounts,
        record: &LastDrain,
    ) -> Result<RunOverview, crate::store::StoreError> {
        let settings = &self.context.settings;
        let summary = RunSummary { last_drain: Some(record.clone()), ..summary };
        let final_test = run_end(&summary, settings.ci.final_test);
        let budgets = settings.executor.budgets;
        let store = &self.context.store;
        let waiting = store.waiting_phases(&summary.run_id, record.ended_at).await?;
        let read = read_run(store, summary, &waiting, budgets).await?;
        let merged_into = match &read.summary.facts {
            Some(facts) if read.tip.is_some() => {
                self.context.repo.merged_into(&read.summary.run_id, &facts.base_commit).await
            }
            _ => None,
        };
        Ok(RunOverview {
            merged_into,
            tip: counts.tip.clone().filter(|_| read.tip.is_some()),
            final_test,
            ..read
        })
    }

    fn describe_drain(&self, end: &DrainFinished, record: &LastDrain) -> Vec<String> {
        let took = Duration::from_millis(end.duration_ms);
        let mut facts = vec![Reason::describe(end.reason, took)];
        let cost = Some(record.cost_usd).filter(|cost| *cost > 0.0);
        let tokens = Some(record.tokens).filter(|tokens| *tokens > 0);
        facts.extend(describe_money(cost, tokens));
        facts
    }
}

/// Whether the same command goes on with the rest of the backlog. Other ends have a hint.
fn is_continued(end: &DrainFinished) -> bool {
    match end.reason {
        Reason::MaxBatches
        | Reason::StoppedOnFailure
        | Reason::Interrupted
        | Reason::AfterCurrent
        | Reason::TimeLimit => true,
        Reason::Budget => !end.is_budget_lasting,
        _ => false,
    }
}
