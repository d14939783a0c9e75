//! Models of other merge queues, simulated on the trace of a measured drain: phases whose first attempt may be red.

/// Times and red attempts of a drain.
#[derive(Clone, Debug)]
pub struct Trace {
    pub workers: usize,
    /// Seconds of an agent, and of CI.
    pub agent: f64,
    pub ci: f64,
    /// Whether the first attempt of each phase is red; the second is green.
    pub red: Vec<bool>,
}

/// An attempt that waits for its test.
#[derive(Clone, Copy, Debug)]
struct Ready {
    at: f64,
    phase: usize,
    is_red: bool,
}

/// Workers with attempts: each is free at a time, and takes the next attempt then.
struct Workers<'a> {
    trace: &'a Trace,
    free_at: Vec<f64>,
    next: usize,
    /// Phases to be attempted again.
    again: Vec<usize>,
}

impl<'a> Workers<'a> {
    fn new(trace: &'a Trace) -> Self {
        Self { trace, free_at: vec![0.0; trace.workers], next: 0, again: Vec::new() }
    }

    /// Starts an attempt on the first free worker, and returns when its agent ends.
    fn start(&mut self) -> Option<(usize, Ready)> {
        let worker = (0..self.free_at.len())
            .filter(|worker| self.free_at[*worker].is_finite())
            .min_by(|a, b| self.free_at[*a].total_cmp(&self.free_at[*b]))?;
        let (phase, is_red) = match self.again.pop() {
            Some(phase) => (phase, false),
            None if self.next < self.trace.red.len() => {
                self.next += 1;
                (self.next - 1, self.trace.red[self.next - 1])
            }
            None => return None,
        };
        let at = self.free_at[worker] + self.trace.agent;
        // Busy until the attempt has landed or failed.
        self.free_at[worker] = f64::INFINITY;
        Some((worker, Ready { at, phase, is_red }))
    }

    fn end(&mut self, worker: usize, ready: Ready, at: f64) {
        self.free_at[worker] = at;
        if ready.is_red {
            self.again.push(ready.phase);
        }
    }
}

/// Seconds of an oracle, which knows what is red: green attempts land when their own test ends.
pub fn oracle(trace: &Trace) -> f64 {
    let mut workers = Workers::new(trace);
    let mut running: Vec<(usize, Ready)> = Vec::new();
    let mut end = 0.0_f64;
    loop {
        while let Some(started) = workers.start() {
            running.push(started);
        }
        let first = (0..running.len()).min_by(|a, b| running[*a].1.at.total_cmp(&running[*b].1.at));
        let Some(first) = first else { return end };
        let (worker, ready) = running.swap_remove(first);
        let at = ready.at + trace.ci;
        end = end.max(at);
        workers.end(worker, ready, at);
    }
}

/// Seconds of a queue that tests one attempt at a time on the tip.
pub fn one_at_a_time(trace: &Trace) -> f64 {
    batches(trace, 1)
}

/// Seconds of a queue that tests all waiting attempts together, and halves a red batch.
pub fn batch_and_bisect(trace: &Trace) -> f64 {
    batches(trace, usize::MAX)
}

fn batches(trace: &Trace, most: usize) -> f64 {
    let mut workers = Workers::new(trace);
    let mut waiting: Vec<(usize, Ready)> = Vec::new();
    let mut now = 0.0_f64;
    loop {
        while let Some(started) = workers.start() {
            waiting.push(started);
        }
        if waiting.is_empty() {
            return now;
        }
        waiting.sort_by(|a, b| a.1.at.total_cmp(&b.1.at));
        now = now.max(waiting[0].1.at);
        let ready = waiting.iter().take(most).take_while(|(_, ready)| ready.at <= now).count();
        let batch: Vec<(usize, Ready)> = waiting.drain(..ready).collect();
        let mut ends = Vec::new();
        now = test(trace, &batch, now, &mut ends);
        for ((worker, ready), at) in ends {
            workers.end(worker, ready, at);
        }
    }
}

/// Tests a batch, and its halves if it is red. Returns the end of the last test.
fn test(
    trace: &Trace,
    batch: &[(usize, Ready)],
    now: f64,
    ends: &mut Vec<((usize, Ready), f64)>,
) -> f64 {
    let at = now + trace.ci;
    if batch.len() == 1 || batch.iter().all(|(_, ready)| !ready.is_red) {
        ends.extend(batch.iter().map(|member| (*member, at)));
        return at;
    }
    let (first, second) = batch.split_at(batch.len() / 2);
    let at = test(trace, first, at, ends);
    test(trace, second, at, ends)
}
