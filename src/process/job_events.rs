//! Events of a running program, in sequence, and the reason for ending the program.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, sleep_until};

use super::descendants::kill_session;
use super::job::{Job, JobEnd, SpawnError, Stream};
use super::launch::Supervised;
use super::protocol::{Leader, Order, SupervisorMessage};
use super::stop::{StopLevel, StopReceiver};
use super::timers::{ActivitySource, Timers};

/// Time that other processes may keep the program's pipes open after the end.
const PIPES_AFTER_END: Duration = Duration::from_secs(2);
/// A process in the middle of a disk access cannot be killed yet. The supervisor keeps waiting with the lock
/// held; the drain does not wait.
const SWEEP: Duration = Duration::from_secs(30);
/// Beyond the grace: a supervisor without an answer by then was stopped, or worse.
const ANSWER: Duration = Duration::from_secs(5);
const CHUNK: usize = 64 * 1024;

pub(super) struct Watch {
    started: Instant,
    grace: Duration,
    timers: Timers,
    /// Why autopack ended the program, if so.
    reason: Option<JobEnd>,
    stop_seen: StopLevel,
    leader: Option<(Leader, Instant)>,
    swept: Option<u32>,
    stdout: Pipe,
    stderr: Pipe,
    gave_up: bool,
    /// Deadline for the supervisor to carry out an order.
    answer_by: Option<Instant>,
    unanswered: bool,
}

struct Pipe {
    buffer: Vec<u8>,
    open: bool,
}

enum Event {
    Read(Stream, io::Result<usize>),
    Message(Result<SupervisorMessage, SpawnError>),
    TimeIsUp(JobEnd),
    Stop,
    NothingMoreToCome,
    NoAnswer,
}

impl Watch {
    pub fn new(job: &Job<'_>, supervised: &Supervised) -> Self {
        Self {
            started: Instant::now(),
            grace: job.grace,
            timers: Timers::start(job.timeout, job.idle_timeout, life(job, supervised)),
            reason: None,
            stop_seen: StopLevel::Run,
            leader: None,
            swept: None,
            stdout: Pipe::new(),
            stderr: Pipe::new(),
            gave_up: false,
            answer_by: None,
            unanswered: false,
        }
    }

    /// Checks whether the whole tree is gone and all output is read, or waiting was given up.
    pub fn over(&self) -> bool {
        self.gave_up || (self.swept.is_some() && !self.stdout.open && !self.stderr.open)
    }

    /// Waits for the next event; returns new output, if any.
    pub async fn next(
        &mut self,
        supervised: &mut Supervised,
        stop: &StopReceiver,
    ) -> Result<Option<(Stream, &[u8])>, SpawnError> {
        match self.event(supervised, stop).await {
            Event::Read(stream, read) => {
                let read = read.map_err(SpawnError::Output)?;
                return Ok(self.read(stream, read));
            }
            Event::Message(report) => self.note(report?),
            Event::TimeIsUp(reason) => self.end(supervised, reason, false).await,
            Event::Stop => {
                self.stop_seen = stop.level();
                self.end(supervised, JobEnd::Stopped, self.stop_seen == StopLevel::Now).await;
            }
            Event::NothingMoreToCome => self.gave_up = true,
            Event::NoAnswer => {
                kill_session(supervised.pid());
                (self.unanswered, self.gave_up) = (true, true);
            }
        }
        Ok(None)
    }

