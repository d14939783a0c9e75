//! Logs of an attempt on another machine: a copy, extended with the parts sent by the attempt's drain.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::attempt::{FilesPlace, decompress, gap_line, list_files, unpack_from};
use crate::cli::Context;
use crate::cli::attempt_choice::AttemptChoice;
use crate::failure::Failure;
use crate::store::{LogPart, StoredFiles};

/// Interval between two questions for the logs; a drain sends them for half a minute.
const ASK: Duration = Duration::from_secs(10);
/// Longest wait for the files of an ended attempt, and the interval of looks.
const LAST_FILES: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(500);

/// The copy.
pub(super) struct RemoteLogs {
    copy: TempDir,
    asked: Option<Instant>,
    /// Number of the last part.
    last: u32,
    /// Read bytes of each log, including skipped bytes, and the position among the other logs.
    logs: HashMap<String, (u64, u64)>,
}

impl RemoteLogs {
    pub fn new() -> anyhow::Result<Self> {
        let copy = tempfile::Builder::new().prefix("autopack-logs-").tempdir();
        let copy = copy.context("cannot create a temporary directory")?;
        Ok(Self { copy, asked: None, last: 0, logs: HashMap::new() })
    }

    pub fn path(&self) -> &Path {
        self.copy.path()
    }

    /// Requests the logs, and adds the parts sent since the last call.
    pub async fn update(&mut self, choice: &AttemptChoice) -> Result<(), Failure> {
        let (store, row, number) = (&choice.store, &choice.row, choice.attempt.attempt);
        if self.asked.is_none_or(|asked| asked.elapsed() >= ASK) {
            store.follow_logs(&row.run_id, &row.phase_id, number).await?;
            self.asked = Some(Instant::now());
        }
        for part in store.log_parts(&row.run_id, &row.phase_id, number, self.last).await? {
            let LogPart { number, name, start, length, content } = part;
            let mut bytes = decompress(&content).context("cannot read a part of the logs")?;
            let seen = self.logs.get(&name).map_or(0, |(bytes, _)| *bytes);
            if start > seen {
                let gap = gap_line(start - seen, start + length).into_bytes();
                bytes.splice(..0, gap);
            }
            self.append(&name, &bytes, start + length)?;
            self.last = number;
        }
        Ok(())
    }

    /// Waits for the files of the ended attempt, and adds the rest missing in the copy. Returns `false` if the files
    /// are not stored.
    pub async fn complete(
        &mut self,
        choice: &AttemptChoice,
        context: &Context,
    ) -> Result<bool, Failure> {
        let (store, row, number) = (&choice.store, &choice.row, choice.attempt.attempt);
        let until = Instant::now() + LAST_FILES;
        loop {
            match store.stored_files(&row.run_id, &row.phase_id, number, None).await? {
                StoredFiles::NotStored if Instant::now() < until => tokio::time::sleep(LOOK).await,
                StoredFiles::NotStored | StoredFiles::Removed => return Ok(false),
                StoredFiles::Files(files) if !files.is_empty() => {
                    for file in files {
                        let seen = self.logs.get(&file.name).map_or(0, |(bytes, _)| *bytes);
                        let bytes = unpack_from(&file, seen).context("cannot read a stored log")?;
                        self.append(&file.name, &bytes, file.size)?;
                    }
                    return Ok(true);
                }
                StoredFiles::Files(_) => {
                    return self.complete_from_directory(choice, context).await;
                }
            }
        }
    }

    /// The same without files in the database.
    async fn complete_from_directory(
        &mut self,
        choice: &AttemptChoice,
        context: &Context,
    ) -> Result<bool, Failure> {
        let files = choice.files(context, None).await?;
        if files.place == FilesPlace::Database {
            return Ok(false);
        }
        let cannot = || format!("cannot read the logs in {}", files.path.display());
        for (name, path) in list_files(&files.path).with_context(cannot)? {
            let bytes = std::fs::read(&path).with_context(cannot)?;
            let seen = self.logs.get(&name).map_or(0, |(bytes, _)| *bytes);
            let seen = usize::try_from(seen).unwrap_or(usize::MAX).min(bytes.len());
            self.append(&name, &bytes[seen..], bytes.len() as u64)?;
        }
        Ok(true)
    }

    fn append(&mut self, name: &str, bytes: &[u8], end: u64) -> anyhow::Result<()> {
        let next = self.logs.len() as u64;
        let log = self.logs.entry(name.to_owned()).or_insert((0, next));
        log.0 = end;
        // Names come from another machine.
        let name = Path::new(name).file_name().unwrap_or_default();
        let path = self.copy.path().join(name);
        let write = || {
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            file.write_all(bytes)?;
            // The times tell the order.
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(log.1))
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}
