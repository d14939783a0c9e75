//! Destination of a program's output: redacted, then passed to the capture, the log and the observer.

use std::io;

use super::capture::CapturedOutput;
use super::job::{Job, LineObserver, Stream};
use super::log_file::CappedLog;
use super::redact::Redactor;
use super::redact_stream::RedactedStream;

pub(super) struct Sink<'a> {
    stdout: Channel,
    stderr: Channel,
    log: Option<CappedLog>,
    on_line: Option<LineObserver<'a>>,
    longest_line: usize,
}

struct Channel {
    stream: RedactedStream,
    captured: CapturedOutput,
    /// The beginning of an unfinished line.
    line: Vec<u8>,
}

impl<'a> Sink<'a> {
    pub fn open(job: &Job<'a>) -> io::Result<Self> {
        let log = job.log.as_deref().map(|path| CappedLog::open(path, job.log_cap)).transpose()?;
        let (stdout, stderr) = (Channel::new(&job.redact), Channel::new(&job.redact));
        Ok(Self { stdout, stderr, log, on_line: job.on_line, longest_line: job.longest_line })
    }

    pub fn push(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let mut clean = Vec::with_capacity(bytes.len());
        self.channel(stream).stream.push(bytes, &mut clean);
        self.keep(stream, &clean)
    }

    /// Flushes the last line, which may lack a line end.
    pub fn finish(mut self) -> io::Result<(CapturedOutput, CapturedOutput)> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let mut clean = Vec::new();
            self.channel(stream).stream.finish(&mut clean);
            self.keep(stream, &clean)?;
            self.show(stream, b"\n");
        }
        if let Some(log) = self.log {
            log.finish()?;
        }
        Ok((self.stdout.captured.finish(), self.stderr.captured.finish()))
    }

    fn keep(&mut self, stream: Stream, clean: &[u8]) -> io::Result<()> {
        self.channel(stream).captured.push(clean);
        if let Some(log) = &mut self.log {
            log.write(clean)?;
        }
        self.show(stream, clean);
        Ok(())
    }

    /// A long line arrives in pieces; the observer sees a single line, whole or cut.
    fn show(&mut self, stream: Stream, clean: &[u8]) {
        let (Some(on_line), longest) = (self.on_line, self.longest_line) else { return };
        let line = &mut self.channel(stream).line;
        for piece in clean.split_inclusive(|byte| *byte == b'\n') {
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            line.extend_from_slice(&text[..text.len().min(longest - line.len())]);
            if text.len() < piece.len() {
                show(stream, line, on_line);
                line.clear();
            }
        }
    }

    fn channel(&mut self, stream: Stream) -> &mut Channel {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

fn show(stream: Stream, line: &[u8], on_line: LineObserver<'_>) {
    let text = String::from_utf8_lossy(line);
    // A progress bar redraws itself in a single line; a terminal shows the last state.
    let last = text.trim_end().rsplit('\r').next().unwrap_or_default();
    if !last.is_empty() {
        on_line(stream, last);
    }
}

impl Channel {
    fn new(redact: &Redactor) -> Self {
        Self {
            stream: RedactedStream::new(redact.clone()),
            captured: CapturedOutput::default(),
            line: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;

    /// Returns the displayed lines of `pieces`, with at most `longest` bytes each.
    fn reported(longest: usize, pieces: &[&str]) -> Vec<String> {
        let seen = Mutex::new(Vec::new());
        let note = |_, line: &str| seen.lock().unwrap().push(line.to_owned());
        let job = Job::new(["x"], "/", Default::default(), Duration::ZERO);
        let mut sink =
            Sink::open(&Job { on_line: Some(&note), longest_line: longest, ..job }).unwrap();
        for piece in pieces {
            sink.push(Stream::Stdout, piece.as_bytes()).unwrap();
        }
        sink.finish().unwrap();
        seen.into_inner().unwrap()
    }

    #[test]
    fn a_line_is_reported_once_for_any_length_and_pieces() {
        let long = "x".repeat(300_000);
        let pieces: Vec<&str> = ["a\n", &long, &long, "\nb\n\n", "c"].into();
        assert_eq!(reported(1_000_000, &pieces), ["a", &long.repeat(2), "b", "c"]);
        assert_eq!(reported(5, &pieces), ["a", "xxxxx", "b", "c"]);
    }

    #[test]
    fn a_progress_bar_is_reported_in_its_last_state() {
        assert_eq!(reported(100, &["10%\r50%\r", "90%\r\n"]), ["90%"]);
    }
}
