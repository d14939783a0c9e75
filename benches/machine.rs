//! The machine, its versions, and its other load during the measurements.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use super::process::first_line_of;
use super::scale::Scale;
use super::stats::{Samples, figure};

/// The lines above all sections.
pub fn described() -> String {
    let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "an unknown CPU".to_owned());
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let memory: u64 = memory.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let disk = disk_sync();
    format!(
        "Measured on {date}: {cores} cores of {cpu}, {memory} GiB, Linux {kernel}; {autopack}, {rustc}, {git}. On its disk\n\
         a write of 4 KiB with `fdatasync` takes {p50} ms (p50; p99 {p99} ms), the lower bound for a database commit.\n",
        date = first_line_of("date", &["-u", "+%F"]).unwrap_or_default(),
        cores = std::thread::available_parallelism().map_or(1, usize::from),
        memory = memory.div_ceil(1 << 20),
        kernel = kernel.trim(),
        autopack = first_line_of(super::process::AUTOPACK, &["--version"]).unwrap_or_default(),
        rustc = first_line_of("rustc", &["--version"]).unwrap_or_else(|| "rustc".to_owned()),
        git = first_line_of("git", &["--version"]).unwrap_or_default(),
        p50 = figure(disk.median()),
        p99 = figure(disk.quantile(0.99)),
    )
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Append and sync, the basic cost of every database commit.
fn disk_sync() -> Samples {
    let mut file = tempfile::tempfile().expect("a temporary file");
    Samples::ms((0..200).map(|_| {
        let started = Instant::now();
        file.write_all(&[0; 4096]).expect("a write");
        file.sync_data().expect("a sync");
        started.elapsed()
    }))
}

/// Load by other programs while a section ran.
pub struct Noise {
    busy: f64,
    ours: f64,
}

impl Noise {
    pub fn begin() -> Self {
        Self { busy: busy_seconds(), ours: super::process::cpu_seconds() }
    }

    /// A line below the section.
    pub fn end(self, scale: &Scale, wall: Duration) -> String {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let others = (busy_seconds() - self.busy) - (super::process::cpu_seconds() - self.ours);
        let share = (others / (wall.as_secs_f64() * cores)).clamp(0.0, 1.0) * 100.0;
        let sizes = if scale.quick { "; small sizes: `AUTOPACK_BENCH=quick`" } else { "" };
        format!(
            "*Took {:.0} s; other programs used {share:.0}% of the processors{sizes}.*",
            wall.as_secs_f64()
        )
    }
}

/// Of all processors, since the machine started: user, nice, system, interrupts, stolen.
fn busy_seconds() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let numbers: Vec<f64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|n| n.parse().ok())
        .collect();
    let at = |n: usize| numbers.get(n).copied().unwrap_or_default();
    (at(0) + at(1) + at(2) + at(5) + at(6) + at(7)) / super::process::TICKS_PER_SECOND
}
