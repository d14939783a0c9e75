//! Serves metrics over HTTP on the loopback interface.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::{MetricsSource, exposition};
use crate::failure::Failure;

/// Shorter than a scrape of Prometheus waits by default (10 s).
const SCRAPE: Duration = Duration::from_secs(8);
/// Longest wait for the headers of a request.
const HEADERS: Duration = Duration::from_secs(10);
/// Pause after a connection that could not be accepted: without free file descriptors, the next one fails as well.
const PAUSE: Duration = Duration::from_millis(100);
const CONNECTIONS: usize = 16;
const PLAIN: &str = "text/plain; charset=utf-8";

/// Opens the port; 0 chooses one.
pub async fn listen(port: u16) -> Result<TcpListener, Failure> {
    let at = (Ipv4Addr::LOCALHOST, port);
    let listener = TcpListener::bind(at).await;
    Ok(listener.with_context(|| format!("cannot listen on 127.0.0.1:{port}"))?)
}

/// Answers requests until the process ends.
pub async fn serve(listener: TcpListener, source: MetricsSource) -> Result<Infallible, Failure> {
    let source = Arc::new(source);
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let permit = Arc::clone(&free).acquire_owned().await?;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let source = Arc::clone(&source);
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(request, &source));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADERS)
                .serve_connection(TokioIo::new(stream), answer);
            if let Err(error) = connection.await {
                tracing::debug!("a scrape broke off: {error}");
            }
            drop(permit);
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    source: &MetricsSource,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "use GET\n".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(refused);
    }
    if request.uri().path() != "/metrics" {
        let text = "the metrics are at /metrics\n".to_owned();
        return Ok(response(StatusCode::NOT_FOUND, PLAIN, text));
    }
    let scraped = tokio::time::timeout(SCRAPE, source.scrape()).await;
    Ok(match scraped {
        Ok(Ok(text)) => response(StatusCode::OK, exposition::CONTENT_TYPE, text),
        Ok(Err(failure)) => unavailable(&failure.text()),
        Err(_) => {
            unavailable(&format!("the database did not answer within {} seconds", SCRAPE.as_secs()))
        }
    })
}

fn unavailable(why: &str) -> Response<Full<Bytes>> {
    tracing::warn!("a scrape failed: {why}");
    response(StatusCode::SERVICE_UNAVAILABLE, PLAIN, format!("{why}\n"))
}

fn response(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
