//! Providers of models: their variables and hosts, for agents that work with any of them.

use crate::process::view::agent_needs::{AgentNeeds, CloudNeeds};

/// A provider of models.
struct Provider {
    /// Names before the first `/` of a model.
    prefixes: &'static [&'static str],
    /// Variables with keys.
    env: &'static [&'static str],
    hosts: &'static [&'static str],
}

const PROVIDERS: &[Provider] = &[
    Provider {
        prefixes: &["anthropic"],
        env: &["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"],
        hosts: &["api.anthropic.com"],
    },
    Provider {
        prefixes: &["openai", "chatgpt", "chatgpt_codex", "codex"],
        env: &["OPENAI_API_KEY", "OPENAI_KEY"],
        hosts: &["api.openai.com", "auth.openai.com", "chatgpt.com"],
    },
    Provider {
        prefixes: &["gemini", "google", "gemini_oauth"],
        env: &[
            "GEMINI_API_KEY",
            "GOOGLE_API_KEY",
            "GOOGLE_GENERATIVE_AI_API_KEY",
            "GOOGLE_GENERATIVE_AI_KEY",
        ],
        hosts: &[
            "generativelanguage.googleapis.com",
            "oauth2.googleapis.com",
            "cloudcode-pa.googleapis.com",
        ],
    },
    Provider { prefixes: &["openrouter"], env: &["OPENROUTER_API_KEY"], hosts: &["openrouter.ai"] },
    Provider { prefixes: &["deepseek"], env: &["DEEPSEEK_API_KEY"], hosts: &["api.deepseek.com"] },
    Provider {
        prefixes: &["groq"],
        env: &["GROQ_API_KEY", "GROQ_TOKEN"],
        hosts: &["api.groq.com"],
    },
    Provider {
        prefixes: &["mistral", "codestral"],
        env: &["MISTRAL_API_KEY", "CODESTRAL_API_KEY"],
        hosts: &["api.mistral.ai", "codestral.mistral.ai"],
    },
    Provider {
        prefixes: &["xai", "xai_oauth"],
        env: &["XAI_API_KEY"],
        hosts: &["api.x.ai", "auth.x.ai"],
    },
    Provider {
        prefixes: &["cohere", "cohere_chat"],
        env: &["COHERE_API_KEY", "CO_API_KEY", "COHERE_KEY"],
        hosts: &["api.cohere.com"],
    },
    Provider {
        prefixes: &["together_ai", "togetherai", "together"],
        env: &["TOGETHERAI_API_KEY", "TOGETHER_API_KEY", "TOGETHER_API_TOKEN"],
        hosts: &["api.together.xyz"],
    },
    Provider {
        prefixes: &["fireworks_ai", "fireworks-ai"],
        env: &["FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY"],
        hosts: &["api.fireworks.ai"],
    },
    Provider { prefixes: &["cerebras"], env: &["CEREBRAS_API_KEY"], hosts: &["api.cerebras.ai"] },
    Provider {
        prefixes: &["moonshot", "moonshotai", "kimi_code", "kimicode"],
        env: &["MOONSHOT_API_KEY", "KIMI_API_KEY"],
        hosts: &["api.moonshot.ai", "api.moonshot.cn", "api.kimi.com", "auth.kimi.com"],
    },
    Provider {
        prefixes: &["zai", "zai-coding-plan", "zhipuai"],
        env: &["ZAI_API_KEY", "ZHIPU_API_KEY"],
        hosts: &["api.z.ai", "open.bigmodel.cn"],
    },
    Provider {
        prefixes: &["huggingface"],
        env: &["HF_TOKEN", "HUGGINGFACE_API_KEY", "HUGGING_FACE_HUB_TOKEN"],
        hosts: &["router.huggingface.co", "huggingface.co"],
    },
    Provider {
        prefixes: &["replicate"],
        env: &["REPLICATE_API_KEY", "REPLICATE_API_TOKEN"],
        hosts: &["api.replicate.com"],
    },
    Provider {
        prefixes: &["databricks"],
        env: &["DATABRICKS_API_KEY", "DATABRICKS_TOKEN"],
        hosts: &["*.cloud.databricks.com", "*.azuredatabricks.net"],
    },
    Provider {
        prefixes: &["azure", "azure_ai", "azure_openai"],
        env: &["AZURE_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_KEY", "AZURE_AI_API_KEY"],
        hosts: &["*.openai.azure.com", "*.services.ai.azure.com", "*.cognitiveservices.azure.com"],
    },
    Provider {
        prefixes: &["github", "github-copilot", "github_copilot", "github-models"],
        env: &["GITHUB_COPILOT_TOKEN", "COPILOT_GITHUB_TOKEN", "GITHUB_API_KEY"],
        hosts: &["api.githubcopilot.com", "*.githubcopilot.com", "models.github.ai"],
    },
    Provider {
        prefixes: &["opencode", "opencode-go"],
        env: &["OPENCODE_API_KEY"],
        hosts: &["opencode.ai"],
    },
    Provider {
        prefixes: &["ollama", "ollama_chat", "lmstudio", "lm_studio"],
        env: &["OLLAMA_API_KEY"],
        hosts: &[],
    },
];

