//! `status --json`: a stable JSON shape for scripts.

use serde_json::{Value, json};

use super::status_snapshot::{RunStatus, StatusSnapshot, format_reasons};
use crate::cli::open_database::time;
use crate::phase::FailureKind;
use crate::store::{InFlight, LastDrain};

pub(super) fn json(snapshot: &StatusSnapshot) -> Value {
    let runs: Vec<Value> = snapshot.runs.iter().map(|status| run(snapshot, status)).collect();
    json!({
        "runs": runs,
        "key_limits": snapshot.key_limits.iter().map(|limit| json!({
            "agent": limit.agent,
            "key": limit.fingerprint,
            "until": time(limit.until),
        })).collect::<Vec<_>>(),
    })
}

fn run(snapshot: &StatusSnapshot, status: &RunStatus) -> Value {
    let RunStatus { overview, waiting, pace } = status;
    let run = &overview.summary;
    let running = snapshot.running.iter().filter(|work| work.run_id == run.run_id);
    json!({
        "run_id": run.run_id,
        "counts": run.counts,
        "blocked": run.blocked,
        "held": run.held,
        "paused_at": run.paused_at.map(time),
        "tokens": run.tokens,
        "cost_usd": run.cost_usd,
        "branch": run.facts.as_ref().map(|facts| &facts.branch),
        "clean_clone": run.clean_test.as_ref().map(|test| test.outcome.as_str()),
        "clean_clone_commit": run.clean_test.as_ref().map(|test| &test.commit),
        "changed_since_test": run.has_changed_since_test(),
        "merged_into": overview.merged_into,
        "memory_backend": run.memory_backend.as_deref().unwrap_or("off"),
        "running": running.map(|work| running_phase(snapshot, work)).collect::<Vec<_>>(),
        "merge_queue": overview.merge_queue.iter().map(|member| json!({
            "position": member.position,
            "phase_id": member.phase_id,
            "attempt": member.attempt,
            "state": member.state.as_str(),
            "commit": member.commit,
            "entered_at": time(member.entered_at),
        })).collect::<Vec<_>>(),
        "waiting": waiting.iter().map(|phase| json!({
            "phase_id": phase.phase_id,
            "blocked": phase.blocked,
            "held": phase.held,
            "why": format_reasons(phase, snapshot.at),
        })).collect::<Vec<_>>(),
        "failures": overview.failures.iter().map(|group| json!({
            "kind": group.kind.map(FailureKind::as_str),
            "reason": group.reason,
            "phases": group.phases,
            "next": group.next_step(),
            "has_common_cause": group.has_common_cause,
        })).collect::<Vec<_>>(),
        "stop_cause": overview.stop_cause(),
        "common_cause": overview.summary.last_drain.as_ref().and_then(|end| {
            end.common_failure.as_ref().map(|failure| &failure.message)
        }),
        "last_drain": overview.end.as_ref().map(last_drain),
        "budget_to_raise": overview.budget_to_raise().map(|(key, _)| key),
        "ended_attempts": pace.attempts,
        "looked_at": run.looked_at.map(time),
        "landed_since_look": overview.new_landings().iter().map(|landing| json!({
            "phase_id": landing.phase_id,
            "commit": landing.commit,
            "ended_at": time(landing.ended_at),
        })).collect::<Vec<_>>(),
    })
}

fn last_drain(end: &LastDrain) -> Value {
    json!({
        "reason": end.reason,
        "message": end.message,
        "exit_code": end.exit_code,
        "ended_at": time(end.ended_at),
        "duration_ms": end.duration_ms,
        "tokens": end.tokens,
        "cost_usd": end.cost_usd,
    })
}

fn running_phase(snapshot: &StatusSnapshot, work: &InFlight) -> Value {
    let millis = |since| u64::try_from(snapshot.since(since).as_millis()).unwrap_or(u64::MAX);
    json!({
        "phase_id": work.phase_id,
        "attempt": work.attempt,
        "try": work.counted_attempts + 1,
        "max_attempts": work.max_attempts.unwrap_or(snapshot.max_attempts),
        "agent": work.agent,
        "drain_died": snapshot.is_abandoned(work),
        "elapsed_ms": millis(work.started_at),
        "activity": work.activity.as_ref().map(|(what, _)| what),
        "activity_ms": work.activity.as_ref().map(|(_, since)| millis(*since)),
    })
}
