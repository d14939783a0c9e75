//! Secret variables that an agent may inherit: the keys of its model provider, the credentials of a selected cloud, and
//! the names in `env_pass`.

use std::ffi::OsStr;

use super::{builtin, needs};
use crate::config::AgentSettings;
use crate::process::child_env::Env;

/// Returns the secret variables that an agent may inherit: names, or the start of names and `*`. `env` is autopack's
/// environment; the agent's own `env` may select a cloud, too.
pub fn secret_variables(settings: &AgentSettings, env: &Env) -> Vec<String> {
    let mut env = env.clone();
    let own = settings.env().into_iter().flatten();
    env.extend(own.map(|(name, value)| (name.into(), value.into())));
    let needed = match settings {
        AgentSettings::Program { .. } | AgentSettings::Command(_) => {
            let names = needs(settings).secret_variables(&env);
            names.into_iter().map(str::to_owned).collect()
        }
        AgentSettings::Builtin(settings) => builtin::key_variables(settings),
        // Starts no program.
        AgentSettings::Replay(_) => Vec::new(),
    };
    needed.into_iter().chain(settings.env_pass().iter().cloned()).collect()
}

/// Returns the secrets by which the provider knows its customer, with the model: providers limit the rate of a key for each
/// model. `None` without a key, such as for a login. `env` is the agent's environment.
pub fn provider_secret(settings: &AgentSettings, env: &Env) -> Option<String> {
    let own = settings.env();
    let value = |name: &str| {
        let own = own.and_then(|own| own.get(name)).cloned();
        let value = own.or_else(|| Some(env.get(OsStr::new(name))?.to_str()?.to_owned()))?;
        Some(value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    let mut values: Vec<String> = match settings {
        AgentSettings::Program { .. } | AgentSettings::Command(_) => {
            needs(settings).secret_variables(env).into_iter().filter_map(value).collect()
        }
        AgentSettings::Builtin(settings) => builtin::key_variables(settings)
            .iter()
            .find_map(|name| value(name))
            .into_iter()
            .collect(),
        AgentSettings::Replay(_) => Vec::new(),
    };
    // The variables of two agents may differ.
    values.sort_unstable();
    values.dedup();
    let model = settings.model().unwrap_or_default();
    (!values.is_empty()).then(|| format!("{model}\n{}", values.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(yaml: &str, variables: &[(&str, &str)]) -> Vec<String> {
        let settings: AgentSettings = serde_yaml::from_str(yaml).unwrap();
        let env = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        secret_variables(&settings, &env)
    }

    fn has(yaml: &str, variables: &[(&str, &str)], name: &str) -> bool {
        allowed(yaml, variables).iter().any(|allowed| allowed == name)
    }

    #[test]
    fn agents_may_have_the_keys_of_their_providers() {
        for (yaml, yes, no) in [
            ("{kind: claude}", "ANTHROPIC_API_KEY", "OPENAI_API_KEY"),
            ("{kind: codex}", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"),
            ("{kind: gemini}", "GEMINI_API_KEY", "OPENAI_API_KEY"),
            ("{kind: opencode}", "OPENROUTER_API_KEY", "GITHUB_TOKEN"),
            ("{kind: command, command: [x]}", "ANTHROPIC_API_KEY", "GITHUB_TOKEN"),
            (
                "{kind: command, command: [x], env_pass: [GITHUB_TOKEN]}",
                "GITHUB_TOKEN",
                "NPM_TOKEN",
            ),
            ("{kind: claude, env_pass: ['NPM_*']}", "NPM_*", "OPENAI_API_KEY"),
            ("{kind: builtin, model: gpt-5}", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"),
            ("{kind: builtin, model: x, api_key_env: MY_KEY}", "MY_KEY", "OPENAI_API_KEY"),
        ] {
            assert!(has(yaml, &[], yes), "{yaml}: {yes}");
            assert!(!has(yaml, &[], no), "{yaml}: {no}");
        }
        assert!(allowed("{kind: replay, folder: x}", &[]).is_empty());
    }

    #[test]
    fn agents_with_one_key_and_model_share_its_limits() {
        let secret = |yaml: &str, variables: &[(&str, &str)]| {
            let settings: AgentSettings = serde_yaml::from_str(yaml).unwrap();
            let env = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
            provider_secret(&settings, &env)
        };
        let key = [("ANTHROPIC_API_KEY", "k1")];
        let claude = secret("{kind: claude}", &key);
        assert!(claude.is_some());
        assert_eq!(secret("{kind: command, command: [x]}", &key), claude);
        assert_eq!(secret("{kind: claude, env: {ANTHROPIC_API_KEY: k1}}", &[]), claude);
        assert_ne!(secret("{kind: claude}", &[("ANTHROPIC_API_KEY", "k2")]), claude);
        assert_ne!(secret("{kind: claude, model: haiku}", &key), claude);
        assert_eq!(secret("{kind: claude}", &[("OPENAI_API_KEY", "k1")]), None);
        assert_eq!(secret("{kind: replay, folder: x}", &key), None);
    }

    #[test]
    fn a_clouds_credentials_are_passed_where_the_cloud_is_selected() {
        let secret = "AWS_SECRET_ACCESS_KEY";
        let on = [("CLAUDE_CODE_USE_BEDROCK", "1")];
        assert!(has("{kind: claude}", &on, secret));
        assert!(has("{kind: claude, env: {CLAUDE_CODE_USE_BEDROCK: '1'}}", &[], secret));
        assert!(!has("{kind: claude}", &[("CLAUDE_CODE_USE_BEDROCK", "0")], secret));
        assert!(!has("{kind: claude}", &[("AWS_PROFILE", "dev")], secret));
        assert!(has("{kind: aider}", &[("AWS_PROFILE", "dev")], secret));
        assert!(has("{kind: aider, model: bedrock/x}", &[], secret));
        assert!(!has("{kind: aider, model: openai/x}", &[("AWS_ACCESS_KEY_ID", "x")], secret));
        assert!(has(
            "{kind: gemini}",
            &[("GOOGLE_GENAI_USE_VERTEXAI", "true")],
            "GOOGLE_CREDENTIALS"
        ));
        assert!(has("{kind: command, command: [x]}", &on, secret));
    }
}
