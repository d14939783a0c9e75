//! What an attempt is expected to put out: the estimate that holds, for an agent as it is configured, and for the files
//! that are there.
//!
//! The same numbers serve budgets, `--dry-run` and the record of an attempt. The slot shows what is there; before there is one,
//! the checkout stands in for it.

use std::path::{Path, PathBuf};

use crate::config::AgentSettings;
use crate::phase::FixedSpec;
use crate::telemetry::{Calibration, Features};

/// What is foreseen of one attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreseen {
    pub output_tokens: u64,
    /// For each deliverable the size of what is there now, `None` where nothing is.
    pub existing_bytes: Vec<Option<u64>>,
}

/// Foresees by what was learnt, or by what is shipped.
#[derive(Clone, Debug, Default)]
pub struct Foresight {
    calibration: Calibration,
    /// The user's checkout.
    checkout: PathBuf,
}

impl Foresight {
    pub fn new(calibration: Calibration, checkout: PathBuf) -> Self {
        Self { calibration, checkout }
    }

    /// Before there is a slot.
    pub fn early(&self, spec: &FixedSpec, agent: (&str, &AgentSettings)) -> Foreseen {
        self.of(spec, agent, &self.checkout)
    }

    /// With what is in `folder`, which the agent is about to work in.
    pub fn of(&self, spec: &FixedSpec, agent: (&str, &AgentSettings), folder: &Path) -> Foreseen {
        let existing_bytes: Vec<Option<u64>> =
            spec.deliverables().iter().map(|path| size(folder, path.as_str())).collect();
        let (name, settings) = agent;
        let features = Features::of_spec(spec, &existing_bytes);
        let output_tokens = self.calibration.predict(Some(name), settings.model(), &features);
        Foreseen { output_tokens, existing_bytes }
    }
}

/// A folder that is there counts as there, whatever it holds; a glob names no file before it is matched.
fn size(folder: &Path, path: &str) -> Option<u64> {
    let found = std::fs::metadata(folder.join(path.trim_end_matches('/'))).ok()?;
    Some(if found.is_file() { found.len() } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_measured() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.rs"), "12345").unwrap();
        std::fs::create_dir(dir.path().join("docs")).unwrap();
        let found =
            ["a.rs", "docs/", "b.rs", "src/*.rs", "a.rs/x"].map(|path| size(dir.path(), path));
        assert_eq!(found, [Some(5), Some(0), None, None, None]);
    }
}
