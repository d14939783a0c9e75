//! The first bytes of a tunnel decide whether it may go on.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, copy, copy_bidirectional_with_sizes};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::host_list::{HostList, Permission};
use super::host_name::Host;
use super::http_request::head_length;
use super::refusals::RefusalReason;
use super::tls_server_name::{ClientHello, HANDSHAKE_RECORD, parse_client_hello};

/// Limit for the first message of a tunnel.
const FIRST_MESSAGE: Duration = Duration::from_secs(30);
/// Buffer for each direction of a connection.
const BUFFER: usize = 32 * 1024;
/// A fatal alert, `access_denied`: TLS clients name it in their error.
const TLS_ACCESS_DENIED: [u8; 7] = [21, 3, 1, 0, 2, 2, 49];

/// The host that a tunnel leads to.
#[derive(Clone, Copy, Debug)]
pub struct TunnelTarget<'a> {
    /// Host of the `CONNECT` request.
    pub host: &'a Host,
    /// Port of the `CONNECT` request.
    pub port: u16,
    /// What the list allows there.
    pub permission: Permission,
    /// The list itself.
    pub list: &'a HostList,
}

/// A refused tunnel: the host that is not allowed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelRefusal(pub Host, pub RefusalReason);

/// Result of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TunnelOutcome {
    /// The tunnel ended, or the client left before its first message was complete.
    Ended,
    /// The first message was not allowed.
    Refused(TunnelRefusal),
    /// The first message is an HTTP request; its head has this length.
    HttpRequest(usize),
}

/// First message of a client.
enum FirstMessage {
    Tls(ClientHello),
    HttpHead(usize),
    TooLongHead,
    InvalidTls,
    Unknown,
    /// The client closed the connection or kept silent.
    None,
}

/// Serves a tunnel until it ends. `buffer` has the bytes that came with the `CONNECT` request; the bytes of an
/// HTTP request are left there, and nothing was sent to the server.
pub async fn serve_tunnel(
    client: &mut TcpStream,
    server: &mut TcpStream,
    buffer: &mut Vec<u8>,
    target: TunnelTarget<'_>,
) -> TunnelOutcome {
    let refusal = match target.permission {
        Permission::Web => match check_web(client, buffer, target).await {
            Ok(WebMessage::Tls) => {
                if server.write_all(buffer).await.is_ok() {
                    let _ = copy_bidirectional_with_sizes(client, server, BUFFER, BUFFER).await;
                }
                return TunnelOutcome::Ended;
            }
            Ok(WebMessage::HttpHead(length)) => return TunnelOutcome::HttpRequest(length),
            Ok(WebMessage::None) => return TunnelOutcome::Ended,
            Err(refusal) => refusal,
        },
        Permission::AnyProtocol => match relay_any(client, server, buffer, target).await {
            None => return TunnelOutcome::Ended,
            Some(refusal) => refusal,
        },
    };
    if buffer.first() == Some(&HANDSHAKE_RECORD) {
        let _ = client.write_all(&TLS_ACCESS_DENIED).await;
    }
    TunnelOutcome::Refused(refusal)
}

/// A first message that is allowed to a host listed without a port.
enum WebMessage {
    Tls,
    HttpHead(usize),
    None,
}

/// Checks the first message to a host that is listed without a port.
async fn check_web(
    client: &mut TcpStream,
    buffer: &mut Vec<u8>,
    target: TunnelTarget<'_>,
) -> Result<WebMessage, TunnelRefusal> {
    let refuse = |reason| Err(TunnelRefusal(target.host.clone(), reason));
    match first_message(client, buffer).await {
        FirstMessage::Tls(hello) => target.check_hello(&hello).map(|()| WebMessage::Tls),
        FirstMessage::HttpHead(length) => Ok(WebMessage::HttpHead(length)),
        FirstMessage::TooLongHead | FirstMessage::InvalidTls => {
            refuse(RefusalReason::InvalidRequest)
        }
        FirstMessage::Unknown => refuse(RefusalReason::UnknownProtocol),
        FirstMessage::None => Ok(WebMessage::None),
    }
}

/// Relays any protocol, also one in which the server speaks first. TLS is checked as everywhere.
async fn relay_any(
    client: &mut TcpStream,
    server: &mut TcpStream,
    buffer: &mut Vec<u8>,
    target: TunnelTarget<'_>,
) -> Option<TunnelRefusal> {
    let (mut client_reader, mut client_writer) = client.split();
    let (mut server_reader, mut server_writer) = server.split();
    let mut refusal = None;
    let upload = async {
        if buffer.is_empty() {
            client_reader.read_buf(buffer).await?;
        }
        if buffer.first() == Some(&HANDSHAKE_RECORD) {
            let checked = match first_message(&mut client_reader, buffer).await {
                FirstMessage::Tls(hello) => target.check_hello(&hello),
                FirstMessage::None => return Err(io::ErrorKind::TimedOut.into()),
                _ => Err(TunnelRefusal(target.host.clone(), RefusalReason::InvalidRequest)),
            };
            if let Err(refused) = checked {
                refusal = Some(refused);
                return Err(io::ErrorKind::PermissionDenied.into());
            }
        }
        server_writer.write_all(buffer).await?;
        copy(&mut client_reader, &mut server_writer).await?;
        server_writer.shutdown().await
    };
    let download = async {
        copy(&mut server_reader, &mut client_writer).await?;
        client_writer.shutdown().await
    };
    let _ = tokio::try_join!(upload, download);
    refusal
}

