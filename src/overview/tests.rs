//! Overviews of constructed runs.

use super::*;
use crate::phase::PhaseState;
use crate::phase::budget::{Budget, BudgetUsage, Budgets};
use crate::phase::verdict::FailingTest;
use crate::phase::{Failure, FailureKind, PhaseId, RunId, Tokens, UnixMs};
use crate::progress::width;
use crate::store::{
    BudgetStop, Landing, LastDrain, PhaseRow, PhaseUsage, RunFacts, RunSummary, StateCounts,
    Waiting,
};
use std::collections::HashMap;

fn summary(counts: StateCounts, blocked: u64) -> RunSummary {
    RunSummary {
        run_id: RunId::new("night"),
        source: String::new(),
        created_at: UnixMs(0),
        facts: Some(RunFacts {
            repo: "/repo".to_owned(),
            branch: "autopack/night".to_owned(),
            base_commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        }),
        counts,
        blocked,
        held: 0,
        paused_at: None,
        tokens: Tokens { input: Some(2_000_000), output: Some(100_000), ..Tokens::default() },
        cost_usd: Some(4.31),
        memory_backend: None,
        clean_test: None,
        is_untested: false,
        is_updated: false,
        spent: BudgetUsage {
            attempts: 40,
            tokens: 2_100_000,
            cost_usd: 4.31,
            ..Default::default()
        },
        looked_at: None,
        last_drain: None,
    }
}

fn failed(id: &str, kind: FailureKind, message: &str) -> PhaseRow {
    PhaseRow {
        state: PhaseState::Failed,
        last_failure: Some(Failure::new(kind, message)),
        ..PhaseRow::sample(id, serde_json::json!({}))
    }
}

fn ids(names: &[&str]) -> Vec<PhaseId> {
    names.iter().map(|name| PhaseId::new(*name)).collect()
}

/// A run of 40 phases: 33 landed, 3 failed, 2 blocked, 2 skipped.
fn night() -> RunOverview {
    let counts =
        StateCounts { queued: 2, complete: 33, failed: 3, skipped: 2, ..StateCounts::default() };
    let long = "the agent wrote outside of the scope of the phase: src/core/engine.rs and 3 more";
    let mut tests = failed("p17", FailureKind::CiFailed, "2 tests failed");
    let test = |name: &str| FailingTest { name: name.to_owned(), message: String::new() };
    tests.last_failure.as_mut().unwrap().detail.failing_tests =
        vec![test("tests/test_api.py::test_login"), test("tests/test_api.py::test_out")];
    let same = PhaseRow { phase_id: PhaseId::new("p23"), ..tests.clone() };
    let rows = [failed("p05", FailureKind::ScopeBreach, long), tests, same];
    let landing = |n: i64| Landing {
        phase_id: PhaseId::new(format!("p{n:02}")),
        commit: "c".repeat(40),
        ended_at: UnixMs(n * 1_000),
    };
    let waiting = |id: &str| Waiting {
        phase_id: PhaseId::new(id),
        blocked: true,
        needs: vec![(PhaseId::new("p17"), PhaseState::Failed)],
        overlaps: None,
        not_before: None,
        unfixable: None,
        held: false,
    };
    RunOverview {
        merged_into: None,
        merge_queue: Vec::new(),
        summary: summary(counts, 2),
        is_draining: false,
        end: Some(LastDrain {
            reason: "drained".to_owned(),
            duration_ms: 25_920_000,
            ended_at: UnixMs(100_000),
            ..LastDrain::default()
        }),
        landings: (1..34).map(landing).collect(),
        failures: failure_groups::group_failures(&rows, &HashMap::new(), None),
        waiting: fold_waiting(&[waiting("p18"), waiting("p19")]),
        final_test: vec!["CI is green in a clean clone at cccccccccc".to_owned()],
        budgets: Budgets {
            run: Budget { cost_usd: Some(10.0), ..Budget::default() },
            ..Budgets::default()
        },
        tip: Some("autopack/night".to_owned()),
    }
}

fn page(run: &RunOverview, columns: Option<usize>) -> String {
    let options = TextOptions { columns, now: Some(UnixMs(100_000)), ..TextOptions::default() };
    format!("{}{}", format_verdict(run, &options), format_details(run, &options))
}

