//! Tests of client hellos, made by hand and by a real client.

use std::sync::Arc;

use proptest::prelude::*;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::*;
use crate::fuzz::tests::cases;

fn vector16(contents: &[u8]) -> Vec<u8> {
    [&u16::try_from(contents.len()).unwrap().to_be_bytes(), contents].concat()
}

pub(in super::super) fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector16(data)].concat()
}

pub(in super::super) fn server_name(name: &str) -> Vec<u8> {
    extension(0, &vector16(&[&[0], &vector16(name.as_bytes())[..]].concat()))
}

/// The message without records.
fn message(extensions: &[Vec<u8>]) -> Vec<u8> {
    let mut body = [&[3, 3][..], &[7; 32], &[0], &vector16(&[0x13, 1]), &[1, 0]].concat();
    if !extensions.is_empty() {
        body.extend(vector16(&extensions.concat()));
    }
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[1], &length[1..], &body].concat()
}

fn record(kind: u8, contents: &[u8]) -> Vec<u8> {
    [&[kind, 3, 1][..], &vector16(contents)].concat()
}

/// A client hello in one record.
pub(in super::super) fn hello(extensions: &[Vec<u8>]) -> Vec<u8> {
    record(22, &message(extensions))
}

fn parsed(name: &str) -> Result<Option<ClientHello>, HelloError> {
    Ok(Some(ClientHello { server_name: Some(name.to_owned()), is_encrypted: false }))
}

#[test]
fn the_name_is_found_among_other_extensions() {
    let bytes = hello(&[extension(10, &[1, 2]), server_name("example.com"), extension(43, &[])]);
    assert_eq!(parse_client_hello(&bytes), parsed("example.com"));
}

#[test]
fn a_hello_without_a_name_is_a_hello() {
    let none = Ok(Some(ClientHello { server_name: None, is_encrypted: false }));
    assert_eq!(parse_client_hello(&hello(&[])), none);
    assert_eq!(parse_client_hello(&hello(&[extension(10, &[])])), none);
}

#[test]
fn encryption_is_seen() {
    for kind in ENCRYPTED_HELLO {
        let bytes = hello(&[server_name("example.com"), extension(kind, &[0])]);
        assert!(parse_client_hello(&bytes).unwrap().unwrap().is_encrypted);
    }
}

#[test]
fn a_message_may_span_records() {
    let message = message(&[server_name("example.com"), extension(21, &[0; 600])]);
    for size in [1, 3, 4, 5, 100, 600] {
        let bytes: Vec<u8> = message.chunks(size).flat_map(|part| record(22, part)).collect();
        if bytes.len() > MAX_HELLO {
            continue;
        }
        assert_eq!(parse_client_hello(&bytes), parsed("example.com"), "{size}");
        for end in 0..bytes.len() {
            assert_eq!(parse_client_hello(&bytes[..end]), Ok(None), "{size} {end}");
        }
    }
}

#[test]
fn later_records_are_not_read() {
    let bytes = [hello(&[server_name("example.com")]), record(20, &[1])].concat();
    assert_eq!(parse_client_hello(&bytes), parsed("example.com"));
}

#[test]
fn ambiguous_messages_are_refused() {
    let message = message(&[server_name("example.com")]);
    let (first, second) = message.split_at(60);
    let two_names = vector16(&[&[0], &vector16(b"a.b")[..], &[0], &vector16(b"c.d")].concat());
    for (case, bytes) in [
        ("a record between", [record(22, first), record(21, &[1, 0]), record(22, second)].concat()),
        ("an empty record", [record(22, first), record(22, &[]), record(22, second)].concat()),
        ("bytes after the message", record(22, &[&message[..], &[1]].concat())),
        ("two messages in a record", record(22, &[&message[..], &message].concat())),
        ("two extensions", hello(&[server_name("a.b"), server_name("c.d")])),
        ("two names", hello(&[extension(0, &two_names)])),
        ("no names", hello(&[extension(0, &vector16(&[]))])),
        ("no list", hello(&[extension(0, &[])])),
        ("another kind of name", hello(&[extension(0, &vector16(&[1, 0, 1, b'a']))])),
        ("a name in no encoding", hello(&[extension(0, &vector16(&[0, 0, 1, 0xff]))])),
        ("a server hello", record(22, &[2, 0, 0, 0])),
        ("too long a record", vec![22, 3, 1, 0x40, 1]),
        ("too long a message", record(22, &[1, 1, 0, 0])),
        ("an extension beyond its list", hello(&[vec![0, 0, 0, 9, 1]])),
        ("HTTP", b"GET / HTTP/1.1\r\n".to_vec()),
        ("SSL 2", vec![0x80, 0x2e, 1, 3, 1]),
        ("another version", vec![22, 2]),
    ] {
        assert_eq!(parse_client_hello(&bytes), Err(HelloError), "{case}");
    }
}

#[test]
fn hellos_of_a_real_client_are_parsed() {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let config = Arc::new(config);
    for (name, expected) in [("example.com", Some("example.com".to_owned())), ("192.0.2.1", None)] {
        let server = ServerName::try_from(name).unwrap();
        let mut client = ClientConnection::new(Arc::clone(&config), server).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        let hello = parse_client_hello(&bytes).unwrap().unwrap();
        assert_eq!(hello, ClientHello { server_name: expected, is_encrypted: false });
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn arbitrary_messages_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0..200_usize) {
        let _ = parse_client_hello(&bytes);
        let _ = parse_client_hello(&record(22, &bytes));
        let mut spoiled = hello(&[server_name("example.com"), extension(10, &bytes)]);
        let at = cut % spoiled.len();
        spoiled[at] ^= bytes.first().copied().unwrap_or(1);
        let _ = parse_client_hello(&spoiled);
    }

    /// More bytes never change a decision.
    #[test]
    fn a_decision_holds(bytes in prop::collection::vec(any::<u8>(), 0..80), more in prop::collection::vec(any::<u8>(), 0..80)) {
        let framed = record(22, &bytes);
        if let decided @ (Ok(Some(_)) | Err(_)) = parse_client_hello(&framed) {
            prop_assert_eq!(parse_client_hello(&[framed, more].concat()), decided);
        }
    }
}
