//! Copies a database with the whole history to another database, of the same or the other kind.
//!
//! The destination gets everything in a single transaction, so a killed copy leaves nothing. The source is locked for
//! other writers meanwhile: no drain starts there, and no row is missed.

mod copy_error;
mod copy_triggers;
mod next_numbers;
mod table_catalog;

use crate::store::backend::{AnyRow, Connection, Value, query, query_as};
use crate::store::database_url::DatabaseUrl;
use crate::store::error::StoreError;
use crate::store::migrations::SCHEMA_VERSION;
use crate::store::open::Store;
use crate::store::queue::owners::{OWNERS, Owner, OwnerProcess, OwnerRecord};

pub use copy_error::CopyError;
use table_catalog::{TABLES, Table};

/// Rows read together, and written by a single statement. Databases limit the values of a statement (SQLite: 32,766).
const PAGE: usize = 200;

/// Report of a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyReport {
    /// Rows of each table.
    pub tables: Vec<TableCount>,
    /// Columns with changed texts.
    pub replaced: Vec<ReplacedText>,
}

/// Number of rows of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableCount {
    /// Name of the table.
    pub table: &'static str,
    /// Number of rows in the table.
    pub rows: u64,
}

/// Texts of a column with NUL characters. Postgres does not store NUL: each became U+FFFD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplacedText {
    /// Name of the table.
    pub table: &'static str,
    /// Name of the column.
    pub column: String,
    /// Number of changed texts.
    pub texts: u64,
}

impl CopyReport {
    /// Returns the number of rows of a table.
    pub fn rows(&self, table: &str) -> u64 {
        self.tables.iter().find(|count| count.table == table).map_or(0, |count| count.rows)
    }

    fn replace(&mut self, table: &'static str, column: &str) {
        match self.replaced.iter_mut().find(|text| text.table == table && text.column == column) {
            Some(text) => text.texts += 1,
            None => {
                self.replaced.push(ReplacedText { table, column: column.to_owned(), texts: 1 });
            }
        }
    }
}

/// Copies all tables of a database to an empty or new database.
///
/// # Errors
/// The source has another schema or working drains, the destination has rows, or one of them cannot be used.
pub async fn copy_database(from: &DatabaseUrl, to: &DatabaseUrl) -> Result<CopyReport, CopyError> {
    if from == to || is_same_file(from, to) {
        return Err(CopyError::SameDatabase(from.name()));
    }
    let source = Store::open_unmigrated(from)
        .await?
        .ok_or_else(|| StoreError::NoDatabase { path: from.name() })?;
    require_this_schema(&source).await?;
    // The destination is made only for a source that can be copied.
    check_source(&source).await?;
    let destination = Store::open(to).await?;
    let report = destination.receive_copy(&source).await;
    source.close().await;
    destination.close().await;
    report
}

/// Returns whether two paths name the same file, such as a symbolic link and the link's target.
fn is_same_file(from: &DatabaseUrl, to: &DatabaseUrl) -> bool {
    let real = |url: &DatabaseUrl| url.file()?.canonicalize().ok();
    real(from).is_some_and(|file| real(to) == Some(file))
}

