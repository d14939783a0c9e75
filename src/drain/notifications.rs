//! Notifications of the drain: failed phases, spent budgets, waits, systemic failures and the end.

use std::time::Duration;

use serde_json::json;

use super::{Drain, StopReason};
use crate::config::NotifyEvent;
use crate::notify::Message;
use crate::phase::words::quoted;
use crate::progress::{
    DrainFinished, PhaseFinished, RunCounts, describe_money, duration, shown_id, shown_phase,
};

impl Drain<'_> {
    /// Notifies of a phase that failed for good.
    pub(super) fn notify_failed_phase(&self, phase: &PhaseFinished) {
        let name = shown_phase(&phase.run_id, &phase.phase_id, true);
        let why = phase.failure.as_ref();
        let why = why.map_or_else(
            || phase.verdict.to_owned(),
            |failure| format!("{}: {}", failure.kind.as_str(), failure.message),
        );
        let message =
            Message::new(NotifyEvent::PhaseFailed, format!("autopack: {name} failed"), why)
                .with_fields(json!(phase))
                .with_fields(json!({"next": format!("autopack phases show {}", quoted(&name))}));
        self.context.notifier.send(&message);
    }

    /// Notifies, once, of a stop reason that the user has to act on.
    pub(super) fn notify_stop(&mut self, reason: &StopReason) {
        let (event, title) = match reason {
            StopReason::Budget(_) => (NotifyEvent::Budget, "autopack: stopped by a budget"),
            StopReason::Error(_) => (NotifyEvent::Systemic, "autopack: the drain cannot continue"),
            _ => return,
        };
        if std::mem::replace(&mut self.has_notified_stop, true) {
            return;
        }
        let message = Message::new(event, title, reason.why().unwrap_or_default())
            .with_fields(json!({"runs": self.request.runs}));
        self.context.notifier.send(&message);
    }

    /// Notifies of a wait without work meanwhile.
    pub(super) fn notify_wait(&self, why: &str) {
        let message = Message::new(NotifyEvent::Waiting, "autopack: the drain waits", why)
            .with_fields(json!({"runs": self.request.runs}));
        self.context.notifier.send(&message);
    }

    /// Notifies of the end of the drain.
    pub(super) fn notify_end(&self, end: &DrainFinished) {
        let took = duration(Duration::from_millis(end.duration_ms));
        let spent = self.limits.spent();
        let mut text = format!("{} after {took}", end.reason.as_str().replace('_', " "));
        let cost = Some(spent.cost_usd).filter(|cost| *cost > 0.0);
        let tokens = Some(spent.tokens).filter(|tokens| *tokens > 0);
        if let Some(money) = describe_money(cost, tokens) {
            text += &format!(", {money}");
        }
        for run in &end.counts {
            text += &format!("\n{}", describe_counts(run));
        }
        if let Some(why) = &end.message {
            text += &format!("\n{why}");
        }
        let message = Message::new(NotifyEvent::DrainFinished, "autopack: drain finished", text)
            .with_fields(json!(end))
            .with_fields(json!({"cost_usd": spent.cost_usd, "tokens": spent.tokens}))
            .with_fields(json!({"next": "autopack status"}));
        self.context.notifier.send(&message);
    }
}

fn describe_counts(run: &RunCounts) -> String {
    let counts = [
        (run.complete, "complete"),
        (run.failed, "failed"),
        (run.blocked, "blocked"),
        (run.held, "held"),
        (run.queued.saturating_sub(run.blocked + run.held), "queued"),
        (run.skipped, "skipped"),
    ];
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(count, word)| *count > 0 || *word == "complete")
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    format!("{}: {}", shown_id(run.run_id.as_str()), counts.join(", "))
}
