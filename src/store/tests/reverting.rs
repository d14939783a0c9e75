//! Undos in the store: what they exclude, and what they leave behind, however they end.

use crate::phase::PhaseCi;
use crate::phase::undo::UndoRefusal;
use crate::store::backend::query;

use super::*;

/// The run `r` with a landed phase `a`, and `b`, which depends on it.
async fn landed() -> StoreFixture {
    let bed = StoreFixture::with(vec![phase("a", &[]), phase("b", &["a"])]).await;
    let claim = bed.claim().await;
    bed.finish(claim, passed()).await;
    bed
}

async fn begin(bed: &StoreFixture, next: PhaseState) -> Result<BegunUndo, BeginRefusal> {
    let (run, phase) = (run(), PhaseId::new("a"));
    let request = UndoRequest { run: &run, phase: &phase, with_dependents: false, next };
    bed.store.begin_undo(request, &bed.owner, &PhaseCi::default(), NOW).await.unwrap()
}

async fn end(bed: &StoreFixture, begun: &BegunUndo, outcome: UndoOutcome) -> bool {
    bed.store.end_undo(begun.revert, outcome, NOW).await.unwrap()
}

#[tokio::test]
async fn an_undone_phase_is_queued_with_fresh_attempts_and_its_dependents_wait() {
    let bed = landed().await;
    let begun = begin(&bed, PhaseState::Queued).await.unwrap();
    assert_eq!(begun.landings.len(), 1);
    assert_eq!(begun.landings[0].commit.as_deref(), Some("c0ffee"));
    bed.store.record_revert(begun.revert, &bed.owner, "bead").await.unwrap();
    assert!(end(&bed, &begun, UndoOutcome::Undone).await);
    assert!(!end(&bed, &begun, UndoOutcome::Crashed).await, "it ends once");
    let row = bed.row("a").await;
    assert_eq!((row.state, row.commit, row.attempts), (PhaseState::Queued, None, 0));
    assert_eq!(bed.log("a").await[0].reverted_by.as_deref(), Some("bead"));
    let claim = bed.claim().await;
    assert_eq!((claim.phase_id.as_str(), claim.attempt), ("a", 2));
    bed.finish(claim, passed()).await;
    assert_eq!(bed.log("a").await[1].reverted_by, None);
}

#[tokio::test]
async fn a_skipped_phase_has_the_operators_evidence() {
    let bed = landed().await;
    let begun = begin(&bed, PhaseState::Skipped).await.unwrap();
    bed.store.record_revert(begun.revert, &bed.owner, "bead").await.unwrap();
    end(&bed, &begun, UndoOutcome::Undone).await;
    assert_eq!(bed.row("a").await.state, PhaseState::Skipped);
    assert_eq!(bed.store.unproven_phases(&[run()]).await.unwrap(), []);
    assert_eq!(bed.claim().await.phase_id.as_str(), "b");
}

#[tokio::test]
async fn an_undone_attempt_is_no_evidence() {
    let bed = landed().await;
    let begun = begin(&bed, PhaseState::Queued).await.unwrap();
    bed.store.record_revert(begun.revert, &bed.owner, "bead").await.unwrap();
    end(&bed, &begun, UndoOutcome::Undone).await;
    let forged = "UPDATE phases SET state = 'COMPLETE', commit_id = 'c0ffee', redone = 0 WHERE phase_id = 'a'";
    query(forged).execute(&bed.store.writer).await.unwrap();
    let unproven = bed.store.unproven_phases(&[run()]).await.unwrap();
    assert_eq!(unproven.len(), 1);
}

#[tokio::test]
async fn without_a_landing_nothing_changes() {
    for outcome in [UndoOutcome::Refused, UndoOutcome::Crashed] {
        let bed = landed().await;
        let begun = begin(&bed, PhaseState::Queued).await.unwrap();
        bed.store.record_revert(begun.revert, &bed.owner, "bead").await.unwrap();
        end(&bed, &begun, outcome).await;
        let row = bed.row("a").await;
        assert_eq!((row.state, row.commit.as_deref()), (PhaseState::Complete, Some("c0ffee")));
        assert_eq!(bed.log("a").await[0].reverted_by, None);
        assert_eq!(bed.store.unproven_phases(&[run()]).await.unwrap(), []);
    }
}

