//! Tests of request heads: what is passed on, and every form that two servers could read differently.

use proptest::prelude::*;

use super::*;
use crate::fuzz::tests::cases;
use crate::workspace::view::network::invariants;

fn plain(head: &str) -> Result<HttpRequest, RequestError> {
    match parse_proxy_request(head.as_bytes())? {
        ProxyRequest::Plain(request) => Ok(request),
        ProxyRequest::Connect(..) => panic!("{head}"),
    }
}

fn get(fields: &str) -> Result<HttpRequest, RequestError> {
    plain(&format!("GET http://a.b/x HTTP/1.1\r\nHost: a.b\r\n{fields}\r\n"))
}

fn sent(request: &HttpRequest) -> String {
    String::from_utf8(request.origin_head()).unwrap()
}

#[test]
fn a_request_is_written_for_its_server() {
    let request = plain(
        "POST HTTP://Example.COM:8080/p?q=1 HTTP/1.1\r\nhost: example.com:8080\r\nContent-Length: 3\r\n\
         Proxy-Connection: keep-alive\r\nConnection: keep-alive, X-Own\r\nX-Own: 1\r\nAccept:\t*/*\r\n\
         Proxy-Authorization: Basic hush\r\n\r\n",
    );
    let request = request.unwrap();
    assert_eq!((request.host.to_string(), request.port), ("example.com".to_owned(), 8080));
    assert_eq!(request.body, RequestBody::Sized(3));
    assert_eq!(
        sent(&request),
        "POST /p?q=1 HTTP/1.1\r\nHost: example.com:8080\r\ncontent-length: 3\r\naccept: */*\r\nConnection: close\r\n\r\n"
    );
    let through =
        String::from_utf8(request.proxy_head("Proxy-Authorization: Basic own\r\n")).unwrap();
    assert!(through.starts_with("POST http://example.com:8080/p?q=1 HTTP/1.1\r\n"), "{through}");
    assert!(
        through.contains("\r\nProxy-Authorization: Basic own\r\n") && !through.contains("hush"),
        "{through}"
    );
}

#[test]
fn targets_have_a_path() {
    for (target, line) in [
        ("http://a.b", "GET / HTTP/1.1"),
        ("http://a.b?q", "GET /?q HTTP/1.1"),
        ("http://a.b/%7e", "GET /%7e HTTP/1.1"),
        ("http://a.b:80/", "GET / HTTP/1.1"),
    ] {
        let request = plain(&format!("GET {target} HTTP/1.1\r\nHost: a.b\r\n\r\n")).unwrap();
        assert_eq!(sent(&request).lines().next(), Some(line));
    }
}

#[test]
fn connect_has_a_host_and_a_port() {
    let connect =
        |target: &str| parse_proxy_request(format!("CONNECT {target} HTTP/1.1\r\n\r\n").as_bytes());
    let expected = ProxyRequest::Connect(Host::Name("a.b".to_owned()), 443);
    assert_eq!(connect("A.b.:443"), Ok(expected));
    for target in [
        "a.b",
        "a.b:",
        "http://a.b:443",
        "me@a.b:443",
        "2130706433:443",
        "a.b:443/",
        "[::1%lo]:443",
    ] {
        assert_eq!(connect(target), Err(RequestError::InvalidHost), "{target}");
    }
}

#[test]
fn other_targets_are_refused() {
    let with = |target: &str| plain(&format!("GET {target} HTTP/1.1\r\nHost: a.b\r\n\r\n"));
    for target in ["/x", "*", "https://a.b/", "ftp://a.b/", "a.b", "http:/"] {
        assert_eq!(with(target), Err(RequestError::NotForProxy), "{target}");
    }
    for target in [
        "http://",
        "http:///x",
        "http://me@a.b/",
        "http://a.b\\@c.d/",
        "http://a%2eb/",
        "http://0x7f.1/",
    ] {
        assert_eq!(with(target), Err(RequestError::InvalidHost), "{target}");
    }
    assert_eq!(with("http://a.b/#x"), Err(RequestError::Malformed));
    let other = Err(RequestError::OtherHost(Some(Host::Name("a.b".to_owned()))));
    for target in ["http://c.d/", "http://a.b:8080/", "http://x.a.b/"] {
        assert_eq!(with(target), other, "{target}");
    }
}

