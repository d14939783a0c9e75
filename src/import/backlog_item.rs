//! An item of another tool's backlog, and the phase that it becomes.
//!
//! Formats of other tools fill in a [`BacklogItem`] for each item; the spec of the phase is written here alone, so that
//! all formats have the same keys.

use serde_json::{Map, Value, json};

use crate::phase::RunId;

use super::drafting::PlanDraftBuilder;
use super::source_place::SourcePosition;
use super::standing::SourceStatus;

/// An item of another tool's backlog. Empty fields are left out of the spec.
#[derive(Clone, Debug)]
pub(super) struct BacklogItem {
    /// Id in the source; the id of the phase.
    pub id: String,
    /// Title, one line.
    pub title: String,
    /// Text as written.
    pub body: String,
    pub status: SourceStatus,
    /// Order in the run: lower ranks first, equal ranks as in the source.
    pub rank: i64,
    /// Priority as written, for people.
    pub priority: String,
    pub labels: Vec<String>,
    pub acceptance_criteria: Vec<String>,
    /// Ids of items of the same run. Unknown ids become notes.
    pub depends_on: Vec<String>,
    /// Files that the source names for the item.
    pub deliverables: Vec<String>,
    /// Link to the item.
    pub url: String,
    /// Further keys of the spec.
    pub extra: Map<String, Value>,
}

impl BacklogItem {
    /// An open item of rank 0 with nothing but an id and a title.
    pub fn new(id: impl Into<String>, title: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            title: title.into(),
            body: String::new(),
            status: SourceStatus::Open,
            rank: 0,
            priority: String::new(),
            labels: Vec::new(),
            acceptance_criteria: Vec::new(),
            depends_on: Vec::new(),
            deliverables: Vec::new(),
            url: String::new(),
            extra: Map::new(),
        }
    }

    /// The spec of the phase, without the status: the phase has its state.
    pub(super) fn spec(&self) -> Map<String, Value> {
        let fields = [
            ("phase_id", json!(self.id)),
            ("name", json!(self.title)),
            ("description", json!(self.body)),
            ("acceptance_criteria", json!(self.acceptance_criteria)),
            ("deliverables", json!(self.deliverables)),
            ("depends_on", json!(self.depends_on)),
            ("priority", json!(self.priority)),
            ("labels", json!(self.labels)),
            ("source_url", json!(self.url)),
        ];
        let is_given = |value: &Value| match value {
            Value::String(text) => !text.trim().is_empty(),
            Value::Array(items) => !items.is_empty(),
            _ => true,
        };
        let written = fields.into_iter().filter(|(_, value)| is_given(value));
        let written = written.map(|(key, value)| (key.to_owned(), value));
        written.chain(self.extra.clone()).collect()
    }
}

impl PlanDraftBuilder {
    /// Adds an item as a phase. `run_id` is the run of the item; `None` is the run named after the file. `--run-id` wins.
    pub(super) fn item(&mut self, place: SourcePosition, item: BacklogItem, run_id: Option<&str>) {
        let run = self.run_of(run_id);
        self.item_of_run(place, item, Some(run));
    }

    /// Adds an item as a phase of a run, also against `--run-id`; `None` is the run of items that name none.
    pub(super) fn item_of_run(
        &mut self,
        place: SourcePosition,
        item: BacklogItem,
        run: Option<RunId>,
    ) {
        let run = run.unwrap_or_else(|| self.run_of(None));
        let (spec, status, rank) = (item.spec(), item.status, item.rank);
        self.phase_with_status(place, spec, run, status, Some(rank));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::import::input::Input;
    use crate::import::{Existing, PlanDraft, ReadOptions};
    use crate::phase::PhaseState;

    fn draft(items: Vec<BacklogItem>) -> PlanDraft {
        let input = Input::of_bytes(Path::new("list.json"), b"");
        let mut builder = PlanDraftBuilder::new(&input, "list", &ReadOptions::default());
        for (line, item) in (1..).zip(items) {
            builder.item(input.at_line(line), item, None);
        }
        builder.finish().unwrap()
    }

    #[test]
    fn items_are_ordered_by_rank_then_source_and_keep_their_status() {
        let item = |id: &str, rank| BacklogItem { rank, ..BacklogItem::new(id, id) };
        let done = BacklogItem { status: SourceStatus::Done, ..item("c", 1) };
        let plan = draft(vec![item("a", 2), item("b", 1), done]).resolve(&Existing::default());
        let phases = plan.unwrap().runs.remove(0).phases;
        let ids: Vec<_> = phases.iter().map(|phase| phase.phase_id.as_str()).collect();
        assert_eq!(ids, ["b", "c", "a"]);
        assert_eq!(phases[1].state, PhaseState::Complete);
        assert_eq!(phases[1].note.as_deref(), Some("done in list.json"));
    }

    #[test]
    fn unknown_dependencies_are_noted() {
        let item = BacklogItem {
            depends_on: vec!["b".to_owned(), "gone".to_owned()],
            ..BacklogItem::new("a", "A")
        };
        let plan = draft(vec![item, BacklogItem::new("b", "B")]).resolve(&Existing::default());
        let phase = plan.unwrap().runs.remove(0).phases.remove(0);
        assert_eq!(phase.depends_on.len(), 1);
        assert!(phase.note.unwrap().contains("not phases: gone"));
    }

    #[test]
    fn empty_fields_are_left_out_of_the_spec() {
        let spec = BacklogItem::new("a", "A").spec();
        assert_eq!(Value::Object(spec), json!({"phase_id": "a", "name": "A"}));
    }
}
