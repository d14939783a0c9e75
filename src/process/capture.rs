//! Bounded capture of a program's output: head and tail, however large the output is.

use std::borrow::Cow;

/// Bytes kept of each end; 1 MiB in total.
const KEEP: usize = 512 * 1024;

/// Captured output of a program: the head, the tail and the total size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapturedOutput {
    /// The first bytes.
    pub head: Vec<u8>,
    /// The last bytes after the head.
    pub tail: Vec<u8>,
    /// Size of the output in bytes, after redaction.
    pub total: u64,
}

impl CapturedOutput {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let (head, rest) = bytes.split_at(bytes.len().min(KEEP - self.head.len()));
        self.head.extend_from_slice(head);
        self.tail.extend_from_slice(&rest[rest.len().saturating_sub(KEEP)..]);
        // Trim seldom, so that the tail is not moved at each push.
        if self.tail.len() > 2 * KEEP {
            self.trim();
        }
    }

    pub(super) fn finish(mut self) -> Self {
        self.trim();
        self
    }

    fn trim(&mut self) {
        self.tail.drain(..self.tail.len().saturating_sub(KEEP));
    }

    /// Returns the number of bytes dropped between head and tail.
    pub fn omitted(&self) -> u64 {
        self.total - (self.head.len() + self.tail.len()) as u64
    }

    /// Returns the captured output, with a line that states the number of dropped bytes.
    pub fn text(&self) -> String {
        let (head, tail) = (lossy(&self.head), lossy(&self.tail));
        match self.omitted() {
            0 => String::from_utf8_lossy(&[&*self.head, &*self.tail].concat()).into_owned(),
            omitted => format!("{head}\n... {omitted} bytes left out ...\n{tail}"),
        }
    }

    /// Returns the last `lines` lines, without trailing empty lines.
    pub fn tail_lines(&self, lines: usize) -> String {
        let text = self.text();
        let all: Vec<&str> = text.trim_end().lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_kept_whole() {
        let mut captured = CapturedOutput::default();
        captured.push(b"one\ntwo\n");
        captured.push(b"three\n\n");
        let captured = captured.finish();
        assert_eq!(captured.text(), "one\ntwo\nthree\n\n");
        assert_eq!(captured.tail_lines(2), "two\nthree");
        assert_eq!(captured.tail_lines(9), "one\ntwo\nthree");
        assert_eq!(CapturedOutput::default().tail_lines(3), "");
    }

    #[test]
    fn long_output_keeps_both_ends() {
        let mut captured = CapturedOutput::default();
        let all: Vec<u8> = (0..5 * KEEP).map(|n| (n % 251) as u8).collect();
        for chunk in all.chunks(70_001) {
            captured.push(chunk);
            assert!(captured.tail.capacity() <= 4 * KEEP);
        }
        let captured = captured.finish();
        assert_eq!(captured.head, all[..KEEP]);
        assert_eq!(captured.tail, all[4 * KEEP..]);
        assert_eq!(captured.omitted(), 3 * KEEP as u64);
        assert!(captured.text().contains("1572864 bytes left out"));
    }

    #[test]
    fn a_single_push_may_exceed_the_capacity() {
        let mut captured = CapturedOutput::default();
        captured.push(&vec![b'x'; 10 * KEEP]);
        let captured = captured.finish();
        assert_eq!((captured.head.len(), captured.tail.len()), (KEEP, KEEP));
        assert_eq!(captured.total, 10 * KEEP as u64);
    }
}
