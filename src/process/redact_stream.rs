//! Redacts a stream of output: by whole lines, and endless lines in pieces.

use super::pem::Pem;
use super::redact::Redactor;

/// Longer lines, in bytes, are redacted in pieces.
const LONGEST_LINE: usize = 64 * 1024;

/// A stream of output under redaction.
#[derive(Debug)]
pub struct RedactedStream {
    redactor: Redactor,
    pending: Vec<u8>,
    pem: Pem,
}

impl RedactedStream {
    /// Creates a stream with the redactor's secrets.
    pub(super) fn new(redactor: Redactor) -> Self {
        Self { redactor, pending: Vec::new(), pem: Pem::default() }
    }

    /// Takes new bytes and appends all text known to be harmless to `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.pending.extend_from_slice(bytes);
        if let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') {
            let end = self.pending.len() - bytes.len() + end + 1;
            self.emit(end, out);
        }
        if self.pending.len() > LONGEST_LINE + self.redactor.0.held_back {
            self.emit(self.cut(), out);
        }
    }

    /// Ends the stream and appends the rest to `out`.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.emit(self.pending.len(), out);
    }

    fn emit(&mut self, end: usize, out: &mut Vec<u8>) {
        self.redactor.scrub(&self.pending[..end], &mut self.pem, out);
        self.pending.drain(..end);
    }

    /// Returns the position for a cut in an overlong line: not within a secret or a possible beginning of a
    /// secret.
    fn cut(&self) -> usize {
        let len = self.pending.len();
        let cut = len - self.redactor.0.held_back;
        // The header of a private key without an end yet.
        let open = |text: &[u8]| {
            text.starts_with(b"-----BEGIN") && !text.windows(8).any(|part| part == b"-----END")
        };
        let pattern = &self.redactor.0.pattern;
        let across = pattern
            .find_iter(&self.pending)
            .find(|found| found.start() < cut && (found.end() > cut || open(found.as_bytes())));
        match across {
            // The secret may continue: start the next piece with the match, unless this piece already starts
            // there.
            Some(found) if found.start() > 0 => found.start(),
            Some(found) => found.end().max(cut),
            None => cut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::redact::HELD_BACK;
    use super::super::redact::tests::{KEY, redactor};
    use super::*;

    fn streamed(redactor: &Redactor, text: &[u8], size: usize) -> String {
        let mut stream = RedactedStream::new(redactor.clone());
        let mut out = Vec::new();
        for chunk in text.chunks(size) {
            stream.push(chunk, &mut out);
        }
        stream.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_stream_cut_anywhere_gives_the_same_result() {
        let text = format!("a correct-horse-battery\n{KEY}no end: correct-horse-battery-staple");
        let redactor = redactor();
        let whole = redactor.redact(&text).into_owned();
        assert!(!whole.contains("horse") && !whole.contains("MIIE"));
        for size in 1..text.len() {
            assert_eq!(streamed(&redactor, text.as_bytes(), size), whole, "{size}");
        }
    }

    #[test]
    fn a_line_without_end_is_bounded_and_still_redacted() {
        // Secrets everywhere on a single line, so that some cross every cut.
        let unit = format!("{}correct-horse-battery ", "x".repeat(1000));
        let json = KEY.replace('\n', "\\n");
        let text = format!("{}{json}{}", unit.repeat(100), unit.repeat(100));
        for size in [1000, 65_536, 300_000] {
            let out = streamed(&redactor(), text.as_bytes(), size);
            assert_eq!(out.matches("[redacted: MY_TOKEN]").count(), 200);
            assert!(!out.contains("horse") && !out.contains("MIIE"));
        }
        let mut stream = RedactedStream::new(redactor());
        let mut out = Vec::new();
        for chunk in text.as_bytes().chunks(4096) {
            stream.push(chunk, &mut out);
            assert!(stream.pending.len() < 2 * (LONGEST_LINE + HELD_BACK));
        }
    }
}
