//! A stand-in for the receiver of a webhook: keeps all requests.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A received request.
#[derive(Clone, Debug)]
pub struct Hook {
    pub path: String,
    /// All headers, in lower case.
    pub headers: String,
    pub body: String,
}

pub struct HookServer {
    at: SocketAddr,
    received: Arc<Mutex<Vec<Hook>>>,
    over: Arc<AtomicBool>,
}

impl HookServer {
    /// Answers each request with this status; `None` never answers.
    pub fn answering(status: Option<u16>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::new(AtomicBool::new(false));
        let (kept, ended) = (Arc::clone(&received), Arc::clone(&over));
        thread::spawn(move || {
            // Connections without an answer stay open.
            let mut open = Vec::new();
            for stream in listener.incoming().flatten() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let hook = receive(&stream);
                kept.lock().unwrap().push(hook);
                match status {
                    Some(status) => answer(stream, status),
                    None => open.push(stream),
                }
            }
        });
        Self { at, received, over }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.at)
    }

    pub fn received(&self) -> Vec<Hook> {
        self.received.lock().unwrap().clone()
    }
}

impl Drop for HookServer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.at));
    }
}

fn receive(stream: &TcpStream) -> Hook {
    let mut reader = BufReader::new(stream);
    let (mut first, mut headers) = (String::new(), String::new());
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 || line.trim().is_empty() {
            break;
        }
        headers += &line.to_lowercase();
    }
    let length = headers.lines().find_map(|line| line.strip_prefix("content-length:"));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    Hook { path, headers, body: String::from_utf8(body).unwrap() }
}

fn answer(mut stream: TcpStream, status: u16) {
    let text =
        format!("HTTP/1.1 {status} Status\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).unwrap();
}
