//! Which samples a command of `telemetry` is about.

use super::point_in_time::{Since, since};
use crate::clock::now;
use crate::phase::{RunId, UnixMs};

#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Only this run, also one that was removed and left samples; may repeat [default: all runs]
    #[arg(long = "run-id", value_name = "RUN")]
    run_ids: Vec<String>,

    /// Only attempts that ended from this on: a date, a time (RFC 3339), or an age such as 7d, 12h, 30m
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
}

impl Which {
    /// Those that were named; none means all.
    pub fn runs(&self) -> Vec<RunId> {
        self.run_ids.iter().map(RunId::new).collect()
    }

    pub fn since(&self) -> Option<UnixMs> {
        self.since.map(|since| since.before(now()))
    }
}