/// Reads the first message: a client hello, or the head of an HTTP request. All bytes read are in `buffer`.
async fn first_message(
    client: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> FirstMessage {
    let read = async {
        loop {
            match buffer.first() {
                Some(&HANDSHAKE_RECORD) => match parse_client_hello(buffer) {
                    Ok(Some(hello)) => return FirstMessage::Tls(hello),
                    Ok(None) => {}
                    Err(_) => return FirstMessage::InvalidTls,
                },
                Some(b'A'..=b'Z') => match head_length(buffer) {
                    Ok(Some(length)) => return FirstMessage::HttpHead(length),
                    Ok(None) => {}
                    Err(_) => return FirstMessage::TooLongHead,
                },
                Some(_) => return FirstMessage::Unknown,
                None => {}
            }
            match client.read_buf(buffer).await {
                Ok(0) | Err(_) => return FirstMessage::None,
                Ok(_) => {}
            }
        }
    };
    timeout(FIRST_MESSAGE, read).await.unwrap_or(FirstMessage::None)
}

impl TunnelTarget<'_> {
    /// Compares the server name with the target.
    ///
    /// To an address without a name, a client sends none. A name that the list allows is accepted there.
    fn check_hello(&self, hello: &ClientHello) -> Result<(), TunnelRefusal> {
        let hidden = || TunnelRefusal(self.host.clone(), RefusalReason::HiddenServerName);
        if hello.is_encrypted {
            return Err(hidden());
        }
        let Some(text) = &hello.server_name else {
            return if matches!(self.host, Host::Address(_)) { Ok(()) } else { Err(hidden()) };
        };
        let name = match text.parse::<IpAddr>() {
            Ok(address) => Host::Address(address),
            Err(_) => Host::parse(text).map_err(|_| hidden())?,
        };
        let is_listed = || self.list.permission(&name, self.port).is_some();
        if &name == self.host || matches!(self.host, Host::Address(_)) && is_listed() {
            return Ok(());
        }
        Err(TunnelRefusal(name, RefusalReason::OtherServerName))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(
        host: &str,
        name: Option<&str>,
        is_encrypted: bool,
    ) -> Result<(), (String, RefusalReason)> {
        let entries = ["example.com", "*.example.org", "192.0.2.1"].map(str::to_owned);
        let list = HostList::parse(&entries).unwrap();
        let host = Host::parse(host).unwrap();
        let permission = list.permission(&host, 443).unwrap();
        let target = TunnelTarget { host: &host, port: 443, permission, list: &list };
        let hello = ClientHello { server_name: name.map(str::to_owned), is_encrypted };
        target.check_hello(&hello).map_err(|TunnelRefusal(host, reason)| (host.to_string(), reason))
    }

    #[test]
    fn the_server_name_equals_the_host() {
        for name in ["example.com", "EXAMPLE.com", "example.com."] {
            assert_eq!(checked("example.com", Some(name), false), Ok(()), "{name}");
        }
        for name in ["evil.example", "a.example.com", "a.example.org", "192.0.2.1"] {
            let refusal = Err((name.to_owned(), RefusalReason::OtherServerName));
            assert_eq!(checked("example.com", Some(name), false), refusal, "{name}");
        }
    }

    #[test]
    fn a_hidden_name_is_refused() {
        let refusal = Err(("example.com".to_owned(), RefusalReason::HiddenServerName));
        assert_eq!(checked("example.com", None, false), refusal);
        assert_eq!(checked("example.com", Some("example.com"), true), refusal);
        assert_eq!(checked("example.com", Some("a b"), false), refusal);
    }

    #[test]
    fn a_listed_address_needs_no_name() {
        for name in [None, Some("192.0.2.1"), Some("example.com"), Some("a.example.org")] {
            assert_eq!(checked("192.0.2.1", name, false), Ok(()), "{name:?}");
        }
        let refusal = |host: &str, reason| Err((host.to_owned(), reason));
        let other = refusal("evil.example", RefusalReason::OtherServerName);
        assert_eq!(checked("192.0.2.1", Some("evil.example"), false), other);
        let hidden = refusal("192.0.2.1", RefusalReason::HiddenServerName);
        assert_eq!(checked("192.0.2.1", None, true), hidden);
    }
}
