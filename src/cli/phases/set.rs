//! `phases set`: changes fields of a spec from the command line.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::spec_input::{refuse_by_state, refuse_unfixable, resolve, single_phase};
use crate::cli::Context;
use crate::cli::run_choice::{PhaseArg, RunUse};
use crate::config::{Settings, suggestion};
use crate::failure::{Exit, Failure};
use crate::import;
use crate::phase::PhaseState;
use crate::phase::autofix::aliases::ALIASES;
use crate::phase::autofix::fields::{FIELDS, find_field};
use crate::phase::json::{count, kind};
use crate::phase::words::quoted;
use crate::progress::shown_id;

/// Change fields of a phase's spec
///
/// Fields are those of plans, such as max_attempts=5, agent=codex, deliverables='[src/a.py, docs/]' or
/// ci.timeout_seconds=900. Values are YAML; an empty value removes the field. The phase must be queued, failed or
/// skipped.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    phase: PhaseArg,
    /// Fields and values
    #[arg(value_name = "FIELD=VALUE", required = true)]
    assignments: Vec<String>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Fields with a text: the value is taken as written.
const TEXTS: [&str; 5] = ["name", "description", "category", "complexity", "agent"];
const FLAGS: [&str; 2] = ["allow_no_change", "allow_protected"];

/// A field and its new value; `None` removes the field.
struct Assignment<'a> {
    field: &'a str,
    value: Option<Value>,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let (store, run, id) = args.phase.open(context, RunUse::Act).await?;
    let detail = store.phase(&run, &id).await?;
    refuse_by_state(&detail)?;
    let Value::Object(mut spec) = detail.raw.0.clone() else {
        return Err(Failure::new(format!(
            "the spec of phase {id} is {}, not an object with fields",
            kind(&detail.raw.0)
        ))
        .hint("replace it with `autopack phases edit`"));
    };
    let mut fields = Vec::new();
    for text in &args.assignments {
        let assignment = parse(text, &context.config()?.settings)?;
        fields.push(assignment.field);
        assignment.apply(&mut spec)?;
    }
    let text = Value::Object(spec).to_string();
    let draft = import::parse(Path::new("phases set"), text.as_bytes(), Some(&run))?;
    let Some(phase) = single_phase(resolve(draft, &run, &store).await?) else {
        return Err(Failure::new("expected a single phase"));
    };
    refuse_unfixable(&phase, context)?;
    store.operator().edit(&run, &phase).await?;
    store.close().await;
    if args.json {
        let changed =
            json!({"run_id": run, "phase_id": id, "changed": fields, "state": detail.row.state});
        return context.out.json(&changed);
    }
    let name = shown_id(id.as_str());
    context.out.line(format_args!("{name}: changed {}", fields.join(", ")))?;
    if matches!(detail.row.state, PhaseState::Failed | PhaseState::Skipped) {
        let target = format!("{}/{name}", shown_id(run.as_str()));
        context.out.line(format_args!(
            "it is {}; queue it with `autopack phases retry {}`",
            detail.row.state,
            quoted(&target)
        ))?;
    }
    Ok(())
}

fn parse<'a>(text: &'a str, settings: &Settings) -> Result<Assignment<'a>, Failure> {
    let Some((name, written)) = text.split_once('=') else {
        return Err(
            usage(format!("{text:?} has no `=`")).hint("write FIELD=VALUE, such as max_attempts=5")
        );
    };
    let Some(field) = find_field(name) else {
        let known = suggestion(name, &FIELDS[1..]);
        return Err(usage(format!("unknown field {name:?}")).hint(known));
    };
    if field == FIELDS[0] {
        return Err(usage("phase ids cannot change".to_owned())
            .hint("add a phase with `autopack phases add`, and skip this one"));
    }
    let value = value_of(field, written)?;
    if let Some(value) = &value {
        check_value(field, value, settings)?;
    }
    Ok(Assignment { field, value })
}

/// Parses YAML; a text that YAML would read as something else stays a text where a text belongs.
fn value_of(field: &str, written: &str) -> Result<Option<Value>, Failure> {
    if written.trim().is_empty() {
        return Ok(None);
    }
    let parsed: Result<Value, _> = serde_yaml::from_str(written);
    match parsed {
        Ok(Value::Null) => Ok(None),
        Ok(value @ Value::String(_)) => Ok(Some(value)),
        _ if TEXTS.contains(&field) => Ok(Some(Value::from(written))),
        Ok(value @ Value::Array(_)) => Ok(Some(value)),
        _ if field == "test_cmd" => Ok(Some(Value::from(written))),
        Ok(value) => Ok(Some(value)),
        Err(error) => Err(usage(format!("{field}: the value is not YAML: {error}"))
            .hint("quote special characters, or use `autopack phases edit`")),
    }
}

/// Refuses values that a plan could contain, but that would have no effect.
fn check_value(field: &str, value: &Value, settings: &Settings) -> Result<(), Failure> {
    let expected = match field {
        "max_attempts" if count(value).is_none() => "a whole number, 1 or more",
        flag if FLAGS.contains(&flag) && !value.is_boolean() => "true or false",
        "agent" => return check_agent(value.as_str().unwrap_or_default(), settings),
        _ => return Ok(()),
    };
    Err(usage(format!("{field} is {value}; expected {expected}")))
}

fn check_agent(name: &str, settings: &Settings) -> Result<(), Failure> {
    let named = &settings.agents.named;
    if named.is_empty() || named.contains_key(name) {
        return Ok(());
    }
    let known: Vec<&str> = named.keys().map(String::as_str).collect();
    Err(usage(format!("no agent is called {name:?}")).hint(suggestion(name, &known)))
}

fn usage(text: String) -> Failure {
    Failure::new(text).exit(Exit::Usage)
}

impl Assignment<'_> {
    /// Sets the field, under its own name only: other names would be merged into it.
    fn apply(self, spec: &mut Map<String, Value>) -> Result<(), Failure> {
        for alias in ALIASES.iter().filter(|alias| alias.field == self.field) {
            remove(spec, alias.name);
        }
        let Some(value) = self.value else {
            remove(spec, self.field);
            return Ok(());
        };
        let mut object = spec;
        let mut keys: Vec<&str> = self.field.split('.').collect();
        let last = keys.pop().unwrap_or(self.field);
        for key in keys {
            let inner = object.entry(key).or_insert_with(|| Value::Object(Map::new()));
            let what = kind(inner);
            let Value::Object(inner) = inner else {
                return Err(Failure::new(format!(
                    "cannot set {}: `{key}` is {what} in this spec, not an object",
                    self.field
                ))
                .hint("replace the spec with `autopack phases edit`"));
            };
            object = inner;
        }
        object.insert(last.to_owned(), value);
        Ok(())
    }
}

/// Removes a field, if present.
fn remove(spec: &mut Map<String, Value>, path: &str) {
    match path.split_once('.') {
        None => drop(spec.shift_remove(path)),
        Some((object, rest)) => {
            if let Some(Value::Object(inner)) = spec.get_mut(object) {
                remove(inner, rest);
            }
        }
    }
}
