//! Parts of sources, such as tags and directories, and the runs that imports made of them.

use sqlx::FromRow;

use crate::phase::RunId;
use crate::phase::plan::{PlanRun, SourcePart, StoredPart};
use crate::store::backend::{Connection, query, query_as};
use crate::store::error::StoreError;
use crate::store::open::Store;

#[derive(FromRow)]
struct PartRecord {
    run_id: String,
    source: String,
    given_run: Option<String>,
    part: String,
}

impl Store {
    /// Returns the parts of all sources, in the order of their runs.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn source_parts(&self) -> Result<Vec<StoredPart>, StoreError> {
        self.named(|| async move {
            let rows: Vec<PartRecord> = query_as(
                "SELECT r.run_id, p.source, p.given_run, p.part
                   FROM source_parts p JOIN runs r ON r.id = p.run ORDER BY r.id, p.source",
            )
            .fetch_all(&self.reader)
            .await?;
            let part = |row: PartRecord| StoredPart {
                origin: row.source,
                part: SourcePart { given_run: row.given_run.map(RunId::new), name: row.part },
                run_id: RunId::new(row.run_id),
            };
            Ok(rows.into_iter().map(part).collect())
        })
        .await
    }
}

/// Records the part of the source that a run has. Sources without an origin are not known again.
pub(super) async fn record_part(
    tx: &mut Connection,
    row: i64,
    run: &PlanRun,
) -> Result<(), StoreError> {
    if run.origin.is_empty() || run.phases.is_empty() {
        return Ok(());
    }
    query(
        "INSERT INTO source_parts (run, source, given_run, part) VALUES (?, ?, ?, ?)
         ON CONFLICT (run, source) DO UPDATE SET given_run = excluded.given_run, part = excluded.part",
    )
    .bind(row)
    .bind(&run.origin)
    .bind(run.part.given_run.as_ref().map(RunId::as_str))
    .bind(&run.part.name)
    .execute(tx)
    .await?;
    Ok(())
}
