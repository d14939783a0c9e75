//! Selects the environment variables of child processes: CI gets no keys of model providers, and no child sees
//! autopack's database.
//!
//! | variable | agent | CI, setup |
//! |---|---|---|
//! | `PATH` | yes | yes |
//! | `OPENAI_API_KEY` | yes | no |
//! | `AUTOPACK_DATABASE_URL` | no | no |
//!
//! Callers pass in the environment; `config/env.rs` reads it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

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

/// Returns the environment for an agent: `env` without autopack's own variables.
pub fn for_agent(
    env: impl IntoIterator<Item = (OsString, OsString)>,
    database: SharedDatabase,
) -> Env {
    let is_ours = |name: &OsStr| {
        OURS.iter().any(|ours| name == *ours)
            || (name == SHARED_DATABASE_URL && database == SharedDatabase::Ours)
    };
    env.into_iter().filter(|(name, _)| !is_ours(name)).collect()
}

/// Returns the environment for CI and setup commands: `env` without autopack's own variables and without
/// provider keys, including keys under other names from the configuration.
pub fn for_ci(
    env: impl IntoIterator<Item = (OsString, OsString)>,
    database: SharedDatabase,
    keys: &[&str],
) -> Env {
    let is_key = |name: &OsStr| is_provider_key(name) || keys.iter().any(|key| name == *key);
    for_agent(env, database).into_iter().filter(|(name, _)| !is_key(name)).collect()
}

/// Checks whether a variable holds a key of a model provider, by name.
pub fn is_provider_key(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_uppercase();
    name.ends_with("_API_KEY")
        || name.ends_with("_API_KEYS")
        || PROVIDER_KEYS.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(env: Env) -> Vec<String> {
        env.into_keys().map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn agents_get_keys_and_ci_does_not_and_nobody_gets_our_database() {
        let env = || {
            ["PATH", "OPENAI_API_KEY", "gemini_api_key", "HF_TOKEN", "GITHUB_TOKEN", "MODEL_ACCESS"]
                .into_iter()
                .chain(["DATABASE_URL", "AUTOPACK_DATABASE_URL", "MY_DATABASE_URL", "GIT_DIR"])
                .map(|name| (OsString::from(name), OsString::from("x")))
        };
        let agent = [
            "GITHUB_TOKEN",
            "HF_TOKEN",
            "MODEL_ACCESS",
            "MY_DATABASE_URL",
            "OPENAI_API_KEY",
            "PATH",
            "gemini_api_key",
        ];
        assert_eq!(names(for_agent(env(), SharedDatabase::Ours)), agent);
        assert_eq!(
            names(for_ci(env(), SharedDatabase::Ours, &["MODEL_ACCESS"])),
            ["GITHUB_TOKEN", "MY_DATABASE_URL", "PATH"]
        );
        assert_eq!(
            names(for_ci(env(), SharedDatabase::Application, &["MODEL_ACCESS"])),
            ["DATABASE_URL", "GITHUB_TOKEN", "MY_DATABASE_URL", "PATH"]
        );
    }
}
