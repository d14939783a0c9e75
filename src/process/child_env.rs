//! Selects the environment variables of child processes. Variables that look like secrets go only to children that
//! need them; no child sees autopack's database.
//!
//! | variable | agent | CI, setup |
//! |---|---|---|
//! | `PATH` | yes | yes |
//! | `OPENAI_API_KEY` | if its adapter needs the key, or `env_pass` names it | if `env_pass` names it |
//! | `GITHUB_TOKEN` | if `env_pass` names it | if `env_pass` names it |
//! | `AUTOPACK_DATABASE_URL` | no | no |
//!
//! Callers pass in the environment; `config/env.rs` reads it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::secrets::is_secret_name;

/// A whole environment.
pub type Env = BTreeMap<OsString, OsString>;

/// Variable with the id of the drain (`AUTOPACK_OWNER=<id>`), set in all its child processes. The next drain finds
/// the leftover processes of a dead drain by this variable.
pub const OWNER: &str = "AUTOPACK_OWNER";

/// Variable with the checkout in which a process works. Each slot has checkouts of its own.
pub const WORKTREE: &str = "AUTOPACK_WORKTREE";

/// Variable with a database URL, read by many applications and by autopack.
const SHARED_DATABASE_URL: &str = "DATABASE_URL";

/// Owner of the database named by `DATABASE_URL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedDatabase {
    /// autopack's own database: hidden from children.
    Ours,
    /// Database of the application under development: agents and CI need the variable.
    Application,
}

/// Variables hidden from all children: autopack's database, the key of its index, and git's variables for the
/// current repository. Git sets them when a hook or an alias starts autopack; in a slot they would point to the
/// user's repository.
const OURS: [&str; 9] = [
    "AUTOPACK_DATABASE_URL",
    "AUTOPACK_QDRANT_API_KEY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
];

/// Keys of model providers whose names do not end in `_API_KEY`.
const PROVIDER_KEYS: [&str; 16] = [
    "ANTHROPIC_AUTH_TOKEN",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AZURE_OPENAI_KEY",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CODEX_ACCESS_TOKEN",
    "COHERE_KEY",
    "COPILOT_GITHUB_TOKEN",
    "CURSOR_AUTH_TOKEN",
    "DATABRICKS_TOKEN",
    "GOOGLE_GENERATIVE_AI_KEY",
    "GROQ_TOKEN",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "OPENAI_KEY",
    "REPLICATE_API_TOKEN",
    "TOGETHER_API_TOKEN",
];

/// Environment that a child process inherits, and the names of secret variables, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InheritedEnv {
    /// Inherited variables.
    pub env: Env,
    /// Inherited variables that look like secrets.
    pub secrets: Vec<String>,
    /// Variables that look like secrets and are not inherited, without autopack's own.
    pub withheld: Vec<String>,
}

impl InheritedEnv {
    /// Selects the variables for a child. `allowed` are its secret variables: names, or the start of names and `*`.
    /// `keys` are further names of secret variables, from the configuration.
    pub fn select<S: AsRef<str>>(
        env: &Env,
        database: SharedDatabase,
        keys: &[&str],
        allowed: &[S],
    ) -> Self {
        let mut selected = Self::default();
        for (name, value) in env.iter().filter(|(name, _)| !is_ours(name, database)) {
            if is_secret(name, value, keys) {
                let text = name.to_string_lossy().into_owned();
                let is_allowed = allowed.iter().any(|pattern| matches(pattern.as_ref(), &text));
                let list = if is_allowed { &mut selected.secrets } else { &mut selected.withheld };
                list.push(text);
                if !is_allowed {
                    continue;
                }
            }
            selected.env.insert(name.clone(), value.clone());
        }
        selected
    }
}

/// Checks whether a variable belongs to autopack or to git's view of the current repository.
fn is_ours(name: &OsStr, database: SharedDatabase) -> bool {
    OURS.iter().any(|ours| name == *ours)
        || (name == SHARED_DATABASE_URL && database == SharedDatabase::Ours)
}

/// Checks whether a name matches `NAME` or `PREFIX*`.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

/// Checks whether a variable looks like a secret, by its name. Switches and numbers, such as `MAX_OUTPUT_TOKENS=8000`,
/// are no secrets, unless the name speaks of a password.
fn is_secret(name: &OsStr, value: &OsStr, keys: &[&str]) -> bool {
    let text = name.to_string_lossy();
    let is_named = text != PYTHON_RELEASE_KEY && (is_secret_name(&text) || is_provider_key(&text))
        || keys.contains(&text.as_ref());
    is_named && !is_plain_setting(&text, &value.to_string_lossy())
}

