//! A stand-in for a provider of models: the real protocols, with streaming, over plain HTTP on this machine.
//!
//! It answers with one prepared turn after the other and keeps the requests. After the last turn it answers with status
//! 418, which no client retries.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

mod wire;

pub use wire::Protocol;

/// Content of one answer.
#[derive(Clone, Debug)]
pub enum Turn {
    /// Tool calls: names and arguments.
    Calls(Vec<(String, Value)>),
    Say(String),
    /// A tool call whose arguments are not JSON; the answer itself ends normally.
    Malformed(String),
    /// Cut off by the token limit in the middle of a call, or of a text.
    CutCall(String),
    CutText(String),
    /// An error instead of an answer: status, headers, body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// Headers, then silence.
    Hang,
    /// The start of an answer, then a closed connection.
    BreakOff,
}

pub fn call(name: &str, arguments: Value) -> Turn {
    Turn::Calls(vec![(name.to_owned(), arguments)])
}

pub fn finish(summary: &str) -> Turn {
    call("finish", serde_json::json!({ "summary": summary }))
}

#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub headers: String,
    pub body: Value,
}

pub struct ModelServer {
    at: SocketAddr,
    asked: Arc<Mutex<Vec<Request>>>,
    over: Arc<AtomicBool>,
}

impl ModelServer {
    pub fn new(protocol: Protocol, turns: impl IntoIterator<Item = Turn>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let turns = Arc::new(Mutex::new(VecDeque::from_iter(turns)));
        let (asked, over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let server = Self { at, asked: Arc::clone(&asked), over: Arc::clone(&over) };
        thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let (turns, asked) = (Arc::clone(&turns), Arc::clone(&asked));
                thread::spawn(move || serve(stream.unwrap(), protocol, &turns, &asked));
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    pub fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }

    /// The body of the last request.
    pub fn last_body(&self) -> String {
        self.asked().last().map(|request| request.body.to_string()).unwrap_or_default()
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(self.at);
    }
}

fn serve(
    mut stream: TcpStream,
    protocol: Protocol,
    turns: &Mutex<VecDeque<Turn>>,
    asked: &Mutex<Vec<Request>>,
) {
    let Some(request) = read(&stream) else { return };
    asked.lock().unwrap().push(request);
    let turn = turns.lock().unwrap().pop_front();
    // Some tests are about clients that disconnect.
    let _ = answer(&mut stream, protocol, turn);
}

fn answer(stream: &mut TcpStream, protocol: Protocol, turn: Option<Turn>) -> std::io::Result<()> {
    let turn = turn.unwrap_or(Turn::Status(418, Vec::new(), "no turn is left".to_owned()));
    if let Turn::Status(status, headers, body) = &turn {
        let headers: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        return write!(
            stream,
            "HTTP/1.1 {status} No\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            body.len()
        );
    }
    stream.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n",
    )?;
    for event in wire::events(protocol, &turn) {
        // Small pieces, so that events are split.
        for piece in event.as_bytes().chunks(97) {
            write!(stream, "{:x}\r\n", piece.len())?;
            stream.write_all(piece)?;
            stream.write_all(b"\r\n")?;
            stream.flush()?;
        }
    }
    match turn {
        // Until the client gives up.
        Turn::Hang => {
            stream.set_read_timeout(Some(Duration::from_secs(60)))?;
            stream.read(&mut [0; 1]).map(drop)
        }
        Turn::BreakOff => Ok(()),
        _ => stream.write_all(b"0\r\n\r\n"),
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let path = lines.first()?.split(' ').nth(1)?.to_owned();
    let length = lines.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).ok()?;
    Some(Request { path, headers: lines[1..].join("\n").to_lowercase(), body })
}
