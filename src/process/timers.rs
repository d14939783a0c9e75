//! Timeouts of a program: total time, and time without a sign of life.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::descendants::cpu_ms;
use super::job::JobEnd;

/// Checks of a silent tree per idle timeout, but at least every 10 s.
const CHECKS: u32 = 10;
const LONGEST_INTERVAL: Duration = Duration::from_secs(10);
/// Less than half a percent of a processor is an idling runtime, not a sign of life.
const IDLING: u64 = 200;

pub(super) struct Timers {
    deadline: Instant,
    idle: Option<IdleTimer>,
}

struct IdleTimer {
    timeout: Duration,
    life: ActivitySource,
    alive: Instant,
    cpu_then: u64,
    next_check: Instant,
}

/// Source of the processor time that shows life.
#[derive(Clone, Copy)]
pub(super) struct ActivitySource {
    /// The supervisor: the processor time of the supervisor and everything under it is the tree's.
    pub root: i32,
    /// Excluded processor time: the program's, and that of processes under it with this text in their names.
    pub idler: Option<(i32, &'static str)>,
}

impl ActivitySource {
    fn cpu_ms(self) -> u64 {
        cpu_ms(self.root, self.idler)
    }
}

impl Timers {
    pub fn start(timeout: Duration, idle_timeout: Option<Duration>, life: ActivitySource) -> Self {
        let now = Instant::now();
        let idle = idle_timeout.map(|timeout| IdleTimer {
            timeout,
            life,
            alive: now,
            cpu_then: 0,
            next_check: now + check_interval(timeout),
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
    pub async fn up(&mut self) -> JobEnd {
        loop {
            let Some(idle) = &mut self.idle else {
                sleep_until(self.deadline).await;
                return JobEnd::TimedOut;
            };
            sleep_until(self.deadline.min(idle.next_check)).await;
            if Instant::now() >= self.deadline {
                return JobEnd::TimedOut;
            }
            let life = idle.life;
            if idle.stalled(Instant::now(), || life.cpu_ms()) {
                return JobEnd::Stalled;
            }
        }
    }
}

impl IdleTimer {
    fn stalled(&mut self, now: Instant, cpu_ms: impl FnOnce() -> u64) -> bool {
        self.next_check = now + check_interval(self.timeout);
        let silent = now - self.alive;
        // Scanning every process is costly and not needed while there is output.
        if silent < check_interval(self.timeout) {
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

fn check_interval(timeout: Duration) -> Duration {
    (timeout / CHECKS).min(LONGEST_INTERVAL)
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
            ActivitySource { root: 0, idler: None },
        );
        let idle = timers.idle.as_mut().unwrap();
        (idle.alive, idle.next_check) = (start, start);
        let stalls = (0..1000).find(|second| {
            let now = start + Duration::from_secs(*second);
            if words.contains(second) {
                idle.alive = now;
            }
            now >= idle.next_check && idle.stalled(now, || cpu(*second))
        });
        stalls.unwrap_or(u64::MAX)
    }

    #[test]
    fn no_output_and_no_work_is_a_stall() {
        assert_eq!(lives(|_| 0, &[]), 100);
        assert_eq!(lives(|_| 70, &[]), 110);
        assert_eq!(lives(|_| 0, &[95]), 200);
    }

    #[test]
    fn output_or_work_is_activity_but_an_idle_runtime_is_not() {
        let words: Vec<u64> = (0..1000).step_by(90).collect();
        assert_eq!(lives(|_| 0, &words), u64::MAX);
        // One percent of a processor, and a tenth of a percent.
        assert_eq!(lives(|second| second * 10, &[]), u64::MAX);
        assert_eq!(lives(|second| second, &[]), 100);
        // Processor time that vanished with a process.
        assert_eq!(lives(|second| if second % 80 < 40 { 9000 } else { 0 }, &[]), u64::MAX);
    }
}
