//! The head of an HTTP/1 request, checked so that no two servers can read it in two ways.

use std::str;

use super::host_name::{Host, split_authority};

/// Most bytes of a request's head.
pub const MAX_HEAD: usize = 16 * 1024;

/// Fields between the program and the proxy alone. `Host` is written anew.
const HOP_BY_HOP: [&str; 11] = [
    "connection",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A request to the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyRequest {
    /// `CONNECT host:port`.
    Connect(Host, u16),
    /// A plain HTTP request.
    Plain(HttpRequest),
}

/// The head of a plain HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    method: String,
    /// Host of the target.
    pub host: Host,
    /// Port of the target.
    pub port: u16,
    /// Path and query.
    path: Vec<u8>,
    version: &'static str,
    /// The fields to pass on, each with its line end.
    fields: Vec<u8>,
    /// What follows the head.
    pub body: RequestBody,
}

/// Framing of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestBody {
    /// This number of bytes.
    Sized(u64),
    /// Chunks.
    Chunked,
}

/// Why a request is not passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not HTTP/1, or not in the strict form.
    #[error("not a valid HTTP/1 request")]
    Malformed,
    /// Too long a head.
    #[error("the head of the request exceeds 16 KiB")]
    TooLong,
    /// The target is not a host that can be written in a list.
    #[error("the host of the request is not valid")]
    InvalidHost,
    /// The target is not an absolute URL.
    #[error("this is a proxy: the target must be an http:// URL or CONNECT host:port")]
    NotForProxy,
    /// `Host`, or a URL inside a tunnel, names another host than the target: this one, if it is a host.
    #[error("the Host field differs from the target")]
    OtherHost(Option<Host>),
    /// `Upgrade`, or `CONNECT` inside a tunnel.
    #[error("protocol changes are not passed on")]
    Upgrade,
}

/// Returns the length of the head if `bytes` hold all of it, including the empty line.
///
/// # Errors
///
/// Fails if the head is longer than [`MAX_HEAD`].
pub fn head_length(bytes: &[u8]) -> Result<Option<usize>, RequestError> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
    match end {
        Some(length) if length <= MAX_HEAD => Ok(Some(length)),
        None if bytes.len() < MAX_HEAD => Ok(None),
        _ => Err(RequestError::TooLong),
    }
}

/// Parses the head of a request to the proxy.
///
/// # Errors
///
/// Fails if the request is not strictly valid, or its `Host` differs from its target.
pub fn parse_proxy_request(head: &[u8]) -> Result<ProxyRequest, RequestError> {
    let head = Head::parse(head)?;
    if head.method == "CONNECT" {
        let target = str::from_utf8(head.target).map_err(|_| RequestError::InvalidHost)?;
        let (host, port) = split_authority(target).map_err(|_| RequestError::InvalidHost)?;
        return Ok(ProxyRequest::Connect(host, port.ok_or(RequestError::InvalidHost)?));
    }
    let (host, port, path) = split_url(head.target)?;
    head.into_request(host, port, path).map(ProxyRequest::Plain)
}

/// Parses the head of a plain HTTP request inside a tunnel to `host`.
///
/// # Errors
///
/// Fails if the request is not strictly valid, or names another host.
pub fn parse_tunneled_request(
    head: &[u8],
    host: &Host,
    port: u16,
) -> Result<HttpRequest, RequestError> {
    let head = Head::parse(head)?;
    if head.method == "CONNECT" {
        return Err(RequestError::Upgrade);
    }
    if head.target.starts_with(b"/") || head.target == b"*" {
        let path = head.target.to_vec();
        return head.into_request(host.clone(), port, path);
    }
    let (other, other_port, path) = split_url(head.target)?;
    if (&other, other_port) != (host, port) {
        return Err(RequestError::OtherHost(Some(other)));
    }
    head.into_request(other, other_port, path)
}

impl HttpRequest {
    /// Formats the head for the target itself: without the host in its first line, for one request alone.
    pub fn origin_head(&self) -> Vec<u8> {
        self.head(&[], "")
    }

    /// Formats the head for an upstream proxy, with the line of its credentials.
    pub fn proxy_head(&self, authorization_line: &str) -> Vec<u8> {
        let prefix = format!("http://{}", self.authority());
        self.head(prefix.as_bytes(), authorization_line)
    }

    fn head(&self, prefix: &[u8], authorization_line: &str) -> Vec<u8> {
        let path: &[u8] = if self.path == b"*" && !prefix.is_empty() { b"" } else { &self.path };
        let host = format!(" {}\r\nHost: {}\r\n", self.version, self.authority());
        let framing = match self.body {
            RequestBody::Sized(_) => "",
            RequestBody::Chunked => "Transfer-Encoding: chunked\r\n",
        };
        let parts: [&[u8]; 9] = [
            self.method.as_bytes(),
            b" ",
            prefix,
            path,
            host.as_bytes(),
            &self.fields,
            framing.as_bytes(),
            authorization_line.as_bytes(),
            b"Connection: close\r\n\r\n",
        ];
        parts.concat()
    }

    fn authority(&self) -> String {
        if self.port == 80 { self.host.to_string() } else { self.host.with_port(self.port) }
    }
}

/// A head split into its lines.
struct Head<'a> {
    method: String,
    target: &'a [u8],
    /// Whether the version is 1.0.
    is_old: bool,
    /// Lower-case names with their values.
    fields: Vec<(String, &'a [u8])>,
}

