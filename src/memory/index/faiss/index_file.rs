//! An index on disk: FAISS's own format, followed by a footer for identification and integrity.
//!
//! FAISS ignores the footer. Contents of the footer: the numbers in the index, the embedder, the kind, a checksum.

use std::fs::{self, File};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use faiss::{Index, read_index, write_index};

use super::collection_index::{CollectionIndex, Kind};
use super::{FaissError, Result, library};

const MAGIC: &[u8; 8] = b"apFAISS1";
/// Size of magic, footer length and checksum.
const TAIL: u64 = 24;

pub fn save(path: &Path, embedder: &str, part: &CollectionIndex) -> Result<()> {
    let beside = path.with_extension("faiss.new");
    write_index(part.index(), name(&beside)?).map_err(library("write the index"))?;
    let result =
        append_footer(&beside, embedder, part).and_then(|()| rename_into_place(&beside, path));
    result.map_err(|why| error("write", path, &why))
}

fn append_footer(path: &Path, embedder: &str, part: &CollectionIndex) -> std::io::Result<()> {
    let mut footer = Vec::with_capacity(part.numbers().len() * 8 + embedder.len() + 1);
    footer.extend((part.numbers().len() as u64).to_le_bytes());
    part.numbers().iter().for_each(|n| footer.extend(n.to_le_bytes()));
    footer.push(u8::from(part.kind() == Kind::Graph));
    footer.extend(embedder.as_bytes());

    let mut file = File::options().read(true).append(true).open(path)?;
    file.write_all(&footer)?;
    let checksum = checksum(&mut file, u64::MAX)?;
    let mut tail = MAGIC.to_vec();
    tail.extend((footer.len() as u64).to_le_bytes());
    tail.extend(checksum.to_le_bytes());
    file.write_all(&tail)?;
    file.sync_all()
}

/// Renames the new file into place and syncs the directory, because the new name has to reach the disk too.
fn rename_into_place(beside: &Path, path: &Path) -> std::io::Result<()> {
    fs::rename(beside, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// Loads an index; `None` without a file or with a file of another embedder, neither of them an error.
pub fn load(path: &Path, embedder: &str) -> Result<Option<CollectionIndex>> {
    if !path.exists() {
        return Ok(None);
    }
    let unreadable = |why: std::io::Error| error("read", path, &why);
    let before = identity(path).map_err(unreadable)?;
    let footer = read_footer(path).map_err(unreadable)?;
    if footer.embedder != embedder {
        return Ok(None);
    }
    let index = read_index(name(path)?).map_err(library("read an index file"))?;
    if identity(path).map_err(unreadable)? != before {
        return Err(error("read", path, &"another process has just replaced the file"));
    }
    if index.ntotal() != footer.numbers.len() as u64 {
        return Err(error("read", path, &"the number of vectors differs from the footer"));
    }
    let part = CollectionIndex::from_index(footer.kind, index, footer.numbers);
    part.tune()?;
    Ok(Some(part))
}

/// Returns device and inode: FAISS opens the file again by name and has to get the file whose footer was read.
fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

struct Footer {
    numbers: Vec<i64>,
    kind: Kind,
    embedder: String,
}

/// Reads and checks the footer. FAISS trusts every file, so damaged files must not reach FAISS.
fn read_footer(path: &Path) -> std::io::Result<Footer> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let whole = length.checked_sub(TAIL).ok_or_else(|| broken("the file is too short"))?;
    let [magic, footer_length, expected] = read_tail(&mut file, whole)?;
    if magic != u64::from_le_bytes(*MAGIC) {
        return Err(broken("the footer is missing"));
    }
    if checksum(&mut file, whole)? != expected {
        return Err(broken("wrong checksum"));
    }
    let start = whole.checked_sub(footer_length).ok_or_else(|| broken("the footer is too long"))?;
    file.seek(SeekFrom::Start(start))?;
    let mut footer = Vec::new();
    file.take(footer_length).read_to_end(&mut footer)?;
    parse(&footer).ok_or_else(|| broken("the footer is invalid"))
}

fn read_tail(file: &mut File, at: u64) -> std::io::Result<[u64; 3]> {
    file.seek(SeekFrom::Start(at))?;
    let mut tail = [0u8; TAIL as usize];
    file.read_exact(&mut tail)?;
    let (words, _) = tail.as_chunks::<8>();
    Ok([0, 1, 2].map(|i| u64::from_le_bytes(words[i])))
}

fn parse(footer: &[u8]) -> Option<Footer> {
    let (count, rest) = footer.split_first_chunk::<8>()?;
    let count = usize::try_from(u64::from_le_bytes(*count)).ok()?;
    let (numbers, rest) = rest.split_at_checked(count.checked_mul(8)?)?;
    let (kind, embedder) = rest.split_first()?;
    let (numbers, _) = numbers.as_chunks::<8>();
    Some(Footer {
        numbers: numbers.iter().map(|n| i64::from_le_bytes(*n)).collect(),
        kind: if *kind == 1 { Kind::Graph } else { Kind::Exact },
        embedder: String::from_utf8(embedder.to_vec()).ok()?,
    })
}

/// Returns FNV-1a over words of eight bytes: detects torn and flipped bytes, not tampering.
fn checksum(file: &mut File, up_to: u64) -> std::io::Result<u64> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::with_capacity(1 << 20, file.take(up_to));
    let mut buffer = vec![0u8; 1 << 16];
    let mut sum: u64 = 0xcbf2_9ce4_8422_2325;
    loop {
        let filled = fill(&mut reader, &mut buffer)?;
        if filled == 0 {
            return Ok(sum);
        }
        let padded = filled.next_multiple_of(8);
        buffer[filled..padded].fill(0);
        let (words, _) = buffer[..padded].as_chunks::<8>();
        for word in words {
            sum = (sum ^ u64::from_le_bytes(*word)).wrapping_mul(0x0100_0000_01b3).rotate_left(5);
        }
    }
}

/// Reads until the buffer is full or the file ends, so that words are aligned the same way each time.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

fn name(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| error("name", path, &"FAISS takes only paths in UTF-8"))
}

fn broken(why: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, why)
}

fn error(doing: &'static str, path: &Path, why: &dyn std::fmt::Display) -> FaissError {
    FaissError::File { doing, path: path.to_owned(), why: why.to_string() }
}
