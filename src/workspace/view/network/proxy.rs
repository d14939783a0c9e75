//! The proxy of a limited network: a single request for each connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::host_connection::{DialError, Dialer, PlainConnection};
use super::host_list::HostList;
use super::host_name::Host;
use super::http_relay::{Exchange, exchange};
use super::http_request::{
    HttpRequest, ProxyRequest, RequestError, head_length, parse_proxy_request,
    parse_tunneled_request,
};
use super::refusals::{RefusalReason, Refusals};
use super::tunnel::{TunnelOutcome, TunnelRefusal, TunnelTarget, serve_tunnel};

/// Limit for the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Limit for further bytes of a client after an error response, so the client reads the response.
const LINGER_TIME: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 1024 * 1024;

/// Serves `CONNECT` and plain HTTP requests to the hosts of a list.
pub struct Proxy {
    list: Arc<HostList>,
    dialer: Dialer,
    refusals: Arc<Refusals>,
}

/// An error response.
struct ErrorResponse {
    status: &'static str,
    text: String,
}

impl Proxy {
    /// Creates a proxy. `dialer` has the same list.
    pub fn new(list: Arc<HostList>, dialer: Dialer, refusals: Arc<Refusals>) -> Self {
        Self { list, dialer, refusals }
    }

    /// Serves a client until the request is done.
    pub async fn serve(&self, mut client: TcpStream) {
        let _ = client.set_nodelay(true);
        if let Err(response) = self.serve_request(&mut client).await {
            let _ = response.send(&mut client).await;
        }
    }

    async fn serve_request(&self, client: &mut TcpStream) -> Result<(), ErrorResponse> {
        let mut buffer = Vec::new();
        let length = match timeout(HEAD_TIME, read_head(client, &mut buffer)).await {
            Ok(Ok(Some(length))) => length,
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(self.reject(&error, None)),
            Err(_) => {
                return Err(ErrorResponse::new(
                    "408 Request Timeout",
                    "no complete request in 10 seconds",
                ));
            }
        };
        let request =
            parse_proxy_request(&buffer[..length]).map_err(|error| self.reject(&error, None))?;
        buffer.drain(..length);
        match request {
            ProxyRequest::Connect(host, port) => {
                self.serve_connect(client, buffer, &host, port).await
            }
            ProxyRequest::Plain(request) => self.serve_plain(client, &buffer, &request).await,
        }
    }

    async fn serve_connect(
        &self,
        client: &mut TcpStream,
        mut buffer: Vec<u8>,
        host: &Host,
        port: u16,
    ) -> Result<(), ErrorResponse> {
        let Some(permission) = self.list.permission(host, port) else {
            return Err(self.refuse(host, port, RefusalReason::NotListed));
        };
        let connected = self.dialer.connect(host, port).await;
        let mut server = connected.map_err(|error| self.report(host, port, error))?;
        if client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.is_err() {
            return Ok(());
        }
        let target = TunnelTarget { host, port, permission, list: &self.list };
        match serve_tunnel(client, &mut server, &mut buffer, target).await {
            TunnelOutcome::Ended => Ok(()),
            TunnelOutcome::Refused(TunnelRefusal(host, reason)) => {
                self.refusals.add(&host, port, reason);
                close(client).await;
                Ok(())
            }
            TunnelOutcome::HttpRequest(length) => {
                let request = parse_tunneled_request(&buffer[..length], host, port);
                let request = request.map_err(|error| self.reject(&error, Some((host, port))))?;
                let head = request.origin_head();
                exchange_plain(client, &buffer[length..], &head, &request, server).await
            }
        }
    }

    async fn serve_plain(
        &self,
        client: &mut TcpStream,
        early: &[u8],
        request: &HttpRequest,
    ) -> Result<(), ErrorResponse> {
        let (host, port) = (&request.host, request.port);
        if self.list.permission(host, port).is_none() {
            return Err(self.refuse(host, port, RefusalReason::NotListed));
        }
        let connected = self.dialer.connect_plain(host, port).await;
        let (server, head) = match connected.map_err(|error| self.report(host, port, error))? {
            PlainConnection::Direct(server) => (server, request.origin_head()),
            PlainConnection::Upstream(server, authorization) => {
                (server, request.proxy_head(&authorization))
            }
        };
        exchange_plain(client, early, &head, request, server).await
    }

