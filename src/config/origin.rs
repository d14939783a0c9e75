//! Records the origin of each setting, and lists all settings for `config show`.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_yaml::Value;

use super::schema::KeyPath;

/// The place that set the value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The shipped default.
    Shipped,
    /// A configuration file, with the line if known.
    File {
        /// Name of the file.
        name: String,
        /// Line number, counted from 1.
        line: Option<usize>,
    },
    /// An environment variable.
    Variable(&'static str),
    /// An environment variable that adds entries to a list.
    Addition {
        /// Origin of the list.
        below: Box<Origin>,
        /// Name of the variable.
        variable: &'static str,
    },
    /// A command-line option.
    Option(&'static str),
    /// Found on this machine, because no agent is configured; how, for people.
    Found(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shipped => f.write_str("shipped"),
            Self::File { name, line: Some(line) } => write!(f, "{name}:{line}"),
            Self::File { name, line: None } => f.write_str(name),
            Self::Variable(name) => f.write_str(name),
            // The shipped lists with additions are empty.
            Self::Addition { below, variable } if **below == Self::Shipped => f.write_str(variable),
            Self::Addition { below, variable } => write!(f, "{below}, {variable}"),
            Self::Option(name) | Self::Found(name) => f.write_str(name),
        }
    }
}

/// Origins of all settings that differ from the shipped defaults.
#[derive(Clone, Debug, Default)]
pub struct Origins(BTreeMap<KeyPath, Origin>);

impl Origins {
    /// Records the origin of a key.
    pub fn record(&mut self, path: KeyPath, origin: Origin) {
        self.0.insert(path, origin);
    }

    /// Returns the origin of the key, or else of its nearest parent: an agent's omitted keys have the origin of
    /// the agent.
    pub fn of(&self, path: &[String]) -> Origin {
        let nearest = (1..=path.len()).rev().find_map(|length| self.0.get(&path[..length]));
        nearest.cloned().unwrap_or(Origin::Shipped)
    }
}

/// A line of `config show`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// Dotted path of the key.
    pub key: String,
    /// Effective value.
    pub value: serde_json::Value,
    /// Origin as text, such as `autopack.yaml:3`.
    pub origin: String,
}

/// Lists every setting in the configuration `value`, in order, with secrets hidden.
pub fn settings(value: &Value, origins: &Origins) -> Vec<Setting> {
    let mut settings = Vec::new();
    collect(&mut Vec::new(), value, origins, &mut settings);
    settings
}

fn collect(path: &mut KeyPath, value: &Value, origins: &Origins, settings: &mut Vec<Setting>) {
    match value {
        Value::Mapping(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                path.push(key.as_str().unwrap_or_default().to_owned());
                collect(path, value, origins, settings);
                path.pop();
            }
        }
        value => settings.push(Setting {
            key: path.join("."),
            value: display_value(path, value),
            origin: origins.of(path).to_string(),
        }),
    }
}

fn display_value(path: &[String], value: &Value) -> serde_json::Value {
    // A command may have an address or a header with a secret among its arguments.
    if path == ["notify", "command"] && !value.is_null() {
        return "(hidden)".into();
    }
    let is_set = value.as_str().is_some_and(|text| !text.is_empty());
    match path.last() {
        Some(key) if is_set && is_secret(key) => "(hidden)".into(),
        _ => serde_json::to_value(value).unwrap_or_default(),
    }
}

/// Checks whether the name of a key suggests a secret. Keys like `api_key_env` name a variable and are not secret.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    !key.ends_with("_env")
        && ["key", "token", "secret", "password"].iter().any(|word| key.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_settings_with_their_origins_and_hides_secrets() {
        let value: Value =
            serde_yaml::from_str("a: {b: 1, api_key: x, api_key_env: MY_KEY}\nc: {}").unwrap();
        let mut origins = Origins::default();
        let origin = Origin::File { name: "f.yaml".to_owned(), line: Some(3) };
        origins.record(vec!["a".to_owned()], origin);
        origins.record(vec!["a".to_owned(), "b".to_owned()], Origin::Variable("B"));
        let list: Vec<String> = settings(&value, &origins)
            .iter()
            .map(|s| format!("{}={} {}", s.key, s.value, s.origin))
            .collect();
        assert_eq!(
            list,
            [
                "a.b=1 B",
                r#"a.api_key="(hidden)" f.yaml:3"#,
                r#"a.api_key_env="MY_KEY" f.yaml:3"#,
                "c={} shipped"
            ]
        );
    }
}
