//! Sample filter of `telemetry` commands.

use super::start_time::StartTime;
use crate::cli::run_choice::RunsArg;
use crate::clock::now;
use crate::phase::{RunId, UnixMs};

/// Filter options for samples.
#[derive(Debug, clap::Args)]
pub(super) struct SampleFilterArgs {
    #[command(flatten)]
    runs: RunsArg,

    /// Only attempts that ended since then: a date, a time (RFC 3339), or an age such as 7d, 12h, 30m
    #[arg(long, value_name = "TIME")]
    since: Option<StartTime>,
}

impl SampleFilterArgs {
    /// Returns the named runs, which may be removed runs with samples; empty means all runs.
    pub fn runs(&self) -> Vec<RunId> {
        self.runs.names().into_iter().map(RunId::new).collect()
    }

    /// Returns the start time, if given.
    pub fn since(&self) -> Option<UnixMs> {
        self.since.map(|since| since.to_absolute(now()))
    }
}
