//! Streams the logs of running attempts to the database while somebody on another machine follows them.

use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::executed_here::ExecutedHere;
use super::packed_files::{compress, line_start, list_files, open_plain};
use crate::process::Redactor;
use crate::store::{AttemptKey, ExecutedAttempt, LogPart};

/// Interval between two looks for followers and new text.
const EVERY: Duration = Duration::from_secs(2);

/// What was sent of an attempt's logs.
#[derive(Debug, Default)]
struct SentLogs {
    parts: u32,
    /// Bytes by name, including those left out.
    bytes: HashMap<String, u64>,
}

/// Streams until the task is ended. An idle drain asks for no followers.
pub(super) async fn stream_logs(here: Arc<ExecutedHere>) {
    let mut sent: HashMap<AttemptKey, SentLogs> = HashMap::new();
    loop {
        tokio::time::sleep(EVERY).await;
        sent.retain(|key, _| here.running(*key).is_some());
        if !here.is_busy() {
            continue;
        }
        let followed = match here.store.followed_attempts().await {
            Ok(followed) => followed,
            Err(error) => {
                tracing::debug!("cannot read who follows the logs: {error}");
                continue;
            }
        };
        for attempt in followed.into_iter().filter_map(|key| here.running(key)) {
            let sent = sent.entry(attempt.key).or_default();
            if let Err(error) = send_new(&here, &attempt, sent).await {
                tracing::debug!("cannot send new text of the logs: {error:#}");
            }
        }
    }
}

/// Sends what was added to the logs. An error leaves the rest to the next call.
async fn send_new(
    here: &ExecutedHere,
    attempt: &ExecutedAttempt,
    sent: &mut SentLogs,
) -> anyhow::Result<()> {
    for (name, path) in list_files(&here.directory(attempt))? {
        if !name.ends_with(".log") {
            continue;
        }
        let (before, limit) = (sent.bytes.get(&name).copied(), here.limit);
        let redactor = here.redactor.clone();
        let read = tokio::task::spawn_blocking(move || read_new(&path, before, limit, &redactor));
        let Some((start, length, content)) = read.await?? else { continue };
        let end = start + length;
        let part = LogPart { number: sent.parts + 1, name, start, length, content };
        here.store.add_log_part(attempt.key, &part, end.saturating_sub(limit)).await?;
        sent.parts = part.number;
        sent.bytes.insert(part.name, end);
    }
    Ok(())
}

/// Reads a log after the bytes that were sent, at most `limit` bytes from its end: their place, their number, and the bytes,
/// compressed. `None` if nothing is new; a new log is sent even if it is empty.
fn read_new(
    path: &Path,
    before: Option<u64>,
    limit: u64,
    redactor: &Redactor,
) -> io::Result<Option<(u64, u64, Vec<u8>)>> {
    let mut file = open_plain(path)?;
    let (length, sent) = (file.metadata()?.len(), before.unwrap_or(0));
    if length <= sent && before.is_some() {
        return Ok(None);
    }
    let mut start = sent.max(length.saturating_sub(limit));
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(length.saturating_sub(start)).read_to_end(&mut bytes)?;
    if start > sent {
        let whole = line_start(&bytes);
        bytes.drain(..whole);
        start += whole as u64;
    }
    let content = compress(&redactor.redact_bytes(&bytes))?;
    Ok(Some((start, bytes.len() as u64, content)))
}

#[cfg(test)]
mod tests {
    use super::super::packed_files::decompress;
    use super::*;

    #[test]
    fn only_new_text_within_the_limit_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.log");
        let read = |before, limit| {
            let read = read_new(&path, before, limit, &Redactor::formats_only()).unwrap();
            read.map(|(start, length, content)| {
                (start, length, String::from_utf8(decompress(&content).unwrap()).unwrap())
            })
        };
        std::fs::write(&path, "").unwrap();
        assert_eq!(read(None, 100), Some((0, 0, String::new())));
        assert_eq!(read(Some(0), 100), None);
        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        assert_eq!(read(Some(4), 100), Some((4, 10, "two\nthree\n".to_owned())));
        assert_eq!(read(Some(0), 8), Some((8, 6, "three\n".to_owned())));
        assert_eq!(read(Some(14), 8), None);
    }
}
