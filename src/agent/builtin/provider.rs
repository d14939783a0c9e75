//! The model's provider: protocol, address and key, from the settings and the given environment.
//!
//! The key leaves this file only as the credential of a request; the type has no `Debug`.

use std::ffi::OsStr;

use genai::adapter::AdapterKind;
use genai::resolver::{AuthData, Endpoint};
use genai::{ModelIden, ServiceTarget};
use reqwest::Url;

use super::super::AgentError;
use crate::config::{BuiltinAgentSettings, ModelProtocol};
use crate::http::HttpAccess;
use crate::process::child_env::Env;

/// A provider's usual variable, and the model to use if nothing but this variable is known.
pub(super) struct ModelByKey {
    pub key: &'static str,
    /// For people.
    origin: &'static str,
    model: &'static str,
}

/// In order of preference.
pub(super) const MODELS_BY_KEY: [ModelByKey; 4] = [
    ModelByKey {
        key: "ANTHROPIC_API_KEY",
        origin: "key in ANTHROPIC_API_KEY",
        model: "claude-sonnet-4-5",
    },
    ModelByKey { key: "OPENAI_API_KEY", origin: "key in OPENAI_API_KEY", model: "gpt-5" },
    ModelByKey { key: "GEMINI_API_KEY", origin: "key in GEMINI_API_KEY", model: "gemini-2.5-pro" },
    ModelByKey { key: "GOOGLE_API_KEY", origin: "key in GOOGLE_API_KEY", model: "gemini-2.5-pro" },
];

/// Returns settings for the first provider with a key in the environment, and the origin of the key.
pub(super) fn of_key(env: &Env) -> Option<(BuiltinAgentSettings, &'static str)> {
    let is_set = |name: &str| {
        env.get(OsStr::new(name)).is_some_and(|key| !key.to_string_lossy().trim().is_empty())
    };
    let found = MODELS_BY_KEY.iter().find(|entry| is_set(entry.key))?;
    let settings =
        BuiltinAgentSettings { model: found.model.to_owned(), ..BuiltinAgentSettings::default() };
    Some((settings, found.origin))
}

pub(super) struct Provider {
    pub protocol: ModelProtocol,
    pub model: String,
    pub base: Url,
    /// The variable with the key; the first candidate if none is set.
    pub key_name: Option<String>,
    key: Option<String>,
}

impl Provider {
    pub(super) fn of(settings: &BuiltinAgentSettings, env: &Env) -> Result<Self, AgentError> {
        let model = settings.model.trim().to_owned();
        if model.is_empty() {
            return Err(cannot("no model is named", "set `model` of this agent in autopack.yaml"));
        }
        let protocol = protocol(settings, &model)?;
        let base = base(settings, protocol)?;
        let names = key_names(settings, protocol);
        let held = names.iter().find_map(|name| {
            let key = env.get(OsStr::new(name))?.to_str()?.trim();
            (!key.is_empty()).then(|| (name.clone(), key.to_owned()))
        });
        let (key_name, key) = match held {
            Some((name, key)) => (Some(name), Some(key)),
            None => (names.first().cloned(), None),
        };
        let provider = Self { protocol, model, base, key_name, key };
        provider.has_what_it_needs(&names)?;
        Ok(provider)
    }

