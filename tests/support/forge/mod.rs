//! Stand-ins for GitHub, GitLab and Gitea that speak the part of their REST APIs that autopack uses.
//!
//! The shapes of answers follow the public documentation, named in each file, with the fields that matter here and some
//! that do not. Changes of issues count up, so that lists can be sorted by the last change.

mod git_backend;
mod gitea;
mod gitea_pulls;
mod github;
mod github_pulls;
mod gitlab;
mod gitlab_merges;
mod pulls;

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use reqwest::Url;
use serde_json::Value;

pub use pulls::{PullState, TestComment, TestPull};

/// An issue of the stand-in, in no forge's shape.
#[derive(Clone, Debug)]
pub struct TestIssue {
    pub number: u64,
    pub title: String,
    pub body: String,
    pub is_closed: bool,
    /// GitHub's `state_reason` of a closed issue.
    pub reason: Option<&'static str>,
    pub labels: Vec<&'static str>,
    pub author: &'static str,
    pub assignee: Option<&'static str>,
    pub milestone: Option<&'static str>,
    pub is_pull_request: bool,
    pub blocked_by: Vec<u64>,
    pub sub_issues: Vec<u64>,
    changed: u64,
}

/// An open issue of `owner`.
pub fn issue(number: u64, title: &str) -> TestIssue {
    TestIssue {
        number,
        title: title.to_owned(),
        body: String::new(),
        is_closed: false,
        reason: None,
        labels: Vec::new(),
        author: "owner",
        assignee: None,
        milestone: None,
        is_pull_request: false,
        blocked_by: Vec::new(),
        sub_issues: Vec::new(),
        changed: 0,
    }
}

impl TestIssue {
    pub fn body(self, body: &str) -> Self {
        Self { body: body.to_owned(), ..self }
    }

    pub fn labels(self, labels: &[&'static str]) -> Self {
        Self { labels: labels.to_vec(), ..self }
    }

    pub fn by(self, author: &'static str) -> Self {
        Self { author, ..self }
    }
}

/// A request as received.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: HashMap<String, String>,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
    /// Status of the answer.
    pub status: u16,
}

/// An answer of the stand-in.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    /// Declares more bytes than it sends.
    pub is_cut: bool,
}

impl Answer {
    pub fn of(status: u16, body: &str) -> Self {
        Self { status, headers: Vec::new(), body: body.to_owned(), is_cut: false }
    }

    pub fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    fn json(value: &Value) -> Self {
        Self::of(200, &value.to_string())
    }
}

/// What a server knows.
#[derive(Default)]
pub struct Knowledge {
    pub issues: Vec<TestIssue>,
    /// Logins whose issues count.
    pub members: Vec<&'static str>,
    /// Owner of the token.
    pub me: &'static str,
    /// With a token, requests without it find nothing.
    pub token: Option<&'static str>,
    /// Most items of a page, whatever is asked for.
    pub page_size: Option<usize>,
    /// Present name of a renamed repository.
    pub renamed_to: Option<&'static str>,
    /// Answers of the next requests, in place of the usual ones.
    pub next_answers: VecDeque<Answer>,
    pub pulls: Vec<TestPull>,
    pub comments: Vec<TestComment>,
    /// Name and GitLab's word for the result of each check, of every commit.
    pub checks: Vec<(&'static str, &'static str)>,
    /// Directory of the git repositories served below the same address.
    pub git_root: Option<PathBuf>,
    /// Password of pushes and fetches; none without one.
    pub git_password: Option<&'static str>,
    /// So many of the next pushes that name a run arrive, and their answers are lost.
    pub lost_push_answers: u32,
    /// Answers to so many of the next writes are lost.
    pub lost_answers: u32,
    /// Answer to all writes, which are not done.
    pub refused_writes: Option<Answer>,
    /// Writes are received, told, and neither done nor answered.
    pub on_write: Option<mpsc::Sender<()>>,
    changes: u64,
    asked: Vec<Asked>,
    url: String,
}

type Route = fn(&mut Knowledge, &Asked) -> Answer;

pub struct ForgeServer {
    at: SocketAddr,
    knowledge: Arc<Mutex<Knowledge>>,
    over: Arc<AtomicBool>,
}

impl ForgeServer {
    /// The repository `o/r` on GitHub.
    pub fn github() -> Self {
        Self::start(github::answer)
    }

