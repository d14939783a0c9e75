//! Phases named for a scope on the command line, and phases with files to accept.

use crate::drain::ProposalTargets;
use crate::failure::{Exit, Failure};
use crate::phase::proposal::{proposed_by, text_digest};
use crate::phase::words::quoted;
use crate::phase::{FailureKind, FixedSpec, PhaseId, PhaseState, RunId};
use crate::progress::shown_phase;
use crate::store::{AcceptedBy, Fixer, KeptProposal, PhaseRow, Store};

type PhaseKey = (RunId, PhaseId);

/// Refuses named phases that get no scope. `left_behind`: phases of dead drains, queued again before.
///
/// # Errors
/// A phase has another state or its author's scope, cannot run, or the database cannot be read.
pub(super) async fn check_named(
    named: &[PhaseKey],
    left_behind: &[PhaseKey],
    store: &Store,
    fix: &Fixer<'_>,
    accept: bool,
) -> Result<(), Failure> {
    for key in named.iter().filter(|key| !left_behind.contains(key)) {
        let row = store.phase(&key.0, &key.1).await?.row;
        let withheld = withheld_proposal(&row, store, fix).await?;
        let target = format!("{}/{}", row.run_id, row.phase_id);
        let refused = |why: String, hint: String| {
            let name = shown_phase(&row.run_id, &row.phase_id, true);
            Err(Failure::new(format!("{name} {why}")).hint(hint).exit(Exit::Usage))
        };
        match (row.state, fix(&row.spec, row.last_failure.as_ref()).result) {
            (PhaseState::Failed, _) if withheld.is_some() && accept => {}
            (PhaseState::Failed, _) if withheld.is_some() => {
                let command = format!("autopack fix-phases --propose --accept {}", quoted(&target));
                return refused(
                    "has a proposal that waits for you".to_owned(),
                    format!("accept it: {command}"),
                );
            }
            (PhaseState::Failed, _) => {
                return refused(
                    "failed, and a scope is proposed for queued phases".to_owned(),
                    format!("queue it first: autopack phases retry {}", quoted(&target)),
                );
            }
            (PhaseState::Queued, _) if row.held => {
                return refused(
                    "is held".to_owned(),
                    format!("release it first: autopack resume {}", quoted(&target)),
                );
            }
            (PhaseState::Queued, Err(why)) => {
                return refused(
                    format!("cannot be repaired: {why}"),
                    format!("repair the spec: autopack phases edit {}", quoted(&target)),
                );
            }
            (PhaseState::Queued, Ok(spec)) if is_proposed(&spec) => {}
            (PhaseState::Queued, Ok(_)) => {
                return refused(
                    "has a scope already".to_owned(),
                    format!("change it: autopack phases edit {}", quoted(&target)),
                );
            }
            (state, _) => {
                return refused(
                    format!("is {state}, and a scope is proposed for queued phases"),
                    format!("look at it: autopack phases show {}", quoted(&target)),
                );
            }
        }
    }
    Ok(())
}

/// Whether the scope is a proposal, or has to be proposed.
fn is_proposed(spec: &FixedSpec) -> bool {
    spec.needs_scope() || proposed_by(spec).is_some()
}

/// Lists the phases with files to accept, with the accepted proposals: queued phases with the proposed scope, and phases
/// failed because every file waits.
pub(super) async fn acceptable_phases(
    targets: &ProposalTargets<'_>,
    store: &Store,
) -> Result<Vec<(PhaseRow, KeptProposal)>, Failure> {
    let mut found = Vec::new();
    for run in targets.runs {
        for row in store.phases(run, None).await? {
            let key = (row.run_id.clone(), row.phase_id.clone());
            if !targets.only.is_empty() && !targets.only.contains(&key) {
                continue;
            }
            if let Some(mut kept) = withheld_proposal(&row, store, targets.fix).await? {
                kept.proposal.accept_withheld();
                kept.accepted_by = AcceptedBy::Operator;
                found.push((row, kept));
            }
        }
    }
    Ok(found)
}

/// Returns the proposal of a phase with files to accept, while the phase and its text allow.
async fn withheld_proposal(
    row: &PhaseRow,
    store: &Store,
    fix: &Fixer<'_>,
) -> Result<Option<KeptProposal>, Failure> {
    let is_unfixable =
        row.last_failure.as_ref().is_some_and(|last| last.kind == FailureKind::Unfixable);
    let may_wait = match row.state {
        PhaseState::Queued => true,
        PhaseState::Failed => is_unfixable,
        _ => false,
    };
    if !may_wait {
        return Ok(None);
    }
    let Ok(spec) = fix(&row.spec, row.last_failure.as_ref()).result else { return Ok(None) };
    let digest = text_digest(&spec);
    let kept = store.scope_proposals(&row.run_id, &row.phase_id).await?;
    Ok(kept.into_iter().find(|kept| {
        let proposal = &kept.proposal;
        let scope = spec.scope_paths().iter().map(|path| path.as_str());
        let is_applied = scope.eq(proposal.paths.iter().map(|path| path.path.as_str()));
        kept.spec_digest == digest && !proposal.withheld.is_empty() && is_applied
    }))
}
