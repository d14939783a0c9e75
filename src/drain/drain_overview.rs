//! Overview of the runs at the end of a drain, and its record for `status`.

use std::time::Duration;

use super::Drain;
use crate::attempt::run_end;
use crate::clock::now;
use crate::overview::{
    RunOverview, TextOptions, format_details, format_facts, format_next_drain, format_verdict,
    read_run,
};
use crate::phase::budget::Level;
use crate::progress::{DrainFinished, LineOptions, Reason, RunCounts, describe_money};
use crate::store::{BudgetStop, LastDrain, RunSummary};

impl Drain<'_> {
    /// Creates the record of this end.
    pub(super) fn end_record(&self, end: &DrainFinished) -> LastDrain {
        let spent = self.limits.spent();
        // A fresh budget of a drain lets the next drain go on, unless it is too small for a single attempt.
        let is_lasting = |level: Level| level == Level::Run || spent.attempts == 0;
        let budget = end.budget.as_ref().filter(|budget| is_lasting(budget.level));
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
        }
    }

    /// Records the end for `status`, and the look of a person at the terminal. Best effort: the drain itself is over.
    pub(super) async fn record_end(&self, end: &LastDrain) {
        let (store, runs) = (&self.context.store, &self.request.runs);
        let mut recorded = store.record_drain_end(runs, end).await;
        if self.context.progress.is_seen() {
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
        record: &LastDrain,
    ) -> String {
        let LineOptions { color, columns, .. } = self.context.progress.line_options();
        let several = runs.len() > 1;
        let options = TextOptions { columns, color, now: Some(record.ended_at), several };
        let mut overviews = Vec::new();
        for (summary, counts) in runs.into_iter().zip(&end.counts) {
            match self.read_overview(summary, counts, record).await {
                Ok(overview) => overviews.push(overview),
                Err(error) => tracing::warn!("cannot read the result of a run: {error}"),
            }
        }
        let mut text = String::new();
        // Several runs ended for the same reason.
        if several || overviews.is_empty() {
            text += &format_facts(&self.describe_drain(end, record), &options);
            overviews.iter_mut().for_each(|run| run.end = None);
        }
        overviews.iter().for_each(|run| text += &format_verdict(run, &options));
        text += &end.explanation(columns);
        overviews.iter().for_each(|run| text += &format_details(run, &options));
        if is_continued(end.reason) {
            text += &format_next_drain(&overviews, &options);
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
fn is_continued(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::MaxBatches
            | Reason::StoppedOnFailure
            | Reason::Interrupted
            | Reason::AfterCurrent
            | Reason::TimeLimit
    )
}
