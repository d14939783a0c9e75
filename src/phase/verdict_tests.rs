//! Effect of each verdict on a phase: counted attempts, limits, and when the phase may run again.

use super::*;

fn tally(attempts: u32) -> Tally {
    Tally { attempts, max_attempts: 3, ..Tally::default() }
}

#[test]
fn a_failure_is_retried_until_no_attempts_are_left() {
    let verdict = Verdict::Failed(Failure::new(FailureKind::CiFailed, "1 test failed"));
    assert_eq!(outcome(&verdict, tally(0)).event, Event::Requeue);
    assert_eq!(outcome(&verdict, tally(1)).event, Event::Requeue);
    let last = outcome(&verdict, tally(2));
    assert_eq!(last.event, Event::GiveUp);
    assert_eq!(last.tally.attempts, 3);
    assert_eq!(last.failure.unwrap().kind, FailureKind::CiFailed);
}

#[test]
fn interrupts_are_free_and_unbounded() {
    let verdict = Verdict::Requeued(RequeueReason::Interrupted);
    assert_eq!(outcome(&verdict, tally(2)), Outcome::of(Event::Requeue, tally(2)));
}

#[test]
fn crashes_are_free_and_bounded() {
    let verdict = Verdict::Requeued(RequeueReason::Crashed);
    let mut at = tally(0);
    for _ in 1..MAX_CRASHES {
        let next = outcome(&verdict, at);
        assert_eq!((next.event, next.tally.attempts), (Event::Requeue, 0));
        at = next.tally;
    }
    let last = outcome(&verdict, at);
    assert_eq!(last.event, Event::GiveUp);
    assert_eq!(last.failure.unwrap().kind, FailureKind::GaveUp);
}

#[test]
fn a_provider_that_always_fails_is_asked_a_bounded_number_of_times() {
    let gone = || RequeueReason::Unavailable { not_before: UnixMs(7), message: "529".into() };
    let systemic = || RequeueReason::Systemic { message: "no credit".into() };
    let moved = || RequeueReason::BaseMoved { message: "a.txt".into() };
    let limited = || RequeueReason::RateLimited { not_before: UnixMs(7), message: "429".into() };
    let all: [&dyn Fn() -> RequeueReason; 4] = [&gone, &systemic, &moved, &limited];
    for requeue in all {
        let mut at = Tally { max_uncounted: 5, is_asked: true, ..tally(0) };
        let mut asked = 0;
        loop {
            let next = outcome(&Verdict::Requeued(requeue()), at);
            asked += 1;
            assert_eq!(next.tally.attempts, u32::saturating_sub(asked, 5));
            at = next.tally;
            if next.event == Event::GiveUp {
                assert_eq!(next.failure.map(|f| f.kind), Some(FailureKind::GaveUp));
                break;
            }
        }
        assert_eq!(asked, 5 + 3);
    }
    let before_any_agent = Tally { max_uncounted: 0, ..tally(2) };
    let free = outcome(&Verdict::Requeued(systemic()), before_any_agent);
    assert_eq!((free.event, free.tally.attempts), (Event::Requeue, 2));
}

#[test]
fn a_verdict_resets_the_number_of_uncounted_attempts() {
    let at = Tally { uncounted: 5, max_uncounted: 5, ..tally(0) };
    let red = Verdict::Failed(Failure::new(FailureKind::CiFailed, "red"));
    assert_eq!(outcome(&red, at).tally.uncounted, 0);
}

#[test]
fn a_rate_limit_contains_its_reset_time() {
    let requeue = RequeueReason::RateLimited { not_before: UnixMs(7), message: "429".into() };
    let next = outcome(&Verdict::Requeued(requeue), tally(0));
    assert_eq!((next.event, next.not_before), (Event::Requeue, Some(UnixMs(7))));
}
