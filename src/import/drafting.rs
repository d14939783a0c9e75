//! Collects the phases of an input, for every format alike.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::phase::plan::{ImportedSample, PlanPhase, PlanRun, SourceCounts};
use crate::phase::{PhaseId, PhaseState, RawSpec, RunId};

use super::csv_columns::ColumnChoice;
use super::error::ImportError;
use super::input::Input;
use super::part_runs::PartRuns;
use super::plan_draft::{DraftPhase, DraftRun, PlanDraft};
use super::read_options::ReadOptions;
use super::source_place::SourcePosition;
use super::spec_keys;
use super::standing::{self, SourceStatus};

/// Sorts phases into runs in order of appearance, and refuses duplicate ids.
pub(crate) struct PlanDraftBuilder {
    source: String,
    origin: String,
    /// The source in notes.
    short_source: String,
    format: &'static str,
    workspace: Option<PathBuf>,
    columns: Vec<ColumnChoice>,
    no_subtasks: bool,
    /// Run of phases that name none.
    stem: RunId,
    draft: PlanDraft,
    runs: HashMap<RunId, usize>,
    parts: PartRuns,
    seen: HashMap<(usize, PhaseId), SourcePosition>,
}

impl PlanDraftBuilder {
    pub(super) fn new(input: &Input, format: &'static str, options: &ReadOptions) -> Self {
        let origin = input.origin(options.workspace.as_deref());
        Self {
            source: input.name().to_owned(),
            parts: PartRuns::new(&origin, options),
            origin,
            short_source: input.short_name(),
            format,
            workspace: options.workspace.clone(),
            columns: options.columns.clone(),
            no_subtasks: options.no_subtasks,
            stem: input.stem().clone(),
            draft: PlanDraft { break_cycles: options.break_cycles, ..PlanDraft::default() },
            runs: HashMap::new(),
            seen: HashMap::new(),
        }
    }

    /// The columns of a CSV file that were chosen.
    pub(super) fn columns(&self) -> &[ColumnChoice] {
        &self.columns
    }

    /// Path of a file from the workspace; `None` for files outside.
    pub(super) fn workspace_path(&self, file: &Path) -> Option<String> {
        let workspace = self.workspace.as_ref()?.canonicalize().ok()?;
        let file = file.canonicalize().ok()?;
        Some(file.strip_prefix(workspace).ok()?.to_string_lossy().into_owned())
    }

    /// Whether subtasks are folded into their parents.
    pub(super) fn folds_subtasks(&self) -> bool {
        self.no_subtasks
    }

    /// Names a run that may have no phases, and returns its index.
    pub(super) fn begin_run(&mut self, run_id: Option<&str>) -> usize {
        let run = self.run_of(run_id);
        self.run(&run)
    }

    /// Returns the run of an item: `--run-id`, else `run_id`, else the run named after the file.
    pub(super) fn run_of(&self, run_id: Option<&str>) -> RunId {
        let named = self.parts.given_run().cloned().or_else(|| run_id.map(RunId::new));
        named.unwrap_or_else(|| self.stem.clone())
    }

    /// Runs of the parts of the input, such as tags and directories.
    pub(super) fn parts(&mut self) -> &mut PartRuns {
        &mut self.parts
    }

    /// Adds a phase as written. Its id, name, run, status and dependencies follow the rules of plans; an error is kept
    /// and reported with all others.
    // Plans give the run of the file; formats without one use this.
    #[cfg_attr(not(test), expect(dead_code, reason = "for formats without runs"))]
    pub(super) fn phase(&mut self, place: SourcePosition, spec: Map<String, Value>) {
        self.phase_of_run(place, spec, None);
    }

    /// Like [`phase`](Self::phase); `run_id` is the run of a phase that names none.
    pub(super) fn phase_of_run(
        &mut self,
        place: SourcePosition,
        spec: Map<String, Value>,
        run_id: Option<&str>,
    ) {
        let status = standing::of(&spec);
        if status == SourceStatus::Open {
            for field in standing::unread(&spec) {
                let id = spec_keys::phase_id(&spec).map(|id| id.to_string()).unwrap_or_default();
                self.warn(format!(
                    "{place}: phase `{id}` is queued: {field} looks like a status, but is not read; use `status`"
                ));
            }
        }
        let named = spec_keys::label(&spec, "run_id").ok().flatten();
        let run = self.run_of(named.as_deref().or(run_id));
        self.phase_with_status(place, spec, run, status, None);
    }

