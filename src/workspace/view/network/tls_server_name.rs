//! The server name in the first message of a TLS client.
//!
//! Formats: records and handshake messages of RFC 8446 sections 4 and 5.1 (unchanged since TLS 1.0),
//! `server_name` of RFC 6066 section 3, encrypted client hello of RFC 9849.

/// Content type of a TLS record with handshake messages; the first byte of every TLS connection.
pub const HANDSHAKE_RECORD: u8 = 22;
/// Most bytes of the records of a client hello. Post-quantum key shares make up about 2 KiB.
pub const MAX_HELLO: usize = 32 * 1024;

const RECORD_HEADER: usize = 5;
/// Longest plaintext record.
const LONGEST_RECORD: usize = 1 << 14;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;
/// Encrypted client hello, and the draft of 2018 that it replaced.
const ENCRYPTED_HELLO: [u16; 2] = [0xfe0d, 0xffce];

/// What a client hello says about its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello {
    /// The server name as sent, if any. Not checked to be a host name.
    pub server_name: Option<String>,
    /// Whether another hello may be encrypted inside this one, with a name of its own.
    pub is_encrypted: bool,
}

/// The bytes are not a client hello within the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a TLS client hello")]
pub struct HelloError;

/// Parses the first bytes of a connection: records until the client hello is complete. `None` if more bytes are
/// needed.
///
/// Stricter than TLS where a server could read another name than this parser: the hello must end with a record,
/// no other record may come between its parts, and neither an extension nor a name may appear twice.
///
/// # Errors
///
/// Fails if the bytes cannot become a client hello, or exceed [`MAX_HELLO`].
pub fn parse_client_hello(bytes: &[u8]) -> Result<Option<ClientHello>, HelloError> {
    let mut message = Vec::new();
    let mut rest = bytes;
    while !is_complete(&message)? {
        if bytes.len() - rest.len() > MAX_HELLO {
            return Err(HelloError);
        }
        let Some(fragment) = take_record(&mut rest)? else { return Ok(None) };
        message.extend_from_slice(fragment);
    }
    parse_message(&message).map(Some)
}

/// Takes the contents of a handshake record; `None` if it is not complete yet. A wrong header fails at once.
fn take_record<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, HelloError> {
    let is_wrong = |at: usize, expected: u8| rest.get(at).is_some_and(|&byte| byte != expected);
    // The version of a record is 3.x; the second byte is not checked, as RFC 8446 demands.
    if is_wrong(0, HANDSHAKE_RECORD) || is_wrong(1, 3) {
        return Err(HelloError);
    }
    let Some(&[_, _, _, high, low]) = rest.first_chunk::<RECORD_HEADER>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length == 0 || length > LONGEST_RECORD {
        return Err(HelloError);
    }
    let Some(fragment) = rest.get(RECORD_HEADER..RECORD_HEADER + length) else { return Ok(None) };
    *rest = &rest[RECORD_HEADER + length..];
    Ok(Some(fragment))
}

/// Checks the header of the message, and whether the records hold exactly the message.
fn is_complete(message: &[u8]) -> Result<bool, HelloError> {
    if message.first().is_some_and(|&kind| kind != CLIENT_HELLO) {
        return Err(HelloError);
    }
    let Some(&[_, a, b, c]) = message.first_chunk::<4>() else { return Ok(false) };
    let length = 4 + u32::from_be_bytes([0, a, b, c]) as usize;
    if length > MAX_HELLO || message.len() > length {
        return Err(HelloError);
    }
    Ok(message.len() == length)
}

fn parse_message(message: &[u8]) -> Result<ClientHello, HelloError> {
    let mut body = Bytes(&message[4..]);
    body.take(2 + 32)?; // version, random
    body.vector8()?; // session
    body.vector16()?; // cipher suites
    body.vector8()?; // compression methods
    let mut hello = ClientHello { server_name: None, is_encrypted: false };
    if body.0.is_empty() {
        return Ok(hello);
    }
    let mut extensions = Bytes(body.vector16()?);
    if !body.0.is_empty() {
        return Err(HelloError);
    }
    let mut kinds = Vec::new();
    while !extensions.0.is_empty() {
        let kind = extensions.number16()?;
        let data = extensions.vector16()?;
        if kinds.contains(&kind) {
            return Err(HelloError);
        }
        kinds.push(kind);
        if kind == SERVER_NAME {
            hello.server_name = Some(parse_server_name(data)?);
        }
        hello.is_encrypted |= ENCRYPTED_HELLO.contains(&kind);
    }
    Ok(hello)
}

/// Parses the extension `server_name`: a list with exactly one host name.
fn parse_server_name(data: &[u8]) -> Result<String, HelloError> {
    let mut data = Bytes(data);
    let mut names = Bytes(data.vector16()?);
    if names.take(1)? != [HOST_NAME] {
        return Err(HelloError);
    }
    let name = names.vector16()?;
    if !names.0.is_empty() || !data.0.is_empty() {
        return Err(HelloError);
    }
    String::from_utf8(name.to_vec()).map_err(|_| HelloError)
}

/// The bytes not read yet.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], HelloError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(HelloError)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number16(&mut self) -> Result<u16, HelloError> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A vector with a length of one byte.
    fn vector8(&mut self) -> Result<&'a [u8], HelloError> {
        let length = self.take(1)?[0];
        self.take(usize::from(length))
    }

    /// A vector with a length of two bytes.
    fn vector16(&mut self) -> Result<&'a [u8], HelloError> {
        let length = self.number16()?;
        self.take(usize::from(length))
    }
}

#[cfg(test)]
#[path = "tls_server_name_tests.rs"]
pub(super) mod tests;