#[test]
fn heads_that_are_read_in_two_ways_are_refused() {
    for fields in [
        "Host: a.b\r\n",
        "Host : a.b\r\n",
        " X: folded\r\n",
        "X: 1\r\n folded\r\n",
        "X: 1\n",
        "X: 1\rY: 2\r\n",
        "X: \0\r\n",
        "X\r\n",
        ": x\r\n",
        "X y: 1\r\n",
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length:\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Connection: Content-Length\r\nContent-Length: 1\r\n",
        "Connection: close, host\r\n",
        "Connection: (\r\n",
    ] {
        assert_eq!(get(fields), Err(RequestError::Malformed), "{fields:?}");
    }
    for head in [
        "GET http://a.b/ HTTP/1.1\r\n\r\n",
        "GET http://a.b/ HTTP/2.0\r\nHost: a.b\r\n\r\n",
        "GET  http://a.b/ HTTP/1.1\r\nHost: a.b\r\n\r\n",
        "GET http://a.b/ x HTTP/1.1\r\nHost: a.b\r\n\r\n",
        "GET http://a.b/\r\nHost: a.b\r\n\r\n",
        "G(T http://a.b/ HTTP/1.1\r\nHost: a.b\r\n\r\n",
        "\r\nGET http://a.b/ HTTP/1.1\r\nHost: a.b\r\n\r\n",
        "GET http://a.b/ HTTP/1.1\nHost: a.b\r\n\r\n",
        "POST http://a.b/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        assert_eq!(plain(head), Err(RequestError::Malformed), "{head:?}");
    }
    for value in ["", "c d", "a.b, c.d", "a.b@c.d", "\u{fc}.b"] {
        let head = format!("GET http://a.b/ HTTP/1.1\r\nHost: {value}\r\n\r\n");
        assert_eq!(plain(&head), Err(RequestError::OtherHost(None)), "{head:?}");
    }
}

#[test]
fn upgrades_are_refused_but_for_the_one_that_java_asks_for() {
    assert_eq!(get("Connection: Upgrade\r\nUpgrade: websocket\r\n"), Err(RequestError::Upgrade));
    let request =
        get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n");
    assert_eq!(
        sent(&request.unwrap()),
        "GET /x HTTP/1.1\r\nHost: a.b\r\nConnection: close\r\n\r\n"
    );
}

#[test]
fn old_requests_need_no_host_field() {
    let request = plain("GET http://a.b/ HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(sent(&request), "GET / HTTP/1.0\r\nHost: a.b\r\nConnection: close\r\n\r\n");
}

#[test]
fn chunks_are_announced() {
    let request = get("Transfer-Encoding: Chunked\r\nTrailer: X\r\n").unwrap();
    assert_eq!(request.body, RequestBody::Chunked);
    assert!(sent(&request).contains("\r\nTransfer-Encoding: chunked\r\n"));
}

#[test]
fn a_request_inside_a_tunnel_is_for_its_host() {
    let host = Host::Name("a.b".to_owned());
    let parse = |head: &str| parse_tunneled_request(head.as_bytes(), &host, 80);
    let fragment = parse("GET /x#y HTTP/1.1\r\nHost: a.b\r\n\r\n");
    assert_eq!(fragment, Err(RequestError::Malformed));
    let request = parse("GET /x HTTP/1.1\r\nHost: a.b\r\n\r\n").unwrap();
    assert_eq!(sent(&request), "GET /x HTTP/1.1\r\nHost: a.b\r\nConnection: close\r\n\r\n");
    assert!(parse("OPTIONS * HTTP/1.1\r\nHost: a.b:80\r\n\r\n").is_ok());
    assert!(parse("GET http://a.b/ HTTP/1.1\r\nHost: a.b\r\n\r\n").is_ok());
    let other = Err(RequestError::OtherHost(Some(Host::Name("c.d".to_owned()))));
    assert_eq!(parse("GET /x HTTP/1.1\r\nHost: c.d\r\n\r\n"), other);
    assert_eq!(parse("GET http://c.d/ HTTP/1.1\r\nHost: a.b\r\n\r\n"), other);
    assert_eq!(parse("CONNECT a.b:80 HTTP/1.1\r\nHost: a.b\r\n\r\n"), Err(RequestError::Upgrade));
}

#[test]
fn a_head_has_a_limit() {
    assert_eq!(head_length(b"GET / HTTP/1.1\r\n\r\nrest"), Ok(Some(18)));
    assert_eq!(head_length(b"GET / HTTP/1.1\r\n"), Ok(None));
    assert_eq!(head_length(&[b'a'; MAX_HEAD - 1]), Ok(None));
    assert_eq!(head_length(&[b'a'; MAX_HEAD]), Err(RequestError::TooLong));
    assert_eq!(
        head_length(&[&[b'a'; MAX_HEAD][..], b"\r\n\r\n"].concat()),
        Err(RequestError::TooLong)
    );
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        invariants::bytes(&bytes);
    }

    /// Whatever is passed on is one request, for the host that was checked.
    #[test]
    fn a_request_that_is_passed_on_is_settled(
        method in "[A-Z]{1,4}",
        url in "(http://)?[a-b]\\.[c-d](:[0-9]{1,3})?[/?]?[\\x21-\\x7e]{0,5}",
        fields in prop::collection::vec(
            "(Host|Content-Length|Transfer-Encoding|Connection|X)[ ]?:[ ]?(a\\.c|b\\.d|chunked|[0-9]|[ -~]{0,8}|\\PC{0,4})",
            0..4,
        ),
        end in "(\r\n|\n|\r)",
    ) {
        let lines = fields.join(&end);
        invariants::bytes(format!("{method} {url} HTTP/1.1\r\nHost: a.c\r\n{lines}\r\n\r\n").as_bytes());
        invariants::bytes(format!("{method} {url} HTTP/1.0\r\n{lines}\r\n\r\n").as_bytes());
        invariants::bytes(format!("{method} /{lines} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n\r\n").as_bytes());
    }
}