    /// Adds a phase whose status is known. Phases with a rank are items of other tools: ordered by it, and their unknown
    /// dependencies are noted instead of refused.
    pub(super) fn phase_with_status(
        &mut self,
        place: SourcePosition,
        mut spec: Map<String, Value>,
        run_id: RunId,
        status: SourceStatus,
        rank: Option<i64>,
    ) {
        let read = match read_keys(&spec) {
            Ok(read) => read,
            Err(message) => return self.fail(ImportError::malformed(&place, message)),
        };
        name_itself(&mut spec, &read.phase_id);
        let (state, note) = self.standing(&place, &read.phase_id, &status);
        let phase = PlanPhase {
            name: read.name.unwrap_or_else(|| read.phase_id.to_string()),
            phase_id: read.phase_id,
            max_attempts: spec_keys::max_attempts(&spec),
            spec: RawSpec(Value::Object(spec)),
            depends_on: Vec::new(),
            state,
            attempts: 0,
            last_failure: None,
            note,
        };
        let word = match status {
            SourceStatus::Dropped(word) => Some(shown_word(&word)),
            _ => None,
        };
        self.add_ranked(&run_id, place, phase, rank, word);
    }

    /// Returns the state of a phase according to the source, and a note with the reason: work done elsewhere is not
    /// repeated, and work given up elsewhere is not started.
    fn standing(
        &mut self,
        place: &SourcePosition,
        phase: &PhaseId,
        standing: &SourceStatus,
    ) -> (PhaseState, Option<String>) {
        let source = &self.short_source;
        match standing {
            SourceStatus::Open => (PhaseState::Queued, None),
            SourceStatus::Done => (PhaseState::Complete, Some(format!("done in {source}"))),
            SourceStatus::Dropped(word) => {
                (PhaseState::Skipped, Some(format!("{word:?} in {source}: skipped")))
            }
            SourceStatus::Unknown(word) => {
                self.warn(format!(
                    "{place}: phase `{phase}` has the unknown status {word:?}; it is queued"
                ));
                (PhaseState::Queued, None)
            }
        }
    }

    /// Adds a warning for the author.
    pub(super) fn warn(&mut self, warning: String) {
        self.draft.warnings.push(warning);
    }

    /// Drops warnings and errors of what `read` reads.
    pub(super) fn quietly(&mut self, read: impl FnOnce(&mut Self)) {
        let (warnings, errors) = (self.draft.warnings.len(), self.draft.errors.len());
        read(self);
        self.draft.warnings.truncate(warnings);
        self.draft.errors.truncate(errors);
    }

    /// Adds an error; the input is then refused as a whole.
    pub(super) fn fail(&mut self, error: ImportError) {
        match error {
            ImportError::Several(errors) => self.draft.errors.extend(errors),
            error => self.draft.errors.push(error),
        }
    }

    /// Adds a phase with a state of its own.
    pub(super) fn add(&mut self, run_id: &RunId, place: SourcePosition, phase: PlanPhase) {
        self.add_ranked(run_id, place, phase, None, None);
    }

    fn add_ranked(
        &mut self,
        run_id: &RunId,
        place: SourcePosition,
        phase: PlanPhase,
        rank: Option<i64>,
        dropped: Option<String>,
    ) {
        if self.run_mut(run_id).is_put_away {
            return self.settle_put_away(run_id, phase.phase_id);
        }
        let run = self.run(run_id);
        let key = (run, phase.phase_id.clone());
        if let Some(first) = self.seen.get(&key) {
            return self.draft.errors.push(ImportError::Duplicate {
                run: run_id.clone(),
                phase: phase.phase_id,
                first: first.to_string(),
                second: place.to_string(),
            });
        }
        self.seen.insert(key, place.clone());
        let DraftRun { phases, counts, .. } = &mut self.draft.runs[run];
        match phase.state {
            PhaseState::Complete => counts.done += 1,
            PhaseState::Skipped => {
                let word = dropped.unwrap_or_else(|| "skipped".to_owned());
                *counts.dropped.entry(word).or_default() += 1;
            }
            PhaseState::Queued | PhaseState::Executing | PhaseState::Failed => counts.queued += 1,
        }
        phases.push(DraftPhase { place, number: phases.len(), phase, rank });
    }