#[tokio::test]
async fn during_an_undo_no_drain_registers_and_the_run_stays() {
    let bed = landed().await;
    let begun = begin(&bed, PhaseState::Queued).await.unwrap();
    let being_undone = |error: StoreError| matches!(error, StoreError::RunIsBeingUndone { .. });
    assert!(being_undone(try_to_register(&bed.store, "late").await.unwrap_err()));
    assert!(being_undone(bed.store.remove_run(&run()).await.unwrap_err()));
    let open = bed.store.open_undos(&[run()]).await.unwrap();
    assert_eq!((open.len(), &open[0].owner), (1, &bed.owner));
    assert_eq!(begin(&bed, PhaseState::Queued).await.unwrap_err(), BeginRefusal::RunIsBusy);
    end(&bed, &begun, UndoOutcome::Refused).await;
    assert!(bed.store.open_undos(&[run()]).await.unwrap().is_empty());
    try_to_register(&bed.store, "late").await.unwrap();
}

#[tokio::test]
async fn a_registered_drain_of_the_run_refuses_an_undo() {
    let bed = landed().await;
    register(&bed.store, "drain").await;
    assert_eq!(begin(&bed, PhaseState::Queued).await.unwrap_err(), BeginRefusal::RunIsBusy);
    bed.store.unregister_owner(&OwnerId::new("drain")).await.unwrap();
    begin(&bed, PhaseState::Queued).await.unwrap();
}

#[tokio::test]
async fn an_executing_phase_and_an_open_phase_refuse_an_undo() {
    let bed = StoreFixture::with(vec![phase("a", &[]), phase("b", &["a"])]).await;
    let refusal = BeginRefusal::Phase(UndoRefusal::NotComplete(PhaseState::Queued));
    assert_eq!(begin(&bed, PhaseState::Queued).await.unwrap_err(), refusal);
    let claim = bed.claim().await;
    assert_eq!(begin(&bed, PhaseState::Queued).await.unwrap_err(), BeginRefusal::RunIsBusy);
    bed.finish(claim, passed()).await;
    let claim = bed.claim().await;
    bed.finish(claim, passed()).await;
    let needed = BeginRefusal::Phase(UndoRefusal::NeededBy(vec![PhaseId::new("b")]));
    assert_eq!(begin(&bed, PhaseState::Queued).await.unwrap_err(), needed);
}

#[tokio::test]
async fn a_fenced_process_cannot_record_its_commit() {
    let bed = landed().await;
    let begun = begin(&bed, PhaseState::Queued).await.unwrap();
    bed.store.fence_owner(&bed.owner).await.unwrap();
    let recorded = bed.store.record_revert(begun.revert, &bed.owner, "bead").await;
    assert!(matches!(recorded.unwrap_err(), StoreError::Fenced { .. }));
}

#[tokio::test]
async fn a_phase_queued_again_by_the_operator_stays_queued() {
    let bed = landed().await;
    let begun = begin(&bed, PhaseState::Queued).await.unwrap();
    bed.store.record_revert(begun.revert, &bed.owner, "bead").await.unwrap();
    let ids = [PhaseId::new("a")];
    bed.store.operator().retry(&run(), PhaseSelector::Ids(&ids), true).await.unwrap();
    assert!(end(&bed, &begun, UndoOutcome::Undone).await);
    assert_eq!(bed.row("a").await.state, PhaseState::Queued);
}

#[tokio::test]
async fn an_update_excludes_drains_and_leaves_phases_as_they_are() {
    let bed = landed().await;
    let update = || async {
        let ci = PhaseCi::default();
        bed.store.begin_update(&run(), "ba5e", &bed.owner, &ci, NOW).await.unwrap()
    };
    let begun = update().await.unwrap();
    assert_eq!(begun.claim.phase_id.as_str(), "a");
    let late = try_to_register(&bed.store, "late").await.unwrap_err();
    assert!(matches!(late, StoreError::RunIsBeingUndone { is_update: true, .. }), "{late}");
    assert_eq!(update().await.unwrap_err(), UpdateRefusal::RunIsBusy);
    let open = bed.store.open_undos(&[run()]).await.unwrap();
    assert_eq!((open.len(), open[0].is_update), (1, true));
    bed.store.record_revert(begun.number, &bed.owner, "bead").await.unwrap();
    assert!(bed.store.end_undo(begun.number, UndoOutcome::Undone, NOW).await.unwrap());
    let row = bed.row("a").await;
    assert_eq!((row.state, row.commit.as_deref()), (PhaseState::Complete, Some("c0ffee")));
    assert_eq!(bed.log("a").await[0].reverted_by, None);
    let landed = bed.store.landed_commits(&run()).await.unwrap();
    assert_eq!(landed.len(), 2, "the merge is a commit of the run: {landed:?}");
    try_to_register(&bed.store, "late").await.unwrap();
}
