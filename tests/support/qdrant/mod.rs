//! A stand-in for Qdrant: the real gRPC protocol on the server stubs shipped with the client, and REST readiness.
//!
//! It keeps points in memory and optionally in a file, which it locks; compares by cosine; requires keys where the real
//! one does, that is, not for health checks; and refuses methods that autopack does not use. It can be killed,
//! restarted with or without its points, and made to hang. [`StandIn`] runs in the test, [`StandInProcess`] beside it.

// Each test program uses its own part of this.
#![allow(dead_code)]

mod points;
mod process;
mod services;
mod storage;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use qdrant_client::qdrant::collections_server::CollectionsServer;
use qdrant_client::qdrant::points_server::PointsServer;
use qdrant_client::qdrant::qdrant_server::QdrantServer;
use qdrant_client::qdrant::{Distance, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

#[allow(unused_imports)]
pub use process::{Held, StandInProcess, entries, program};

#[derive(Clone, Debug)]
pub struct Point {
    pub payload: HashMap<String, Value>,
    pub vector: Vec<f32>,
}

#[derive(Clone, Debug)]
pub struct Collection {
    pub dimensions: u64,
    pub distance: Distance,
    pub points: BTreeMap<String, Point>,
    pub indexed: BTreeSet<String>,
}

/// State that survives a restart, and settings of the behavior.
#[derive(Debug, Default)]
pub struct State {
    pub collections: Mutex<BTreeMap<String, Collection>>,
    /// Requests are accepted and never answered.
    pub hangs: AtomicBool,
    pub requests: AtomicU64,
    /// If set, required of every request except health checks.
    pub api_key: Mutex<Option<String>>,
    /// Grants read access.
    pub read_only_api_key: Mutex<Option<String>>,
    /// File for changes, if any.
    storage: Mutex<Option<File>>,
}

/// Rights granted by a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    Read,
    Write,
}

impl State {
    /// Rights of a request with this key; if the server has no key, everything is permitted.
    pub fn rights(&self, key: Option<&str>) -> Result<Rights, &'static str> {
        let [all, read] =
            [&self.api_key, &self.read_only_api_key].map(|key| key.lock().unwrap().clone());
        match key {
            _ if all.is_none() && read.is_none() => Ok(Rights::Write),
            None => Err("Must provide an API key or an Authorization bearer token"),
            Some(key) if all.as_deref() == Some(key) => Ok(Rights::Write),
            Some(key) if read.as_deref() == Some(key) => Ok(Rights::Read),
            Some(_) => Err("Invalid API key or JWT"),
        }
    }

    /// Starts with the contents of the file.
    pub fn stored_in(path: &Path) -> std::io::Result<Self> {
        let (collections, file) = storage::open(path)?;
        let (collections, storage) = (Mutex::new(collections), Mutex::new(Some(file)));
        Ok(Self { collections, storage, ..Self::default() })
    }

    pub fn points(&self, collection: &str) -> BTreeMap<String, Point> {
        let collections = self.collections.lock().unwrap();
        collections.get(collection).map(|found| found.points.clone()).unwrap_or_default()
    }

    /// Every point of every collection, by id.
    pub fn all_points(&self) -> BTreeMap<String, Point> {
        let collections = self.collections.lock().unwrap();
        collections.values().flat_map(|collection| collection.points.clone()).collect()
    }
}

/// A running stand-in, which ends with this value.
pub struct StandIn {
    pub state: Arc<State>,
    pub grpc_port: u16,
    pub rest_port: u16,
    runtime: Option<Runtime>,
}

impl StandIn {
    pub fn start() -> Self {
        let (grpc_port, rest_port) = (free_port(), free_port());
        let mut stand_in = Self { state: Arc::default(), grpc_port, rest_port, runtime: None };
        stand_in.restart();
        stand_in
    }

    /// Restarts on the same ports.
    pub fn restart(&mut self) {
        self.kill();
        // A runtime of its own: dropping it closes every connection at once, like a kill.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let entered = runtime.enter();
        let [grpc, rest] = [self.grpc_port, self.rest_port]
            .map(|port| listen(SocketAddr::from(([127, 0, 0, 1], port))));
        drop(entered);
        runtime.spawn(serve(grpc, rest, Arc::clone(&self.state)));
        self.runtime = Some(runtime);
    }

    pub fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    pub fn hang(&self, hangs: bool) {
        self.state.hangs.store(hangs, Ordering::SeqCst);
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An unused port, below the range for outgoing connections, so that none of these takes it while the stand-in is down.
pub fn free_port() -> u16 {
    let random = || fastrand::u16(20_000..32_000);
    let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(random).take(1_000).find(free).expect("a free port")
}

/// Waits for the port of a killed stand-in, which is free only after its sockets are closed.
fn listen(address: SocketAddr) -> TcpListener {
    for _ in 0..2_000 {
        if let Ok(listener) = std::net::TcpListener::bind(address) {
            listener.set_nonblocking(true).unwrap();
            return TcpListener::from_std(listener).unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("somebody else took {address}")
}

/// Serves until dropped.
pub async fn serve(grpc: TcpListener, rest: TcpListener, state: Arc<State>) {
    let service = services::Service(Arc::clone(&state));
    let grpc = Server::builder()
        .add_service(QdrantServer::new(service.clone()))
        .add_service(CollectionsServer::new(service.clone()))
        .add_service(PointsServer::new(service).max_decoding_message_size(64 << 20))
        .serve_with_incoming(TcpIncoming::from(grpc));
    let (served, ()) = tokio::join!(grpc, ready(rest, state));
    served.unwrap();
}

/// REST, as far as tests need it: health checks without a key, 401 for requests without a valid key, nothing else.
async fn ready(listener: TcpListener, state: Arc<State>) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else { continue };
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            if state.hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap_or(0);
            let (status, body) = rest_answer(&state, &String::from_utf8_lossy(&request[..length]));
            let answer = format!(
                "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        });
    }
}

fn rest_answer(state: &State, request: &str) -> (&'static str, &'static str) {
    let path = request.split_whitespace().nth(1).unwrap_or_default();
    let key = request.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("api-key").then(|| value.trim())
    });
    match (path, state.rights(key)) {
        ("/readyz", _) => ("200 OK", "all shards are ready"),
        ("/healthz", _) => ("200 OK", "healthz check passed"),
        ("/livez", _) => ("200 OK", "healthz check passed"),
        (_, Err(why)) => ("401 Unauthorized", why),
        (_, Ok(_)) => ("404 Not Found", ""),
    }
}
