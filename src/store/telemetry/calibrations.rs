//! Versions of what was learnt from samples, of which at most one is active. What their numbers mean is telemetry's.

use sqlx::{FromRow, SqliteConnection};

use crate::phase::UnixMs;

use crate::store::columns::{number, signed};
use crate::store::error::StoreError;
use crate::store::open::Store;

/// One version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalibrationRow {
    pub version: u32,
    pub created_at: UnixMs,
    /// How many samples it was fitted on.
    pub samples: u64,
    /// JSON.
    pub coefficients: String,
}

/// A version to be.
#[derive(Clone, Copy, Debug)]
pub struct NewCalibration<'a> {
    pub created_at: UnixMs,
    pub samples: u64,
    pub coefficients: &'a str,
}

#[derive(FromRow)]
struct Record {
    version: i64,
    created_at: i64,
    samples: i64,
    coefficients: String,
}

impl Store {
    /// The version in force; `None`: what is shipped.
    pub async fn active_calibration(&self) -> Result<Option<CalibrationRow>, StoreError> {
        self.named(async {
            let mut connection = self.reader.acquire().await?;
            active(&mut connection).await
        })
        .await
    }

    /// Makes a new version the active one, and says which number it has.
    pub async fn add_calibration(&self, new: &NewCalibration<'_>) -> Result<u32, StoreError> {
        self.named(async {
            let mut tx = self.begin().await?;
            let before = active(&mut tx).await?.map(|row| row.version);
            set_active(&mut tx, None).await?;
            let version: i64 = sqlx::query_scalar(
                "INSERT INTO calibrations (created_at, samples, coefficients, previous, active)
                 VALUES (?, ?, ?, ?, 1) RETURNING version",
            )
            .bind(new.created_at.0)
            .bind(signed(new.samples))
            .bind(new.coefficients)
            .bind(before)
            .fetch_one(&mut *tx)
            .await?;
            tx.commit().await?;
            number(version, || "a calibration".to_owned())
        })
        .await
    }

    /// Goes back to the version that the active one took over from. `Some`: the one that was active, and the one that is now,
    /// `None` being what is shipped. `None`: what is shipped was in force already.
    pub async fn undo_calibration(&self) -> Result<Option<(u32, Option<u32>)>, StoreError> {
        self.named(async {
            let mut tx = self.begin().await?;
            let Some(was) = active(&mut tx).await?.map(|row| row.version) else { return Ok(None) };
            let previous: Option<i64> =
                sqlx::query_scalar("SELECT previous FROM calibrations WHERE version = ?")
                    .bind(was)
                    .fetch_one(&mut *tx)
                    .await?;
            set_active(&mut tx, previous).await?;
            tx.commit().await?;
            let previous = previous.map(|n| number(n, || format!("calibration {was}")));
            Ok(Some((was, previous.transpose()?)))
        })
        .await
    }
}

async fn active(connection: &mut SqliteConnection) -> Result<Option<CalibrationRow>, StoreError> {
    let row: Option<Record> = sqlx::query_as(
        "SELECT version, created_at, samples, coefficients FROM calibrations WHERE active = 1",
    )
    .fetch_optional(connection)
    .await?;
    row.map(CalibrationRow::try_from).transpose()
}

async fn set_active(tx: &mut SqliteConnection, version: Option<i64>) -> Result<(), StoreError> {
    sqlx::query("UPDATE calibrations SET active = 0 WHERE active = 1").execute(&mut *tx).await?;
    sqlx::query("UPDATE calibrations SET active = 1 WHERE version = ?")
        .bind(version)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

impl TryFrom<Record> for CalibrationRow {
    type Error = StoreError;

    fn try_from(row: Record) -> Result<Self, StoreError> {
        let name = || format!("calibration {}", row.version);
        Ok(Self {
            version: number(row.version, name)?,
            samples: number(row.samples, name)?,
            created_at: UnixMs(row.created_at),
            coefficients: row.coefficients,
        })
    }
}
