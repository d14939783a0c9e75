//! Reads the active calibration from the store.

use anyhow::Context as _;

use crate::failure::{Failure, WithHint};
use crate::store::{CalibrationRow, Store};
use crate::telemetry::Calibration;

/// Returns the active calibration, or the shipped defaults if none was applied.
pub(super) async fn active(store: &Store) -> Result<Calibration, Failure> {
    store.active_calibration().await?.map_or_else(|| Ok(Calibration::default()), |row| read(&row))
}

/// Parses the coefficients of a stored calibration.
pub(super) fn read(row: &CalibrationRow) -> Result<Calibration, Failure> {
    serde_json::from_str(&row.coefficients)
        .with_context(|| format!("cannot read calibration {} of the database", row.version))
        .or_hint("`autopack telemetry calibrate --undo` returns to the previous calibration")
}
