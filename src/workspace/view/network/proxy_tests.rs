//! Tests of requests through the proxy, with real sockets.

use std::net;

use super::super::UpstreamProxies;
use super::super::tests::{ANSWER, Network, Server};
use super::super::tls_server_name::tests::{hello, server_name};
use crate::config::env::Env;

#[tokio::test]
async fn plain_http_goes_through_one_request_at_a_time() {
    let server = Server::start(ANSWER.as_bytes()).await;
    let network = Network::new(&["a.org", "127.0.0.1"], vec![server.address]);
    let request = "POST http://a.org/x HTTP/1.1\r\nHost: a.org\r\nContent-Length: 2\r\n\r\nhi";
    let second = "GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    let answer = network.request(&format!("{request}{second}")).await;
    assert_eq!(answer, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    assert_eq!(
        server.text(),
        "POST /x HTTP/1.1\r\nHost: a.org\r\ncontent-length: 2\r\nConnection: close\r\n\r\nhi"
    );
}

#[tokio::test]
async fn a_broken_body_hides_no_second_request() {
    let server = Server::start(b"").await;
    let network = Network::new(&["a.org", "127.0.0.1"], vec![server.address]);
    let head = "POST http://a.org/ HTTP/1.1\r\nHost: a.org\r\nTransfer-Encoding: chunked\r\n\r\n";
    let second = "GET /smuggled HTTP/1.1\r\nHost: b.org\r\n\r\n";
    for body in
        ["x\r\nhi\r\n0\r\n\r\n", "2\nhi\r\n0\r\n\r\n", "2\r\nhi0\r\n\r\n", "0x2\r\nhi\r\n0\r\n\r\n"]
    {
        assert_eq!(network.request(&format!("{head}{body}{second}")).await, "", "{body:?}");
    }
    let received = server.text();
    assert!(
        received.contains("POST / HTTP/1.1\r\n") && !received.contains("smuggled"),
        "{received}"
    );
}

#[tokio::test]
async fn http_inside_a_tunnel_is_checked() {
    let server = Server::start(ANSWER.as_bytes()).await;
    let network = Network::new(&["a.org", "127.0.0.1"], vec![server.address]);
    let answer = network.tunnel("a.org:80", b"GET /x HTTP/1.1\r\nHost: a.org\r\n\r\n").await;
    assert!(answer.ends_with(b"\r\n\r\nok"));
    let answer = network.tunnel("a.org:80", b"GET /x HTTP/1.1\r\nHost: evil.example\r\n\r\n").await;
    assert!(answer.starts_with(b"HTTP/1.1 403 Refused by autopack\r\n"));
    assert!(!server.text().contains("evil"));
    let notes = network.notes();
    assert_eq!(
        notes,
        ["network: refused evil.example 1 time (Host field of a request to another host)"]
    );
}

#[tokio::test]
async fn an_unreachable_host_is_an_error_and_no_refusal() {
    let gone = net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let network = Network::new(&["a.org", "127.0.0.1"], vec![gone]);
    let answer = network.request("CONNECT a.org:443 HTTP/1.1\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 502") && answer.contains("cannot reach a.org:443"),
        "{answer}"
    );
    assert_eq!(network.notes(), [""; 0]);
}

#[tokio::test]
async fn the_next_address_is_tried() {
    let gone = net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::start(ANSWER.as_bytes()).await;
    let network = Network::new(&["a.org", "127.0.0.1"], vec![gone, server.address]);
    let answer = network.request("GET http://a.org/ HTTP/1.1\r\nHost: a.org\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn upstream_proxies_are_used_after_the_list() {
    let server = Server::start(b"HTTP/1.1 200 Go on\r\n\r\n").await;
    let url = "http://user:pass@proxy.corp:3128";
    let env = Env::new([("https_proxy", url), ("http_proxy", url)]);
    let upstream = UpstreamProxies::of_environment(&env).unwrap();
    let network = Network::with_upstream(&["a.org"], vec![server.address], upstream);
    let answer = network.request("CONNECT b.org:443 HTTP/1.1\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert_eq!(server.received(), b"");
    network.tunnel("a.org:443", &hello(&[server_name("a.org")])).await;
    let answer = network.request("GET http://a.org/x HTTP/1.1\r\nHost: a.org\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 Go on\r\n"), "{answer}");
    let received = server.text();
    let connect = "CONNECT a.org:443 HTTP/1.1\r\nHost: a.org:443\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n";
    assert!(received.starts_with(connect), "{received}");
    assert!(
        received.contains("GET http://a.org/x HTTP/1.1\r\nHost: a.org\r\nProxy-Authorization: "),
        "{received}"
    );
}

#[tokio::test]
async fn broken_requests_get_an_answer() {
    let network = Network::new(&["a.org"], Vec::new());
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: a.org\r\n\r\n".to_owned(), "400"),
        ("GET http://a.org/ HTTP/1.1\r\n\r\n".to_owned(), "400"),
        ("nonsense".to_owned(), "400"),
        (format!("GET http://a.org/{} HTTP/1.1\r\n\r\n", "a".repeat(20_000)), "431"),
    ] {
        let answer = network.request(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    assert_eq!(network.request("").await, "");
}
