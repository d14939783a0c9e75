//! Index of the repository's files in `code_docs`: chunks of lines, rewritten only for changed files.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::MemoryError;
use super::inner::MemoryWorker;
use super::memory_entry::{Collection, Entry, EntryId, StoredEntry, hash_of};
use crate::clock::now;

const CHUNK_LINES: usize = 60;
const OVERLAP: usize = 10;
const MOST_CHUNK_CHARS: usize = 6_000;
/// Part of every file's hash. Increase after any change to the splitting of files, to index all files again.
const CUT: &str = "2";
/// Chunks per transaction: each transaction waits for the disk.
const WORTH_WRITING: usize = 256;
const MOST_FILE_BYTES: u64 = 512 * 1024;
/// Generated files: long and rarely searched for.
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

/// Number of files by result of indexing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexSummary {
    /// New or changed files.
    pub indexed: usize,
    /// Unchanged files.
    pub unchanged: usize,
    /// Files removed from the index.
    pub removed: usize,
    /// Skipped files: binary, too large, or generated.
    pub skipped: usize,
}

impl MemoryWorker {
    pub async fn index(
        self: &Arc<Self>,
        root: &Path,
        paths: &[String],
    ) -> Result<IndexSummary, MemoryError> {
        let mut known = self.journal.sources(Collection::CodeDocs).await?;
        let mut indexed = IndexSummary::default();
        let mut writing = Vec::new();
        for path in paths {
            let before = known.remove(path).unwrap_or_default();
            let Some(text) = read(&root.join(path), path) else {
                // Git still lists a deleted file until the deletion is staged.
                match root.join(path).symlink_metadata() {
                    Ok(_) => indexed.skipped += 1,
                    Err(_) => indexed.removed += usize::from(!before.is_empty()),
                }
                self.forget(&before).await?;
                continue;
            };
            let text = self.redact.apply(&text);
            let hash = hash_of(&[CUT, &text]);
            if before.iter().any(|chunk| chunk.payload["file_hash"] == json!(hash)) {
                indexed.unchanged += 1;
                continue;
            }
            writing.extend(self.index_file(path, &text, &hash, &before));
            indexed.indexed += 1;
            if writing.len() >= WORTH_WRITING {
                self.journal.put(&std::mem::take(&mut writing)).await?;
            }
        }
        self.journal.put(&writing).await?;
        for gone in known.into_values() {
            self.forget(&gone).await?;
            indexed.removed += 1;
        }
        self.catch_up_in_background();
        Ok(indexed)
    }

    /// Returns a file's chunks and the chunks they replace, for a single transaction.
    fn index_file(
        &self,
        path: &str,
        text: &str,
        hash: &str,
        before: &[StoredEntry],
    ) -> Vec<(StoredEntry, Vec<EntryId>)> {
        let mut entries: Vec<(StoredEntry, Vec<EntryId>)> = chunks(text)
            .into_iter()
            .enumerate()
            .map(|(number, chunk)| (self.chunk(path, number, chunk, hash), Vec::new()))
            .collect();
        let new: HashSet<EntryId> = entries.iter().map(|(entry, _)| entry.id.clone()).collect();
        let obsolete = before.iter().map(|chunk| chunk.id.clone()).filter(|id| !new.contains(id));
        // Every file read has a chunk, because the text contains more than white space.
        if let Some((_, supersedes)) = entries.first_mut() {
            supersedes.extend(obsolete);
        }
        entries
    }

    fn chunk(&self, path: &str, number: usize, chunk: Chunk, hash: &str) -> StoredEntry {
        let mut entry = Entry::new(Collection::CodeDocs, path, format!("{path}\n{}", chunk.text));
        entry.key = Some(format!("{path}#{number}"));
        entry.payload = json!({"file_hash": hash, "lines": [chunk.first, chunk.last]});
        StoredEntry::from_entry(entry, &self.workspace.entries, now())
    }

    async fn forget(&self, chunks: &[StoredEntry]) -> Result<(), MemoryError> {
        let ids: Vec<EntryId> = chunks.iter().map(|chunk| chunk.id.clone()).collect();
        if !ids.is_empty() {
            self.journal.remove(&ids).await?;
        }
        Ok(())
    }
}

/// Reads a text file; `None` for binary, empty, large or generated files.
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

/// Splits a text into overlapping chunks, so that text at a border is complete in one of the chunks.
fn chunks(text: &str) -> Vec<Chunk> {
    let lines: Vec<&str> = text.lines().collect();
    let mut chunks = Vec::new();
    let mut start = 0;
    while start < lines.len() {
        let end = start + length(&lines[start..]);
        // A single line may still be too long: such lines are generated, and the beginning is enough.
        let text: String = lines[start..end].join("\n").chars().take(MOST_CHUNK_CHARS).collect();
        if !text.trim().is_empty() {
            chunks.push(Chunk { first: start + 1, last: end, text });
        }
        if end == lines.len() {
            break;
        }
        start = end.saturating_sub(OVERLAP).max(start + (end - start).div_ceil(2));
    }
    chunks
}

/// Returns the number of lines in the next chunk, at least 1.
fn length(lines: &[&str]) -> usize {
    let mut chars = 0;
    let fits = |line: &&&str| {
        chars += line.chars().count() + 1;
        chars <= MOST_CHUNK_CHARS
    };
    lines.iter().take(CHUNK_LINES).take_while(fits).count().max(1)
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

    #[test]
    fn long_lines_make_shorter_chunks_without_loss() {
        let text: String = (1..=100).map(|n| format!("{n} {}\n", "x".repeat(300))).collect();
        let chunks = chunks(&text);
        let mut next = 1;
        for chunk in &chunks {
            assert!(chunk.first <= next && chunk.last >= next, "{} {next}", chunk.first);
            assert!(chunk.text.chars().count() <= MOST_CHUNK_CHARS);
            assert_eq!(chunk.text.lines().count(), chunk.last - chunk.first + 1);
            next = chunk.last + 1;
        }
        assert_eq!(next, 101);
        assert_eq!(super::chunks(&"y".repeat(20_000))[0].text.len(), MOST_CHUNK_CHARS);
    }

    #[test]
    fn only_text_files_of_reasonable_size_are_indexed() {
        let dir = tempfile::tempdir().unwrap();
        let large = "x\n".repeat(400_000);
        for (name, contents, wanted) in [
            ("a.py", b"x = 1".as_slice(), true),
            ("a.bin", b"\xff\xfe\x00", false),
            ("nul.txt", b"a\0b", false),
            ("empty", b" \n", false),
            ("large.txt", large.as_bytes(), false),
            ("Cargo.lock", b"version = 4", false),
            ("app.min.js", b"var a", false),
        ] {
            let file = dir.path().join(name);
            std::fs::write(&file, contents).unwrap();
            assert_eq!(read(&file, name).is_some(), wanted, "{name}");
        }
        let link = dir.path().join("link.py");
        std::os::unix::fs::symlink(dir.path().join("a.py"), &link).unwrap();
        assert!(read(&link, "link.py").is_none());
    }
}
