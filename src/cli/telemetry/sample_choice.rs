//! Sample filter of `telemetry` commands.

use super::start_time::StartTime;
use crate::clock::now;
use crate::phase::{RunId, UnixMs};

/// Filter options for samples.
#[derive(Debug, clap::Args)]
pub(super) struct SampleFilterArgs {
    /// Only this run, including removed runs with samples; may repeat [default: all runs]
    #[arg(long = "run-id", value_name = "RUN")]
    run_ids: Vec<String>,

    /// Only attempts that ended since then: a date, a time (RFC 3339), or an age such as 7d, 12h, 30m
    #[arg(long, value_name = "TIME")]
    since: Option<StartTime>,
}

impl SampleFilterArgs {
    /// Returns the named runs; empty means all runs.
    pub fn runs(&self) -> Vec<RunId> {
        self.run_ids.iter().map(RunId::new).collect()
    }

    /// Returns the start time, if given.
    pub fn since(&self) -> Option<UnixMs> {
        self.since.map(|since| since.to_absolute(now()))
    }
}