    async fn event(&mut self, supervised: &mut Supervised, stop: &StopReceiver) -> Event {
        let runs = self.leader.is_none();
        let next_level = match self.stop_seen {
            StopLevel::Run => StopLevel::Graceful,
            StopLevel::Graceful | StopLevel::Now => StopLevel::Now,
        };
        let last_moment = self.last_moment();
        let answer_by = self.answer_by.unwrap_or(self.started);
        let (out_open, err_open) = (self.stdout.open, self.stderr.open);
        let Supervised { stdout, stderr, reports, .. } = supervised;
        tokio::select! {
            read = self.stdout.fill(stdout), if out_open => Event::Read(Stream::Stdout, read),
            read = self.stderr.fill(stderr), if err_open => Event::Read(Stream::Stderr, read),
            report = reports.next(), if self.swept.is_none() => Event::Message(report),
            reason = self.timers.up(), if runs && self.reason.is_none() => Event::TimeIsUp(reason),
            () = stop.reached(next_level), if runs && self.stop_seen < StopLevel::Now => Event::Stop,
            () = sleep_until(last_moment), if !runs => Event::NothingMoreToCome,
            () = sleep_until(answer_by), if runs && self.answer_by.is_some() => Event::NoAnswer,
        }
    }

    /// Returns the end of waiting after the leader's end.
    fn last_moment(&self) -> Instant {
        match self.leader {
            Some((_, at)) if self.swept.is_some() => at + PIPES_AFTER_END,
            Some((_, at)) => at + SWEEP,
            None => self.started,
        }
    }

    fn read(&mut self, stream: Stream, read: usize) -> Option<(Stream, &[u8])> {
        let pipe = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        if read == 0 {
            pipe.open = false;
            return None;
        }
        self.timers.alive();
        Some((stream, &pipe.buffer[..read]))
    }

    fn note(&mut self, report: SupervisorMessage) {
        match report {
            SupervisorMessage::Leader(leader) => self.leader = Some((leader, Instant::now())),
            SupervisorMessage::Done { swept } => self.swept = Some(swept),
            SupervisorMessage::Started { .. }
            | SupervisorMessage::NotFound
            | SupervisorMessage::CannotStart { .. }
            | SupervisorMessage::NoView { .. } => {}
        }
    }

    /// Ends the program without a grace, for an internal reason.
    pub async fn kill(&mut self, supervised: &mut Supervised) {
        self.stop_seen = StopLevel::Now;
        self.end(supervised, JobEnd::Stopped, true).await;
    }

    async fn end(&mut self, supervised: &mut Supervised, reason: JobEnd, now: bool) {
        self.reason.get_or_insert(reason);
        let grace_ms = u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX);
        let order = if now { Order::Kill } else { Order::End { grace_ms } };
        let grace = if now { Duration::ZERO } else { self.grace };
        self.answer_by = Some(Instant::now() + grace + ANSWER);
        supervised.order(order).await;
    }

    /// Returns how the program ended. An order after the end does not count.
    pub fn job_end(&self) -> JobEnd {
        match (self.leader, self.reason) {
            (Some((Leader { ordered: true, .. }, _)) | None, Some(reason)) => reason,
            (Some((Leader { signal: Some(signal), .. }, _)), _) => JobEnd::Signalled(signal),
            (leader, _) => JobEnd::Exited(leader.and_then(|(leader, _)| leader.code).unwrap_or(-1)),
        }
    }

    pub fn duration(&self) -> Duration {
        let end = self.leader.map_or_else(Instant::now, |(_, at)| at);
        end - self.started
    }

    /// Returns `None` while the tree still has processes.
    pub fn swept(&self) -> Option<u32> {
        self.swept
    }

    /// Checks whether the supervisor disobeyed an order and was killed with its session.
    pub fn unanswered(&self) -> bool {
        self.unanswered
    }

    pub fn pipes_held(&self) -> bool {
        self.stdout.open || self.stderr.open
    }
}

/// Returns the source of the processor time that shows life.
fn life(job: &Job<'_>, supervised: &Supervised) -> ActivitySource {
    let idler = job.idler.map(|name| (supervised.leader, name));
    ActivitySource { root: supervised.pid(), idler }
}

impl Pipe {
    fn new() -> Self {
        Self { buffer: vec![0; CHUNK], open: true }
    }

    async fn fill(&mut self, pipe: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
        pipe.read(&mut self.buffer).await
    }
}
