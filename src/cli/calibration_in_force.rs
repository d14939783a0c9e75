//! The calibration in force, from the store.

use anyhow::Context as _;

use crate::failure::{Failure, OrHint};
use crate::store::{CalibrationRow, Store};
use crate::telemetry::Calibration;

/// What is shipped, where nothing else was applied.
pub(super) async fn active(store: &Store) -> Result<Calibration, Failure> {
    store.active_calibration().await?.map_or_else(|| Ok(Calibration::default()), |row| read(&row))
}

pub(super) fn read(row: &CalibrationRow) -> Result<Calibration, Failure> {
    serde_json::from_str(&row.coefficients)
        .with_context(|| format!("cannot read calibration {} of the database", row.version))
        .or_hint("`autopack telemetry calibrate --undo` goes back to the one before")
}
