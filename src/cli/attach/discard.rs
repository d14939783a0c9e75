//! The end of a reservation without a landing.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::attempt::AttemptDirectory;
use crate::cli::Context;
use crate::cli::reserved_phase::{ReservedPhase, explain_in_use};
use crate::failure::{Exit, Failure};
use crate::progress::shown_id;
use crate::store::Store;
use crate::workspace::{Repo, ReservedWork};

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
    let Some(mut slot) = repo.acquire_reserved(reservation)? else {
        return Err(explain_in_use(reserved));
    };
    let kept = match slot.path().is_dir() {
        true => {
            slot.adopt(&reservation.work.base, settings).await?;
            let measured = slot.measure(&reservation.work.base, &[]).await?;
            match measured.changes.is_empty() {
                true => None,
                false => {
                    Some(keep(&repo, reserved, &context.redactor()?.redact_patch(&measured.patch))?)
                }
            }
        }
        false => None,
    };
    repo.release(reservation)?;
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

/// Writes a patch beside the last attempt's.
pub(super) fn keep(
    repo: &Repo,
    reserved: &ReservedPhase,
    patch: &[u8],
) -> Result<PathBuf, Failure> {
    let row = &reserved.row;
    let directory = repo.autopack_dir();
    let directory =
        AttemptDirectory::locate(&directory, &row.run_id, &row.phase_id, row.executions);
    fs::create_dir_all(&directory)?;
    let directory = AttemptDirectory::at(directory);
    let file = directory.beside_patch("by-hand");
    directory.write(&file, patch).map_err(Failure::from)?;
    Ok(file)
}
