//! Any OpenAI-compatible `/v1/embeddings` endpoint: batched, retried, redacted; the key is never shown.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, StatusCode, Uri, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, ResponseFuture, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::json;

use super::{EmbedError, Redact, normalise};
use crate::config::HttpEmbedderSettings;

const BATCH: usize = 64;
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_secs(30);
const MOST_BYTES: usize = 64 << 20;
/// Models read some 8,000 tokens; more is refused by some endpoints and dropped by others.
const MOST_CHARS: usize = 24_000;

pub struct HttpEmbedder {
    id: String,
    endpoint: Uri,
    model: String,
    key: Option<header::HeaderValue>,
    redact: Redact,
    wire: Wire,
}

/// A machine without certificates can still reach a model on its own network.
enum Wire {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl std::fmt::Debug for HttpEmbedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpEmbedder").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why a try failed, and whether another one may help.
struct Failed {
    why: String,
    again: bool,
    after: Option<Duration>,
}

impl HttpEmbedder {
    pub fn new(
        settings: &HttpEmbedderSettings,
        key: Option<String>,
        redact: Redact,
    ) -> Result<Self, EmbedError> {
        let endpoint = endpoint(&settings.url)?;
        if settings.model.is_empty() {
            return Err(EmbedError::Setup("memory.embedder.model is missing".to_owned()));
        }
        Ok(Self {
            // The host says whose model it is; two endpoints may call different models the same.
            id: format!("http-{}-{}", endpoint.host().unwrap_or_default(), settings.model),
            model: settings.model.clone(),
            key: key.map(|key| bearer(&key, &settings.api_key_env)).transpose()?,
            wire: Wire::to(&endpoint)?,
            endpoint,
            redact,
        })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut vectors = Vec::with_capacity(texts.len());
        for batch in texts.chunks(BATCH) {
            let input: Vec<String> = batch.iter().map(|text| self.prepared(text)).collect();
            vectors.extend(self.embed_batch(&input).await?);
        }
        Ok(vectors)
    }

    fn prepared(&self, text: &str) -> String {
        let cut: String = self.redact.apply(text).chars().take(MOST_CHARS).collect();
        // Endpoints refuse an empty input.
        if cut.trim().is_empty() { ".".to_owned() } else { cut }
    }

    async fn embed_batch(&self, input: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            match self.try_batch(input).await {
                Ok(vectors) => return Ok(vectors),
                Err(failed) if failed.again && attempt < TRIES => {
                    tokio::time::sleep(failed.after.unwrap_or(pause).min(LONGEST_PAUSE)).await;
                    pause *= 2;
                }
                Err(failed) => return Err(self.error(failed.why)),
            }
        }
        unreachable!("the loop above ends by returning")
    }

    async fn try_batch(&self, input: &[String]) -> Result<Vec<Vec<f32>>, Failed> {
        let body = json!({"model": self.model, "input": input, "encoding_format": "float"});
        let mut request =
            Request::post(self.endpoint.clone()).header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, key.clone());
        }
        let request = request.body(Full::from(body.to_string())).map_err(Failed::for_good)?;
        let answer = tokio::time::timeout(DEADLINE, self.exchange(request)).await;
        let answer = answer.map_err(|_| Failed::for_now("did not answer in time"))??;
        vectors(&answer, input.len())
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Bytes, Failed> {
        let response = self.wire.request(request).await.map_err(|error| {
            Failed::for_now(format!("cannot be reached: {}", root_cause(&error)))
        })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MOST_BYTES).collect().await;
        let body = body.map_err(|error| Failed::for_now(format!("broke off: {error}")))?.to_bytes();
        if head.status.is_success() {
            return Ok(body);
        }
        let after = head.headers.get(header::RETRY_AFTER);
        let after = after.and_then(|after| after.to_str().ok()?.parse().ok());
        Err(Failed {
            why: format!("answered {}: {}", head.status, self.excerpt(&body)),
            again: head.status.is_server_error() || head.status == StatusCode::TOO_MANY_REQUESTS,
            after: after.map(Duration::from_secs),
        })
    }

    /// Some endpoints repeat the key in their refusal.
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
        EmbedError::Provider { endpoint: self.endpoint.to_string(), why }
    }
}

impl Failed {
    fn for_now(why: impl ToString) -> Self {
        Self { why: why.to_string(), again: true, after: None }
    }

