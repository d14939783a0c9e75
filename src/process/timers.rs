//! When a program has had its time, and when it gives no sign of life any more.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::descendants::cpu_ms;
use super::job::How;

/// A silent tree is looked at this often within its idle timeout, but never seldomer than each 10 s.
const LOOKS: u32 = 10;
const LONGEST_LOOK: Duration = Duration::from_secs(10);
/// Less than half a percent of one processor is a runtime idling, no sign of life.
const IDLING: u64 = 200;

pub(super) struct Timers {
    deadline: Instant,
    idle: Option<Idle>,
}

struct Idle {
    timeout: Duration,
    /// The supervisor: what it and all beneath it use is the tree's processor time.
    root: i32,
    alive: Instant,
    cpu_then: u64,
    next_look: Instant,
}

impl Timers {
    pub fn start(timeout: Duration, idle_timeout: Option<Duration>, root: i32) -> Self {
        let now = Instant::now();
        let idle = idle_timeout.map(|timeout| Idle {
            timeout,
            root,
            alive: now,
            cpu_then: 0,
            next_look: now + look(timeout),
        });
        Self { deadline: now + timeout, idle }
    }

    /// There was output.
    pub fn alive(&mut self) {
        if let Some(idle) = &mut self.idle {
            idle.alive = Instant::now();
        }
    }

    /// Comes back with the reason once time is up. May be dropped and called again.
    pub async fn up(&mut self) -> How {
        loop {
            let Some(idle) = &mut self.idle else {
                sleep_until(self.deadline).await;
                return How::TimedOut;
            };
            sleep_until(self.deadline.min(idle.next_look)).await;
            if Instant::now() >= self.deadline {
                return How::TimedOut;
            }
            if idle.stalled() {
                return How::Stalled;
            }
        }
    }
}

impl Idle {
    fn stalled(&mut self) -> bool {
        let now = Instant::now();
        self.next_look = now + look(self.timeout);
        let silent = now - self.alive;
        // A look at every process costs something; while there is output there is no need.
        if silent < look(self.timeout) {
            return false;
        }
        let cpu = cpu_ms(self.root);
        if u128::from(cpu.abs_diff(self.cpu_then) * IDLING) > silent.as_millis() {
            (self.cpu_then, self.alive) = (cpu, now);
            return false;
        }
        silent >= self.timeout
    }
}

fn look(timeout: Duration) -> Duration {
    (timeout / LOOKS).min(LONGEST_LOOK)
}