    pub(super) fn add_sample(&mut self, run_id: &RunId, sample: ImportedSample) {
        let run = self.run(run_id);
        self.draft.runs[run].samples.push(sample);
    }

    /// Returns the draft; an input without phases is an error, because an empty import is never intended.
    pub(super) fn finish(mut self) -> Result<PlanDraft, ImportError> {
        let is_empty = |run: &DraftRun| run.phases.is_empty() && run.samples.is_empty();
        if self.draft.runs.iter().all(is_empty) && self.draft.errors.is_empty() {
            let runs = self.draft.runs.into_iter().map(|run| PlanRun {
                left_out: run.left_out,
                ..PlanRun::empty(run.run_id, run.source, run.origin, run.part)
            });
            let runs = runs.collect();
            return Err(ImportError::Empty { name: self.source, format: self.format, runs });
        }
        self.draft.runs.retain(|run| !is_empty(run) || !run.left_out.is_empty());
        for run in &mut self.draft.runs {
            // Ids of deleted items may be in use again.
            let phases = run.phases.iter().map(|draft| draft.phase.phase_id.clone());
            let mut ids: HashSet<PhaseId> = phases.collect();
            run.left_out.retain(|item| ids.insert(item.phase_id.clone()));
            run.phases.sort_by_key(|draft| draft.rank);
        }
        Ok(self.draft)
    }

    /// The run of this id.
    pub(super) fn run_mut(&mut self, run_id: &RunId) -> &mut DraftRun {
        let run = self.run(run_id);
        &mut self.draft.runs[run]
    }

    /// Whether the input has named a run so far.
    pub(super) fn has_run(&self, run_id: &RunId) -> bool {
        self.runs.contains_key(run_id)
    }

    /// Name of the source in notes.
    pub(super) fn short_source(&self) -> &str {
        &self.short_source
    }

    fn run(&mut self, run_id: &RunId) -> usize {
        if let Some(index) = self.runs.get(run_id) {
            return *index;
        }
        self.runs.insert(run_id.clone(), self.draft.runs.len());
        self.draft.runs.push(DraftRun {
            run_id: run_id.clone(),
            source: self.source.clone(),
            origin: self.origin.clone(),
            phases: Vec::new(),
            samples: Vec::new(),
            counts: SourceCounts { format: self.format, ..SourceCounts::default() },
            part: self.parts.part_of(run_id),
            left_out: Vec::new(),
            is_put_away: false,
        });
        self.draft.runs.len() - 1
    }
}

/// Returns a status of given-up items as counted: in lower case, and `deleted` for a tombstone.
fn shown_word(word: &str) -> String {
    match word.trim().to_lowercase().replace('_', " ") {
        word if word == "tombstone" => "deleted".to_owned(),
        word => word,
    }
}

struct PhaseKeys {
    phase_id: PhaseId,
    name: Option<String>,
}

fn read_keys(spec: &Map<String, Value>) -> Result<PhaseKeys, String> {
    // A run that is no text is an error, too.
    spec_keys::label(spec, "run_id")?;
    Ok(PhaseKeys { phase_id: spec_keys::phase_id(spec)?, name: spec_keys::name(spec)? })
}

/// Adds the phase id to the spec: the auto-fixer and the agent later receive the spec alone.
fn name_itself(spec: &mut Map<String, Value>, phase_id: &PhaseId) {
    let id = Value::from(phase_id.as_str());
    match spec.get_mut("phase_id") {
        Some(own) => *own = id,
        None => {
            spec.shift_insert(0, "phase_id".to_owned(), id);
        }
    }
}
