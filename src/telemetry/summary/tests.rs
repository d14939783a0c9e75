//! Summaries of known histories, figure by figure.

use proptest::prelude::*;

use super::*;
use crate::phase::{AttemptFacts, PhaseHistory, PhaseId, PhaseState, Tokens, UnixMs};

const SECOND: i64 = 1_000;

fn attempt(number: u32, outcome: AttemptOutcome, from: i64, to: i64) -> AttemptFacts {
    AttemptFacts {
        attempt: number,
        started_at: UnixMs(from * SECOND),
        ended_at: Some(UnixMs(to * SECOND)),
        outcome: Some(outcome),
        failure_kind: (outcome == AttemptOutcome::Failed).then(|| "ci_failed".to_owned()),
        category: "api".to_owned(),
        complexity: "low".to_owned(),
        agent: Some("a".to_owned()),
        model: None,
        estimated_output: Some(1_000),
        tokens: Tokens { input: Some(100), output: Some(500), ..Tokens::default() },
        cost_usd: Some(0.5),
        truncated: false,
        agent_ms: Some(4_000),
        ci_ms: None,
    }
}

fn phase(state: PhaseState, attempts: Vec<AttemptFacts>) -> PhaseHistory {
    PhaseHistory {
        run_id: RunId::new("r"),
        phase_id: PhaseId::new("p"),
        state,
        failure_kind: None,
        attempts,
    }
}

fn summary(phases: &[PhaseHistory]) -> Summary {
    let mut summariser = Summariser::new(None);
    phases.iter().for_each(|phase| summariser.phase(phase));
    summariser.summary()
}

use AttemptOutcome::{Crashed, Failed, Landed, RateLimited};

#[test]
fn empty_history_has_no_figures() {
    let nothing = summary(&[]);
    assert_eq!(nothing.phases.success.value, None);
    assert_eq!((nothing.used.tokens.billed, nothing.used.cost_usd), (None, None));
    assert_eq!(nothing.per_landed_phase, PerLanded::default());
    assert_eq!(nothing.estimate.smape_percent, Spread::default());
    assert_eq!(nothing.retries.share_of_tokens, None);
}

#[test]
fn landing_counts_for_the_landing_agent_and_first_attempt_for_the_first_agent() {
    let other = AttemptFacts { agent: Some("b".to_owned()), ..attempt(2, Landed, 5, 9) };
    let all = summary(&[
        phase(PhaseState::Complete, vec![attempt(1, Failed, 0, 5), other]),
        phase(PhaseState::Complete, vec![attempt(1, Landed, 9, 14)]),
        phase(PhaseState::Failed, vec![attempt(1, Failed, 14, 19)]),
        phase(PhaseState::Queued, vec![attempt(1, Failed, 19, 24)]),
    ]);
    assert_eq!(all.phases.success, Rate::new(2, 3));
    assert_eq!(all.phases.first_try, Rate::new(1, 3));
    assert_eq!((all.phases.tried, all.phases.open), (4, 1));
    let [a, b] = all.by_agent.as_slice() else { panic!("{:?}", all.by_agent) };
    assert_eq!((a.success, a.first_try, a.attempts), (Rate::new(1, 3), Rate::new(1, 3), 4));
    assert_eq!((b.success, b.first_try, b.attempts), (Rate::new(1, 1), Rate::new(0, 0), 1));
    assert_eq!(all.by_model[0].name, None);
    assert_eq!(all.per_landed_phase.tokens, Some(1_500.0));
    assert_eq!((all.retries.attempts, all.retries.share_of_tokens), (3, Some(0.6)));
    assert_eq!(all.retries.wall_ms, 15_000);
}

#[test]
fn missing_reports_are_counted_and_not_zero() {
    let silent =
        AttemptFacts { tokens: Tokens::default(), cost_usd: None, ..attempt(1, Crashed, 0, 9) };
    let unreached = AttemptFacts { agent: None, agent_ms: None, ..silent.clone() };
    let all = summary(&[phase(PhaseState::Queued, vec![silent.clone(), unreached])]);
    assert_eq!(all.used.tokens, TokenSums { unknown_attempts: 1, ..TokenSums::default() });
    assert_eq!((all.used.cost_usd, all.used.cost_unknown_attempts), (None, 1));
    assert_eq!(all.estimate.left_out, ExcludedSamples { unknown: 1, ..ExcludedSamples::default() });
    let both = summary(&[phase(PhaseState::Complete, vec![silent, attempt(2, Landed, 9, 14)])]);
    assert_eq!((both.used.tokens.billed, both.used.tokens.unknown_attempts), (Some(600), 1));
}

#[test]
fn estimates_are_scored_on_complete_landings() {
    let cut = AttemptFacts { truncated: true, ..attempt(2, Landed, 0, 5) };
    let all = summary(&[phase(
        PhaseState::Complete,
        vec![attempt(1, Failed, 0, 5), cut, attempt(3, Landed, 0, 5)],
    )]);
    let estimate = all.estimate;
    assert_eq!((estimate.samples, estimate.imported), (1, 0));
    assert_eq!(estimate.left_out, ExcludedSamples { unknown: 0, did_not_land: 1, truncated: 1 });
    assert_eq!(estimate.waste_ratio.p50.value, Some(2.0));
    assert!((estimate.smape_percent.mean.value.unwrap() - 66.666_667).abs() < 1e-3);
    assert_eq!(estimate.underestimated, Rate::new(0, 1));
}