/// Models hosted by Amazon Bedrock.
pub(super) const AMAZON: Cloud = Cloud {
    name: "Amazon Bedrock",
    prefixes: &["bedrock", "amazon-bedrock", "aws_bedrock", "sagemaker"],
    env: &[
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_BEARER_TOKEN_BEDROCK",
    ],
    path_variables: &[
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_CONFIG_FILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    ],
    paths: &[".aws"],
    hosts: &["*.amazonaws.com"],
};

/// Models hosted by Google's Vertex AI.
pub(super) const GOOGLE: Cloud = Cloud {
    name: "Google Vertex AI",
    prefixes: &[
        "vertex_ai",
        "vertex_ai_beta",
        "google-vertex",
        "google-vertex-anthropic",
        "gcp_vertex_ai",
    ],
    env: &["GOOGLE_API_KEY", "GOOGLE_CREDENTIALS"],
    path_variables: &["GOOGLE_APPLICATION_CREDENTIALS"],
    paths: &[".config/gcloud"],
    hosts: &["*.googleapis.com"],
};

/// Models hosted by Microsoft's Foundry.
pub(super) const MICROSOFT: Cloud = Cloud {
    name: "Microsoft Foundry",
    prefixes: &[],
    env: &["ANTHROPIC_FOUNDRY_API_KEY", "ANTHROPIC_FOUNDRY_AUTH_TOKEN", "AZURE_CLIENT_SECRET"],
    path_variables: &["AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE"],
    paths: &[".azure"],
    hosts: &["*.services.ai.azure.com", "*.openai.azure.com", "login.microsoftonline.com"],
};

/// A cloud that hosts models.
pub(super) struct Cloud {
    name: &'static str,
    prefixes: &'static [&'static str],
    env: &'static [&'static str],
    path_variables: &'static [&'static str],
    paths: &'static [&'static str],
    hosts: &'static [&'static str],
}

impl Cloud {
    /// Returns the needs of an agent that takes the cloud if a variable says so.
    pub(super) fn selected_by(&self, variables: &[&'static str]) -> CloudNeeds {
        CloudNeeds {
            name: self.name,
            is_models: false,
            selected_by: variables.to_vec(),
            env: self.env,
            path_variables: self.path_variables,
            paths: self.paths,
            hosts: self.hosts,
        }
    }
}

/// Returns the needs of an agent for any provider: all keys and hosts.
pub(super) fn any_provider() -> AgentNeeds {
    AgentNeeds {
        env: PROVIDERS.iter().flat_map(|provider| provider.env).copied().collect(),
        hosts: PROVIDERS.iter().flat_map(|provider| provider.hosts).copied().collect(),
        clouds: vec![
            AMAZON.selected_by(&["AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK"]),
            GOOGLE.selected_by(&["GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_GENAI_USE_VERTEXAI"]),
        ],
        url_variables: vec![
            "ANTHROPIC_API_BASE",
            "ANTHROPIC_BASE_URL",
            "ANTHROPIC_HOST",
            "AZURE_API_BASE",
            "AZURE_OPENAI_ENDPOINT",
            "DATABRICKS_HOST",
            "LITELLM_HOST",
            "OLLAMA_API_BASE",
            "OLLAMA_HOST",
            "OPENAI_API_BASE",
            "OPENAI_BASE_URL",
            "OPENAI_HOST",
            "OPENROUTER_HOST",
        ],
        ..AgentNeeds::default()
    }
}

/// Limits the hosts of an agent to the provider named by its model. Keys stay: other models of the agent may be
/// another provider's.
pub(super) fn limit_hosts(needs: &mut AgentNeeds, model: Option<&str>) {
    let Some((prefix, _)) = model.and_then(|model| model.split_once('/')) else { return };
    if let Some(provider) = PROVIDERS.iter().find(|known| known.prefixes.contains(&prefix)) {
        let others = PROVIDERS.iter().flat_map(|known| known.hosts);
        let others: Vec<&str> =
            others.copied().filter(|host| !provider.hosts.contains(host)).collect();
        needs.hosts.retain(|host| !others.contains(host));
    }
    for cloud in [&AMAZON, &GOOGLE] {
        if cloud.prefixes.contains(&prefix)
            && let Some(needed) = needs.clouds.iter_mut().find(|needed| needed.name == cloud.name)
        {
            needed.is_models = true;
        }
    }
}
