//! Real pushes and fetches over HTTP: git's own server side, `git http-backend`, behind a password.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::Asked;

/// The whole answer, with its head.
pub fn answer(root: &Path, password: Option<&str>, asked: &Asked) -> Vec<u8> {
    if let Some(password) = password
        && sent_password(asked).as_deref() != Some(password)
    {
        return b"HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic realm=\"forge\"\r\n\
                 connection: close\r\ncontent-length: 0\r\n\r\n"
            .to_vec();
    }
    let header = |name: &str| asked.headers.get(name).cloned().unwrap_or_default();
    let query: Vec<String> =
        asked.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut backend = Command::new("git");
    backend
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("REMOTE_USER", "somebody")
        .env("REQUEST_METHOD", &asked.method)
        .env("PATH_INFO", &asked.path)
        .env("QUERY_STRING", query.join("&"))
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", asked.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = backend.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let body = asked.body.clone();
    let feed = std::thread::spawn(move || drop(stdin.write_all(&body)));
    let output = child.wait_with_output().unwrap().stdout;
    feed.join().unwrap();
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    let rest: String = head.lines().map(|line| format!("{line}\r\n")).collect();
    let length = output.len() - end - 4;
    let mut answer =
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{rest}\r\n")
            .into_bytes();
    answer.extend_from_slice(&output[end + 4..]);
    answer
}

/// The status of an answer.
pub fn status(answer: &[u8]) -> u16 {
    String::from_utf8_lossy(&answer[9..12]).parse().unwrap()
}

fn sent_password(asked: &Asked) -> Option<String> {
    let login = asked.headers.get("authorization")?.strip_prefix("Basic ")?;
    let login = String::from_utf8(BASE64_STANDARD.decode(login).ok()?).ok()?;
    Some(login.split_once(':')?.1.to_owned())
}
