//! Client of OpenAI-compatible `/v1/embeddings` endpoints: batched, retried, redacted; the key is never shown.
//!
//! `answer` interprets answers, `endpoint` reads the settings.

mod answer;
mod endpoint;

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Client, Url};
use serde_json::json;

use super::{EmbedError, TextRedactor};
use crate::config::HttpEmbedderSettings;
use crate::http::{self, HttpAccess, Limits};

use answer::{EmbedFailure, Remedy, pause_asked_for, remedy, vectors, whole_body};
use endpoint::{bearer, endpoint, id};

/// Texts per request. Endpoints limit the number of texts and the tokens of all texts together (about 300,000).
const BATCH: usize = 64;
const BATCH_CHARS: usize = 400_000;
const MAX_ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const LIMITS: Limits = Limits { whole: Duration::from_secs(30), silence: Duration::from_secs(30) };
/// Models read about 8,000 tokens; endpoints refuse or drop the rest.
const MOST_CHARS: usize = 24_000;
/// Length of a refused text when sent again: dense text has a token for each character, and some models read at most
/// 512.
const FEWER_CHARS: usize = 1_000;

/// Embedder behind an HTTP endpoint.
pub struct HttpEmbedder {
    id: String,
    endpoint: Url,
    model: String,
    key: Option<HeaderValue>,
    redact: TextRedactor,
    client: Client,
}

impl std::fmt::Debug for HttpEmbedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpEmbedder").field("id", &self.id).finish_non_exhaustive()
    }
}

impl HttpEmbedder {
    /// Creates an embedder from the settings; `key` is the API key.
    ///
    /// # Errors
    /// Address, model name or key is missing or invalid.
    pub fn new(
        settings: &HttpEmbedderSettings,
        key: Option<String>,
        redact: TextRedactor,
    ) -> Result<Self, EmbedError> {
        let endpoint = endpoint(&settings.url)?;
        if settings.model.is_empty() {
            return Err(EmbedError::Setup("memory.embedder.model is missing".to_owned()));
        }
        let client = http::client(LIMITS, HttpAccess::of(&endpoint));
        Ok(Self {
            id: id(&endpoint, &settings.model),
            model: settings.model.clone(),
            key: key.map(|key| bearer(&key, &settings.api_key_env)).transpose()?,
            client: client.map_err(|error| EmbedError::Setup(error.to_string()))?,
            endpoint,
            redact,
        })
    }

    /// Returns the identity of the model.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Embeds texts, in batches.
    ///
    /// # Errors
    /// The endpoint refuses, or does not answer after several attempts.
    pub async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let texts: Vec<String> = texts.iter().map(|text| self.prepared(text)).collect();
        let mut vectors = Vec::with_capacity(texts.len());
        let mut rest = texts.as_slice();
        while !rest.is_empty() {
            let (batch, others) = rest.split_at(batch_length(rest));
            vectors.extend(self.embed_batch(batch).await?);
            rest = others;
        }
        Ok(vectors)
    }

    fn prepared(&self, text: &str) -> String {
        let cut: String = self.redact.apply(text).chars().take(MOST_CHARS).collect();
        // Endpoints refuse an empty input.
        if cut.trim().is_empty() { ".".to_owned() } else { cut }
    }

    async fn embed_batch(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut input: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let failed = match self.try_batch(&input).await {
                Ok(vectors) => return Ok(vectors),
                Err(failed) => failed,
            };
            match failed.remedy {
                Remedy::Retry(after) if attempt < MAX_ATTEMPTS => {
                    tokio::time::sleep(after.unwrap_or(pause).min(LONGEST_PAUSE)).await;
                    pause *= 2;
                }
                Remedy::Shorter if shorten(&mut input) => {}
                _ => return Err(self.error(failed.why)),
            }
        }
        unreachable!("the loop above ends by returning")
    }

    async fn try_batch(&self, input: &[&str]) -> Result<Vec<Vec<f32>>, EmbedFailure> {
        let body = json!({"model": self.model, "input": input, "encoding_format": "float"});
        let mut request = self.client.post(self.endpoint.clone()).json(&body);
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, key.clone());
        }
        let response = request.send().await.map_err(EmbedFailure::in_transit)?;
        let (status, after) = (response.status(), pause_asked_for(&response));
        let body = whole_body(response).await?;
        if status.is_success() {
            return vectors(&body, input.len());
        }
        let why = format!("answered {status}: {}", self.excerpt(&body));
        Err(EmbedFailure { why, remedy: remedy(status, after) })
    }

    /// Returns the beginning of an answer, redacted: some endpoints repeat the key or the text.
    fn excerpt(&self, body: &[u8]) -> String {
        let text = String::from_utf8_lossy(body);
        let text = match self.key.as_ref().and_then(|key| key.to_str().ok()) {
            Some(key) => text.replace(key.trim_start_matches("Bearer "), "[redacted]"),
            None => text.into_owned(),
        };
        let line: Vec<&str> = text.split_whitespace().collect();
        self.redact.apply(&line.join(" ")).chars().take(200).collect()
    }

    fn error(&self, why: String) -> EmbedError {
        let mut endpoint = self.endpoint.clone();
        endpoint.set_query(None);
        EmbedError::Provider { endpoint: endpoint.to_string(), why }
    }
}

/// Returns how many of the first texts fit into a request, at least 1.
fn batch_length(texts: &[String]) -> usize {
    let mut chars = 0;
    let fits = |text: &&String| {
        chars += text.len();
        chars <= BATCH_CHARS
    };
    texts.iter().take(BATCH).take_while(fits).count().max(1)
}

/// Shortens the texts; returns whether any text changed.
fn shorten(input: &mut [&str]) -> bool {
    let mut cut = false;
    for text in input {
        if let Some((end, _)) = text.char_indices().nth(FEWER_CHARS) {
            *text = &text[..end];
            cut = true;
        }
    }
    cut
}

#[cfg(test)]
mod tests;