impl<'a> Head<'a> {
    fn parse(head: &'a [u8]) -> Result<Self, RequestError> {
        let text = head.strip_suffix(b"\r\n\r\n").ok_or(RequestError::Malformed)?;
        let mut lines = split_lines(text)?.into_iter();
        let mut words = lines.next().unwrap_or_default().split(|&byte| byte == b' ');
        let words = [words.next(), words.next(), words.next(), words.next()];
        let [Some(method), Some(target), Some(version), None] = words else {
            return Err(RequestError::Malformed);
        };
        let is_old = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ => return Err(RequestError::Malformed),
        };
        // A fragment is not for servers: some cut it off, others do not.
        let is_allowed = |byte: &u8| *byte > b' ' && !matches!(*byte, 0x7f | b'#');
        if target.is_empty() || !target.iter().all(is_allowed) {
            return Err(RequestError::Malformed);
        }
        let fields = lines.map(parse_field).collect::<Result<_, _>>()?;
        Ok(Self { method: token(method)?, target, is_old, fields })
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(move |(field, _)| field == name).map(|(_, value)| *value)
    }

    /// Checks all fields against the target.
    fn into_request(
        self,
        host: Host,
        port: u16,
        path: Vec<u8>,
    ) -> Result<HttpRequest, RequestError> {
        let hosts: Vec<&[u8]> = self.values("host").collect();
        match hosts[..] {
            [value] => {
                let named =
                    str::from_utf8(value).ok().and_then(|value| split_authority(value).ok());
                let (named, named_port) = named.ok_or(RequestError::OtherHost(None))?;
                if (&named, named_port.unwrap_or(80)) != (&host, port) {
                    return Err(RequestError::OtherHost(Some(named)));
                }
            }
            [] if self.is_old => {}
            _ => return Err(RequestError::Malformed),
        }
        // Java asks for HTTP/2 with each request, and goes on without it.
        if self.values("upgrade").any(|value| !value.eq_ignore_ascii_case(b"h2c")) {
            return Err(RequestError::Upgrade);
        }
        let body = self.body()?;
        let named = self.connection_options()?;
        let mut fields = Vec::new();
        for (name, value) in &self.fields {
            if !HOP_BY_HOP.contains(&name.as_str()) && !named.contains(name) {
                fields.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
            }
        }
        // A client of version 1.0 could not read a chunked response.
        let version = if self.is_old { "HTTP/1.0" } else { "HTTP/1.1" };
        Ok(HttpRequest { method: self.method, host, port, path, version, fields, body })
    }

    fn body(&self) -> Result<RequestBody, RequestError> {
        let mut encodings = self.values("transfer-encoding");
        let mut lengths = self.values("content-length");
        match (encodings.next(), encodings.next(), lengths.next(), lengths.next()) {
            (None, _, None, _) => Ok(RequestBody::Sized(0)),
            (None, _, Some(length), None) => {
                let is_number = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
                let text = str::from_utf8(length).ok().filter(|_| is_number);
                let number = text.and_then(|text| text.parse().ok());
                number.map(RequestBody::Sized).ok_or(RequestError::Malformed)
            }
            (Some(encoding), None, None, _)
                if !self.is_old && encoding.eq_ignore_ascii_case(b"chunked") =>
            {
                Ok(RequestBody::Chunked)
            }
            _ => Err(RequestError::Malformed),
        }
    }

    /// The fields that `Connection` names, none of which may change what the request means.
    fn connection_options(&self) -> Result<Vec<String>, RequestError> {
        let mut named = Vec::new();
        for value in self.values("connection") {
            for option in value.split(|&byte| byte == b',') {
                let option = option.trim_ascii();
                if option.is_empty() {
                    continue;
                }
                let option = token(option)?.to_ascii_lowercase();
                if matches!(option.as_str(), "host" | "content-length" | "transfer-encoding") {
                    return Err(RequestError::Malformed);
                }
                named.push(option);
            }
        }
        Ok(named)
    }
}

/// Splits lines at CR LF; a CR, LF or NUL alone is an error.
fn split_lines(text: &[u8]) -> Result<Vec<&[u8]>, RequestError> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        lines.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    lines.push(rest);
    let is_broken = |line: &&[u8]| line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
    if lines.iter().any(is_broken) { Err(RequestError::Malformed) } else { Ok(lines) }
}

/// Splits `Name: value`. A space before the colon or at the start of a line is an error.
fn parse_field(line: &[u8]) -> Result<(String, &[u8]), RequestError> {
    let colon = line.iter().position(|&byte| byte == b':').ok_or(RequestError::Malformed)?;
    let value = line[colon + 1..].trim_ascii();
    let is_text = |byte: &u8| *byte >= b' ' && *byte != 0x7f || *byte == b'\t';
    if !value.iter().all(is_text) {
        return Err(RequestError::Malformed);
    }
    Ok((token(&line[..colon])?.to_ascii_lowercase(), value))
}

/// A token of RFC 9110.
fn token(bytes: &[u8]) -> Result<String, RequestError> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if bytes.is_empty() || !bytes.iter().all(is_part) {
        return Err(RequestError::Malformed);
    }
    Ok(bytes.iter().map(|&byte| char::from(byte)).collect())
}

/// Splits `http://host:port/path?query`.
fn split_url(target: &[u8]) -> Result<(Host, u16, Vec<u8>), RequestError> {
    const SCHEME: &[u8] = b"http://";
    let (scheme, rest) = target.split_at_checked(SCHEME.len()).ok_or(RequestError::NotForProxy)?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(RequestError::NotForProxy);
    }
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let authority = str::from_utf8(authority).map_err(|_| RequestError::InvalidHost)?;
    let (host, port) = split_authority(authority).map_err(|_| RequestError::InvalidHost)?;
    let slash: &[u8] = if path.starts_with(b"/") { b"" } else { b"/" };
    Ok((host, port.unwrap_or(80), [slash, path].concat()))
}

#[cfg(test)]
#[path = "http_request_tests.rs"]
mod tests;
