//! The end of a reservation without a landing, and copies of work.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::attempt::AttemptDirectory;
use crate::cli::Context;
use crate::cli::reserved_phase::{ReservedPhase, explain_in_use};
use crate::failure::{Exit, Failure};
use crate::phase::words::first_few;
use crate::progress::{NOTES, shown_id};
use crate::store::Store;
use crate::workspace::{MeasuredChange, Repo, ReservedSlot, ReservedWork, Slot};

/// Files named in a message; the rest are counted.
const NAMED: usize = 5;

/// Ends the reservation; the change is kept beside the phase's last attempt.
pub(super) async fn discard(
    reserved: &ReservedPhase,
    context: &Context,
    repo: Repo,
    store: Store,
    is_json: bool,
) -> Result<Exit, Failure> {
    let reservation = reserved.require()?;
    let settings = &context.config()?.settings.workspace;
    let kept = match repo.acquire_reserved(reservation)? {
        ReservedSlot::InUse => return Err(explain_in_use(&reserved.row.phase_id)),
        ReservedSlot::Gone(path) => {
            tracing::warn!(target: NOTES, "the reserved files in {} are gone", path.display());
            None
        }
        ReservedSlot::Open(mut slot) => {
            slot.adopt(&reservation.work.base, settings).await?;
            let measured = reserved.measure(&slot, reservation).await?;
            keep_all(&repo, reserved, &slot, &measured).await?
        }
    };
    repo.release(reservation).await?;
    store.close().await;
    if is_json {
        let ReservedWork { run_id, phase_id, .. } = &reservation.work;
        context.out.json(&json!({ "run_id": run_id, "phase_id": phase_id, "kept": kept }))?;
        return Ok(Exit::Done);
    }
    let phase = shown_id(reserved.row.phase_id.as_str());
    match kept {
        Some(patch) => context.out.line(format_args!(
            "{phase} is no longer reserved; its change is in {}",
            patch.strip_prefix(repo.root()).unwrap_or(&patch).display()
        ))?,
        None => context.out.line(format_args!("{phase} is no longer reserved"))?,
    }
    Ok(Exit::Done)
}

/// Keeps the change as a patch beside the last attempt's, and each commit or stash outside the change as another.
///
/// # Errors
///
/// A submodule is changed, which no patch holds; or a file cannot be written.
pub(super) async fn keep_all(
    repo: &Repo,
    reserved: &ReservedPhase,
    slot: &Slot,
    measured: &MeasuredChange,
) -> Result<Option<PathBuf>, Failure> {
    if !measured.submodules.is_empty() {
        let paths = first_few(&measured.submodules, NAMED);
        return Err(Failure::new(format!("changes in submodules cannot be kept: {paths}"))
            .hint(format!("push or copy them from {} first", slot.path().display())));
    }
    let row = &reserved.row;
    let directory = repo.autopack_dir();
    let directory =
        AttemptDirectory::locate(&directory, &row.run_id, &row.phase_id, row.executions);
    fs::create_dir_all(&directory)?;
    let directory = AttemptDirectory::at(directory);
    for lost in slot.find_lost_work(measured, None).await? {
        let file = directory.beside_patch(&lost.name);
        directory.write(&file, &lost.patch)?;
        let shown = file.strip_prefix(repo.root()).unwrap_or(&file).display();
        tracing::info!(target: NOTES, "{}, but not part of the change: kept in {shown}", lost.what);
    }
    if measured.changes.is_empty() {
        return Ok(None);
    }
    let file = directory.beside_patch("by-hand");
    directory.write(&file, &measured.patch)?;
    Ok(Some(file))
}
