//! A log file with a size limit: the head is kept, and the last line states the number of dropped bytes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

pub(super) struct CappedLog {
    file: File,
    cap: u64,
    remaining: u64,
    omitted: u64,
}

impl CappedLog {
    /// Opens for appending: a second run of the same step continues the log.
    pub fn open(path: &Path, cap: u64) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self { file, cap, remaining: cap, omitted: 0 })
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let fits = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(bytes.len());
        self.file.write_all(&bytes[..fits])?;
        self.remaining -= fits as u64;
        self.omitted += (bytes.len() - fits) as u64;
        Ok(())
    }

    pub fn finish(mut self) -> io::Result<()> {
        if self.omitted > 0 {
            let (omitted, cap) = (self.omitted, self.cap);
            writeln!(
                self.file,
                "\n... {omitted} bytes left out: this log ends at {cap} bytes ..."
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_ends_at_its_cap_and_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = CappedLog::open(&path, 5).unwrap();
        for part in ["abc", "defg", "h"] {
            log.write(part.as_bytes()).unwrap();
        }
        log.finish().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "abcde\n... 3 bytes left out: this log ends at 5 bytes ...\n");

        let mut log = CappedLog::open(&path, 5).unwrap();
        log.write(b"again").unwrap();
        log.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{text}again"));
    }
}
