//! Construction of HTTP clients: TLS by ring with the machine's certificates, and limits on every wait.
//!
//! Requests, keys and retries are up to the callers.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use rustls::{ClientConfig, RootCertStore};

const CONNECT: Duration = Duration::from_secs(10);

/// Failure to create a client.
#[derive(Debug, thiserror::Error)]
#[error("cannot create an HTTP client: {0}")]
pub struct HttpError(String);

/// Time limits of an exchange.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the first byte sent to the last byte received.
    pub whole: Duration,
    /// Between two parts of a response.
    pub silence: Duration,
}

/// Target of the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpAccess {
    /// This machine: never through a proxy.
    Machine,
    /// Any host, through the proxy named by the environment, if any.
    Anywhere,
}

impl HttpAccess {
    /// Returns the target of a URL.
    pub fn of(url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let is_here = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        if is_here { Self::Machine } else { Self::Anywhere }
    }
}

/// Creates a client without redirects, which could carry a key and a prompt to an unknown host.
///
/// # Errors
///
/// Fails if TLS cannot be configured.
pub fn client(limits: Limits, reach: HttpAccess) -> Result<Client, HttpError> {
    let builder = Client::builder()
        .user_agent(concat!("autopack/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .connect_timeout(CONNECT.min(limits.whole))
        .read_timeout(limits.silence)
        .timeout(limits.whole)
        .tls_backend_preconfigured(tls()?);
    let builder = match reach {
        HttpAccess::Machine => builder.no_proxy(),
        HttpAccess::Anywhere => builder,
    };
    builder.build().map_err(|error| HttpError(reason(error)))
}

/// Configures TLS with a local provider, so that none is installed for the whole process.
fn tls() -> Result<ClientConfig, HttpError> {
    let mut roots = RootCertStore::empty();
    // A machine without certificates can still reach its own network; for other hosts, `reason` explains the
    // error.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let versions = versions.map_err(|error| HttpError(error.to_string()))?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}

/// Describes why a request failed, without its URL, since a URL may contain a secret.
pub fn reason(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let error = error.without_url();
    let mut cause: &dyn Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let cause = cause.to_string();
    if cause.contains("UnknownIssuer") {
        return format!("{cause}; install the ca-certificates package, or set SSL_CERT_FILE");
    }
    cause
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const SOON: Limits =
        Limits { whole: Duration::from_secs(20), silence: Duration::from_millis(200) };

    /// Answers a request with `answer`, and keeps the connection open.
    async fn server(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/?key=hush", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4_096]).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        });
        url
    }

    #[test]
    fn loopback_is_this_machine() {
        for (url, reach) in [
            ("http://localhost:1/v1", HttpAccess::Machine),
            ("http://127.0.0.2/", HttpAccess::Machine),
            ("http://[::1]:80/", HttpAccess::Machine),
            ("https://localhost.example/", HttpAccess::Anywhere),
            ("https://10.0.0.1/", HttpAccess::Anywhere),
        ] {
            assert_eq!(HttpAccess::of(&url.parse().unwrap()), reach, "{url}");
        }
    }

    #[tokio::test]
    async fn a_silent_server_times_out_and_the_address_is_not_reported() {
        let url = server("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
        let client = client(SOON, HttpAccess::Machine).unwrap();
        let answer = client.get(&url).send().await.unwrap();
        let why = reason(answer.bytes().await.unwrap_err());
        assert_eq!(why, "no answer in time");
        let why = reason(client.get("http://127.0.0.1:1/?key=hush").send().await.unwrap_err());
        assert!(why.contains("refused") && !why.contains("hush"), "{why}");
    }

    #[tokio::test]
    async fn redirects_are_not_followed() {
        let url = server("HTTP/1.1 307 Go\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n").await;
        let answer = client(SOON, HttpAccess::Machine).unwrap().get(&url).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 307);
    }
}
