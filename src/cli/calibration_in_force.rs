//! Reads the active calibration from the store.

use anyhow::Context as _;

use crate::failure::{Failure, WithHint};
use crate::phase::UnixMs;
use crate::store::{CalibrationRow, Store};
use crate::telemetry::Calibration;

/// Active calibration with its version.
pub(crate) struct VersionedCalibration {
    /// Version and start time; `None` for the shipped numbers.
    pub version: Option<(u32, UnixMs)>,
    pub calibration: Calibration,
}

impl VersionedCalibration {
    pub fn number(&self) -> Option<u32> {
        self.version.map(|(number, _)| number)
    }
}

/// Returns the active calibration with its version.
pub(super) async fn in_force(store: &Store) -> Result<VersionedCalibration, Failure> {
    let row = store.active_calibration().await?;
    let calibration = row.as_ref().map(read).transpose()?.unwrap_or_default();
    Ok(VersionedCalibration { version: row.map(|row| (row.version, row.created_at)), calibration })
}

/// Returns the active calibration, or the shipped defaults if none was applied.
pub(super) async fn active(store: &Store) -> Result<Calibration, Failure> {
    Ok(in_force(store).await?.calibration)
}

/// Parses the coefficients of a stored calibration.
fn read(row: &CalibrationRow) -> Result<Calibration, Failure> {
    serde_json::from_str(&row.coefficients)
        .with_context(|| format!("cannot read calibration {} of the database", row.version))
        .or_hint("`autopack telemetry calibrate --undo` returns to the previous calibration")
}