async fn require_this_schema(source: &Store) -> Result<(), CopyError> {
    let (found, known) = (source.schema_version().await?, SCHEMA_VERSION);
    let database = source.name().clone();
    match found.cmp(&known) {
        std::cmp::Ordering::Less => Err(CopyError::OlderSchema { database, found, known }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(CopyError::NewerSchema { database, found, known }),
    }
}

async fn check_source(source: &Store) -> Result<(), CopyError> {
    let mut tx = source.reader.begin().await.map_err(|error| of(source, error))?;
    refuse_work(source, &mut tx).await
}

/// Refuses a source with work in progress.
async fn refuse_work(source: &Store, tx: &mut Connection) -> Result<(), CopyError> {
    let rows: Vec<OwnerRecord> =
        query_as(OWNERS).fetch_all(&mut *tx).await.map_err(|error| of(source, error))?;
    let drains: Vec<String> = rows
        .iter()
        .map(|row| Ok(describe(&Owner::try_from(row)?)))
        .collect::<Result<_, StoreError>>()?;
    let database = source.name().clone();
    if !drains.is_empty() {
        return Err(CopyError::LivingDrains { database, drains });
    }
    let open: Option<(String,)> = query_as(
        "SELECT r.run_id FROM reverts v JOIN runs r ON r.id = v.run WHERE v.ended_at IS NULL LIMIT 1",
    )
    .fetch_optional(tx)
    .await
    .map_err(|error| of(source, error))?;
    match open {
        Some((run,)) => Err(CopyError::OpenUndo { database, run }),
        None => Ok(()),
    }
}

fn describe(owner: &Owner) -> String {
    let runs: Vec<&str> = owner.runs.iter().map(|run| run.as_str()).collect();
    let OwnerProcess { pid, host, .. } = &owner.process;
    format!("process {pid} on {host} ({})", runs.join(", "))
}

fn of(store: &Store, error: sqlx::Error) -> StoreError {
    StoreError::from(error).at(store.name())
}

impl Store {
    async fn receive_copy(&self, source: &Self) -> Result<CopyReport, CopyError> {
        let at_source = |error: StoreError| error.at(source.name());
        let at_destination = |error: StoreError| error.at(self.name());
        let mut from = source.begin().await.map_err(at_source)?;
        refuse_work(source, &mut from).await?;
        let mut to = self.begin().await.map_err(at_destination)?;
        self.refuse_rows(&mut to).await?;
        let triggers = copy_triggers::suspend(&mut to).await.map_err(at_destination)?;
        let mut report = CopyReport::default();
        for name in TABLES {
            let table = Table::read(&mut to, name).await.map_err(at_destination)?;
            let mut last: Option<Vec<Value>> = None;
            loop {
                let rows = read_page(&table, last.as_deref(), &mut from)
                    .await
                    .map_err(|error| of(source, error))?;
                let Some(AnyRow(row)) = rows.last() else { break };
                last = Some(table.key.iter().map(|index| row[*index].clone()).collect());
                let is_last = rows.len() < PAGE;
                write_page(&table, rows, &mut to, &mut report)
                    .await
                    .map_err(|error| of(self, error))?;
                if is_last {
                    break;
                }
            }
            let expected = table.count(&mut from).await.map_err(at_source)?;
            let copied = table.count(&mut to).await.map_err(at_destination)?;
            if copied != expected {
                return Err(CopyError::CountsDiffer { table: name, expected, copied });
            }
            tracing::info!("copied {copied} rows of the table {name}");
            report.tables.push(TableCount { table: name, rows: copied });
        }
        // Last, because Postgres locks each table for readers, too, until the commit.
        for table in TABLES {
            let table = Table::read(&mut to, table).await.map_err(at_destination)?;
            next_numbers::continue_numbers(&table, &mut from, &mut to)
                .await
                .map_err(at_destination)?;
        }
        if let Connection::Postgres(_) = &*to {
            // The first claims are planned with the numbers of rows.
            for table in TABLES {
                copy_triggers::run(&mut to, format!("ANALYZE \"{table}\""))
                    .await
                    .map_err(at_destination)?;
            }
        }
        triggers.restore(&mut to).await.map_err(at_destination)?;
        to.commit().await.map_err(|error| of(self, error))?;
        Ok(report)
    }

    async fn refuse_rows(&self, to: &mut Connection) -> Result<(), CopyError> {
        for table in TABLES {
            let rows =
                table_catalog::count(to, table).await.map_err(|error| error.at(self.name()))?;
            if rows > 0 {
                let database = self.name().clone();
                return Err(CopyError::NotEmpty { database, table, rows });
            }
        }
        Ok(())
    }
}

async fn read_page(
    table: &Table,
    after: Option<&[Value]>,
    from: &mut Connection,
) -> Result<Vec<AnyRow>, sqlx::Error> {
    let mut page = query_as::<AnyRow>(table.select(after.is_none(), PAGE));
    for value in after.unwrap_or_default() {
        page = page.bind(value.clone());
    }
    page.fetch_all(from).await
}

async fn write_page(
    table: &Table,
    rows: Vec<AnyRow>,
    to: &mut Connection,
    report: &mut CopyReport,
) -> Result<(), sqlx::Error> {
    let is_postgres = matches!(to, Connection::Postgres(_));
    let mut page = query(table.insert(rows.len()));
    for AnyRow(values) in rows {
        for (column, value) in table.columns.iter().zip(values) {
            if let Value::Text(Some(text)) = &value
                && is_postgres
                && text.contains('\0')
            {
                report.replace(table.name, &column.name);
            }
            page = page.bind(column.convert(value));
        }
    }
    page.execute(to).await?;
    Ok(())
}