#[test]
fn a_night_of_40_phases_fits_the_screen() {
    let text = page(&night(), Some(80));
    assert!(text.lines().count() < 24 && text.lines().all(|line| width(line) <= 80), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn landings_since_the_last_look_are_listed() {
    let mut run = night();
    run.summary.looked_at = Some(UnixMs(31_000));
    assert_eq!(run.new_landings().len(), 2);
    let text = page(&run, Some(80));
    assert!(
        text.contains("landed   2 phases since your last look 1 min 09 s ago: p33, p32\n"),
        "{text}"
    );
    run.summary.looked_at = Some(UnixMs(99_000));
    assert!(page(&run, None).contains("landed   nothing new since your last look 1.0 s ago\n"));
}

#[test]
fn failures_are_grouped_by_kind_and_failing_tests() {
    let run = night();
    let groups: Vec<&[PhaseId]> = run.failures.iter().map(|group| &*group.phases).collect();
    assert_eq!(groups, [ids(&["p17", "p23"]), ids(&["p05"])]);
    assert_eq!(run.failures[0].next_step(), "autopack phases retry r/p17 r/p23");
    assert_eq!(
        run.failures[1].next_step(),
        "widen scope.paths: autopack phases edit r/p05; then autopack phases retry r/p05"
    );
    let many: Vec<PhaseRow> =
        (0..50).map(|n| failed(&format!("p{n}"), FailureKind::GaveUp, "x")).collect();
    let group = failure_groups::group_failures(&many, &HashMap::new(), None).remove(0);
    assert_eq!(group.next_step(), "autopack phases retry --failed r");
}

#[test]
fn many_different_failures_of_a_kind_are_one_group() {
    let rows = |count: u32| -> Vec<PhaseRow> {
        let row = |n| failed(&format!("p{n}"), FailureKind::GaveUp, &format!("reason {n}"));
        (0..count).map(row).chain([failed("x", FailureKind::NoChange, "none")]).collect()
    };
    assert_eq!(failure_groups::group_failures(&rows(3), &HashMap::new(), None).len(), 4);
    let groups = failure_groups::group_failures(&rows(12), &HashMap::new(), None);
    assert_eq!(groups.iter().map(|group| group.phases.len()).collect::<Vec<_>>(), [12, 1]);
    assert_eq!([&*groups[0].reason, &*groups[1].reason], ["12 different reasons", "none"]);
    assert_eq!(groups[0].next_step(), "autopack phases retry --failed r");
}

#[test]
fn the_rest_of_a_drains_budget_is_shown_where_the_run_has_none() {
    let mut run = night();
    run.budgets = Budgets {
        drain: Budget { cost_usd: Some(10.0), ..Budget::default() },
        ..Budgets::default()
    };
    let left = 10.0 - run.end.as_ref().unwrap().cost_usd;
    let text = page(&run, None);
    assert!(text.contains(&format!("${left:.2} of $10.00 left for the drain")), "{text}");
}

#[test]
fn a_key_to_raise_names_the_agent() {
    let usage = PhaseUsage { agent: Some("claude".to_owned()), ..PhaseUsage::default() };
    let rows = [failed("p", FailureKind::AgentTimeout, "too long")];
    let usages = HashMap::from([(PhaseId::new("p"), usage)]);
    let group = failure_groups::group_failures(&rows, &usages, None).remove(0);
    assert_eq!(
        group.next_step(),
        "raise agents.claude.timeout_seconds, then autopack phases retry r/p"
    );
}

#[test]
fn a_chain_of_waiting_phases_counts_for_its_start() {
    let waiting = |n: usize| Waiting {
        phase_id: PhaseId::new(format!("p{n}")),
        blocked: false,
        needs: vec![match n {
            0 => (PhaseId::new("setup"), PhaseState::Executing),
            n => (PhaseId::new(format!("p{}", n - 1)), PhaseState::Queued),
        }],
        overlaps: None,
        not_before: None,
        unfixable: None,
        held: false,
    };
    // Longer than a stack of recursive calls.
    let mut all: Vec<Waiting> = (0..50_000).rev().map(waiting).collect();
    let limited = Waiting { needs: Vec::new(), not_before: Some(UnixMs(60_000)), ..waiting(1) };
    all.push(Waiting { phase_id: PhaseId::new("limited"), ..limited });
    let groups = fold_waiting(&all);
    let reasons: Vec<_> = groups.iter().map(|group| (&group.reason, group.phases.len())).collect();
    let setup = WaitReason::Dependency(PhaseId::new("setup"), PhaseState::Executing);
    assert_eq!(reasons, [(&setup, 50_000), (&WaitReason::RateLimit, 1)]);
    let mut run = night();
    run.waiting = groups;
    assert_eq!(
        describe_waiting(&run, UnixMs(0)),
        ["50000 wait for setup (running)", "1 rate limited for another 1 min 00 s"]
    );
}

#[test]
fn a_failed_dependency_wins_over_others() {
    let run = night();
    assert_eq!(describe_waiting(&run, UnixMs(0)), ["2 behind p17 (failed)"]);
    assert!(run.waiting[0].is_blocked());
}

#[test]
fn a_spent_budget_is_raised_before_the_next_drain() {
    let mut run = night();
    assert_eq!(run.budget_to_raise(), None);
    run.budgets.run.cost_usd = Some(4.0);
    assert_eq!(run.budget_to_raise().unwrap().0, "executor.budgets.run.cost_usd");
    // The estimate of the last drain counts as long as no budget changes.
    run.budgets.run.cost_usd = Some(10.0);
    let end = run.end.as_mut().unwrap();
    let key = "executor.budgets.run.tokens".to_owned();
    end.budget = Some(BudgetStop { key: key.clone(), budgets: run.budgets });
    assert_eq!(run.budget_to_raise().unwrap().0, key);
    run.budgets.run.tokens = Some(9_000_000);
    assert_eq!(run.budget_to_raise(), None);
}