    /// Counts a refused host.
    fn refuse(&self, host: &Host, port: u16, reason: RefusalReason) -> ErrorResponse {
        self.refusals.add(host, port, reason);
        let explanation = match reason.explanation() {
            _ if host.is_loopback() && reason == RefusalReason::NotListed => {
                "reach services of this machine without the proxy, and list their ports in sandbox.ports".into()
            }
            None => "not in the hosts of sandbox.network, or sandbox.ci_network for setup and CI".into(),
            Some(explanation) => explanation,
        };
        ErrorResponse::new(REFUSED, &format!("{host}:{port} is refused: {explanation}"))
    }

    fn report(&self, host: &Host, port: u16, error: DialError) -> ErrorResponse {
        match error {
            DialError::Refused(reason) => self.refuse(host, port, reason),
            DialError::Unreachable(reason) => ErrorResponse::new(
                "502 Bad Gateway",
                &format!("cannot reach {host}:{port}: {reason}"),
            ),
        }
    }

    /// Counts a rejected request. `tunnel` is the target of the tunnel used by the request.
    fn reject(&self, error: &RequestError, tunnel: Option<(&Host, u16)>) -> ErrorResponse {
        match (error, tunnel) {
            (RequestError::OtherHost(Some(host)), target) => {
                let port = target.map_or(80, |(_, port)| port);
                self.refusals.add(host, port, RefusalReason::OtherHost);
            }
            (_, Some((host, port))) => self.refusals.add(host, port, RefusalReason::InvalidRequest),
            // Somebody opened the proxy itself in a browser.
            (RequestError::NotForProxy, None) => {}
            (_, None) => self.refusals.add_invalid(),
        }
        let status = match error {
            RequestError::TooLong => "431 Request Header Fields Too Large",
            RequestError::OtherHost(_) | RequestError::Upgrade => REFUSED,
            _ => "400 Bad Request",
        };
        ErrorResponse::new(status, &error.to_string())
    }
}

/// Status of a refused request, shown by clients limited to the first line.
const REFUSED: &str = "403 Refused by autopack";

impl ErrorResponse {
    fn new(status: &'static str, text: &str) -> Self {
        Self { status, text: format!("autopack: {text}\n") }
    }

    async fn send(&self, client: &mut TcpStream) -> io::Result<()> {
        let (status, text, length) = (self.status, &self.text, self.text.len());
        let response = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
        );
        client.write_all(response.as_bytes()).await?;
        close(client).await;
        Ok(())
    }
}

/// Closes a connection after reading all sent bytes. Unread bytes would turn the end into a reset.
async fn close(client: &mut TcpStream) {
    let _ = client.shutdown().await;
    let mut rest = client.take(LINGER_BYTES);
    let _ = timeout(LINGER_TIME, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
}

/// Reads a head, and perhaps more; returns the head's length, or `None` if the client left.
async fn read_head(
    client: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> Result<Option<usize>, RequestError> {
    loop {
        if let Some(length) = head_length(buffer)? {
            return Ok(Some(length));
        }
        match client.read_buf(buffer).await {
            Ok(0) | Err(_) if buffer.is_empty() => return Ok(None),
            Ok(0) | Err(_) => return Err(RequestError::Malformed),
            Ok(_) => {}
        }
    }
}

async fn exchange_plain(
    client: &mut TcpStream,
    early: &[u8],
    head: &[u8],
    request: &HttpRequest,
    mut server: TcpStream,
) -> Result<(), ErrorResponse> {
    match exchange(client, early, head, request.body, &mut server).await {
        Ok(Exchange::Answered) | Err(_) => Ok(()),
        Ok(Exchange::NoResponse) => {
            let host = request.host.with_port(request.port);
            Err(ErrorResponse::new("502 Bad Gateway", &format!("no HTTP/1 response from {host}")))
        }
    }
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
