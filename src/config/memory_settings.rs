//! `memory.yaml` as types. The choice of a backend is made in `memory`.

use serde::{Deserialize, Serialize};

/// The file: all keys are under `memory`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemoryFile {
    /// Settings of the memory.
    pub memory: MemorySettings,
}

/// Settings of the memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemorySettings {
    /// Whether the memory is used.
    pub enabled: bool,
    /// If false, the in-process index is used without looking for Qdrant.
    pub use_qdrant: bool,
    /// Settings of Qdrant.
    pub qdrant: QdrantSettings,
    /// Settings of the embedder.
    pub embedder: EmbedderSettings,
}

/// Settings of Qdrant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QdrantSettings {
    /// Host name.
    pub host: String,
    /// REST port, used for readiness checks only.
    pub port: u16,
    /// Port of the gRPC API.
    pub grpc_port: u16,
    /// API key; empty for none.
    pub api_key: String,
    /// Docker image started by autostart.
    pub image: String,
    /// Whether a drain fails if Qdrant is down.
    pub require: bool,
    /// Whether the in-process index is used if Qdrant is down.
    pub fallback_to_faiss: bool,
    /// Whether Qdrant is started through Docker if down.
    pub autostart: bool,
    /// Maximum time for the start, in seconds.
    pub autostart_timeout_seconds: u64,
}

/// Settings of the embedder, which converts text to vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum EmbedderSettings {
    /// The embedder built into autopack.
    Builtin,
    /// An HTTP endpoint.
    Http(HttpEmbedderSettings),
    /// A model2vec model.
    Model2vec(Model2vecSettings),
}

/// An OpenAI-compatible embeddings endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpEmbedderSettings {
    /// Base URL; `/embeddings` is appended.
    pub url: String,
    /// Model name.
    pub model: String,
    /// Name of the environment variable with the API key; the key itself is never stored in a file.
    pub api_key_env: String,
}

/// A model2vec model in a local directory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model2vecSettings {
    /// Directory of the model, relative to the workspace.
    pub folder: String,
}

impl EmbedderSettings {
    /// Returns a sample of each kind, used as the schema of its keys.
    pub fn samples() -> [Self; 3] {
        [Self::Builtin, Self::Http(Default::default()), Self::Model2vec(Default::default())]
    }
}

impl Default for MemorySettings {
    fn default() -> Self {
        Self {
            enabled: true,
            use_qdrant: true,
            qdrant: QdrantSettings::default(),
            embedder: EmbedderSettings::Builtin,
        }
    }
}

impl Default for QdrantSettings {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 6333,
            grpc_port: 6334,
            api_key: String::new(),
            image: "qdrant/qdrant:v1.19.0".to_owned(),
            require: false,
            fallback_to_faiss: true,
            autostart: true,
            autostart_timeout_seconds: 15,
        }
    }
}
