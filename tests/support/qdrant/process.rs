//! The stand-in as a process that can be killed and restarted, and its contents, read over gRPC.

#![allow(clippy::disallowed_methods, reason = "tests start the real programs")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use qdrant_client::Qdrant;
use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{RetrievedPoint, ScrollPointsBuilder};

/// The example program, built beside the tests by `cargo test` and `cargo nextest run`.
pub fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().find(|dir| dir.join("examples").is_dir());
    let program = target.map(|dir| dir.join("examples/qdrant_stand_in")).filter(|p| p.is_file());
    program.expect("the stand-in is missing: cargo build --example qdrant_stand_in")
}

/// A running stand-in, which ends with this value and with the process that started it.
pub struct StandInProcess {
    pub rest_port: u16,
    pub grpc_port: u16,
    storage: Option<PathBuf>,
    child: Option<Child>,
}

impl StandInProcess {
    /// Starts on unused ports, with its points in a file, or in memory until the next kill.
    pub fn start(storage: Option<&Path>) -> Self {
        Self::start_at(super::free_port(), super::free_port(), storage)
    }

    /// Returns once it listens.
    pub fn start_at(rest_port: u16, grpc_port: u16, storage: Option<&Path>) -> Self {
        let storage = storage.map(Path::to_owned);
        let mut stand_in = Self { rest_port, grpc_port, storage, child: None };
        stand_in.restart();
        stand_in
    }

    /// Restarts on the same ports and with the same file.
    pub fn restart(&mut self) {
        self.kill();
        let mut command = Command::new(program());
        command
            .args(["--address", "127.0.0.1", "--until-stdin-ends"])
            .args(["--rest", &self.rest_port.to_string()])
            .args(["--grpc", &self.grpc_port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(storage) = &self.storage {
            command.arg("--storage").arg(storage);
        }
        let mut child = command.spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready.trim(), "ready", "the stand-in ended: {:?}", child.wait());
        self.child = Some(child);
    }

    /// Like `kill -9`; acknowledged changes are in the file, if there is one.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Suspends the process, or resumes it.
    pub fn pause(&self, pauses: bool) {
        use nix::sys::signal::{Signal, kill};
        let child = self.child.as_ref().expect("it runs");
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        kill(pid, if pauses { Signal::SIGSTOP } else { Signal::SIGCONT }).unwrap();
    }

    pub fn is_up(&self) -> bool {
        self.child.is_some()
    }

    /// Every point of every workspace.
    pub async fn entries(&self) -> BTreeMap<String, Held> {
        entries(self.grpc_port).await
    }
}

impl Drop for StandInProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The compared part of a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The name of the collection in Qdrant.
    pub collection: String,
    pub workspace: String,
    pub text: String,
    /// The number of the journal's change that wrote the point.
    pub n: i64,
}

/// Every entry of a Qdrant by its id, as the real client sees it. Panics if an entry has two points, which is a bug.
pub async fn entries(grpc_port: u16) -> BTreeMap<String, Held> {
    let url = format!("http://127.0.0.1:{grpc_port}");
    let client = Qdrant::from_url(&url).skip_compatibility_check().build().unwrap();
    let mut entries = BTreeMap::new();
    for collection in client.list_collections().await.unwrap().collections {
        let all = ScrollPointsBuilder::new(collection.name.clone()).limit(1_000_000);
        let all = client.scroll(all.with_payload(true)).await.unwrap();
        assert_eq!(all.next_page_offset, None);
        for point in all.result {
            let (id, held) = held(&collection.name, point);
            let before = entries.insert(id.clone(), held);
            assert_eq!(before, None, "{id} is in {} too", collection.name);
        }
    }
    entries
}

fn held(collection: &str, point: RetrievedPoint) -> (String, Held) {
    let kind = |key: &str| point.payload.get(key).and_then(|value| value.kind.clone());
    let text = |key: &str| match kind(key) {
        Some(Kind::StringValue(text)) => text,
        other => panic!("{key} is {other:?}"),
    };
    let Some(Kind::IntegerValue(n)) = kind("n") else { panic!("no number") };
    let held =
        Held { collection: collection.into(), workspace: text("workspace"), text: text("text"), n };
    match point.id.and_then(|id| id.point_id_options) {
        // A point's own id depends on the workspace too.
        Some(PointIdOptions::Uuid(id)) if id != text("entry") => (text("entry"), held),
        other => panic!("{other:?} is no UUID, or that of the entry"),
    }
}
