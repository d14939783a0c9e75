//! Conversion of text to vectors: builtin embedder, HTTP endpoint, or model2vec directory.
//!
//! Vectors of different embedders are never compared: every vector is stored with the embedder's id.

pub mod builtin;
mod concepts;
pub mod http;
pub mod model2vec;
mod rarity;
pub mod tokens;

use std::path::Path;
use std::sync::Arc;

use crate::config::EmbedderSettings;

/// Failure of an embedder.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The settings are invalid, or a model cannot be loaded.
    #[error("cannot set up the embedder: {0}")]
    Setup(String),
    /// The endpoint failed.
    #[error("the embedder at {endpoint} {why}")]
    Provider {
        /// Address of the endpoint.
        endpoint: String,
        /// Reason, to read after the address.
        why: String,
    },
}

/// Removes secrets from a text before the text leaves this process.
#[derive(Clone)]
pub struct TextRedactor(Arc<dyn Fn(&str) -> String + Send + Sync>);

impl TextRedactor {
    /// Wraps a redacting function.
    pub fn new(redact: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(redact))
    }

    /// Redacts a text.
    pub fn apply(&self, text: &str) -> String {
        (self.0)(text)
    }
}

impl std::fmt::Debug for TextRedactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TextRedactor")
    }
}

/// The configured embedder.
#[derive(Clone, Debug)]
pub enum Embedder {
    /// The builtin embedder.
    Builtin,
    /// An OpenAI-compatible endpoint.
    Http(Arc<http::HttpEmbedder>),
    /// A model2vec model in a local directory.
    Model2vec(Arc<model2vec::Model2vec>),
}

impl Embedder {
    /// Opens the configured embedder. `key` is the API key, read from the environment variable named in the settings.
    ///
    /// # Errors
    /// The settings are invalid, or the model cannot be loaded.
    pub fn open(
        settings: &EmbedderSettings,
        workspace: &Path,
        key: Option<String>,
        redact: TextRedactor,
    ) -> Result<Self, EmbedError> {
        Ok(match settings {
            EmbedderSettings::Builtin => Self::Builtin,
            EmbedderSettings::Http(http) => {
                Self::Http(Arc::new(http::HttpEmbedder::new(http, key, redact)?))
            }
            EmbedderSettings::Model2vec(model) => {
                let directory = workspace.join(&model.folder);
                Self::Model2vec(Arc::new(model2vec::Model2vec::open(&directory)?))
            }
        })
    }

    /// Returns the embedder's id. Vectors are comparable only between equal ids.
    pub fn id(&self) -> &str {
        match self {
            Self::Builtin => builtin::ID,
            Self::Http(http) => http.id(),
            Self::Model2vec(model) => model.id(),
        }
    }

    /// Returns the smallest cosine of related texts.
    pub fn floor(&self) -> f32 {
        match self {
            Self::Builtin => builtin::FLOOR,
            // The cosine of unrelated texts depends on the model.
            Self::Http(_) | Self::Model2vec(_) => f32::MIN,
        }
    }

    /// Returns a vector of length 1 for each text, in order.
    ///
    /// # Errors
    /// The embedder fails or returns too few vectors.
    pub async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        match self {
            Self::Builtin => run_blocking(texts, builtin::embed).await,
            Self::Http(http) => http.embed(&texts).await,
            Self::Model2vec(model) => {
                let model = Arc::clone(model);
                run_blocking(texts, move |text| model.embed(text)).await
            }
        }
    }
}

async fn run_blocking(
    texts: Vec<String>,
    embed: impl Fn(&str) -> Vec<f32> + Send + 'static,
) -> Result<Vec<Vec<f32>>, EmbedError> {
    let work = move || texts.iter().map(|text| embed(text)).collect();
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|error| EmbedError::Setup(error.to_string()))
}

/// Scales to length 1, so that an inner product is a cosine. A zero vector stays zero.
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
