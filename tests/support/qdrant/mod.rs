//! A stand-in for Qdrant: the real gRPC protocol on the server stubs that the client ships, and REST readiness.
//!
//! It keeps points in memory, compares by cosine, and refuses what autopack does not use. It can die, come back with
//! or without its points, and hang.

// Each test program uses its own part of this.
#![allow(dead_code)]

mod points;
mod services;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use qdrant_client::qdrant::collections_server::CollectionsServer;
use qdrant_client::qdrant::points_server::PointsServer;
use qdrant_client::qdrant::qdrant_server::QdrantServer;
use qdrant_client::qdrant::{Distance, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

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

/// What outlives a restart, and how it behaves.
#[derive(Debug, Default)]
pub struct State {
    pub collections: Mutex<BTreeMap<String, Collection>>,
    /// Requests are taken and never answered.
    pub hangs: AtomicBool,
    pub requests: AtomicU64,
    /// Asked of every request, if set.
    pub api_key: Mutex<Option<String>>,
}

impl State {
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

/// A running stand-in; it dies with this value.
pub struct StandIn {
    pub state: Arc<State>,
    pub grpc_port: u16,
    pub rest_port: u16,
    runtime: Option<Runtime>,
}

impl StandIn {
    pub fn start() -> Self {
        let mut stand_in =
            Self { state: Arc::default(), grpc_port: 0, rest_port: 0, runtime: None };
        stand_in.restart();
        stand_in
    }

    /// On the ports that it had.
    pub fn restart(&mut self) {
        self.kill();
        // A runtime of its own: dropping it closes every connection at once, as a kill does.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let entered = runtime.enter();
        let [grpc, rest] = [self.grpc_port, self.rest_port]
            .map(|port| listen(SocketAddr::from(([127, 0, 0, 1], port))));
        drop(entered);
        self.grpc_port = grpc.local_addr().unwrap().port();
        self.rest_port = rest.local_addr().unwrap().port();
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

/// A port of a killed one is free only once its sockets are closed.
fn listen(address: SocketAddr) -> TcpListener {
    loop {
        if let Ok(listener) = std::net::TcpListener::bind(address) {
            listener.set_nonblocking(true).unwrap();
            return TcpListener::from_std(listener).unwrap();
        }
        std::thread::yield_now();
    }
}

/// Serves until it is dropped.
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

/// `GET /readyz`, as Qdrant answers it.
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
            let known = request[..length].starts_with(b"GET /readyz ");
            let status = if known { "200 OK" } else { "404 Not Found" };
            let body = "all shards are ready";
            let answer = format!(
                "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        });
    }
}
