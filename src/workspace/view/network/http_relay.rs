//! Forwards one HTTP/1 request and the response.
//!
//! The body is read by the received framing and framed anew, so nothing after the body reaches the server. The response
//! ends with the connection: `Connection: close` is added to both directions.

use std::io::{self, ErrorKind};

use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, copy_buf,
};
use tokio::net::TcpStream;

use super::http_request::RequestBody;

/// Most bytes of a response's head.
const MAX_RESPONSE_HEAD: usize = 64 * 1024;
/// Most bytes of the line of a chunk's size, and of all trailer fields.
const MAX_CHUNK_LINE: u64 = 1024;
/// Most trailer fields.
const MAX_TRAILERS: usize = 64;

/// Fields of a response about the connection to the server alone.
const HOP_BY_HOP: [&str; 5] =
    ["connection", "keep-alive", "proxy-connection", "proxy-authenticate", "upgrade"];

/// Result of an exchange without a failure on the client's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// The response was forwarded, completely or until the server stopped early.
    Answered,
    /// Nothing was forwarded: the server sent no valid response.
    NoResponse,
}

/// Sends a head and the following body from `early` and `client`; returns the response.
///
/// # Errors
///
/// Fails if the client stops early, or the framing of the body is invalid.
pub async fn exchange(
    client: &mut TcpStream,
    early: &[u8],
    head: &[u8],
    body: RequestBody,
    server: &mut TcpStream,
) -> io::Result<Exchange> {
    let (client_reader, mut client_writer) = client.split();
    let (server_reader, mut server_writer) = server.split();
    let upload = async {
        server_writer.write_all(head).await?;
        let mut body_reader = BufReader::new(early.chain(client_reader));
        forward_body(&mut body_reader, body, &mut server_writer).await?;
        // A second request on the connection is left unread.
        if body_reader.read(&mut [0]).await? == 0 {
            server_writer.shutdown().await?;
        }
        Ok::<(), io::Error>(())
    };
    let download = forward_response(BufReader::new(server_reader), &mut client_writer);
    tokio::pin!(upload, download);
    tokio::select! {
        answered = &mut download => answered,
        sent = &mut upload => match sent {
            Err(error) if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => Err(error),
            // A server may answer, and close, before it has the whole body.
            _ => download.await,
        },
    }
}

/// Forwards a body, exactly as long as the framing says.
async fn forward_body(
    client: &mut (impl AsyncBufRead + Unpin),
    body: RequestBody,
    server: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    match body {
        RequestBody::Sized(length) => copy_exactly(client, length, server).await,
        RequestBody::Chunked => loop {
            let line = read_line(client, MAX_CHUNK_LINE).await?;
            let size = chunk_size(&line).ok_or(ErrorKind::InvalidData)?;
            if size == 0 {
                skip_trailers(client).await?;
                return server.write_all(b"0\r\n\r\n").await;
            }
            server.write_all(format!("{size:x}\r\n").as_bytes()).await?;
            copy_exactly(client, size, server).await?;
            if !read_line(client, MAX_CHUNK_LINE).await?.is_empty() {
                return Err(ErrorKind::InvalidData.into());
            }
            server.write_all(b"\r\n").await?;
        },
    }
}

async fn copy_exactly(
    client: &mut (impl AsyncBufRead + Unpin),
    length: u64,
    server: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let copied = copy_buf(&mut client.take(length), server).await?;
    if copied == length { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

/// Parses the line before a chunk. Extensions are dropped.
pub(super) fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|&byte| byte == b';').next()?;
    let is_plain = (1..=15).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    let digits = str::from_utf8(digits).ok().filter(|_| is_plain)?;
    u64::from_str_radix(digits, 16).ok()
}

async fn skip_trailers(client: &mut (impl AsyncBufRead + Unpin)) -> io::Result<()> {
    for _ in 0..MAX_TRAILERS {
        if read_line(client, MAX_CHUNK_LINE).await?.is_empty() {
            return Ok(());
        }
    }
    Err(ErrorKind::InvalidData.into())
}

