//! Expected output of an attempt: the estimate in use, for an agent as configured and for the existing files.
//!
//! The same numbers serve budgets, `--dry-run` and the record of an attempt. File sizes are read in the slot; before
//! a slot exists, in the user's checkout.

use std::path::{Path, PathBuf};

use crate::config::AgentSettings;
use crate::phase::FixedSpec;
use crate::telemetry::{Calibration, Features};

/// Estimate for one attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// Expected output tokens.
    pub output_tokens: u64,
    /// Current size of each deliverable in bytes; `None` for a missing file.
    pub existing_bytes: Vec<Option<u64>>,
}

/// Estimates output tokens from the learned or the built-in calibration.
#[derive(Clone, Debug, Default)]
pub struct Estimator {
    calibration: Calibration,
    /// Path of the user's checkout.
    checkout: PathBuf,
}

impl Estimator {
    /// Creates an estimator.
    pub fn new(calibration: Calibration, checkout: PathBuf) -> Self {
        Self { calibration, checkout }
    }

    /// Estimates before a slot exists.
    pub fn early(&self, spec: &FixedSpec, agent: (&str, &AgentSettings)) -> Estimate {
        self.of(spec, agent, &self.checkout)
    }

    /// Estimates with the files in `directory`, where the agent is about to work.
    pub fn of(
        &self,
        spec: &FixedSpec,
        agent: (&str, &AgentSettings),
        directory: &Path,
    ) -> Estimate {
        let existing_bytes: Vec<Option<u64>> =
            spec.deliverables().iter().map(|path| size(directory, path.as_str())).collect();
        let (name, settings) = agent;
        let features = Features::of_spec(spec, &existing_bytes);
        let output_tokens = self.calibration.predict(Some(name), settings.model(), &features);
        Estimate { output_tokens, existing_bytes }
    }
}

/// Returns the size of a file. An existing directory counts as present, regardless of contents; a glob names no file
/// before matching.
fn size(directory: &Path, path: &str) -> Option<u64> {
    let metadata = std::fs::metadata(directory.join(path.trim_end_matches('/'))).ok()?;
    Some(if metadata.is_file() { metadata.len() } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_existing_files_are_measured() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.rs"), "12345").unwrap();
        std::fs::create_dir(dir.path().join("docs")).unwrap();
        let sizes =
            ["a.rs", "docs/", "b.rs", "src/*.rs", "a.rs/x"].map(|path| size(dir.path(), path));
        assert_eq!(sizes, [Some(5), Some(0), None, None, None]);
    }
}
