//! Remarks about the fields of phases in a plan: names that are probably misspelled, values of another type, names
//! without a meaning. Nothing is refused: such names reach the agent as text, and the auto-fixer repairs values. Pure.

use serde_json::{Map, Value};

use super::source_place::SourcePosition;
use super::{depends, spec_keys, standing};
use crate::phase::autofix::aliases::ALIASES;
use crate::phase::autofix::fields::{ci_keys, find_field};
use crate::phase::autofix::spec_fields::FIELDS;
use crate::phase::json::kind;
use crate::phase::words::{counted, first_few};

/// Names without a meaning named in the remark; the rest are counted.
const NAMED: usize = 5;
/// Letters of a name in which two mistakes are a misspelling; in a shorter name, one is.
const LONG_NAME: usize = 6;
/// Usual names of texts for the agent, and of what other systems say about a phase; in their plain form.
const USUAL: [&str; 28] = [
    "attributes",
    "author",
    "background",
    "comments",
    "constraints",
    "context",
    "epic",
    "estimate",
    "features",
    "fields",
    "goals",
    "labels",
    "links",
    "meta",
    "metadata",
    "milestone",
    "note",
    "notes",
    "owner",
    "priority",
    "properties",
    "runid",
    "sourceurl",
    "steps",
    "tags",
    "tasks",
    "tracker",
    "url",
];

/// Remarks about the phases of a plan, in the order of the plan.
#[derive(Default)]
pub(super) struct FieldRemarks {
    mistakes: Vec<Mistake>,
    /// Names without a meaning.
    others: Vec<String>,
}

/// A mistake, made in one or several phases.
struct Mistake {
    what: String,
    place: SourcePosition,
    phase: String,
    count: u64,
}

impl FieldRemarks {
    /// Adds the remarks about a phase that is still to do.
    pub fn add(&mut self, place: &SourcePosition, spec: &Map<String, Value>) {
        if standing::of(spec) != standing::SourceStatus::Open {
            return;
        }
        for (key, value) in spec {
            self.check_field(place, spec, key, value);
            let Some(inner) = value.as_object().filter(|_| key == "scope" || key == "ci") else {
                continue;
            };
            for (name, value) in inner {
                self.check_field(place, spec, &format!("{key}.{name}"), value);
                if let Some(ci) = value.as_object().filter(|_| key == "scope" && name == "ci") {
                    ci.iter().for_each(|(name, value)| {
                        self.check_field(place, spec, &format!("scope.ci.{name}"), value);
                    });
                }
            }
        }
    }

    /// Returns the remarks as warnings. `source`: the plan.
    pub fn warnings(self, source: &str) -> Vec<String> {
        let mistakes = self.mistakes.into_iter().map(|Mistake { what, place, phase, count }| {
            let more = match count {
                0 => String::new(),
                count => format!(" (so in {})", counted(count, "more phase")),
            };
            format!("{place}: phase `{phase}`: {what}{more}")
        });
        let names: Vec<String> = self.others.iter().map(|name| format!("`{name}`")).collect();
        let others = (!names.is_empty()).then(|| {
            format!(
                "{source}: no fields of a phase, only text for the agent: {}",
                first_few(&names, NAMED)
            )
        });
        mistakes.chain(others).collect()
    }

    fn check_field(
        &mut self,
        place: &SourcePosition,
        spec: &Map<String, Value>,
        name: &str,
        value: &Value,
    ) {
        let in_ci = name.strip_prefix("scope.").unwrap_or(name).starts_with("ci.");
        if let Some(field) = find_field(name) {
            let shape = FIELDS.iter().find(|known| known.name == field).map(|known| known.shape);
            if let Some(shape) = shape.filter(|shape| !shape.accepts(value)) {
                let what = format!(
                    "`{name}` must be {}, found {}; `autopack fix-phases --dry-run` shows the repair",
                    shape.in_words(),
                    shown(value)
                );
                self.mistaken(place, spec, what);
            }
        } else if let Some(near) = near_field(name, in_ci) {
            let effect =
                if in_ci { "has no effect" } else { "is no field, only text for the agent" };
            self.mistaken(place, spec, format!("`{name}` {effect}; did you mean `{near}`?"));
        } else if in_ci && !is_ci_key(name) {
            self.mistaken(
                place,
                spec,
                format!("`{name}` is not a known setting and has no effect"),
            );
        } else if !in_ci && !is_read(name) && !self.others.iter().any(|known| known == name) {
            self.others.push(name.to_owned());
        }
    }

    fn mistaken(&mut self, place: &SourcePosition, spec: &Map<String, Value>, what: String) {
        match self.mistakes.iter_mut().find(|mistake| mistake.what == what) {
            Some(same) => same.count += 1,
            None => {
                let phase = spec_keys::phase_id(spec).map(|id| id.to_string()).unwrap_or_default();
                self.mistakes.push(Mistake { what, place: place.clone(), phase, count: 0 });
            }
        }
    }
}

/// Whether another part reads the name, or expects it as a text.
fn is_read(name: &str) -> bool {
    let key = name.strip_prefix("scope.").unwrap_or(name);
    let plain = standing::plain_key(key);
    name == "scope"
        || key.starts_with('_')
        || USUAL.contains(&plain.as_str())
        || depends::is_key(&plain)
        || standing::is_key(&plain)
}

