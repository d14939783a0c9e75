//! A file as the database keeps it: its beginning and its end, compressed. Programs of an attempt can write to its directory:
//! only regular files are read, never links.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use crate::process::Redactor;
use crate::store::StoredFile;

/// Share of a cut file's beginning: the end usually has the cause of a failure.
const HEAD_SHARE: u64 = 4;

/// Lists the regular files of an attempt's directory, in the order of their creation.
///
/// # Errors
///
/// The directory cannot be read.
pub fn list_files(directory: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if entry.file_type()?.is_file() && !name.starts_with('.') {
            let created = entry.metadata().and_then(|about| about.created()).ok();
            files.push((created, name, entry.path()));
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(_, name, path)| (name, path)).collect())
}

/// Opens a regular file; links are not followed.
///
/// # Errors
///
/// The file cannot be opened, or is no regular file.
pub fn open_plain(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = options.read(true).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Packs a file with secrets removed. A file of more than `limit` bytes loses its middle, at the ends of lines.
///
/// # Errors
///
/// The file cannot be read.
pub fn pack(name: &str, path: &Path, limit: u64, redactor: &Redactor) -> io::Result<StoredFile> {
    let mut file = open_plain(path)?;
    let size = file.metadata()?.len();
    let mut head = Vec::new();
    let mut tail = Vec::new();
    if size <= limit {
        file.take(limit).read_to_end(&mut head)?;
    } else {
        let first = limit / HEAD_SHARE;
        (&mut file).take(first).read_to_end(&mut head)?;
        head.truncate(head.iter().rposition(|byte| *byte == b'\n').map_or(head.len(), |at| at + 1));
        file.seek(SeekFrom::Start(size - (limit - first)))?;
        file.take(limit - first).read_to_end(&mut tail)?;
        tail.drain(..line_start(&tail));
    }
    let mut bytes = redactor.redact_bytes(&head).into_owned();
    let head = bytes.len() as u64;
    bytes.extend_from_slice(&redactor.redact_bytes(&tail));
    // A file that grew meanwhile, or whose secrets were replaced by longer words, is whole all the same.
    let size = if tail.is_empty() && size <= limit { head } else { size.max(bytes.len() as u64) };
    Ok(StoredFile { name: name.to_owned(), size, head, content: compress(&bytes)? })
}

/// Returns the index of the first byte after a line break; 0 without one.
pub fn line_start(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1)
}

/// Returns the kept bytes of a file, with a line in place of its middle if that was left out.
///
/// # Errors
///
/// The content is not what autopack compressed.
pub fn unpack(file: &StoredFile) -> io::Result<Vec<u8>> {
    unpack_from(file, 0)
}

/// Like `unpack`, for a reader who has the bytes before `offset`.
///
/// # Errors
///
/// The content is not what autopack compressed.
pub fn unpack_from(file: &StoredFile, offset: u64) -> io::Result<Vec<u8>> {
    let bytes = decompress(&file.content)?;
    let index = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(bytes.len());
    let head = index(file.head);
    let tail_at = file.size.saturating_sub((bytes.len() - head) as u64);
    let mut rest = bytes[index(offset).min(head)..head].to_vec();
    let gap = offset.max(file.head)..tail_at;
    if !gap.is_empty() {
        rest.extend(gap_line(gap.end - gap.start, file.size).into_bytes());
    }
    let seen = index(head as u64 + offset.saturating_sub(tail_at));
    rest.extend_from_slice(&bytes[seen..]);
    Ok(rest)
}

/// Returns the number of bytes that were left out of a file.
pub fn missing_bytes(file: &StoredFile, kept: usize) -> u64 {
    file.size.saturating_sub(kept as u64)
}

/// The line in place of bytes that were left out.
pub fn gap_line(missing: u64, size: u64) -> String {
    format!("[autopack left out {missing} of {size} bytes here]\n")
}

/// Compresses bytes.
///
/// # Errors
///
/// Never: memory is written to.
pub fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Returns the bytes that were compressed.
///
/// # Errors
///
/// The content is not what autopack compressed.
pub fn decompress(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    ZlibDecoder::new(content).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(text: &str, limit: u64) -> StoredFile {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.log");
        fs::write(&path, text).unwrap();
        let redactor = Redactor::new([("MY_TOKEN".into(), "correct-horse-battery".into())]);
        pack("agent.log", &path, limit, &redactor).unwrap()
    }

    fn text(bytes: io::Result<Vec<u8>>) -> String {
        String::from_utf8(bytes.unwrap()).unwrap()
    }

    #[test]
    fn a_long_file_loses_its_middle_at_line_ends() {
        let lines: String = (100..200).map(|n| format!("line {n}\n")).collect();
        let whole = packed(&lines, 900);
        assert_eq!((whole.size, text(unpack(&whole))), (900, lines.clone()));
        let cut = packed(&lines, 120);
        let expected = "line 100\nline 101\nline 102\n[autopack left out 792 of 900 bytes here]\n";
        let shown = text(unpack(&cut));
        assert!(shown.starts_with(expected), "{shown}");
        assert!(shown.ends_with("line 199\n") && !shown.contains("line 150"), "{shown}");
        // A reader who has the beginning, the part that was left out, or a part of the end.
        assert!(text(unpack_from(&cut, 9)).starts_with("line 101\n"));
        assert!(
            text(unpack_from(&cut, 800)).starts_with("[autopack left out 19 of 900 bytes here]\n")
        );
        assert_eq!(text(unpack_from(&cut, 882)), "line 198\nline 199\n");
        assert_eq!(text(unpack_from(&cut, 900)), "");
    }

    #[test]
    fn secrets_are_removed_and_links_refused() {
        let file = packed("a correct-horse-battery\n", 100);
        assert_eq!(text(unpack(&file)), "a [redacted: MY_TOKEN]\n");
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link.log");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert!(pack("link.log", &link, 100, &Redactor::formats_only()).is_err());
        assert!(list_files(dir.path()).unwrap().is_empty());
    }
}
