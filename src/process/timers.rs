//! Timeouts of a program: total time, and time without a sign of life.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::descendants::{cpu_ms, own_cpu_ms};
use super::job::How;

/// Checks of a silent tree per idle timeout, but at least every 10 s.
const LOOKS: u32 = 10;
const LONGEST_LOOK: Duration = Duration::from_secs(10);
/// Less than half a percent of a processor is an idling runtime, not a sign of life.
const IDLING: u64 = 200;

pub(super) struct Timers {
    deadline: Instant,
    idle: Option<Idle>,
}

struct Idle {
    timeout: Duration,
    life: Life,
    alive: Instant,
    cpu_then: u64,
    next_look: Instant,
}

/// Source of the processor time that shows life.
#[derive(Clone, Copy)]
pub(super) struct Life {
    /// The supervisor: the processor time of the supervisor and everything under it is the tree's.
    pub root: i32,
    /// Excluded processor time: the program's, and that of processes under it with this text in their names.
    pub idler: Option<(i32, &'static str)>,
}

impl Life {
    fn cpu_ms(self) -> u64 {
        let own = self.idler.map_or(0, |(leader, name)| own_cpu_ms(leader, name));
        cpu_ms(self.root).saturating_sub(own)
    }
}

impl Timers {
    pub fn start(timeout: Duration, idle_timeout: Option<Duration>, life: Life) -> Self {
        let now = Instant::now();
        let idle = idle_timeout.map(|timeout| Idle {
            timeout,
            life,
            alive: now,
            cpu_then: 0,
            next_look: now + look(timeout),
        });
        Self { deadline: now + timeout, idle }
    }

    /// Notes output.
    pub fn alive(&mut self) {
        if let Some(idle) = &mut self.idle {
            idle.alive = Instant::now();
        }
    }

    /// Returns the reason once time is up. Cancel-safe.
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
            let life = idle.life;
            if idle.stalled(Instant::now(), || life.cpu_ms()) {
                return How::Stalled;
            }
        }
    }
}

impl Idle {
    fn stalled(&mut self, now: Instant, cpu_ms: impl FnOnce() -> u64) -> bool {
        self.next_look = now + look(self.timeout);
        let silent = now - self.alive;
        // Scanning every process is costly and not needed while there is output.
        if silent < look(self.timeout) {
            return false;
        }
        let cpu = cpu_ms();
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the seconds until a tree is ended that uses `cpu` ms by each second and writes at `words`.
    fn lives(cpu: impl Fn(u64) -> u64, words: &[u64]) -> u64 {
        let start = Instant::now();
        let mut timers = Timers::start(
            Duration::MAX / 4,
            Some(Duration::from_secs(100)),
            Life { root: 0, idler: None },
        );
        let idle = timers.idle.as_mut().unwrap();
        (idle.alive, idle.next_look) = (start, start);
        let stalls = (0..1000).find(|second| {
            let now = start + Duration::from_secs(*second);
            if words.contains(second) {
                idle.alive = now;
            }
            now >= idle.next_look && idle.stalled(now, || cpu(*second))
        });
        stalls.unwrap_or(u64::MAX)
    }

    #[test]
    fn neither_words_nor_work_is_a_stall() {
        assert_eq!(lives(|_| 0, &[]), 100);
        assert_eq!(lives(|_| 70, &[]), 110);
        assert_eq!(lives(|_| 0, &[95]), 200);
    }

    #[test]
    fn words_or_work_are_life_and_a_runtime_that_idles_is_not() {
        let words: Vec<u64> = (0..1000).step_by(90).collect();
        assert_eq!(lives(|_| 0, &words), u64::MAX);
        // One percent of a processor, and a tenth of a percent.
        assert_eq!(lives(|second| second * 10, &[]), u64::MAX);
        assert_eq!(lives(|second| second, &[]), 100);
        // Processor time that vanished with a process.
        assert_eq!(lives(|second| if second % 80 < 40 { 9000 } else { 0 }, &[]), u64::MAX);
    }
}
