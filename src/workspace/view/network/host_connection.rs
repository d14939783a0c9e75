//! Connections to listed hosts: resolution, private addresses, upstream proxies.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::host_list::HostList;
use super::host_name::Host;
use super::http_request::MAX_HEAD;
use super::public_address::is_public;
use super::refusals::RefusalReason;
use super::upstream_proxy::{UpstreamProxies, UpstreamProxy};

/// Limit for resolving a name, for connecting, and for an upstream proxy's answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Head start of an address before the next one is tried as well.
const HEAD_START: Duration = Duration::from_millis(250);
/// Most addresses of a name that are tried.
const MAX_ADDRESSES: usize = 8;

/// Addresses of a name with a port.
pub type Addresses = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;
/// Resolves a name for a port.
pub type Lookup = Arc<dyn Fn(String, u16) -> Addresses + Send + Sync>;

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialError {
    /// Not allowed.
    Refused(RefusalReason),
    /// The host could not be reached.
    Unreachable(String),
}

/// Connects to hosts that the list allows.
pub struct Dialer {
    list: Arc<HostList>,
    upstream: UpstreamProxies,
    lookup: Lookup,
}

/// A connection for a plain HTTP request.
pub enum PlainConnection {
    /// To the host itself.
    Direct(TcpStream),
    /// To an upstream proxy, with the line of its credentials.
    Upstream(TcpStream, String),
}

impl Dialer {
    /// Creates a dialer that resolves names as the system does.
    pub fn new(list: Arc<HostList>, upstream: UpstreamProxies) -> Self {
        Self { list, upstream, lookup: Arc::new(|name, port| Box::pin(resolve(name, port))) }
    }

    /// Replaces the system's resolver.
    #[cfg(test)]
    pub fn with_lookup(mut self, lookup: Lookup) -> Self {
        self.lookup = lookup;
        self
    }

    /// Connects to a host, through the upstream proxy for tunnels if there is one. The list must allow the host.
    ///
    /// # Errors
    ///
    /// Fails if the host has private addresses only, or cannot be reached.
    pub async fn connect(&self, host: &Host, port: u16) -> Result<TcpStream, DialError> {
        match self.upstream.for_tunnel(host, port) {
            Some(proxy) => self.connect_through(proxy, host, port).await,
            None => self.connect_directly(host, port).await,
        }
    }

    /// Connects for a plain HTTP request. The list must allow the host.
    ///
    /// # Errors
    ///
    /// As [`Dialer::connect`].
    pub async fn connect_plain(
        &self,
        host: &Host,
        port: u16,
    ) -> Result<PlainConnection, DialError> {
        match self.upstream.for_plain(host, port) {
            Some(proxy) => {
                let stream = self.connect_upstream(proxy).await?;
                Ok(PlainConnection::Upstream(stream, proxy.authorization_line()))
            }
            None => self.connect_directly(host, port).await.map(PlainConnection::Direct),
        }
    }

    /// Resolves a name once, and connects to an address of this answer: a name cannot change its meaning between
    /// check and use.
    async fn connect_directly(&self, host: &Host, port: u16) -> Result<TcpStream, DialError> {
        let mut addresses = self.addresses(host, port).await?;
        let is_allowed =
            |address: IpAddr| is_public(address) || self.list.has_address(address, port);
        let private = |address| DialError::Refused(RefusalReason::PrivateAddress(address));
        let first = addresses[0].ip();
        addresses.retain(|address| is_allowed(address.ip()));
        if addresses.is_empty() {
            return Err(private(first));
        }
        let stream = connect_first(&alternate(addresses)).await?;
        // The kernel uses an address of this machine for both ends where it is the destination.
        let (own, peer) = (stream.local_addr(), stream.peer_addr());
        let (own, peer) = (own.map_err(unreachable)?.ip(), peer.map_err(unreachable)?.ip());
        if own == peer && !self.list.has_address(peer, port) {
            return Err(private(peer));
        }
        Ok(stream)
    }

