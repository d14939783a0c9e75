//! The environment variables used by autopack, and their effect on the configuration.
//!
//! Some variables override a key of a configuration file: `AUTOPACK_QDRANT_PORT=7333` sets `memory.qdrant.port`
//! to 7333 ([`OVERRIDES`]). Only [`Env::of_process`] reads the process environment; tests create an [`Env`] from
//! variables of their own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use serde_yaml::Value;

use super::ConfigError;
use super::schema::Leaf;

/// Variable that sets the configuration directory.
pub const CONFIG_DIR: &str = "AUTOPACK_CONFIG_DIR";
/// Variable that sets the database URL of autopack alone.
pub const DATABASE_URL: &str = "AUTOPACK_DATABASE_URL";
/// Variable used as a hint for the database URL; often set for another application.
pub const SHARED_DATABASE_URL: &str = "DATABASE_URL";

/// Variable with the key of autopack's Qdrant.
pub const QDRANT_API_KEY: &str = "AUTOPACK_QDRANT_API_KEY";

const AGENT_QUIET: &str = "AUTOPACK_TEST_AGENT_QUIET_SECONDS";

/// Returns the time without agent output set by tests to shorten the default, if any.
pub fn agent_quiet(variables: &BTreeMap<OsString, OsString>) -> Option<Duration> {
    let seconds = variables.get(OsStr::new(AGENT_QUIET))?.to_str()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Variables that override a key of a configuration file.
pub const OVERRIDES: [Override; 13] = [
    Override::new("AUTOPACK_CI_FINAL", &["ci", "final"], ValueForm::Text),
    Override::new("AUTOPACK_SANDBOX_MODE", &["sandbox", "mode"], ValueForm::Text),
    Override::new("AUTOPACK_SANDBOX_WRITE", &["sandbox", "write"], ValueForm::Additions),
    Override::new("TELEMETRY_DB_ENABLED", &["telemetry", "enabled"], ValueForm::Switch),
    Override::new("AUTOPACK_ENABLE_MEMORY", &["memory", "enabled"], ValueForm::Switch),
    Override::new("AUTOPACK_USE_QDRANT", &["memory", "use_qdrant"], ValueForm::Switch),
    Override::new(
        "AUTOPACK_QDRANT_AUTOSTART",
        &["memory", "qdrant", "autostart"],
        ValueForm::Switch,
    ),
    Override::new(
        "AUTOPACK_QDRANT_AUTOSTART_TIMEOUT",
        &["memory", "qdrant", "autostart_timeout_seconds"],
        ValueForm::Number,
    ),
    Override::new("AUTOPACK_QDRANT_HOST", &["memory", "qdrant", "host"], ValueForm::Text),
    Override::new("AUTOPACK_QDRANT_PORT", &["memory", "qdrant", "port"], ValueForm::Number),
    Override::new(
        "AUTOPACK_QDRANT_GRPC_PORT",
        &["memory", "qdrant", "grpc_port"],
        ValueForm::Number,
    ),
    Override::new(QDRANT_API_KEY, &["memory", "qdrant", "api_key"], ValueForm::Text),
    Override::new("AUTOPACK_QDRANT_IMAGE", &["memory", "qdrant", "image"], ValueForm::Text),
];

/// A variable that overrides a configuration key.
pub struct Override {
    /// Name of the variable.
    pub variable: &'static str,
    /// Path of the key.
    pub path: &'static [&'static str],
    form: ValueForm,
}

/// Expected form of a variable's value.
#[derive(Clone, Copy)]
enum ValueForm {
    Switch,
    Number,
    Text,
    /// Entries added to a list, separated by colons.
    Additions,
}

/// The value of a variable that overrides a configuration key.
#[derive(Debug)]
pub struct OverrideValue {
    /// Name of the variable.
    pub variable: &'static str,
    /// The key and its value.
    pub leaf: Leaf,
    /// Whether the value is a list to be added to the configured list.
    pub is_addition: bool,
}

/// The environment at the start of the program.
#[derive(Clone, Debug, Default)]
pub struct Env {
    variables: BTreeMap<OsString, OsString>,
}