    fn has_what_it_needs(&self, names: &[String]) -> Result<(), AgentError> {
        let optional =
            self.protocol == ModelProtocol::Ollama || self.reach() == HttpAccess::Machine;
        match &self.key {
            None if !optional => Err(cannot(
                &format!("the key for {} is missing: {} is not set", self.base, names.join(" or ")),
                "set that variable, or name another one as `api_key_env` of this agent in autopack.yaml",
            )),
            Some(key) if key.contains(|c: char| !c.is_ascii_graphic()) => Err(cannot(
                &format!(
                    "the value of {} is not a key: it has spaces or unprintable characters",
                    self.key_name()
                ),
                "correct that variable",
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    pub(super) fn key_name(&self) -> &str {
        self.key_name.as_deref().unwrap_or("the key's variable")
    }

    pub(super) fn reach(&self) -> HttpAccess {
        HttpAccess::of(&self.base)
    }

    pub(super) fn target(&self) -> ServiceTarget {
        // Local servers often need no key, but the protocols require a value.
        let key = self.key.clone().unwrap_or_else(|| "none".to_owned());
        ServiceTarget {
            endpoint: Endpoint::from_owned(self.base.as_str()),
            auth: AuthData::from_single(key),
            model: ModelIden::new(self.adapter(), self.model.clone()),
        }
    }

    fn adapter(&self) -> AdapterKind {
        match self.protocol {
            ModelProtocol::Anthropic => AdapterKind::Anthropic,
            ModelProtocol::Openai => AdapterKind::OpenAI,
            ModelProtocol::OpenaiResponses => AdapterKind::OpenAIResp,
            ModelProtocol::Gemini => AdapterKind::Gemini,
            ModelProtocol::Ollama => AdapterKind::Ollama,
        }
    }
}

pub(super) fn cannot(why: &str, hint: &str) -> AgentError {
    AgentError::CannotStart {
        program: "the built-in agent".to_owned(),
        why: why.to_owned(),
        hint: hint.to_owned(),
    }
}

/// Returns the configured protocol, else the protocol of the model's name, else the protocol of most servers.
fn protocol(settings: &BuiltinAgentSettings, model: &str) -> Result<ModelProtocol, AgentError> {
    if let Some(protocol) = settings.protocol {
        return Ok(protocol);
    }
    match AdapterKind::from_model(model) {
        Ok(AdapterKind::Anthropic) => Ok(ModelProtocol::Anthropic),
        Ok(AdapterKind::OpenAI) => Ok(ModelProtocol::Openai),
        Ok(AdapterKind::OpenAIResp) => Ok(ModelProtocol::OpenaiResponses),
        Ok(AdapterKind::Gemini) => Ok(ModelProtocol::Gemini),
        _ if settings.base_url.is_some() => Ok(ModelProtocol::Openai),
        _ => Err(cannot(
            &format!("the provider of model {model:?} is unknown"),
            "set `protocol` of this agent in autopack.yaml (anthropic, openai, openai-responses, gemini, ollama), and \
             `base_url` if the address is not the provider's own",
        )),
    }
}

/// Returns the base URL, ending with `/`; an address without a path gets the protocol's usual path.
fn base(settings: &BuiltinAgentSettings, protocol: ModelProtocol) -> Result<Url, AgentError> {
    let (own, path) = match protocol {
        ModelProtocol::Anthropic => ("https://api.anthropic.com/", "v1/"),
        ModelProtocol::Openai | ModelProtocol::OpenaiResponses => {
            ("https://api.openai.com/", "v1/")
        }
        ModelProtocol::Gemini => ("https://generativelanguage.googleapis.com/", "v1beta/"),
        ModelProtocol::Ollama => ("http://localhost:11434/", ""),
    };
    let written = settings.base_url.as_deref().unwrap_or(own);
    // Errors do not contain the URL, which may include a password.
    let wrong = |why: &str| {
        cannot(
            &format!("its base_url {why}"),
            "write `base_url` of this agent in autopack.yaml as http(s)://host[:port][/path]",
        )
    };
    let mut url: Url = written.trim().parse().map_err(|_| wrong("is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong("is not an HTTP URL"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("contains a name or password, which would be shown"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has more than a path"));
    }
    let whole = match url.path() {
        "/" => format!("/{path}"),
        path => format!("{}/", path.trim_end_matches('/')),
    };
    url.set_path(&whole);
    Ok(url)
}

/// Returns the variables that may hold the key; none if neither variable nor protocol is known.
pub(super) fn key_variables(settings: &BuiltinAgentSettings) -> Vec<String> {
    // A wrong protocol is told when the agent is checked.
    let protocol = protocol(settings, settings.model.trim()).unwrap_or(ModelProtocol::Ollama);
    key_names(settings, protocol).into_iter().filter(|name| !name.is_empty()).collect()
}

fn key_names(settings: &BuiltinAgentSettings, protocol: ModelProtocol) -> Vec<String> {
    if let Some(name) = &settings.api_key_env {
        return vec![name.clone()];
    }
    let usual: &[&str] = match protocol {
        ModelProtocol::Anthropic => &["ANTHROPIC_API_KEY"],
        ModelProtocol::Openai | ModelProtocol::OpenaiResponses => &["OPENAI_API_KEY"],
        ModelProtocol::Gemini => &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
        ModelProtocol::Ollama => &[],
    };
    usual.iter().map(|name| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(
        change: impl FnOnce(&mut BuiltinAgentSettings),
        env: &[(&str, &str)],
    ) -> Result<Provider, String> {
        let mut settings = BuiltinAgentSettings::default();
        change(&mut settings);
        let env = env.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Provider::of(&settings, &env).map_err(|error| error.to_string())
    }

    fn error(change: impl FnOnce(&mut BuiltinAgentSettings), env: &[(&str, &str)]) -> String {
        of(change, env).err().unwrap_or_default()
    }

    #[test]
    fn the_models_name_tells_the_provider() {
        let keys = [("ANTHROPIC_API_KEY", "a"), ("OPENAI_API_KEY", "o"), ("GOOGLE_API_KEY", "g")];
        for (model, protocol, base) in [
            ("claude-sonnet-4-5", ModelProtocol::Anthropic, "https://api.anthropic.com/v1/"),
            ("gpt-4o-mini", ModelProtocol::Openai, "https://api.openai.com/v1/"),
            ("gpt-5", ModelProtocol::OpenaiResponses, "https://api.openai.com/v1/"),
            (
                "gemini-2.5-pro",
                ModelProtocol::Gemini,
                "https://generativelanguage.googleapis.com/v1beta/",
            ),
        ] {
            let found = of(|s| s.model = model.into(), &keys).ok().unwrap();
            assert_eq!((found.protocol, found.base.as_str()), (protocol, base), "{model}");
        }
        let unknown = error(|s| s.model = "qwen3".into(), &keys);
        assert!(
            unknown.contains("provider of model") && unknown.contains("`protocol`"),
            "{unknown}"
        );
    }

    #[test]
    fn a_compatible_server_on_this_machine_needs_no_key() {
        let local = |s: &mut BuiltinAgentSettings| {
            s.model = "qwen3".into();
            s.base_url = Some("http://127.0.0.1:8000".into());
        };
        let found = of(local, &[]).ok().unwrap();
        assert_eq!(
            (found.protocol, found.base.as_str()),
            (ModelProtocol::Openai, "http://127.0.0.1:8000/v1/")
        );
        assert!(found.key().is_none());
        let far = error(
            |s| {
                local(s);
                s.base_url = Some("https://models.example/api".into())
            },
            &[],
        );
        assert!(far.contains("OPENAI_API_KEY is not set") && far.contains("api_key_env"), "{far}");
    }

    #[test]
    fn missing_and_invalid_variables_are_named_without_their_values() {
        assert!(error(|_| (), &[]).contains("no model is named"));
        let named = |s: &mut BuiltinAgentSettings| {
            s.model = "claude-x".into();
            s.api_key_env = Some("MY_KEY".into());
        };
        assert!(error(named, &[("ANTHROPIC_API_KEY", "a")]).contains("MY_KEY is not set"));
        let broken = error(named, &[("MY_KEY", "hush hush")]);
        assert!(
            broken.contains("the value of MY_KEY is not a key") && !broken.contains("hush"),
            "{broken}"
        );
        for url in ["nonsense", "ftp://x/", "http://me:hush@x/", "http://x/?key=hush"] {
            let wrong = error(
                |s| {
                    named(s);
                    s.base_url = Some(url.into())
                },
                &[("MY_KEY", "k")],
            );
            assert!(wrong.contains("its base_url") && !wrong.contains("hush"), "{url}: {wrong}");
        }
    }
}
