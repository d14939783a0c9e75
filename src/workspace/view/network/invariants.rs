//! Invariants of the network's parsers for arbitrary bytes, for property tests and the fuzzer.

use super::host_list::HostList;
use super::host_name::{Host, split_authority};
use super::http_relay::chunk_size;
use super::http_request::{
    HttpRequest, ProxyRequest, head_length, parse_proxy_request, parse_tunneled_request,
};
use super::tls_server_name::parse_client_hello;

/// Checks the bytes as the start of a connection, and each line as a host.
pub fn bytes(input: &[u8]) {
    if let Ok(Some(hello)) = parse_client_hello(input) {
        assert_eq!(parse_client_hello(&[input, &[0]].concat()), Ok(Some(hello)));
    }
    for line in input.split(|&byte| byte == b'\n') {
        let _ = chunk_size(line);
        host(&String::from_utf8_lossy(line));
    }
    let Ok(Some(length)) = head_length(input) else { return };
    let head = &input[..length];
    if let Ok(ProxyRequest::Plain(request)) = parse_proxy_request(head) {
        request_is_settled(&request);
    }
    let localhost = Host::Name("localhost".to_owned());
    if let Ok(request) = parse_tunneled_request(head, &localhost, 80) {
        assert_eq!((&request.host, request.port), (&localhost, 80));
        request_is_settled(&request);
    }
}

/// Checks that a host is its own text, and that the list allows no more than it names.
fn host(text: &str) {
    if let Ok((host, _)) = split_authority(text) {
        assert_eq!(Host::parse(&host.to_string()), Ok(host));
    }
    if let Ok(list) = HostList::parse(&[text.to_owned()]) {
        for other in ["autopack.invalid", "127.0.0.2", "[::2]"] {
            let is_part = text.contains("invalid") || text.contains("0.0.2") || text.contains("::");
            assert!(
                is_part || !text.is_ascii() || !list.allows(other, 443),
                "{text:?} allows {other}"
            );
        }
    }
}

/// Checks that the head that is sent is one head, and means what was checked.
fn request_is_settled(request: &HttpRequest) {
    let sent = request.origin_head();
    assert_eq!(head_length(&sent).map_or(Some(sent.len()), |length| length), Some(sent.len()));
    let again = parse_tunneled_request(&sent, &request.host, request.port).expect("a strict head");
    assert_eq!((again.body, again.origin_head()), (request.body, sent));
    let sent = request.proxy_head("");
    match parse_proxy_request(&sent) {
        Ok(ProxyRequest::Plain(again)) => {
            assert_eq!(
                (&again.host, again.port, again.body),
                (&request.host, request.port, request.body)
            );
        }
        other => panic!("{other:?}"),
    }
}