    fn for_good(why: impl ToString) -> Self {
        Self { why: why.to_string(), again: false, after: None }
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Datum>,
}

#[derive(Deserialize)]
struct Datum {
    index: usize,
    embedding: Vec<f32>,
}

/// In the order of the input, which the answer need not keep.
fn vectors(answer: &[u8], expected: usize) -> Result<Vec<Vec<f32>>, Failed> {
    let answer: Answer = serde_json::from_slice(answer)
        .map_err(|error| Failed::for_good(format!("answered what is no embedding: {error}")))?;
    let mut vectors = vec![Vec::new(); expected];
    for Datum { index, mut embedding } in answer.data {
        normalise(&mut embedding);
        if let Some(slot) = vectors.get_mut(index) {
            *slot = embedding;
        }
    }
    let dimensions = vectors.first().map_or(0, Vec::len);
    if vectors.iter().any(|vector| vector.is_empty() || vector.len() != dimensions) {
        return Err(Failed::for_good("answered fewer vectors than it was sent texts"));
    }
    Ok(vectors)
}

fn endpoint(url: &str) -> Result<Uri, EmbedError> {
    let failed = |why: &str| EmbedError::Setup(format!("memory.embedder.url {url:?} {why}"));
    let endpoint = format!("{}/embeddings", url.trim_end_matches('/'));
    let uri: Uri = endpoint.parse().map_err(|_| failed("is no URL"))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(_)) => Ok(uri),
        _ => Err(failed("must start with http:// or https://")),
    }
}

fn bearer(key: &str, name: &str) -> Result<header::HeaderValue, EmbedError> {
    let mut value = header::HeaderValue::from_str(&format!("Bearer {}", key.trim()))
        .map_err(|_| EmbedError::Setup(format!("the value of {name} cannot be sent as a key")))?;
    value.set_sensitive(true);
    Ok(value)
}

impl Wire {
    fn to(endpoint: &Uri) -> Result<Self, EmbedError> {
        let builder = Client::builder(TokioExecutor::new());
        if endpoint.scheme_str() == Some("http") {
            return Ok(Self::Plain(builder.build_http()));
        }
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(|error| EmbedError::Setup(format!("no certificates can be read: {error}")))?
            .https_only()
            .enable_http1()
            .build();
        Ok(Self::Tls(builder.build(connector)))
    }

    fn request(&self, request: Request<Full<Bytes>>) -> ResponseFuture {
        match self {
            Self::Plain(client) => client.request(request),
            Self::Tls(client) => client.request(request),
        }
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that gives these answers, one to each request, and keeps what it was sent.
    async fn server(answers: Vec<String>) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read_request(&mut stream).await;
                seen.lock().unwrap().push(request);
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        (url, requests)
    }

    async fn read_request(stream: &mut tokio::net::TcpStream) -> String {
        let mut bytes = Vec::new();
        loop {
            stream.read_buf(&mut bytes).await.unwrap();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.to_lowercase();
            let length = length.split("content-length: ").nth(1).unwrap();
            if body.len() >= length.lines().next().unwrap().parse().unwrap() {
                return text;
            }
        }
    }

    fn answer(status: &str, body: &str) -> String {
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\nretry-after: 0\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    }

    fn embedder(url: &str) -> HttpEmbedder {
        let settings = HttpEmbedderSettings {
            url: url.to_owned(),
            model: "m".to_owned(),
            ..HttpEmbedderSettings::default()
        };
        let redact = Redact::new(|text| text.replace("hunter2hunter2", "[redacted]"));
        HttpEmbedder::new(&settings, Some("the-key-of-ours".to_owned()), redact).unwrap()
    }

    #[tokio::test]
    async fn vectors_come_in_the_order_of_the_texts_after_a_retry_and_redacted() {
        let body = r#"{"data":[{"index":1,"embedding":[0,2]},{"index":0,"embedding":[3,0]}]}"#;
        let answers = vec![answer("503 Busy", "later"), answer("200 OK", body)];
        let (url, requests) = server(answers).await;
        let texts = ["the password is hunter2hunter2".to_owned(), String::new()];
        let vectors = embedder(&url).embed(&texts).await.unwrap();
        assert_eq!(vectors, [[1.0, 0.0], [0.0, 1.0]]);
        let requests = requests.lock().unwrap();
        assert_eq!(requests.len(), 2);
        assert!(requests[1].starts_with("POST /v1/embeddings "));
        assert!(requests[1].contains("authorization: Bearer the-key-of-ours"));
        assert!(!requests[1].contains("hunter2"));
    }

    #[tokio::test]
    async fn a_refusal_is_said_without_the_key_and_not_tried_again() {
        let (url, requests) =
            server(vec![answer("401 Unauthorized", "bad key: the-key-of-ours")]).await;
        let error = embedder(&url).embed(&["x".to_owned()]).await.unwrap_err().to_string();
        assert!(error.contains("401") && error.contains("[redacted]"), "{error}");
        assert!(!error.contains("the-key-of-ours"), "{error}");
        assert_eq!(requests.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_missing_vector_is_an_error() {
        let body = r#"{"data":[{"index":0,"embedding":[1]}]}"#;
        let (url, _) = server(vec![answer("200 OK", body)]).await;
        let texts = ["a".to_owned(), "b".to_owned()];
        assert!(embedder(&url).embed(&texts).await.is_err());
    }

    #[test]
    fn a_url_that_is_none_names_its_key() {
        let settings =
            HttpEmbedderSettings { url: "localhost".into(), ..HttpEmbedderSettings::default() };
        let redact = Redact::new(str::to_owned);
        let error = HttpEmbedder::new(&settings, None, redact).unwrap_err().to_string();
        assert!(error.contains("memory.embedder.url"), "{error}");
    }
}
