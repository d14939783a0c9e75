//! Import from the SQLite database of the Python Autopack (hshk99/Autopack).
//!
//! The file belongs to another program: opened read-only and immutable, so neither the file nor the directory is ever
//! written. This is the only SQL outside the store, and never concerns autopack's own database.

mod foreign_rows;
mod phase_rows;
mod sample_rows;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use crate::phase::RunId;

use super::drafting::PlanDraftBuilder;
use super::error::ImportError;
use super::format::{Description, Format, Input, Reading, Recognition};
use foreign_rows::{Row, Table};

/// Tables and columns identifying a database of the Python Autopack; `tiers` and the events are newer or optional.
const NEEDED: [(&str, &[&str]); 2] =
    [("runs", &["id"]), ("phases", &["phase_id", "run_id", "state"])];
/// Run for samples without a run.
const ORPHANS: &str = "imported";

const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";

/// The format: recognized as any SQLite database.
pub(crate) struct PythonAutopack;

impl Format for PythonAutopack {
    fn name(&self) -> &'static str {
        "python-autopack"
    }

    fn description(&self) -> Description {
        Description {
            files: "autopack.db",
            content: "an SQLite database of the Python Autopack",
            words: &["SQLite format 3"],
        }
    }

    fn recognize(&self, input: &Input) -> Recognition {
        match input.head().starts_with(SQLITE_MAGIC) {
            true => Recognition::Certain,
            false => Recognition::No,
        }
    }

    /// Refuses the content of a database: only a file can be opened.
    fn read(&self, input: &Input, _draft: &mut PlanDraftBuilder) -> Result<(), ImportError> {
        Err(ImportError::malformed(
            input.name(),
            "is an SQLite database; pass the file name instead of the content",
        ))
    }

    fn read_file<'a>(&'a self, input: &'a Input, draft: &'a mut PlanDraftBuilder) -> Reading<'a> {
        Box::pin(async move {
            match input.path() {
                Some(file) => read(file, input.name(), draft).await,
                None => self.read(input, draft),
            }
        })
    }
}

async fn read(file: &Path, name: &str, draft: &mut PlanDraftBuilder) -> Result<(), ImportError> {
    let failed = |why: String| ImportError::Database { name: name.to_owned(), why };
    let before = stamp(file);
    let snapshot = Snapshot::of(file).map_err(|error| failed(error.to_string()))?;
    let content = match snapshot.open().await {
        Ok(mut connection) => {
            let content = Content::read(&mut connection, name).await;
            // Closing cannot lose anything, because nothing was written.
            let _ = connection.close().await;
            content
        }
        Err(error) => Err(error.to_string()),
    };
    let content = content.map_err(failed)?;
    if before != stamp(file) {
        let why = "it changed during the read; stop the program writing to it and try again";
        return Err(failed(why.to_owned()));
    }
    content.add_to(draft, name)
}

fn stamp(file: &Path) -> Option<(u64, Option<SystemTime>)> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.len(), metadata.modified().ok()))
}

/// The file itself, or a copy for applying changes from a journal beside the file.
enum Snapshot {
    InPlace(PathBuf),
    Copy(tempfile::TempDir),
}

const COPY: &str = "copy.db";
const SIDECARS: [&str; 2] = ["-wal", "-journal"];

impl Snapshot {
    fn of(file: &Path) -> std::io::Result<Self> {
        let waiting = SIDECARS.into_iter().filter(|suffix| holds_changes(file, suffix));
        let waiting: Vec<&str> = waiting.collect();
        if waiting.is_empty() {
            return Ok(Self::InPlace(file.to_owned()));
        }
        let directory = tempfile::tempdir()?;
        let copy = directory.path().join(COPY);
        std::fs::copy(file, &copy)?;
        for suffix in waiting {
            std::fs::copy(beside(file, suffix), beside(&copy, suffix))?;
        }
        Ok(Self::Copy(directory))
    }

    async fn open(&self) -> Result<SqliteConnection, sqlx::Error> {
        let options = SqliteConnectOptions::new();
        let options = match self {
            Self::InPlace(file) => options.filename(file).read_only(true).immutable(true),
            Self::Copy(directory) => options.filename(directory.path().join(COPY)),
        };
        options.connect().await
    }
}