/// Reads a line ending in CR LF, and returns the line without CR LF. A CR or LF alone is an error.
async fn read_line(reader: &mut (impl AsyncBufRead + Unpin), limit: u64) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    reader.take(limit).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    match line.strip_suffix(b"\r\n") {
        Some(text) if !text.contains(&b'\r') => Ok(text.to_vec()),
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

/// Forwards interim responses, the final response with new connection fields, and everything after.
async fn forward_response(
    mut server: impl AsyncBufRead + Unpin,
    client: &mut (impl AsyncWrite + Unpin),
) -> io::Result<Exchange> {
    loop {
        let Ok(head) = read_response_head(&mut server).await else {
            return Ok(Exchange::NoResponse);
        };
        match status(&head) {
            // The request had no `Upgrade`.
            None | Some(101) => return Ok(Exchange::NoResponse),
            Some(100..=199) => client.write_all(&head).await?,
            Some(_) => {
                client.write_all(&final_head(&head)).await?;
                break;
            }
        }
    }
    copy_buf(&mut server, client).await?;
    client.shutdown().await?;
    Ok(Exchange::Answered)
}

/// Reads up to the empty line. Line ends may be LF alone, as sent by some servers.
async fn read_response_head(server: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    loop {
        let start = head.len();
        let left = (MAX_RESPONSE_HEAD - start) as u64;
        server.take(left).read_until(b'\n', &mut head).await?;
        match &head[start..] {
            b"\r\n" | b"\n" if start > 0 => return Ok(head),
            line if line.ends_with(b"\n") => {}
            _ => return Err(ErrorKind::InvalidData.into()),
        }
    }
}

fn status(head: &[u8]) -> Option<u16> {
    let digits = head.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    str::from_utf8(digits).ok()?.parse().ok()
}

fn final_head(head: &[u8]) -> Vec<u8> {
    let mut rewritten = Vec::new();
    for line in head.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let name = line.split(|&byte| byte == b':').next().unwrap_or_default().trim_ascii();
        if line.is_empty()
            || HOP_BY_HOP.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
        {
            continue;
        }
        rewritten.extend_from_slice(line);
        rewritten.extend_from_slice(b"\r\n");
    }
    rewritten.extend_from_slice(b"Connection: close\r\n\r\n");
    rewritten
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Forwards a chunked body from memory.
    async fn chunked(mut body: &[u8]) -> Result<(String, usize), ErrorKind> {
        let mut sent = Vec::new();
        let forwarded = forward_body(&mut body, RequestBody::Chunked, &mut sent).await;
        forwarded
            .map(|()| (String::from_utf8(sent).unwrap(), body.len()))
            .map_err(|error| error.kind())
    }

    #[tokio::test]
    async fn chunks_are_framed_anew() {
        let body = b"0002;x=y\r\nhi\r\nA\r\n0123456789\r\n0\r\nX: 1\r\n\r\nGET /";
        let expected = "2\r\nhi\r\na\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!(chunked(body).await, Ok((expected.to_owned(), 5)));
    }

    #[tokio::test]
    async fn broken_chunks_are_refused() {
        for body in [
            "x\r\n",
            "2\nhi\r\n0\r\n\r\n",
            "2\r\nhi0\r\n\r\n",
            "+2\r\nhi\r\n",
            " 2\r\nhi\r\n",
            "0\r\nX\n\r\n",
            "\r\n",
        ] {
            assert_eq!(chunked(body.as_bytes()).await, Err(ErrorKind::InvalidData), "{body:?}");
        }
        for body in ["", "2\r\nh", "2\r\nhi\r\n", "0\r\n"] {
            assert_eq!(chunked(body.as_bytes()).await, Err(ErrorKind::UnexpectedEof), "{body:?}");
        }
        let endless = [b'0'; 4096];
        assert_eq!(chunked(&endless).await, Err(ErrorKind::InvalidData));
        assert_eq!(chunk_size(b"fffffffffffffff"), Some((1 << 60) - 1));
        assert_eq!(chunk_size(b"ffffffffffffffff"), None);
    }

    #[tokio::test]
    async fn interim_responses_come_before_the_final_one() {
        let server =
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\nConnection: keep-alive\nX: 1\n\nrest";
        let mut sent = Vec::new();
        let answered = forward_response(&server[..], &mut sent).await.unwrap();
        let expected =
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: 1\r\nConnection: close\r\n\r\nrest";
        assert_eq!(
            (answered, String::from_utf8(sent).unwrap()),
            (Exchange::Answered, expected.to_owned())
        );
    }

    #[tokio::test]
    async fn what_is_no_response_is_not_passed_on() {
        let endless = vec![b'a'; 2 * MAX_RESPONSE_HEAD];
        let switched = b"HTTP/1.1 101 Switching Protocols\r\n\r\nraw";
        for server in [&b""[..], b"HTTP/1.1 200 OK\r\n", b"SSH-2.0\r\n\r\n", switched, &endless] {
            let mut sent = Vec::new();
            assert_eq!(forward_response(server, &mut sent).await.unwrap(), Exchange::NoResponse);
            assert_eq!(sent, b"");
        }
    }
}
