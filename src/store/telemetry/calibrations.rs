//! Versions of the coefficients fitted to samples; at most a single version is active. Telemetry interprets the
//! numbers.

use sqlx::FromRow;

use crate::phase::UnixMs;
use crate::store::backend::{Connection, query, query_as, query_scalar};

use crate::store::columns::{number, signed};
use crate::store::error::StoreError;
use crate::store::open::Store;

/// A stored version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalibrationRow {
    /// Number of the version.
    pub version: u32,
    /// Creation time.
    pub created_at: UnixMs,
    /// Number of samples used for the fit.
    pub samples: u64,
    /// Coefficients as JSON.
    pub coefficients: String,
}

/// A version to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewCalibration<'a> {
    /// Creation time.
    pub created_at: UnixMs,
    /// Number of samples used for the fit.
    pub samples: u64,
    /// Coefficients as JSON.
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
    /// Returns the active version; `None` means the built-in coefficients.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn active_calibration(&self) -> Result<Option<CalibrationRow>, StoreError> {
        self.named(|| async move {
            let mut connection = self.reader.acquire().await?;
            active(&mut connection).await
        })
        .await
    }

    /// Stores a new version, makes the version active and returns its number.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn add_calibration(&self, new: &NewCalibration<'_>) -> Result<u32, StoreError> {
        self.named(|| async move {
            let mut tx = self.begin().await?;
            let before = active(&mut tx).await?.map(|row| row.version);
            set_active(&mut tx, None).await?;
            let version: i64 = query_scalar(
                "INSERT INTO calibrations (created_at, samples, coefficients, previous, active)
                 VALUES (?, ?, ?, ?, TRUE) RETURNING version",
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

    /// Reactivates the predecessor of the active version. Returns the previously active version and the now active
    /// version, `None` for the built-in coefficients; returns `None` altogether if the built-in coefficients were
    /// active already.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn undo_calibration(&self) -> Result<Option<(u32, Option<u32>)>, StoreError> {
        self.named(|| async move {
            let mut tx = self.begin().await?;
            let Some(was) = active(&mut tx).await?.map(|row| row.version) else { return Ok(None) };
            let previous: Option<i64> =
                query_scalar("SELECT previous FROM calibrations WHERE version = ?")
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

async fn active(connection: &mut Connection) -> Result<Option<CalibrationRow>, StoreError> {
    let row: Option<Record> = query_as(
        "SELECT version, created_at, samples, coefficients FROM calibrations WHERE active",
    )
    .fetch_optional(connection)
    .await?;
    row.map(CalibrationRow::try_from).transpose()
}

async fn set_active(tx: &mut Connection, version: Option<i64>) -> Result<(), StoreError> {
    query("UPDATE calibrations SET active = FALSE WHERE active").execute(&mut *tx).await?;
    query("UPDATE calibrations SET active = TRUE WHERE version = ?")
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
