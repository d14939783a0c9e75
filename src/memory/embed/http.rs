//! Any OpenAI-compatible `/v1/embeddings` endpoint: batched, retried, redacted; the key is never shown.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::json;

use super::{EmbedError, Redact, normalise};
use crate::config::HttpEmbedderSettings;
use crate::http::{self, Limits, Reach};

/// Endpoints bound both: texts, and tokens of all texts together (some 300,000).
const BATCH: usize = 64;
const BATCH_CHARS: usize = 400_000;
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const LIMITS: Limits = Limits { whole: Duration::from_secs(30), silence: Duration::from_secs(30) };
const MOST_BYTES: usize = 64 << 20;
/// Models read some 8,000 tokens; more is refused by some endpoints and dropped by others.
const MOST_CHARS: usize = 24_000;
/// A refused text is cut to this: dense text has a token for each character, and some models read no more than 512.
const FEWER_CHARS: usize = 1_000;

pub struct HttpEmbedder {
    id: String,
    endpoint: Url,
    model: String,
    key: Option<HeaderValue>,
    redact: Redact,
    client: Client,
}

impl std::fmt::Debug for HttpEmbedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpEmbedder").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why a try failed, and what may help.
#[derive(Debug)]
struct Failed {
    why: String,
    remedy: Remedy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    None,
    /// The same again, after this pause if the endpoint named one.
    Again(Option<Duration>),
    /// Shorter texts, if it was their length.
    Shorter,
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
        let client = http::client(LIMITS, Reach::of(&endpoint));
        Ok(Self {
            id: id(&endpoint, &settings.model),
            model: settings.model.clone(),
            key: key.map(|key| bearer(&key, &settings.api_key_env)).transpose()?,
            client: client.map_err(|error| EmbedError::Setup(error.to_string()))?,
            endpoint,
            redact,
        })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

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
                Remedy::Again(after) if attempt < TRIES => {
                    tokio::time::sleep(after.unwrap_or(pause).min(LONGEST_PAUSE)).await;
                    pause *= 2;
                }
                Remedy::Shorter if shorten(&mut input) => {}
                _ => return Err(self.error(failed.why)),
            }
        }
        unreachable!("the loop above ends by returning")
    }

    async fn try_batch(&self, input: &[&str]) -> Result<Vec<Vec<f32>>, Failed> {
        let body = json!({"model": self.model, "input": input, "encoding_format": "float"});
        let mut request = self.client.post(self.endpoint.clone()).json(&body);
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, key.clone());
        }
        let response = request.send().await.map_err(Failed::on_the_way)?;
        let (status, after) = (response.status(), pause_asked_for(&response));
        let body = whole_body(response).await?;
        if status.is_success() {
            return vectors(&body, input.len());
        }
        let why = format!("answered {status}: {}", self.excerpt(&body));
        Err(Failed { why, remedy: remedy(status, after) })
    }

    /// Some endpoints repeat the key, or the text, in their refusal.
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

impl Failed {
    fn on_the_way(error: reqwest::Error) -> Self {
        Self {
            why: format!("cannot be reached: {}", http::reason(error)),
            remedy: Remedy::Again(None),
        }
    }

    fn for_good(why: impl ToString) -> Self {
        Self { why: why.to_string(), remedy: Remedy::None }
    }
}

/// How many of the first texts go together; at least one.
fn batch_length(texts: &[String]) -> usize {
    let mut chars = 0;
    let fits = |text: &&String| {
        chars += text.len();
        chars <= BATCH_CHARS
    };
    texts.iter().take(BATCH).take_while(fits).count().max(1)
}

/// Whether there was anything to cut.
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

fn remedy(status: StatusCode, after: Option<Duration>) -> Remedy {
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Remedy::Again(after),
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNPROCESSABLE_ENTITY => Remedy::Shorter,
        status if status.is_server_error() => Remedy::Again(after),
        _ => Remedy::None,
    }
}

fn pause_asked_for(response: &Response) -> Option<Duration> {
    let after = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    after.parse().ok().map(Duration::from_secs)
}

async fn whole_body(mut response: Response) -> Result<Vec<u8>, Failed> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(Failed::on_the_way)? {
        if body.len() + piece.len() > MOST_BYTES {
            return Err(Failed::for_good("answered with more than can be vectors"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
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

/// Without echoing what it was given: an address may hold a password.
fn endpoint(url: &str) -> Result<Url, EmbedError> {
    let failed = |why: &str| EmbedError::Setup(format!("memory.embedder.url {why}"));
    let mut url: Url = url.parse().map_err(|_| failed("is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(failed("must start with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(failed(
            "holds a user name or password; name a variable in api_key_env instead",
        ));
    }
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push("embeddings");
    }
    Ok(url)
}

/// The place says whose model it is; two endpoints may call different models the same.
fn id(endpoint: &Url, model: &str) -> String {
    let host = endpoint.host_str().unwrap_or_default();
    let port = endpoint.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("http-{host}{port}-{model}")
}

fn bearer(key: &str, name: &str) -> Result<HeaderValue, EmbedError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.trim()))
        .map_err(|_| EmbedError::Setup(format!("the value of {name} cannot be sent as a key")))?;
    value.set_sensitive(true);
    Ok(value)
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

    #[tokio::test]
    async fn a_text_that_is_too_long_is_sent_again_shorter() {
        let body = r#"{"data":[{"index":0,"embedding":[1]}]}"#;
        let (url, requests) =
            server(vec![answer("400 Bad Request", "too long"), answer("200 OK", body)]).await;
        embedder(&url).embed(&["é ".repeat(5_000)]).await.unwrap();
        let lengths: Vec<usize> = requests.lock().unwrap().iter().map(String::len).collect();
        assert!(lengths[0] > 10_000 && lengths[1] < 3_000, "{lengths:?}");
        let (url, requests) = server(vec![answer("400 Bad Request", "no such model")]).await;
        assert!(embedder(&url).embed(&["short".to_owned()]).await.is_err());
        assert_eq!(requests.lock().unwrap().len(), 1);
    }

    #[test]
    fn batches_are_bounded_by_texts_and_by_their_length() {
        assert_eq!(batch_length(&vec![String::new(); 100]), BATCH);
        assert_eq!(batch_length(&vec!["x".repeat(150_000); 5]), 2);
        assert_eq!(batch_length(&["x".repeat(BATCH_CHARS + 1)]), 1);
    }

    #[test]
    fn a_url_that_is_none_names_its_key_and_not_its_password() {
        for url in ["localhost", "ftp://host", "https://me:hunter2@host/v1"] {
            let settings =
                HttpEmbedderSettings { url: url.into(), ..HttpEmbedderSettings::default() };
            let redact = Redact::new(str::to_owned);
            let error = HttpEmbedder::new(&settings, None, redact).unwrap_err().to_string();
            assert!(error.contains("memory.embedder.url"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn an_endpoint_keeps_its_query_and_its_model_is_known_by_its_place() {
        let (a, b) = (
            endpoint("http://localhost:8080/v1/?v=2").unwrap(),
            endpoint("http://localhost:8081").unwrap(),
        );
        assert_eq!(a.as_str(), "http://localhost:8080/v1/embeddings?v=2");
        assert_eq!(b.path(), "/embeddings");
        assert_ne!(id(&a, "m"), id(&b, "m"));
    }

    #[test]
    fn debug_output_has_no_key() {
        let shown = format!("{:?}", embedder("http://localhost/v1"));
        assert!(shown.contains("localhost") && !shown.contains("the-key-of-ours"), "{shown}");
    }
}
