//! Tests through real sockets: programs on one side, servers on the other, the guard between them.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::host_connection::Lookup;
use super::tls_server_name::tests::{extension, hello, server_name};
use super::*;

const PROXY: u16 = 8080;
/// Answer of every server in the tests. The server never closes first.
pub(super) const ANSWER: &str = "HTTP/1.1 200 OK\r\nKeep-Alive: 5\r\nContent-Length: 2\r\n\r\nok";
const ALERT: [u8; 7] = [21, 3, 1, 0, 2, 2, 49];

/// A server, and the received bytes.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    received: Arc<Mutex<Vec<u8>>>,
}

impl Server {
    /// Sends `answer` after the end of a head or a record, and closes when the client does.
    pub(super) async fn start(answer: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&received);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let kept = Arc::clone(&kept);
                tokio::spawn(async move {
                    let mut answer = Some(answer);
                    loop {
                        let mut part = Vec::new();
                        if stream.read_buf(&mut part).await.unwrap_or(0) == 0 {
                            return;
                        }
                        kept.lock().unwrap().extend(part);
                        if let Some(answer) = answer.take() {
                            stream.write_all(answer).await.unwrap();
                            if answer.starts_with(b"HTTP") {
                                stream.shutdown().await.unwrap();
                            }
                        }
                    }
                });
            }
        });
        Self { address, received }
    }

    pub(super) fn received(&self) -> Vec<u8> {
        self.received.lock().unwrap().clone()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.received()).into_owned()
    }
}

/// A guard and the address of the guard's proxy. All names resolve to a single server.
pub(super) struct Network {
    guard: Arc<NetworkGuard>,
    proxy: SocketAddr,
}

impl Network {
    pub(super) fn new(hosts: &[&str], addresses: Vec<SocketAddr>) -> Self {
        Self::with_upstream(hosts, addresses, UpstreamProxies::default())
    }

    pub(super) fn with_upstream(
        hosts: &[&str],
        addresses: Vec<SocketAddr>,
        upstream: UpstreamProxies,
    ) -> Self {
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let list = Arc::new(HostList::parse(&hosts).unwrap());
        let lookup: Lookup = Arc::new(move |_, _| {
            let addresses = addresses.clone();
            Box::pin(async move { Ok(addresses) })
        });
        let dialer = Dialer::new(Arc::clone(&list), upstream).with_lookup(lookup);
        let guard = NetworkGuard::with_dialer(list, dialer, PROXY, &[]);
        let listener = net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy = listener.local_addr().unwrap();
        guard.serve(vec![(PROXY, listener)]);
        Self { guard, proxy }
    }

    /// Sends bytes, closes the sending side, and returns everything received.
    async fn send(&self, bytes: &[u8]) -> Vec<u8> {
        let mut client = TcpStream::connect(self.proxy).await.unwrap();
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await;
        answer
    }

    pub(super) async fn request(&self, request: &str) -> String {
        String::from_utf8(self.send(request.as_bytes()).await).unwrap()
    }

    /// Opens a tunnel, sends bytes through the tunnel, and returns the received bytes.
    pub(super) async fn tunnel(&self, target: &str, bytes: &[u8]) -> Vec<u8> {
        let mut client = TcpStream::connect(self.proxy).await.unwrap();
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut head = [0; 39];
        client.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 Connection established\r\n\r\n");
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await;
        answer
    }

    pub(super) fn notes(&self) -> Vec<String> {
        self.guard.refused().iter().map(ToString::to_string).collect()
    }
}

#[tokio::test]
async fn tls_to_a_listed_host_goes_through() {
    let server = Server::start(b"hello client").await;
    let network = Network::new(&["example.com", "127.0.0.1"], vec![server.address]);
    let bytes = hello(&[server_name("example.com")]);
    assert_eq!(network.tunnel("Example.com:443", &bytes).await, b"hello client");
    assert_eq!(server.received(), bytes);
    assert_eq!(network.notes(), [""; 0]);
}

#[tokio::test]
async fn tls_to_another_host_is_refused_before_the_server_sees_it() {
    let server = Server::start(b"").await;
    let network = Network::new(&["example.com", "127.0.0.1"], vec![server.address]);
    let encrypted = hello(&[server_name("example.com"), extension(0xfe0d, &[0])]);
    for bytes in [hello(&[server_name("evil.example")]), hello(&[]), encrypted] {
        assert_eq!(network.tunnel("example.com:443", &bytes).await, ALERT);
    }
    assert_eq!(server.received(), b"");
    assert_eq!(
        network.notes(),
        [
            "network: refused example.com 2 times (missing or encrypted TLS server name)",
            "network: refused evil.example 1 time (TLS server name inside a tunnel to another host)",
        ]
    );
}

#[tokio::test]
async fn other_protocols_need_a_listed_port() {
    let server = Server::start(b"SSH-2.0-server\r\n").await;
    let network =
        Network::new(&["a.org", "b.org:22", "127.0.0.1", "127.0.0.1:22"], vec![server.address]);
    assert_eq!(network.tunnel("a.org:443", b"\x00raw").await, b"");
    assert_eq!(server.received(), b"");
    assert_eq!(network.tunnel("b.org:22", b"SSH-2.0-client\r\n").await, b"SSH-2.0-server\r\n");
    assert_eq!(network.tunnel("b.org:22", &hello(&[server_name("a.org")])).await, ALERT);
    assert_eq!(server.text(), "SSH-2.0-client\r\n");
    assert_eq!(
        network.notes(),
        [
            "network: refused a.org 1 time (neither TLS nor HTTP; list the host with its port)",
            "network: refused a.org:22 1 time (TLS server name inside a tunnel to another host)",
        ]
    );
}

