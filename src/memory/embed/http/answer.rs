//! Interpretation of an endpoint's answer: vectors, or the reason of the failure with a remedy. Sends nothing.

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use crate::http;
use crate::memory::embed::normalise;

const MOST_BYTES: usize = 64 << 20;

/// Failed request, with a remedy.
#[derive(Debug)]
pub(super) struct EmbedFailure {
    pub why: String,
    pub remedy: Remedy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    None,
    /// Repeat the request, after the pause named by the endpoint, if any.
    Retry(Option<Duration>),
    /// Send shorter texts, because the length may be the reason.
    Shorter,
}

impl EmbedFailure {
    pub fn in_transit(error: reqwest::Error) -> Self {
        Self {
            why: format!("cannot be reached: {}", http::reason(error)),
            remedy: Remedy::Retry(None),
        }
    }

    fn permanent(why: impl ToString) -> Self {
        Self { why: why.to_string(), remedy: Remedy::None }
    }
}

pub(super) fn remedy(status: StatusCode, after: Option<Duration>) -> Remedy {
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Remedy::Retry(after),
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNPROCESSABLE_ENTITY => Remedy::Shorter,
        status if status.is_server_error() => Remedy::Retry(after),
        _ => Remedy::None,
    }
}

pub(super) fn pause_asked_for(response: &Response) -> Option<Duration> {
    let after = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    after.parse().ok().map(Duration::from_secs)
}

pub(super) async fn whole_body(mut response: Response) -> Result<Vec<u8>, EmbedFailure> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(EmbedFailure::in_transit)? {
        if body.len() + piece.len() > MOST_BYTES {
            return Err(EmbedFailure::permanent("sent an answer too large to be vectors"));
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

/// Returns the vectors in the order of the input; answers may be in another order.
pub(super) fn vectors(answer: &[u8], expected: usize) -> Result<Vec<Vec<f32>>, EmbedFailure> {
    let answer: Answer = serde_json::from_slice(answer)
        .map_err(|error| EmbedFailure::permanent(format!("sent an invalid answer: {error}")))?;
    let mut vectors = vec![Vec::new(); expected];
    for Datum { index, mut embedding } in answer.data {
        normalise(&mut embedding);
        if let Some(slot) = vectors.get_mut(index) {
            *slot = embedding;
        }
    }
    let dimensions = vectors.first().map_or(0, Vec::len);
    if vectors.iter().any(|vector| vector.is_empty() || vector.len() != dimensions) {
        return Err(EmbedFailure::permanent("sent fewer vectors than it received texts"));
    }
    Ok(vectors)
}
