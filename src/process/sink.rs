//! Where a program's output goes: redacted, then to the capture, to the log and to whoever watches.

use std::io;

use super::capture::Captured;
use super::job::{Job, OnLine, Stream};
use super::log::CappedLog;
use super::redact::{RedactedStream, Redactor};

/// Who watches sees no more than this of a line.
const SHOWN_OF_A_LINE: usize = 8 * 1024;

pub(super) struct Sink<'a> {
    stdout: Channel,
    stderr: Channel,
    log: Option<CappedLog>,
    on_line: Option<OnLine<'a>>,
}

struct Channel {
    stream: RedactedStream,
    captured: Captured,
}

impl<'a> Sink<'a> {
    pub fn open(job: &Job<'a>) -> io::Result<Self> {
        let log = job.log.as_deref().map(|path| CappedLog::open(path, job.log_cap)).transpose()?;
        let (stdout, stderr) = (Channel::new(&job.redact), Channel::new(&job.redact));
        Ok(Self { stdout, stderr, log, on_line: job.on_line })
    }

    pub fn push(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let mut clean = Vec::with_capacity(bytes.len());
        self.channel(stream).stream.push(bytes, &mut clean);
        self.keep(stream, &clean)
    }

    /// The last line may have no end.
    pub fn finish(mut self) -> io::Result<(Captured, Captured)> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let mut clean = Vec::new();
            self.channel(stream).stream.finish(&mut clean);
            self.keep(stream, &clean)?;
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
        if let Some(on_line) = self.on_line {
            clean.split(|byte| *byte == b'\n').for_each(|line| show(stream, line, on_line));
        }
        Ok(())
    }

    fn channel(&mut self, stream: Stream) -> &mut Channel {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

fn show(stream: Stream, line: &[u8], on_line: OnLine<'_>) {
    let shown = &line[..line.len().min(SHOWN_OF_A_LINE)];
    let text = String::from_utf8_lossy(shown);
    // A progress bar draws itself over and over in one line; its last state is what a terminal shows.
    let last = text.trim_end().rsplit('\r').next().unwrap_or_default();
    if !last.is_empty() {
        on_line(stream, last);
    }
}

impl Channel {
    fn new(redact: &Redactor) -> Self {
        Self { stream: redact.stream(), captured: Captured::default() }
    }
}