#[tokio::test]
async fn a_server_may_speak_first_on_a_listed_port() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 ready\r\n").await.unwrap();
    });
    let network = Network::new(&[&format!("127.0.0.1:{port}")], Vec::new());
    assert_eq!(network.tunnel(&format!("127.0.0.1:{port}"), b"").await, b"220 ready\r\n");
}

#[tokio::test]
async fn hosts_outside_of_the_list_are_refused_and_counted() {
    let server = Server::start(ANSWER.as_bytes()).await;
    let network = Network::new(&[], vec![server.address]);
    for _ in 0..2 {
        let answer = network.request("CONNECT example.com:443 HTTP/1.1\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 403 Refused by autopack\r\n"), "{answer}");
        assert!(answer.contains("autopack: example.com:443 is refused"), "{answer}");
    }
    let answer =
        network.request("GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    let port = server.address.port();
    for target in [
        format!("127.0.0.1:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("localhost:{port}"),
    ] {
        let answer = network.request(&format!("CONNECT {target} HTTP/1.1\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{target}: {answer}");
    }
    let odd = network.request(&format!("CONNECT 0x7f.1:{port} HTTP/1.1\r\n\r\n")).await;
    assert!(odd.starts_with("HTTP/1.1 400"), "{odd}");
    assert_eq!(network.notes()[0], "network: refused example.com 3 times");
    assert_eq!(network.notes().len(), 5);
    assert_eq!(server.received(), b"");
}

#[tokio::test]
async fn a_name_with_private_addresses_is_refused() {
    let server = Server::start(ANSWER.as_bytes()).await;
    let mapped = format!("[::ffff:127.0.0.1]:{}", server.address.port()).parse().unwrap();
    let network = Network::new(&["rebound.example"], vec![server.address, mapped]);
    let answer = network.request("CONNECT rebound.example:443 HTTP/1.1\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("private address"), "{answer}");
    assert_eq!(
        network.notes(),
        ["network: refused rebound.example 1 time (private address; list 127.0.0.1 as well)"]
    );
    assert_eq!(server.received(), b"");
}

#[tokio::test]
async fn ports_lead_to_services_of_the_machine() {
    let service = Server::start(b"pong").await;
    let gone = net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port = service.address.port();
    let guard = NetworkGuard::new(HostList::default(), PROXY, &[port, gone]);
    // Stand-ins for the listeners in a network namespace, where they have the ports of the services.
    let inside = [port, gone, 1].map(|port| (port, net::TcpListener::bind("127.0.0.1:0").unwrap()));
    let addresses = inside.each_ref().map(|(_, listener)| listener.local_addr().unwrap());
    guard.serve(inside.into());
    let mut client = TcpStream::connect(addresses[0]).await.unwrap();
    client.write_all(b"ping").await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!((answer, service.received()), (b"pong".to_vec(), b"ping".to_vec()));
    let mut client = TcpStream::connect(addresses[1]).await.unwrap();
    assert!(client.read_u8().await.is_err());
    assert!(TcpStream::connect(addresses[2]).await.is_err(), "a port that is not listed");
}

#[tokio::test]
async fn dropping_the_guard_closes_everything() {
    let server = Server::start(b"pong").await;
    let network = Network::new(&["a.org", "127.0.0.1"], vec![server.address]);
    let proxy = network.proxy;
    let mut client = TcpStream::connect(proxy).await.unwrap();
    client.write_all(b"CONNECT a.org:443 HTTP/1.1\r\n\r\n").await.unwrap();
    client.read_exact(&mut [0; 39]).await.unwrap();
    client.write_all(&hello(&[server_name("a.org")])).await.unwrap();
    client.read_exact(&mut [0; 4]).await.unwrap();
    drop(network);
    assert!(client.read_u8().await.is_err());
    while TcpStream::connect(proxy).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let network = Network::new(&[], Vec::new());
    let mut open = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        open.push(TcpStream::connect(network.proxy).await.unwrap());
    }
    let waiting = network.request("CONNECT example.com:443 HTTP/1.1\r\n\r\n");
    tokio::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_millis(100), &mut waiting).await;
    assert!(early.is_err(), "{early:?}");
    open.pop();
    assert!(waiting.await.starts_with("HTTP/1.1 403"));
}

#[tokio::test]
async fn ports_and_variables_name_the_proxy() {
    let guard = NetworkGuard::new(HostList::default(), 9000, &[5432, 9000, 5432, 6379]);
    assert_eq!(guard.ports(), [9000, 5432, 6379]);
    let variables = guard.environment();
    assert!(variables.contains(&("HTTPS_PROXY".to_owned(), "http://127.0.0.1:9000".to_owned())));
    assert_eq!(guard.jvm_environment(&Env::default()).len(), 3);
    assert_eq!(NetworkGuard::choose_proxy_port(&[PROXY_PORT, PROXY_PORT + 1]), PROXY_PORT + 2);
}