fn is_ci_key(name: &str) -> bool {
    let key = name.rsplit('.').next().unwrap_or(name);
    ci_keys().any(|known| known == key)
}

/// Returns the field of which this name is a misspelling; also of another name of the field.
fn near_field(name: &str, in_ci: bool) -> Option<&'static str> {
    if is_read(name) || in_ci && is_ci_key(name) {
        return None;
    }
    let (object, key) = name.rsplit_once('.').unwrap_or(("", name));
    let plain = standing::plain_key(key);
    let most = if plain.chars().count() < LONG_NAME { 1 } else { 2 };
    let distance = |known: &str| strsim::osa_distance(&standing::plain_key(known), &plain);
    let own = FIELDS.iter().map(|field| field.name);
    let names = own.chain(ALIASES.iter().map(|alias| alias.name));
    let names = names.filter_map(|known| match known.split_once('.') {
        Some((within, key)) => (within == object).then_some(key),
        None => object.is_empty().then_some(known),
    });
    let known: Vec<&'static str> = match in_ci {
        true => ci_keys().collect(),
        // An object, and not a field.
        false => names.chain(object.is_empty().then_some("scope")).collect(),
    };
    known.into_iter().filter(|known| distance(known) <= most).min_by_key(|known| distance(known))
}

/// Shows a value: lists and objects by their type.
fn shown(value: &Value) -> String {
    match value {
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        Value::String(text) if text.len() < 40 => format!("{text:?}"),
        Value::Array(items) => {
            match items.iter().find(|item| item.is_number() || item.is_boolean()) {
                Some(item) => format!("a list with {item}"),
                None => kind(value).to_owned(),
            }
        }
        _ => kind(value).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn remarks(spec: Value) -> Vec<String> {
        let mut remarks = FieldRemarks::default();
        remarks.add(&SourcePosition::Line("p.yaml".into(), 4), spec.as_object().unwrap());
        let warnings = remarks.warnings("p.yaml").into_iter();
        warnings.map(|text| text.replace("p.yaml:4: phase `a`: ", "")).collect()
    }

    #[test]
    fn a_name_near_a_field_is_named_with_the_field() {
        for (name, near) in [
            ("descriptoin", "description"),
            ("Deliverables", "deliverables"),
            ("acceptanceCriteria", "acceptance_criteria"),
            ("path", "paths"),
            ("scop", "scope"),
            ("max_attempt", "max_attempts"),
        ] {
            let found = remarks(json!({"id": "a", name: "x"}));
            let expected =
                format!("`{name}` is no field, only text for the agent; did you mean `{near}`?");
            assert_eq!(found, [expected]);
        }
        assert_eq!(
            remarks(
                json!({"id": "a", "scope": {"pats": ["x"]}, "ci": {"comand": "x", "cmd": "y"}})
            ),
            [
                "`scope.pats` is no field, only text for the agent; did you mean `paths`?",
                "`ci.comand` has no effect; did you mean `command`?"
            ]
        );
    }

    #[test]
    fn values_of_another_type_are_named() {
        let of = |name: &str, value: Value| remarks(json!({"id": "a", name: value})).join("\n");
        let tail = "; `autopack fix-phases --dry-run` shows the repair";
        assert_eq!(
            of("deliverables", json!(7)),
            format!("`deliverables` must be a list of texts, found 7{tail}")
        );
        assert!(of("deliverables", json!(["a.py", 7])).contains("found a list with 7"));
        assert!(of("output_files", json!(true)).contains("`output_files` must be a list"));
        assert!(of("description", json!(["a"])).contains("must be a text, found a list"));
        assert!(of("max_attempts", json!(0)).contains("found 0"));
        assert!(of("allow_no_change", json!("maybe")).contains("found \"maybe\""));
        assert!(of("ci", json!(3)).contains("an object, or a shell line"));
    }

    #[test]
    fn what_is_read_or_usual_is_not_named() {
        let spec = json!({
            "id": "a", "title": "T", "deliverables": "src/a.py", "scope": ["src"], "status": "open", "needs": ["b"],
            "notes": "n", "priority": 2, "tags": ["x"], "isDone": false, "depends on": ["b"], "ci": "make", "agent": null,
            "acceptance": {"must": "work"}, "max_attempts": "3", "context_files": [{"path": "a", "reason": "b"}],
        });
        assert_eq!(remarks(spec), [] as [&str; 0]);
        assert_eq!(
            remarks(json!({"id": "a", "status": "done", "descriptoin": "x"})),
            [] as [&str; 0]
        );
    }

    #[test]
    fn a_mistake_of_many_phases_and_unknown_names_are_a_line_each() {
        let mut all = FieldRemarks::default();
        for id in ["a", "b", "c"] {
            let spec = json!({"id": id, "descriptoin": "x", "cost_center": 7});
            all.add(&SourcePosition::Line("p.yaml".into(), 4), spec.as_object().unwrap());
        }
        assert_eq!(
            all.warnings("p.yaml"),
            [
                "p.yaml:4: phase `a`: `descriptoin` is no field, only text for the agent; did you mean `description`? (so in 2 \
                 more phases)",
                "p.yaml: no fields of a phase, only text for the agent: `cost_center`"
            ]
        );
    }
}
