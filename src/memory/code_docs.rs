//! The repository's files as `code_docs`: chunks of lines, taken in again only where a file's contents changed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::MemoryError;
use super::entry::{Collection, Entry, EntryId, Kept, hash_of};
use super::inner::{Inner, now};
use crate::process::{Tool, output};

const CHUNK_LINES: usize = 60;
const OVERLAP: usize = 10;
const MOST_CHUNK_CHARS: usize = 6_000;
const MOST_FILE_BYTES: u64 = 512 * 1024;
const LISTING: Duration = Duration::from_secs(60);
/// Machine-made: long, and nobody asks for them.
const LOCKFILES: [&str; 8] = [
    "Cargo.lock",
    "package-lock.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "poetry.lock",
    "uv.lock",
    "go.sum",
    "composer.lock",
];

/// What indexing did, in files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Indexed {
    pub indexed: usize,
    pub unchanged: usize,
    pub removed: usize,
    /// Binary, too large, or machine-made.
    pub passed_over: usize,
}

impl Inner {
    pub async fn index(self: &Arc<Self>, root: &Path) -> Result<Indexed, MemoryError> {
        let paths = list(root).await?;
        let mut known = self.journal.sources(Collection::CodeDocs).await?;
        let mut indexed = Indexed::default();
        for path in &paths {
            let before = known.remove(path).unwrap_or_default();
            let Some(text) = read(&root.join(path), path) else {
                indexed.passed_over += 1;
                self.forget(&before).await?;
                continue;
            };
            let text = self.redact.apply(&text);
            let hash = hash_of(&[&text]);
            if before.iter().any(|chunk| chunk.payload["file_hash"] == json!(hash)) {
                indexed.unchanged += 1;
                continue;
            }
            self.take_in(path, &text, &hash, &before).await?;
            indexed.indexed += 1;
        }
        for gone in known.into_values() {
            self.forget(&gone).await?;
            indexed.removed += 1;
        }
        self.catch_up_in_background();
        Ok(indexed)
    }

    /// A file's chunks are replaced in one transaction.
    async fn take_in(
        &self,
        path: &str,
        text: &str,
        hash: &str,
        before: &[Kept],
    ) -> Result<(), MemoryError> {
        let mut entries: Vec<(Kept, Vec<EntryId>)> = chunks(text)
            .into_iter()
            .enumerate()
            .map(|(number, chunk)| (self.chunk(path, number, chunk, hash), Vec::new()))
            .collect();
        let new: Vec<EntryId> = entries.iter().map(|(entry, _)| entry.id.clone()).collect();
        let obsolete = before.iter().map(|chunk| chunk.id.clone()).filter(|id| !new.contains(id));
        match entries.first_mut() {
            Some((_, supersedes)) => supersedes.extend(obsolete),
            None => return self.forget(before).await,
        }
        self.journal.put(&entries).await?;
        Ok(())
    }

    fn chunk(&self, path: &str, number: usize, chunk: Chunk, hash: &str) -> Kept {
        let mut entry = Entry::new(Collection::CodeDocs, path, format!("{path}\n{}", chunk.text));
        entry.key = Some(format!("{path}#{number}"));
        entry.payload = json!({"file_hash": hash, "lines": [chunk.first, chunk.last]});
        Kept::from_entry(entry, &self.workspace_id, now())
    }

    async fn forget(&self, chunks: &[Kept]) -> Result<(), MemoryError> {
        let ids: Vec<EntryId> = chunks.iter().map(|chunk| chunk.id.clone()).collect();
        if !ids.is_empty() {
            self.journal.remove(&ids).await?;
        }
        Ok(())
    }
}

/// What git tracks, and what it does not but would.
async fn list(root: &Path) -> Result<Vec<String>, MemoryError> {
    let tool = Tool::new("git", root, LISTING).args([
        "-c",
        "core.fsmonitor=false",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let listed = output(tool).await.map_err(|error| MemoryError::Files(error.to_string()))?;
    if !listed.success() {
        return Err(MemoryError::Files(listed.error_text()));
    }
    let names = listed.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut paths: Vec<String> = names
        .filter_map(|name| String::from_utf8(name.to_vec()).ok())
        .filter(|name| !name.starts_with(".autopack/"))
        .collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// `None` for what is no text that somebody wrote.
fn read(file: &Path, path: &str) -> Option<String> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let metadata = std::fs::symlink_metadata(file).ok()?;
    let wanted = metadata.is_file()
        && metadata.len() <= MOST_FILE_BYTES
        && !LOCKFILES.contains(&name)
        && !name.contains(".min.");
    let text = wanted.then(|| std::fs::read_to_string(file).ok()).flatten()?;
    (!text.contains('\0') && !text.trim().is_empty()).then_some(text)
}

struct Chunk {
    first: usize,
    last: usize,
    text: String,
}

/// Chunks overlap, so that what stands at a border is whole in one of them.
fn chunks(text: &str) -> Vec<Chunk> {
    let lines: Vec<&str> = text.lines().collect();
    let mut chunks = Vec::new();
    let mut start = 0;
    while start < lines.len() {
        let end = (start + CHUNK_LINES).min(lines.len());
        let text: String = lines[start..end].join("\n").chars().take(MOST_CHUNK_CHARS).collect();
        if !text.trim().is_empty() {
            chunks.push(Chunk { first: start + 1, last: end, text });
        }
        if end == lines.len() {
            break;
        }
        start = end - OVERLAP;
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_every_line_and_overlap() {
        let text: String = (1..=130).map(|n| format!("line {n}\n")).collect();
        let chunks = chunks(&text);
        let ranges: Vec<(usize, usize)> = chunks.iter().map(|c| (c.first, c.last)).collect();
        assert_eq!(ranges, [(1, 60), (51, 110), (101, 130)]);
        assert!(chunks[2].text.ends_with("line 130"));
        assert!(super::chunks("").is_empty());
    }
}