    /// The project `group/sub/p` on GitLab.
    pub fn gitlab() -> Self {
        Self::start(gitlab::answer)
    }

    /// The repository `o/r` on Gitea.
    pub fn gitea() -> Self {
        Self::start(gitea::answer)
    }

    fn start(route: Route) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let knowledge = Knowledge {
            members: vec!["owner", "member"],
            me: "owner",
            url: format!("http://{at}"),
            ..Knowledge::default()
        };
        let knowledge = Arc::new(Mutex::new(knowledge));
        let over = Arc::new(AtomicBool::new(false));
        let (shared, ended) = (Arc::clone(&knowledge), Arc::clone(&over));
        thread::spawn(move || {
            // Connections without an answer stay open.
            let open = Arc::new(Mutex::new(Vec::new()));
            for stream in listener.incoming().flatten() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let (open, shared) = (Arc::clone(&open), Arc::clone(&shared));
                thread::spawn(move || {
                    if let Some(unanswered) = serve(stream, &shared, route) {
                        open.lock().unwrap().push(unanswered);
                    }
                });
            }
        });
        Self { at, knowledge, over }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    pub fn port(&self) -> u16 {
        self.at.port()
    }

    /// Host and port.
    pub fn host(&self) -> String {
        self.at.to_string()
    }

    pub fn with<T>(&self, act: impl FnOnce(&mut Knowledge) -> T) -> T {
        act(&mut self.knowledge.lock().unwrap())
    }

    pub fn add(&self, issues: impl IntoIterator<Item = TestIssue>) {
        self.with(|knowledge| {
            for issue in issues {
                knowledge.changes += 1;
                let changed = knowledge.changes;
                knowledge.issues.push(TestIssue { changed, ..issue });
            }
        });
    }

    /// Changes an issue, which counts as the last change then.
    pub fn change(&self, number: u64, act: impl FnOnce(&mut TestIssue)) {
        self.with(|knowledge| {
            knowledge.changes += 1;
            let changed = knowledge.changes;
            let issue = knowledge.issues.iter_mut().find(|issue| issue.number == number).unwrap();
            act(issue);
            issue.changed = changed;
        });
    }

    pub fn close(&self, number: u64, reason: Option<&'static str>) {
        self.change(number, |issue| (issue.is_closed, issue.reason) = (true, reason));
    }

    /// Answers the next requests like this.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.with(|knowledge| knowledge.next_answers.extend(answers));
    }

    /// The requests since the last call.
    pub fn take_asked(&self) -> Vec<Asked> {
        self.with(|knowledge| std::mem::take(&mut knowledge.asked))
    }
}

impl Drop for ForgeServer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.at));
    }
}

