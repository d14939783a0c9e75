//! Runs of the parts of a source, such as tags and directories. A part stays in its run when other parts come and go.

use std::collections::HashMap;

use crate::phase::RunId;
use crate::phase::plan::SourcePart;

use super::read_options::ReadOptions;

/// Runs of parts, by name.
pub(super) struct PartRuns {
    /// `--run-id`, overriding everything.
    given: Option<RunId>,
    /// Runs of an earlier import with the same `--run-id`.
    stored: HashMap<String, RunId>,
    names: HashMap<RunId, String>,
}

impl PartRuns {
    pub fn new(origin: &str, options: &ReadOptions) -> Self {
        let given = options.run_id.clone();
        let is_same = |of: &str, run: Option<&RunId>| {
            run.is_some() && run == given.as_ref() && of == origin && !of.is_empty()
        };
        let stored = options
            .stored_parts
            .iter()
            .filter(|stored| is_same(&stored.origin, stored.part.given_run.as_ref()));
        let stored = stored.map(|stored| (stored.part.name.clone(), stored.run_id.clone()));
        Self { stored: stored.collect(), names: HashMap::new(), given }
    }

    /// The run requested by `--run-id`.
    pub fn given_run(&self) -> Option<&RunId> {
        self.given.as_ref()
    }

    /// Returns the run of a part: the part's own name; with `--run-id X`, the run of an earlier import, else X for the
    /// main part and `X-<part>` for each other.
    pub fn run_of(&mut self, part: &str, is_main: bool) -> RunId {
        let run = match (self.stored_run(part), &self.given) {
            (Some(run), _) => run,
            (None, Some(run)) if is_main && !self.is_taken(run) => run.clone(),
            (None, Some(run)) => RunId::new(format!("{run}-{part}")),
            (None, None) => RunId::new(part),
        };
        self.names.insert(run.clone(), part.to_owned());
        run
    }

    /// Returns the run that an earlier import may have made of a part.
    pub fn stored_run(&self, part: &str) -> Option<RunId> {
        match &self.given {
            Some(_) => self.stored.get(part).cloned(),
            None => Some(RunId::new(part)),
        }
    }

    /// Returns the part of a run; empty for runs of whole sources.
    pub fn part_of(&self, run: &RunId) -> SourcePart {
        let name = self.names.get(run).cloned().unwrap_or_default();
        SourcePart { given_run: self.given.clone(), name }
    }

    fn is_taken(&self, run: &RunId) -> bool {
        self.stored.values().any(|stored| stored == run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::plan::StoredPart;

    fn runs(given: Option<&str>, parts: &[(&str, bool)]) -> Vec<String> {
        let stored = |given: Option<&str>, name: &str, run: &str| StoredPart {
            origin: "tasks.json".to_owned(),
            part: SourcePart { given_run: given.map(RunId::new), name: name.to_owned() },
            run_id: RunId::new(run),
        };
        let options = ReadOptions {
            stored_parts: vec![
                stored(Some("x"), "feature", "x"),
                stored(None, "feature", "feature"),
            ],
            ..ReadOptions::of_run(given.map(RunId::new).as_ref())
        };
        let mut runs = PartRuns::new("tasks.json", &options);
        parts.iter().map(|(part, is_main)| runs.run_of(part, *is_main).to_string()).collect()
    }

    #[test]
    fn a_part_stays_in_its_run() {
        let parts = [("master", true), ("feature", false)];
        assert_eq!(runs(Some("x"), &parts), ["x-master", "x"]);
        assert_eq!(runs(Some("y"), &parts), ["y", "y-feature"]);
        assert_eq!(runs(None, &parts), ["master", "feature"]);
        assert_eq!(runs(Some("x"), &[("other", true)]), ["x-other"]);
    }
}
