//! Merge of configuration files into the defaults, key by key, with errors that name the key.
//!
//! The defaults are the schema: a key missing there is unknown, an empty mapping accepts any key, and the
//! types validate values. Errors carry the path of the key; `load` adds lines.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_yaml::{Mapping, Value};

use super::agent_settings::AgentSettings;
use super::memory_settings::{EmbedderSettings, MemoryFile};
use super::parse_errors;
use super::settings::Settings;

/// Path of a key.
pub type KeyPath = Vec<String>;

/// A type with the contents of a configuration file.
pub trait Document: Default + Serialize + DeserializeOwned {
    /// Name of the file.
    const FILE: &'static str;

    /// Shipped file, including comments.
    const SHIPPED: &'static str;

    /// Keys of older versions, accepted without an effect.
    const IGNORED: &'static [&'static str];

    /// Returns a sample of each kind, for entries whose `kind` decides their other keys. `program_kinds` are
    /// the kinds of agents with an adapter.
    fn kinds(path: &[String], program_kinds: &[&str]) -> Vec<Value>;
}

impl Document for Settings {
    const FILE: &'static str = "autopack.yaml";
    const SHIPPED: &'static str = include_str!("../../config/autopack.yaml");
    const IGNORED: &'static [&'static str] = &["ci.moved_tip"];

    fn kinds(path: &[String], program_kinds: &[&str]) -> Vec<Value> {
        match path {
            [agents, name] if agents == "agents" && name != "default" => {
                AgentSettings::samples(program_kinds).iter().map(value_of).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Document for MemoryFile {
    const FILE: &'static str = "memory.yaml";
    const SHIPPED: &'static str = include_str!("../../config/memory.yaml");
    const IGNORED: &'static [&'static str] = &[];

    fn kinds(path: &[String], _program_kinds: &[&str]) -> Vec<Value> {
        match path {
            [memory, embedder] if memory == "memory" && embedder == "embedder" => {
                EmbedderSettings::samples().iter().map(value_of).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// A problem with a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// Path of the key.
    pub path: KeyPath,
    /// Kind of problem.
    pub what: SchemaEntry,
}

/// Kind of problem with a key.
#[derive(Clone, Debug, PartialEq)]
pub enum SchemaEntry {
    /// The key is unknown; with the known keys at this level.
    UnknownKey(Vec<String>),
    /// The value is invalid, with the reason.
    BadValue(String),
}

/// A single value and the path of its key.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// Path of the key.
    pub path: KeyPath,
    /// The value.
    pub value: Value,
}

/// Returns the single values of `given`, in order. An entry with a `kind` starts with the defaults of this
/// kind.
pub fn leaves<D: Document>(given: &Value, program_kinds: &[&str]) -> Result<Vec<Leaf>, Problem> {
    let mut collector = Collector { program_kinds, found: Vec::new() };
    collector.collect::<D>(&mut Vec::new(), &value_of(&D::default()), given)?;
    Ok(collector.found)
}

/// Lays the leaves over the defaults; fails on the first leaf the types reject.
pub fn lay_over<D: Document>(base: &D, leaves: &[Leaf]) -> Result<D, Problem> {
    let mut value = value_of(base);
    leaves.iter().for_each(|leaf| set(&mut value, &leaf.path, leaf.value.clone()));
    if let Ok(document) = D::deserialize(value) {
        return Ok(document);
    }
    // Adds leaves one by one to find the first invalid leaf.
    let mut value = value_of(base);
    for leaf in leaves {
        set(&mut value, &leaf.path, leaf.value.clone());
        if let Err(error) = D::deserialize(value.clone()) {
            let what = SchemaEntry::BadValue(refusal::<D>(&error.to_string(), value, &leaf.path));
            return Err(Problem { path: leaf.path.clone(), what });
        }
    }
    unreachable!("the leaves fit one by one and not together")
}

/// Describes why a leaf is invalid. For a choice of words, a second parse retrieves the list of allowed
/// words.
fn refusal<D: Document>(message: &str, mut value: Value, path: &[String]) -> String {
    if !message.contains(parse_errors::ONE_OF_SEVERAL) {
        return parse_errors::plain(message);
    }
    set(&mut value, path, Value::String(String::new()));
    let error = D::deserialize(value).err().map(|error| error.to_string());
    let known = error.as_deref().and_then(|text| text.split_once("expected "));
    parse_errors::plain(
        &message
            .replace(parse_errors::ONE_OF_SEVERAL, known.map_or("one word", |(_, known)| known)),
    )
}

/// Converts settings to plain values; all settings can be expressed in YAML.
pub fn value_of<T: Serialize>(settings: &T) -> Value {
    serde_yaml::to_value(settings).expect("settings are plain data")
}

/// Collects the single values of a file.
struct Collector<'a> {
    program_kinds: &'a [&'a str],
    found: Vec<Leaf>,
}

impl Collector<'_> {
    fn collect<D: Document>(
        &mut self,
        path: &mut KeyPath,
        default: &Value,
        given: &Value,
    ) -> Result<(), Problem> {
        let kinds = D::kinds(path, self.program_kinds);
        if !kinds.is_empty() {
            let sample = of_its_kind(path, kinds, given)?;
            self.found.push(Leaf { path: path.clone(), value: sample.clone() });
            return self.each_key::<D>(path, mapping(&sample), mapping(given));
        }
        match (default, given) {
            (Value::Mapping(known), Value::Mapping(given)) => {
                self.each_key::<D>(path, known, given)
            }
            (Value::Mapping(_), Value::Null) => Ok(()),
            (Value::Mapping(_), _) => Err(bad(path, "expected keys under it, not a value")),
            _ => {
                self.found.push(Leaf { path: path.clone(), value: given.clone() });
                Ok(())
            }
        }
    }

    fn each_key<D: Document>(
        &mut self,
        path: &mut KeyPath,
        known: &Mapping,
        given: &Mapping,
    ) -> Result<(), Problem> {
        for (key, value) in given {
            path.push(key_text(key));
            let takes_any = known.is_empty()
                || !D::kinds(path, self.program_kinds).is_empty()
                || D::IGNORED.contains(&path.join(".").as_str());
            let Some(default) = known.get(key).or(takes_any.then_some(&Value::Null)) else {
                let known = known.keys().map(key_text).collect();
                return Err(Problem { path: path.clone(), what: SchemaEntry::UnknownKey(known) });
            };
            self.collect::<D>(path, default, value)?;
            path.pop();
        }
        Ok(())
    }
}

/// Returns the sample of the `kind` named by an entry.
fn of_its_kind(path: &[String], kinds: Vec<Value>, given: &Value) -> Result<Value, Problem> {
    let names: Vec<String> = kinds.iter().map(|sample| key_text(&sample["kind"])).collect();
    let choice = format!("one of {}", names.join(", "));
    let Some(kind) = given.get("kind") else {
        return Err(bad(path, &format!("needs a \"kind\": {choice}")));
    };
    let kind = key_text(kind);
    match names.iter().position(|name| *name == kind) {
        Some(index) => Ok(kinds[index].clone()),
        None => {
            let path = [path, &["kind".to_owned()]].concat();
            Err(bad(&path, &format!("is {kind:?}; expected {choice}")))
        }
    }
}

fn bad(path: &[String], why: &str) -> Problem {
    Problem { path: path.to_vec(), what: SchemaEntry::BadValue(why.to_owned()) }
}

fn mapping(value: &Value) -> &Mapping {
    static EMPTY: std::sync::LazyLock<Mapping> = std::sync::LazyLock::new(Mapping::new);
    value.as_mapping().unwrap_or(&EMPTY)
}

/// Returns the leaf with its list appended to the list of `base`.
pub fn append<D: Document>(base: &D, leaf: Leaf) -> Leaf {
    let value = value_of(base);
    let list = leaf.path.iter().try_fold(&value, |value, key| value.get(key));
    let mut entries = list.and_then(Value::as_sequence).cloned().unwrap_or_default();
    entries.extend(leaf.value.as_sequence().into_iter().flatten().cloned());
    Leaf { path: leaf.path, value: entries.into() }
}

/// Sets a value at a path, creating mappings on the way.
fn set(value: &mut Value, path: &[String], new: Value) {
    let Some((first, rest)) = path.split_first() else {
        *value = new;
        return;
    };
    if !value.is_mapping() {
        *value = Value::Mapping(Mapping::new());
    }
    let Value::Mapping(entries) = value else { return };
    set(entries.entry(Value::String(first.clone())).or_insert(Value::Null), rest, new);
}

/// Returns a key or a `kind` as spelled in the file.
fn key_text(key: &Value) -> String {
    match key {
        Value::String(text) => text.clone(),
        other => serde_yaml::to_string(other).unwrap_or_default().trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<D: Document>(text: &str) -> Result<D, Problem> {
        let given: Value = serde_yaml::from_str(text).expect("yaml");
        lay_over(&D::default(), &leaves::<D>(&given, &["codex"])?)
    }

    fn problem(text: &str) -> (String, SchemaEntry) {
        let problem = read::<Settings>(text).expect_err(text);
        (problem.path.join("."), problem.what)
    }

    #[test]
    fn the_shipped_files_are_the_defaults() {
        assert_eq!(read(Settings::SHIPPED), Ok(Settings::default()));
        assert_eq!(read(MemoryFile::SHIPPED), Ok(MemoryFile::default()));
    }

    #[test]
    fn the_shipped_files_show_every_key() {
        for (text, defaults) in [
            (Settings::SHIPPED, value_of(&Settings::default())),
            (MemoryFile::SHIPPED, value_of(&MemoryFile::default())),
        ] {
            let mut shipped: Value = serde_yaml::from_str(text).unwrap();
            // The agents in the shipped file are examples, commented out.
            if let Some(agents) = shipped.get_mut("agents") {
                *agents = defaults["agents"].clone();
            }
            assert_eq!(shipped, defaults);
        }
    }

    #[test]
    fn keys_are_optional_and_override_the_defaults() {
        let settings: Settings =
            read("ci: {command: make test}\nexecutor:\n  max_attempts: 5\ntelemetry:\n").unwrap();
        assert_eq!(settings.executor.max_attempts, 5);
        assert_eq!(settings.executor.lease_seconds, 60);
        assert_eq!(read::<Settings>(""), Ok(Settings::default()));
    }

    #[test]
    fn an_agent_has_the_keys_of_its_kind() {
        let text = "agents:\n  default: a\n  a: {kind: command, command: [x], env: {A: b}}\n";
        let settings: Settings = read(text).unwrap();
        let Some(("a", AgentSettings::Command(agent))) = settings.agent(None) else { panic!() };
        assert_eq!((agent.timeout_seconds, agent.env["A"].as_str()), (1800, "b"));

        let (path, what) = problem("agents: {a: {kind: replay, folder: x, comand: [y]}}");
        let keys = vec!["kind".to_owned(), "folder".to_owned()];
        assert_eq!((path.as_str(), what), ("agents.a.comand", SchemaEntry::UnknownKey(keys)));
        let (path, what) = problem("agents: {a: {kind: comand}}");
        assert_eq!(path, "agents.a.kind");
        assert!(
            matches!(what, SchemaEntry::BadValue(why) if why.contains("one of command, replay"))
        );
        assert_eq!(problem("agents: {a: {command: [x]}}").0, "agents.a");
        assert_eq!(problem("agents: {a: {kind: command, env: {A: 1}}}").0, "agents.a.env.A");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named() {
        let why = |text| match problem(text) {
            (path, SchemaEntry::BadValue(why)) => format!("{path} {why}"),
            other => panic!("{other:?}"),
        };
        insta::assert_snapshot!(why("executor: {max_attempts: many}"),
            @r#"executor.max_attempts is the text "many", expected a whole number, not negative"#);
        insta::assert_snapshot!(why("executor: {lease_seconds: -1}"),
            @r#"executor.lease_seconds is -1, expected a whole number, not negative"#);
        insta::assert_snapshot!(why("executor: {unscoped: maybe}"),
            @r#"executor.unscoped is maybe, expected one of "propose", "refuse", "allow""#);
        insta::assert_snapshot!(why("telemetry: {enabled: yes}"),
            @r#"telemetry.enabled is the text "yes", expected true or false"#);
        insta::assert_snapshot!(why("executor: 3"),
            @"executor expected keys under it, not a value");
        insta::assert_snapshot!(why("ci: {command: {a: b}}"),
            @"ci.command expected a list of arguments or a shell command");
        insta::assert_snapshot!(why("executor: {unscoped: null}"),
            @r#"executor.unscoped has no value, expected one of "propose", "refuse", "allow""#);
        insta::assert_snapshot!(why("ci: {final: [a]}"),
            @r#"ci.final is a list, expected "clean" or "off""#);
        insta::assert_snapshot!(why("executor: {ladder: {a: b}}"),
            @"executor.ladder has keys under it, expected a list");
        insta::assert_snapshot!(why("executor: {budgets: {run: {cost_usd: '20'}}}"),
            @r#"executor.budgets.run.cost_usd is the text "20", expected a number"#);
        insta::assert_snapshot!(why("executor: {max_attempts: 4294967296}"),
            @"executor.max_attempts is 4294967296, expected a whole number up to 4294967295");
        insta::assert_snapshot!(why("executor: {lease_seconds: 1e30}"),
            @"executor.lease_seconds is 1000000000000000000000000000000.0, expected a whole number up to 18446744073709551615");
        insta::assert_snapshot!(why("executor: {max_attempts: }"),
            @"executor.max_attempts has no value, expected a whole number, not negative");
    }
}