#[test]
fn time_between_attempts_is_waiting_with_rate_limits_separate() {
    let all = summary(&[
        phase(PhaseState::Queued, vec![attempt(1, RateLimited, 0, 5)]),
        phase(PhaseState::Complete, vec![attempt(1, Landed, 65, 75), attempt(2, Landed, 66, 70)]),
        phase(PhaseState::Complete, vec![attempt(1, Landed, 80, 90)]),
    ]);
    let time = all.time;
    assert_eq!((time.span_ms, time.busy_ms), (90_000, 25_000));
    assert_eq!((time.rate_limited_ms, time.idle_ms), (60_000, 5_000));
    assert_eq!((time.attempts_ms, time.agent_ms, time.ours_ms), (29_000, 16_000, 13_000));
}

#[test]
fn refused_phase_is_a_failure_without_an_attempt() {
    let refused = PhaseHistory {
        failure_kind: Some("unfixable".to_owned()),
        ..phase(PhaseState::Failed, Vec::new())
    };
    let all = summary(&[refused]);
    let kind = "unfixable".to_owned();
    assert_eq!(all.failures, [FailureCount { kind, attempts: 0, phases: 1 }]);
    assert_eq!((all.phases.tried, all.phases.counts["FAILED"]), (0, 1));
}

#[test]
fn a_scope_proposal_is_no_retry() {
    let history = vec![attempt(1, AttemptOutcome::ScopeProposed, 0, 2), attempt(2, Landed, 2, 6)];
    let all = summary(&[phase(PhaseState::Complete, history)]);
    assert_eq!((all.attempts.ended, all.retries.attempts), (2, 0));
    assert_eq!(all.failures, []);
    assert_eq!(all.phases.first_try, Rate::new(1, 1));
    assert_eq!(all.used.cost_usd, Some(1.0), "its cost counts");
}

#[test]
fn since_filters_attempts_but_keeps_the_first_attempt() {
    let mut summariser = Summariser::new(Some(UnixMs(8 * SECOND)));
    summariser.phase(&phase(
        PhaseState::Complete,
        vec![attempt(1, Failed, 0, 5), attempt(2, Landed, 5, 9)],
    ));
    summariser.phase(&phase(PhaseState::Complete, vec![attempt(1, Landed, 0, 7)]));
    let late = summariser.summary();
    assert_eq!((late.attempts.ended, late.phases.landed), (1, 1));
    assert_eq!(late.phases.first_try, Rate::new(0, 1));
}

fn any_attempt() -> impl Strategy<Value = AttemptFacts> {
    let outcome = prop::sample::select(AttemptOutcome::ALL.to_vec());
    let count = || prop::option::of(0..1_000_000_u64);
    (outcome, 0..100_000_i64, -50..5_000_i64, count(), count(), count(), any::<[bool; 2]>())
        .prop_map(|(outcome, from, length, output, agent_ms, ci_ms, [reached, truncated])| {
            AttemptFacts {
                agent: reached.then(|| "a".to_owned()),
                agent_ms: agent_ms.filter(|_| reached),
                ci_ms,
                truncated,
                tokens: Tokens { output, ..Tokens::default() },
                ..attempt(1, outcome, from, from + length)
            }
        })
}

proptest! {
    /// Checks the sums promised by the documentation, with any clock jumps.
    #[test]
    fn sums_add_up(phases in prop::collection::vec(prop::collection::vec(any_attempt(), 0..5), 0..20)) {
        let phases: Vec<PhaseHistory> =
            phases.into_iter().map(|attempts| phase(PhaseState::Complete, attempts)).collect();
        let all = summary(&phases);
        let time = &all.time;
        prop_assert_eq!(time.attempts_ms, time.agent_ms + time.ci_ms + time.ours_ms + time.unknown_ms);
        prop_assert_eq!(time.span_ms, time.busy_ms + time.rate_limited_ms + time.idle_ms);
        prop_assert!(time.busy_ms <= time.attempts_ms);
        prop_assert_eq!(all.attempts.ended, all.attempts.by_outcome.values().sum::<u64>());
        let by_category: u64 = all.by_category.iter().map(|group| group.attempts).sum();
        prop_assert_eq!(all.attempts.ended, by_category);
        let outputs = all.by_category.iter().filter_map(|group| group.used.tokens.known.output);
        prop_assert_eq!(all.used.tokens.known.output.unwrap_or(0), outputs.sum::<u64>());
        prop_assert!(all.phases.first_try.count <= all.phases.landed);
        let left = &all.estimate.left_out;
        let reached = phases.iter().flat_map(|p| &p.attempts).filter(|a| a.agent.is_some()).count();
        prop_assert_eq!(all.estimate.samples + left.unknown + left.did_not_land + left.truncated, reached as u64);
    }
}

#[test]
fn fields_missing_in_the_plan_are_unknown() {
    let unsaid = AttemptFacts { category: String::new(), ..attempt(1, Landed, 0, 5) };
    let all = summary(&[phase(PhaseState::Complete, vec![unsaid])]);
    assert_eq!(all.by_category[0].name, None);
    assert_eq!(all.by_complexity[0].name.as_deref(), Some("low"));
}