    /// Connects to an upstream proxy, which may have any address: the user chose it for autopack.
    async fn connect_upstream(&self, proxy: &UpstreamProxy) -> Result<TcpStream, DialError> {
        let addresses = self.addresses(&proxy.host, proxy.port).await;
        let connected = match addresses {
            Ok(addresses) => connect_first(&alternate(addresses)).await,
            Err(error) => Err(error),
        };
        connected.map_err(|error| match error {
            DialError::Unreachable(reason) => {
                DialError::Unreachable(format!("upstream proxy: {reason}"))
            }
            refused @ DialError::Refused(_) => refused,
        })
    }

    async fn connect_through(
        &self,
        proxy: &UpstreamProxy,
        host: &Host,
        port: u16,
    ) -> Result<TcpStream, DialError> {
        let mut stream = self.connect_upstream(proxy).await?;
        let target = host.with_port(port);
        let authorization = proxy.authorization_line();
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n");
        let status = async {
            stream.write_all(request.as_bytes()).await?;
            read_status(&mut stream).await
        };
        let status = timeout(PATIENCE, status)
            .await
            .map_err(|_| unreachable("upstream proxy: no answer in time"))?;
        match status.map_err(unreachable)? {
            200..=299 => Ok(stream),
            status => Err(unreachable(format!("upstream proxy: status {status}"))),
        }
    }

    /// Returns the addresses of a host, at least one.
    async fn addresses(&self, host: &Host, port: u16) -> Result<Vec<SocketAddr>, DialError> {
        let addresses = match host {
            Host::Address(address) => vec![SocketAddr::new(*address, port)],
            Host::Name(name) => {
                let answer = timeout(PATIENCE, (self.lookup)(name.clone(), port)).await;
                answer
                    .map_err(|_| unreachable("name resolution timed out"))?
                    .map_err(unreachable)?
            }
        };
        if addresses.is_empty() {
            Err(unreachable("the name has no address"))
        } else {
            Ok(addresses)
        }
    }
}

fn unreachable(reason: impl ToString) -> DialError {
    DialError::Unreachable(reason.to_string())
}

async fn resolve(name: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((name, port)).await?.collect())
}

/// Orders addresses for connecting: the resolver's order, alternating between IPv6 and IPv4.
fn alternate(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_ipv6);
    let mut ordered = Vec::new();
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    while ordered.len() < MAX_ADDRESSES {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            break;
        }
        ordered.extend(pair.into_iter().flatten());
    }
    ordered
}

/// Connects to the address that answers first. Each has a head start before the next one.
async fn connect_first(addresses: &[SocketAddr]) -> Result<TcpStream, DialError> {
    let connect = async {
        let mut rest = addresses.iter();
        let mut attempts = FuturesUnordered::new();
        let mut failure = io::Error::other("no address");
        loop {
            if let Some(address) = rest.next() {
                attempts.push(TcpStream::connect(*address));
            }
            let wait = if rest.len() > 0 { HEAD_START } else { PATIENCE };
            match timeout(wait, attempts.next()).await {
                Ok(Some(Ok(stream))) => return Ok(stream),
                Ok(Some(Err(error))) => failure = error,
                Ok(None) => return Err(failure),
                Err(_) => {}
            }
        }
    };
    let connected = timeout(PATIENCE, connect).await;
    let stream =
        connected.map_err(|_| unreachable("no connection in time"))?.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    Ok(stream)
}

/// Reads the head of a proxy's answer to `CONNECT`, byte by byte: what follows belongs to the tunnel.
async fn read_status(stream: &mut TcpStream) -> io::Result<u16> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD {
            return Err(io::Error::other("upstream proxy: too long an answer"));
        }
        head.push(stream.read_u8().await?);
    }
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
    status.ok_or_else(|| io::Error::other("upstream proxy: not an HTTP/1 answer"))
}

/// Connects to a service of this machine: on 127.0.0.1, else on `[::1]`.
///
/// # Errors
///
/// Fails if nothing listens on the port.
pub async fn connect_locally(port: u16) -> io::Result<TcpStream> {
    let stream = match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        Ok(stream) => stream,
        Err(_) => TcpStream::connect((std::net::Ipv6Addr::LOCALHOST, port)).await?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}
