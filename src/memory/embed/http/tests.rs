//! Endpoints with good answers, refusals, missing vectors, and limits on the length of texts.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Starts a server with these answers, in order; records the requests.
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
    let redact = TextRedactor::new(|text| text.replace("hunter2hunter2", "[redacted]"));
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
async fn refusal_is_reported_without_the_key_and_not_retried() {
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
async fn text_over_the_limit_is_sent_again_shorter() {
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
fn invalid_url_error_names_the_key_without_the_password() {
    for url in ["localhost", "ftp://host", "https://me:hunter2@host/v1"] {
        let settings = HttpEmbedderSettings { url: url.into(), ..HttpEmbedderSettings::default() };
        let redact = TextRedactor::new(str::to_owned);
        let error = HttpEmbedder::new(&settings, None, redact).unwrap_err().to_string();
        assert!(error.contains("memory.embedder.url"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn endpoint_keeps_its_query_and_identifies_the_model() {
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