fn holds_changes(file: &Path, suffix: &str) -> bool {
    stamp(&beside(file, suffix)).is_some_and(|(size, _)| size > 0)
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The four tables as stored.
struct Content {
    runs: Vec<Row>,
    tiers: Vec<Row>,
    phases: Vec<Row>,
    events: Vec<Row>,
}

impl Content {
    async fn read(connection: &mut SqliteConnection, name: &str) -> Result<Self, String> {
        let file: Arc<str> = name.into();
        let tables = foreign_rows::tables(connection).await?;
        if tables.get("phases").is_some_and(|columns| columns.contains("raw_spec")) {
            let why = "it is autopack's own database; choose it with --database-url instead";
            return Err(why.to_owned());
        }
        for (table, columns) in NEEDED {
            let Some(has) = tables.get(table) else {
                let mut found: Vec<&str> = tables.keys().map(String::as_str).collect();
                found.sort_unstable();
                return Err(format!(
                    "it is not a database of the Python Autopack: table `{table}` is missing; tables found: {}",
                    if found.is_empty() { "none".to_owned() } else { found.join(", ") }
                ));
            };
            if let Some(missing) = columns.iter().find(|column| !has.contains(**column)) {
                return Err(format!(
                    "it is not a database of the Python Autopack: {table}.{missing} is missing"
                ));
            }
        }
        let mut all = Vec::new();
        for table in [Table::Runs, Table::Tiers, Table::Phases, Table::Events] {
            let there = tables.contains_key(table.name());
            all.push(if there {
                foreign_rows::all(connection, table, &file).await?
            } else {
                Vec::new()
            });
        }
        let [runs, tiers, phases, events] =
            <[Vec<Row>; 4]>::try_from(all).map_err(|_| "cannot read its four tables".to_owned())?;
        Ok(Self { runs, tiers, phases, events })
    }

    fn add_to(mut self, drafting: &mut PlanDraftBuilder, name: &str) -> Result<(), ImportError> {
        self.sort();
        let runs = self.run_ids();
        let wanted = drafting.parts().given_run().cloned();
        if let Some(run) = wanted.as_ref().filter(|run| !runs.contains(run)) {
            return Err(ImportError::UnknownRun { name: name.to_owned(), run: run.clone(), runs });
        }
        let is_wanted = |run: &RunId| wanted.as_ref().is_none_or(|wanted| wanted == run);
        let goals: HashMap<String, String> = self.runs.iter().filter_map(run_goal).collect();
        let tiers = TierNames::of(&self.tiers);
        let known = self.runs.iter().filter_map(|row| row.text("id")).map(RunId::new);
        let mut homes = sample_rows::Homes::new(known.chain(runs).collect());
        for row in &self.phases {
            let run = RunId::new(row.needed("run_id")?);
            let phase = phase_rows::read(row, tiers.get(row), goals.get(run.as_str()))?;
            homes.note(&phase.phase_id, &run);
            if is_wanted(&run) {
                drafting.add(&run, row.place.clone(), phase);
            }
        }
        for row in &self.events {
            let sample = sample_rows::read(row)?;
            let run = homes.run_of(row.text("run_id"), &sample.phase_id, ORPHANS);
            if is_wanted(&run) {
                drafting.add_sample(&run, sample);
            }
        }
        Ok(())
    }

    /// Sorts runs by creation; within each run, by tier and phase.
    fn sort(&mut self) {
        let tiers = TierOrder::of(&self.tiers);
        let order: HashMap<String, usize> = self
            .runs
            .iter()
            .enumerate()
            .filter_map(|(index, row)| Some((row.text("id")?, index)))
            .collect();
        self.phases.sort_by_cached_key(|row| {
            let run = row.text("run_id").and_then(|run| order.get(&run).copied());
            let place = |number: Option<i64>| number.unwrap_or(i64::MAX);
            (
                run.unwrap_or(usize::MAX),
                row.text("run_id"),
                place(tiers.get(row)),
                place(row.integer("phase_index")),
                place(row.integer("id")),
            )
        });
    }

    /// Returns every run with phases, in the order of `sort`.
    fn run_ids(&self) -> Vec<RunId> {
        let mut seen = HashSet::new();
        let ids = self.phases.iter().filter_map(|row| row.text("run_id"));
        ids.filter(|id| seen.insert(id.clone())).map(RunId::new).collect()
    }
}

fn run_goal(row: &Row) -> Option<(String, String)> {
    Some((row.text("id")?, row.text("goal_anchor").filter(|goal| !goal.trim().is_empty())?))
}

/// Order of tiers; `phases.tier_id` is the number of a tier's row. In some real databases the tier belongs to another
/// run.
struct TierOrder(HashMap<String, i64>);

impl TierOrder {
    fn of(tiers: &[Row]) -> Self {
        let entry = |row: &Row| Some((row.text("id")?, row.integer("tier_index")?));
        Self(tiers.iter().filter_map(entry).collect())
    }

    fn get(&self, phase: &Row) -> Option<i64> {
        self.0.get(&phase.text("tier_id")?).copied()
    }
}

/// Names of tiers, for tiers of the phase's own run.
struct TierNames(HashMap<(String, String), String>);

impl TierNames {
    fn of(tiers: &[Row]) -> Self {
        let entry =
            |row: &Row| Some(((row.text("run_id")?, row.text("id")?), row.text("tier_id")?));
        Self(tiers.iter().filter_map(entry).collect())
    }

    fn get(&self, phase: &Row) -> Option<&String> {
        self.0.get(&(phase.text("run_id")?, phase.text("tier_id")?))
    }
}
