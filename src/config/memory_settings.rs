//! `memory.yaml` as types. How a backend is chosen from it is the memory's work.

use serde::{Deserialize, Serialize};

/// The file: everything stands under `memory`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemoryFile {
    pub memory: MemorySettings,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemorySettings {
    pub enabled: bool,
    /// Off: the in-process index, and Qdrant is never looked for.
    pub use_qdrant: bool,
    pub qdrant: QdrantSettings,
    pub embedder: EmbedderSettings,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QdrantSettings {
    pub host: String,
    /// REST; asked for readiness only.
    pub port: u16,
    pub grpc_port: u16,
    pub api_key: String,
    /// What autostart runs.
    pub image: String,
    /// A drain fails when Qdrant is down.
    pub require: bool,
    pub fallback_to_faiss: bool,
    pub autostart: bool,
    pub autostart_timeout_seconds: u64,
}

/// What turns text into vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum EmbedderSettings {
    Builtin,
    Http(HttpEmbedderSettings),
    Model2vec(Model2vecSettings),
}

/// An OpenAI-compatible embeddings endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpEmbedderSettings {
    /// The base: `/embeddings` is appended.
    pub url: String,
    pub model: String,
    /// The environment variable that holds the key; the key itself never stands in a file.
    pub api_key_env: String,
}

/// A model2vec model in a folder on this machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model2vecSettings {
    /// Relative to the workspace.
    pub folder: String,
}

impl EmbedderSettings {
    /// One of each kind, for the reader of the file: its keys are the keys that the kind knows.
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