/// Set by images of Python: the public key of its releases.
const PYTHON_RELEASE_KEY: &str = "GPG_KEY";

/// Most digits of a number that is no secret.
const MOST_DIGITS: usize = 9;

fn is_plain_setting(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase();
    if value.is_empty() {
        return true;
    }
    if ["PASS", "PWD", "SECRET", "PIN"].iter().any(|part| name.contains(part)) {
        return false;
    }
    let is_number = value.len() <= MOST_DIGITS && value.chars().all(|c| c.is_ascii_digit());
    let words = ["true", "false", "yes", "no", "on", "off"];
    is_number || words.contains(&value.to_ascii_lowercase().as_str())
}

/// Checks whether a variable holds a key of a model provider, by name.
pub fn is_provider_key(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    name.ends_with("_API_KEY")
        || name.ends_with("_API_KEYS")
        || PROVIDER_KEYS.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(variables: &[(&str, &str)]) -> Env {
        variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn names(env: &Env) -> Vec<&str> {
        env.keys().map(|name| name.to_str().unwrap()).collect()
    }

    #[test]
    fn secrets_are_inherited_by_need_and_nobody_gets_our_database() {
        let all = ["PATH", "OPENAI_API_KEY", "HF_TOKEN", "GITHUB_TOKEN", "MODEL_ACCESS"];
        let databases = ["DATABASE_URL", "AUTOPACK_DATABASE_URL", "MY_DATABASE_URL", "GIT_DIR"];
        let pairs: Vec<(&str, &str)> =
            all.iter().chain(&databases).map(|name| (*name, "x")).collect();
        let env = env(&pairs);
        let select = |database, allowed: &[&str]| {
            InheritedEnv::select(&env, database, &["MODEL_ACCESS"], allowed)
        };
        let ci = select(SharedDatabase::Ours, &[]);
        assert_eq!(names(&ci.env), ["MY_DATABASE_URL", "PATH"]);
        assert!(ci.secrets.is_empty());
        assert_eq!(ci.withheld, ["GITHUB_TOKEN", "HF_TOKEN", "MODEL_ACCESS", "OPENAI_API_KEY"]);
        let agent = select(SharedDatabase::Application, &["OPENAI_API_KEY", "MODEL_*", "NONE"]);
        assert_eq!(
            names(&agent.env),
            ["DATABASE_URL", "MODEL_ACCESS", "MY_DATABASE_URL", "OPENAI_API_KEY", "PATH"]
        );
        assert_eq!(agent.secrets, ["MODEL_ACCESS", "OPENAI_API_KEY"]);
        assert_eq!(agent.withheld, ["GITHUB_TOKEN", "HF_TOKEN"]);
        let everything = select(SharedDatabase::Ours, &["*"]);
        assert!(everything.withheld.is_empty());
        assert!(!names(&everything.env).contains(&"AUTOPACK_DATABASE_URL"));
    }

    #[test]
    fn counts_and_switches_are_no_secrets() {
        let env = env(&[
            ("MAX_THINKING_TOKENS", "31999"),
            ("TOKEN_CHECK", "Off"),
            ("EMPTY_TOKEN", ""),
            ("GPG_KEY", "A035C8C19219BA821ECEA86B64E628F8D684696D"),
            ("LONG_TOKEN", "1234567890"),
            ("DB_PASSWORD", "123456"),
            ("SSH_AUTH_SOCK", "/run/agent"),
        ]);
        let ci = InheritedEnv::select::<&str>(&env, SharedDatabase::Application, &[], &[]);
        assert_eq!(ci.withheld, ["DB_PASSWORD", "LONG_TOKEN"]);
    }

    #[test]
    fn a_pattern_is_a_name_or_the_start_of_names() {
        assert!(
            matches("AWS_*", "AWS_SECRET_ACCESS_KEY") && matches("A", "A") && matches("*", "A")
        );
        assert!(!matches("AWS_*", "AWS") && !matches("A", "AB") && !matches("a", "A"));
    }

    #[test]
    fn keys_of_providers_are_known_by_name() {
        assert!(["OPENAI_API_KEY", "gemini_api_key", "HF_TOKEN"].into_iter().all(is_provider_key));
        assert!(!["GITHUB_TOKEN", "API_KEY_PATH"].into_iter().any(is_provider_key));
    }
}
