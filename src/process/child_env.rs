//! Which of our environment variables a child may have.
//!
//! The environment itself is read elsewhere and handed in.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// A whole environment.
pub type Env = BTreeMap<OsString, OsString>;

/// Marks the processes of one drain, so that what a dead one left can be found: `AUTOPACK_OWNER=<id>`.
pub const OWNER: &str = "AUTOPACK_OWNER";

/// The slot that a process works in; nobody else's processes bear the same.
pub const WORKTREE: &str = "AUTOPACK_WORKTREE";

/// Read by many an application, and by us.
const SHARED_DATABASE_URL: &str = "DATABASE_URL";

/// Whose database `DATABASE_URL` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedDatabase {
    /// It is autopack's own: nobody else's business.
    Ours,
    /// It is the application's that is worked on: agents and CI need it.
    Application,
}

/// What is nobody else's business: our database, the key of our index, and the repository that git was started for
/// when a hook or an alias of the user's runs us: in a slot it would be the wrong one.
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

/// What an agent gets of `env`: everything but what is ours.
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

/// What CI and setup commands get: neither what is ours nor the keys of model providers, also those that the
/// configuration calls by another name.
pub fn for_ci(
    env: impl IntoIterator<Item = (OsString, OsString)>,
    database: SharedDatabase,
    keys: &[&str],
) -> Env {
    let is_key = |name: &OsStr| is_provider_key(name) || keys.iter().any(|key| name == *key);
    for_agent(env, database).into_iter().filter(|(name, _)| !is_key(name)).collect()
}

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
