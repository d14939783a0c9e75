//! Text into vectors: the builtin embedder, an HTTP endpoint, or a model2vec folder.
//!
//! Vectors of two embedders are never compared: each says who it is, and that goes with every vector.

pub mod builtin;
mod concepts;
pub mod http;
pub mod model2vec;
mod rarity;
pub mod tokens;

use std::path::Path;
use std::sync::Arc;

use crate::config::EmbedderSettings;

#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    #[error("cannot set up the embedder: {0}")]
    Setup(String),
    #[error("the embedder at {endpoint} {why}")]
    Provider { endpoint: String, why: String },
}

/// Takes secrets out of a text before it leaves this process.
#[derive(Clone)]
pub struct Redact(Arc<dyn Fn(&str) -> String + Send + Sync>);

impl Redact {
    pub fn new(redact: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(redact))
    }

    pub fn apply(&self, text: &str) -> String {
        (self.0)(text)
    }
}

impl std::fmt::Debug for Redact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redact")
    }
}

#[derive(Clone, Debug)]
pub enum Embedder {
    Builtin,
    Http(Arc<http::HttpEmbedder>),
    Model2vec(Arc<model2vec::Model2vec>),
}

impl Embedder {
    /// `key` is the provider's, taken from the environment variable that the settings name.
    pub fn open(
        settings: &EmbedderSettings,
        workspace: &Path,
        key: Option<String>,
        redact: Redact,
    ) -> Result<Self, EmbedError> {
        Ok(match settings {
            EmbedderSettings::Builtin => Self::Builtin,
            EmbedderSettings::Http(http) => {
                Self::Http(Arc::new(http::HttpEmbedder::new(http, key, redact)?))
            }
            EmbedderSettings::Model2vec(model) => {
                let folder = workspace.join(&model.folder);
                Self::Model2vec(Arc::new(model2vec::Model2vec::open(&folder)?))
            }
        })
    }

    /// Vectors are comparable if, and only if, their embedders' ids are equal.
    pub fn id(&self) -> &str {
        match self {
            Self::Builtin => builtin::ID,
            Self::Http(http) => http.id(),
            Self::Model2vec(model) => model.id(),
        }
    }

    /// Below this cosine a text is not about the same thing.
    pub fn floor(&self) -> f32 {
        match self {
            Self::Builtin => builtin::FLOOR,
            // Models place unrelated texts wherever they were trained to.
            Self::Http(_) | Self::Model2vec(_) => f32::MIN,
        }
    }

    /// One vector of length 1 for each text, in their order.
    pub async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        match self {
            Self::Builtin => off_the_runtime(texts, builtin::embed).await,
            Self::Http(http) => http.embed(&texts).await,
            Self::Model2vec(model) => {
                let model = Arc::clone(model);
                off_the_runtime(texts, move |text| model.embed(text)).await
            }
        }
    }
}

async fn off_the_runtime(
    texts: Vec<String>,
    embed: impl Fn(&str) -> Vec<f32> + Send + 'static,
) -> Result<Vec<Vec<f32>>, EmbedError> {
    let work = move || texts.iter().map(|text| embed(text)).collect();
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|error| EmbedError::Setup(error.to_string()))
}

/// To length 1, so that an inner product is a cosine. A vector of nothing stays one.
fn normalise(vector: &mut [f32]) {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x /= length);
    }
}

#[cfg(test)]
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