/// Answers a request, or returns the connection.
fn serve(mut stream: TcpStream, shared: &Mutex<Knowledge>, route: Route) -> Option<TcpStream> {
    let mut asked = receive(&stream)?;
    let mut knowledge = shared.lock().unwrap();
    let is_write = !["GET", "HEAD"].contains(&asked.method.as_str());
    let is_git = asked.path.contains(".git/");
    if let Some(told) = knowledge.on_write.as_ref().filter(|_| is_write && !is_git) {
        told.send(()).unwrap();
        return Some(stream);
    }
    let mut answer = match knowledge.next_answers.pop_front() {
        Some(answer) => answer,
        None if is_git => {
            let (root, password) = (knowledge.git_root.clone(), knowledge.git_password);
            drop(knowledge);
            // Requests for git are served side by side, as by a real server.
            let root = root.expect("the stand-in serves repositories");
            let answer = git_backend::answer(&root, password, &asked);
            asked.status = git_backend::status(&answer);
            let names_run = asked.body.windows(4).any(|four| four == b"/run");
            asked.body.clear();
            let is_push = is_write && names_run && asked.path.ends_with("/git-receive-pack");
            let mut knowledge = shared.lock().unwrap();
            knowledge.asked.push(asked);
            if is_push && knowledge.lost_push_answers > 0 {
                knowledge.lost_push_answers -= 1;
                return None;
            }
            drop(knowledge);
            let _ = stream.write_all(&answer);
            return None;
        }
        None if is_write && knowledge.refused_writes.is_some() => {
            knowledge.refused_writes.clone().unwrap()
        }
        None => route(&mut knowledge, &asked),
    };
    if is_write && knowledge.lost_answers > 0 {
        knowledge.lost_answers -= 1;
        answer.is_cut = true;
    }
    let answer = unless_unchanged(answer, &asked);
    asked.status = answer.status;
    knowledge.asked.push(asked);
    let length = answer.body.len() + if answer.is_cut { 100 } else { 0 };
    let mut text = format!("HTTP/1.1 {} Status\r\nconnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("content-length: {length}\r\n\r\n{}", answer.body);
    // The client may have gone.
    let _ = stream.write_all(text.as_bytes());
    None
}

fn receive(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    // Through a proxy, the target is a whole URL.
    let url = Url::parse("http://host").unwrap().join(&target).ok()?;
    let query = url.query_pairs().into_owned().collect();
    let body = receive_body(&mut reader, &headers)?;
    Some(Asked { method, path: url.path().to_owned(), query, headers, body, status: 0 })
}

fn receive_body(
    reader: &mut BufReader<&TcpStream>,
    headers: &HashMap<String, String>,
) -> Option<Vec<u8>> {
    if headers.contains_key("expect") {
        reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    let mut body = Vec::new();
    if headers.get("transfer-encoding").is_none_or(|encoding| encoding != "chunked") {
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        body.resize(length, 0);
        reader.read_exact(&mut body).ok()?;
        return Some(body);
    }
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk).ok()?;
        body.extend_from_slice(&chunk[..length]);
        if length == 0 {
            return Some(body);
        }
    }
}

/// Answers 304 to a request with the ETag of the answer.
fn unless_unchanged(answer: Answer, asked: &Asked) -> Answer {
    let etag = answer.headers.iter().find(|(name, _)| *name == "etag").map(|(_, value)| value);
    match etag {
        Some(etag) if asked.headers.get("if-none-match") == Some(etag) => {
            Answer::of(304, "").header("etag", etag)
        }
        _ => answer,
    }
}

impl Asked {
    fn get(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    fn number(&self, name: &str, otherwise: usize) -> usize {
        self.get(name).map_or(otherwise, |text| text.parse().unwrap())
    }

    /// The JSON object of a write.
    pub fn object(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The token as sent.
    pub fn token(&self) -> Option<&str> {
        self.headers.get("authorization")?.split(' ').nth(1)
    }
}

impl Knowledge {
    /// Returns the page of a list, and whether another follows.
    fn page<'a>(&self, all: &'a [Value], asked: &Asked, size_field: &str) -> (&'a [Value], bool) {
        let size = asked.number(size_field, 30).min(self.page_size.unwrap_or(100));
        let from = (asked.number("page", 1) - 1) * size;
        let from = from.min(all.len());
        let to = (from + size).min(all.len());
        (&all[from..to], to < all.len())
    }

    /// Returns whether the request may see the repository: `None` for a wrong token.
    fn may_see(&self, asked: &Asked) -> Option<bool> {
        match (self.token, asked.token()) {
            (None, _) => Some(true),
            (Some(token), Some(sent)) => (token == sent).then_some(true),
            (Some(_), None) => Some(false),
        }
    }

    /// Issues with all labels and the milestone, open or in any state, newest first.
    fn chosen(&self, asked: &Asked, is_open_only: bool) -> Vec<&TestIssue> {
        let wanted: Vec<&str> =
            asked.get("labels").map_or(Vec::new(), |labels| labels.split(',').collect());
        let mut issues: Vec<&TestIssue> = self
            .issues
            .iter()
            .filter(|issue| !(is_open_only && issue.is_closed))
            .filter(|issue| wanted.iter().all(|label| issue.labels.contains(label)))
            .collect();
        issues.sort_by_key(|issue| std::cmp::Reverse(issue.number));
        issues
    }

    fn find(&self, number: &str) -> Option<&TestIssue> {
        let number: u64 = number.parse().ok()?;
        self.issues.iter().find(|issue| issue.number == number)
    }
}

/// An ETag for a text.
fn etag(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("W/\"{:016x}\"", hasher.finish())
}

/// A time for a change.
fn time(change: u64) -> String {
    format!("2026-01-01T00:{:02}:{:02}Z", change / 60, change % 60)
}
