//! Converts a row of `token_estimation_v2_events` to a telemetry sample and its run.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::phase::plan::ImportedSample;
use crate::phase::{PhaseId, RunId, Tokens, UnixMs, Usage};

use super::super::error::ImportError;
use super::foreign_rows::Row;

pub(super) fn read(row: &Row) -> Result<ImportedSample, ImportError> {
    let written = row.text("timestamp").unwrap_or_default();
    let timestamp = unix_ms(&written).ok_or_else(|| {
        let message = format!("`timestamp` is {written:?}; expected a date and a time");
        ImportError::malformed(&row.place, message)
    })?;
    Ok(ImportedSample {
        origin: format!("token_estimation_v2_events/{}", row.needed("event_id")?),
        phase_id: PhaseId::new(row.needed("phase_id")?.trim()),
        timestamp,
        category: row.text("category").unwrap_or_default(),
        complexity: row.text("complexity").unwrap_or_default(),
        deliverables: deliverables(row),
        predicted_output_tokens: row.count("predicted_output_tokens"),
        success: row.truth("success"),
        usage: Usage {
            tokens: Tokens { output: row.count("actual_output_tokens"), ..Tokens::default() },
            cost_usd: None,
            model: row.text("model"),
            truncated: row.truth("truncated"),
            stop_reason: row.text("stop_reason"),
        },
    })
}

fn deliverables(row: &Row) -> Vec<String> {
    let Some(text) = row.text("deliverables_json") else { return Vec::new() };
    let entry = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match serde_json::from_str(&text) {
        Ok(Value::Array(items)) => items.into_iter().map(entry).collect(),
        _ => vec![text],
    }
}

/// Parses a time with an offset, or in UTC without an offset: the notation of SQLite and the Python Autopack.
fn unix_ms(text: &str) -> Option<UnixMs> {
    let text = text.trim();
    let at = text.parse::<Timestamp>().ok().or_else(|| {
        let civil = text.parse::<DateTime>().ok()?;
        Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })?;
    Some(UnixMs(at.as_millisecond()))
}

/// Finds the run of a sample: many samples have run `unknown`, or a deleted run.
pub(super) struct Homes {
    runs: HashSet<RunId>,
    of_phase: HashMap<PhaseId, Vec<RunId>>,
}

impl Homes {
    pub(super) fn new(runs: HashSet<RunId>) -> Self {
        Self { runs, of_phase: HashMap::new() }
    }

    pub(super) fn note(&mut self, phase: &PhaseId, run: &RunId) {
        self.of_phase.entry(phase.clone()).or_default().push(run.clone());
    }

    /// Returns the named run, else the only run with the phase, else `orphans`.
    pub(super) fn run_of(&self, named: Option<String>, phase: &PhaseId, orphans: &str) -> RunId {
        match (named.map(RunId::new), self.of_phase.get(phase).map(Vec::as_slice)) {
            (Some(named), _) if self.runs.contains(&named) => named,
            (_, Some([only])) => only.clone(),
            _ => RunId::new(orphans),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_without_an_offset_are_utc() {
        let ms = |text: &str| unix_ms(text).map(|UnixMs(ms)| ms);
        assert_eq!(ms("2025-12-23 15:33:55"), Some(1_766_504_035_000));
        assert_eq!(ms("2025-12-23T15:33:55.799611"), Some(1_766_504_035_799));
        assert_eq!(ms("2025-12-23T15:33:55Z"), ms("2025-12-23 16:33:55+01:00"));
        assert_eq!(ms("yesterday"), None);
    }

    #[test]
    fn a_sample_without_a_run_belongs_to_the_only_run_with_its_phase() {
        let [a, b] = ["a", "b"].map(RunId::new);
        let [once, twice, never] = ["once", "twice", "never"].map(PhaseId::new);
        let mut homes = Homes::new(HashSet::from([a.clone(), b.clone()]));
        for (phase, run) in [(&once, &a), (&twice, &a), (&twice, &b)] {
            homes.note(phase, run);
        }
        let run_of =
            |run: &str, phase| homes.run_of(Some(run.to_owned()), phase, "imported").to_string();
        assert_eq!(run_of("b", &never), "b");
        assert_eq!(run_of("unknown", &once), "a");
        assert_eq!(run_of("unknown", &twice), "imported");
        assert_eq!(run_of("gone", &never), "imported");
    }
}