impl Env {
    /// Reads the environment of the process.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn of_process() -> Self {
        Self { variables: std::env::vars_os().collect() }
    }

    /// Creates an environment from the given variables.
    pub fn new<K: Into<OsString>, V: Into<OsString>>(
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        Self { variables: variables.into_iter().map(|(k, v)| (k.into(), v.into())).collect() }
    }

    /// Returns all variables unchanged. The start of a child process decides on its environment.
    pub fn all(&self) -> &BTreeMap<OsString, OsString> {
        &self.variables
    }

    /// Returns the configuration directory, if set.
    pub fn config_dir(&self) -> Option<PathBuf> {
        self.filled(CONFIG_DIR).map(PathBuf::from)
    }

    /// Returns the value of [`DATABASE_URL`], if not empty.
    ///
    /// # Errors
    ///
    /// Fails if the value is not valid UTF-8.
    pub fn database_url(&self) -> Result<Option<String>, ConfigError> {
        match self.filled(DATABASE_URL) {
            Some(_) => self.text(DATABASE_URL),
            None => Ok(None),
        }
    }

    /// Returns the value of [`SHARED_DATABASE_URL`]. Invalid UTF-8 is ignored, because the URL is only a hint.
    pub fn shared_database_url(&self) -> Option<String> {
        Some(self.filled(SHARED_DATABASE_URL)?.to_str()?.to_owned())
    }

    /// Returns the address of the Docker engine, if not the default.
    pub fn docker_host(&self) -> Option<String> {
        Some(self.filled("DOCKER_HOST")?.to_string_lossy().into_owned())
    }

    /// Returns the user's home directory.
    pub fn home(&self) -> Option<PathBuf> {
        self.filled("HOME").map(PathBuf::from)
    }

    /// Returns the API key in the variable `name`; the configuration names this variable.
    pub fn key(&self, name: &str) -> Option<String> {
        Some(self.filled(name)?.to_str()?.to_owned())
    }

    /// Checks for a terminal without cursor movement (`TERM` is unset, empty or `dumb`).
    pub fn is_dumb(&self) -> bool {
        self.filled("TERM").is_none_or(|term| term == "dumb")
    }

    /// Returns the user's editor as a shell command.
    pub fn editor(&self) -> OsString {
        let choice = self.filled("VISUAL").or_else(|| self.filled("EDITOR"));
        choice.map_or_else(|| "vi".into(), OsStr::to_owned)
    }

    /// Returns the user's pager as a shell command; empty for no pager.
    pub fn pager(&self) -> Option<OsString> {
        self.variables.get(OsStr::new("PAGER")).cloned()
    }

    /// Returns the values of [`OVERRIDES`] that are set. `belongs` selects the overrides by the first part of the key,
    /// because each configuration file has its own keys.
    ///
    /// # Errors
    ///
    /// Fails if a value cannot be parsed.
    pub fn overrides(
        &self,
        belongs: impl Fn(&str) -> bool,
    ) -> Result<Vec<OverrideValue>, ConfigError> {
        let mut values = Vec::new();
        for entry in OVERRIDES.iter().filter(|entry| belongs(entry.path[0])) {
            let Some(text) = self.text(entry.variable)? else { continue };
            let path = entry.path.iter().map(|key| (*key).to_owned()).collect();
            let leaf = Leaf { path, value: entry.value(&text)? };
            let is_addition = matches!(entry.form, ValueForm::Additions);
            // Nothing is added: the list keeps its origin.
            if !is_addition || leaf.value.as_sequence().is_some_and(|list| !list.is_empty()) {
                values.push(OverrideValue { variable: entry.variable, leaf, is_addition });
            }
        }
        Ok(values)
    }

    /// Returns a non-empty value: an empty path or URL counts as unset.
    fn filled(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|v| !v.is_empty())
    }

    /// Returns a value as text, even if empty.
    fn text(&self, name: &'static str) -> Result<Option<String>, ConfigError> {
        let Some(value) = self.variables.get(OsStr::new(name)) else { return Ok(None) };
        match value.to_str() {
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(ConfigError::Variable { name, why: "is not valid UTF-8".to_owned() }),
        }
    }
}

impl Override {
    const fn new(variable: &'static str, path: &'static [&'static str], form: ValueForm) -> Self {
        Self { variable, path, form }
    }

    fn value(&self, text: &str) -> Result<Value, ConfigError> {
        let refused = |expected: &str| ConfigError::Variable {
            name: self.variable,
            why: format!("is {text:?}; expected {expected}"),
        };
        match self.form {
            ValueForm::Text => Ok(text.into()),
            ValueForm::Additions => {
                let entries = text.split(':').filter(|entry| !entry.trim().is_empty());
                Ok(entries.map(Value::from).collect::<Vec<_>>().into())
            }
            ValueForm::Number => {
                let number = text.trim().parse::<u64>().map(Value::from);
                number.map_err(|_| refused("a whole number, not negative"))
            }
            ValueForm::Switch => {
                let on =
                    switch(text).ok_or_else(|| refused("1/0, true/false, yes/no or on/off"))?;
                Ok(on.into())
            }
        }
    }
}

fn switch(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_take_four_spellings_in_any_case() {
        for (text, on) in [("1", true), ("TRUE", true), ("Yes", true), ("on", true), ("0", false)] {
            assert_eq!(switch(text), Some(on), "{text}");
        }
        for (text, on) in [("False", false), ("NO", false), (" off ", false)] {
            assert_eq!(switch(text), Some(on), "{text}");
        }
        let error = Env::new([("AUTOPACK_QDRANT_AUTOSTART", "maybe")]).overrides(|_| true);
        insta::assert_snapshot!(error.unwrap_err(),
            @r#"AUTOPACK_QDRANT_AUTOSTART is "maybe"; expected 1/0, true/false, yes/no or on/off"#);
        assert!(Env::new([("AUTOPACK_USE_QDRANT", "")]).overrides(|_| true).is_err());
    }

    #[test]
    fn an_empty_database_variable_is_none() {
        let env = |vars: &[(&str, &str)]| Env::new(vars.iter().copied());
        let (ours, shared) = (("AUTOPACK_DATABASE_URL", "a"), ("DATABASE_URL", "b"));
        assert_eq!(env(&[ours, shared]).database_url().unwrap().as_deref(), Some("a"));
        assert_eq!(env(&[("AUTOPACK_DATABASE_URL", ""), shared]).database_url().unwrap(), None);
        assert_eq!(env(&[ours, shared]).shared_database_url().as_deref(), Some("b"));
        assert_eq!(env(&[("DATABASE_URL", "")]).shared_database_url(), None);
    }
}
