//! The memory as a component, against a stand-in Qdrant that speaks the real protocol.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use autopack::config::{
    EmbedderSettings, Env, HttpEmbedderSettings, MemorySettings, QdrantSettings,
};
use autopack::memory::index::faiss::Faiss;
use autopack::memory::journal::Journal;
use autopack::memory::{
    AutostartPermission, Backend, Collection, Entry, EntryFilter, EntryId, MatchSource, Memory,
    MemoryError, MemoryLocation, OpenMemory, Query, Recall,
};
use autopack::phase::{PhaseId, RunId};
use autopack::process::Redactor;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::dice::Dice;
use crate::support::qdrant::{StandIn, StandInProcess};

/// A workspace with a memory in it.
pub struct Workspace {
    dir: TempDir,
    settings: MemorySettings,
}

impl Workspace {
    /// No autostart: a test must never use the machine's own Docker.
    pub fn new(qdrant: &StandIn) -> Self {
        Self::at(qdrant.rest_port, qdrant.grpc_port)
    }

    fn at(rest_port: u16, grpc_port: u16) -> Self {
        let qdrant = QdrantSettings {
            host: "127.0.0.1".into(),
            port: rest_port,
            grpc_port,
            autostart: false,
            ..QdrantSettings::default()
        };
        let settings = MemorySettings { qdrant, ..MemorySettings::default() };
        Self { dir: TempDir::new().unwrap(), settings }
    }

    /// A copy as made by `cp -r`.
    pub fn copied(&self) -> Self {
        let dir = TempDir::new().unwrap();
        let from = self.dir.path().join(".autopack");
        let copied = std::process::Command::new("cp").arg("-r").arg(from).arg(dir.path()).status();
        assert!(copied.unwrap().success());
        Self { dir, settings: self.settings.clone() }
    }

    fn place(&self) -> MemoryLocation {
        place(self.dir.path())
    }

    async fn try_open(&self) -> Result<OpenMemory, MemoryError> {
        Memory::open(&self.settings, &self.place(), AutostartPermission::Allowed).await
    }

    pub async fn open(&self) -> Memory {
        self.try_open().await.unwrap().memory
    }

    pub fn journal(&self) -> std::path::PathBuf {
        self.dir.path().join(".autopack/memory.db")
    }
}

fn place(workspace: &Path) -> MemoryLocation {
    MemoryLocation {
        workspace: workspace.to_owned(),
        autopack_dir: workspace.join(".autopack"),
        repository: None,
        docker_host: Some("unix:///nonexistent/docker.sock".into()),
        provider_key: None,
        redactor: Redactor::formats_only(),
    }
}

/// Ports without a listener: another stand-in used them a moment ago.
pub fn dead() -> StandIn {
    let mut stand_in = StandIn::start();
    stand_in.kill();
    stand_in
}

pub fn error(number: usize, text: &str) -> Entry {
    let (run, phase) = (RunId::new("run"), PhaseId::new(format!("phase-{number}")));
    Entry::new(Collection::ErrorsCi, format!("run/phase-{number}"), text).of(&run, &phase)
}

pub async fn texts(memory: &Memory, query: &str) -> Vec<String> {
    let query = Query { text: query.into(), limit: 5, ..Query::default() };
    memory.search(&query).await.unwrap().into_iter().map(|snippet| snippet.text).collect()
}

/// Searches until Qdrant itself answers with the expected texts; returns the last texts found.
///
/// A search that Qdrant answers too late finds the own entries alone, and the breaker then keeps calls away for
/// seconds. A `sync` asks at once.
pub async fn search_in_qdrant(
    memory: &Memory,
    query: &Query,
    is_expected: impl Fn(&[String]) -> bool,
) -> Vec<String> {
    let mut found = Vec::new();
    for _ in 0..60 {
        let snippets = memory.search(query).await.unwrap();
        found = snippets.into_iter().map(|snippet| snippet.text).collect();
        if is_expected(&found) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let _ = memory.sync(&|_, _| {}).await;
    }
    found
}

pub async fn sync(memory: &Memory) -> autopack::memory::SyncSummary {
    memory.sync(&|_, _| {}).await.unwrap()
}

#[tokio::test]
async fn entries_are_recalled_through_qdrant_and_outlive_the_process() {
    let qdrant = StandIn::start();
    let workspace = Workspace::new(&qdrant);
    {
        let memory = workspace.open().await;
        assert_eq!(memory.backend(), Backend::Qdrant);
        memory.remember(error(1, "KeyError: 'user_id' in src/auth/session.py get_session")).await;
        memory.remember(error(2, "port 8080 is already in use")).await;
        memory.close().await;
    }
    assert_eq!(qdrant.state.all_points().len(), 2);
    let memory = workspace.open().await;
    let recall = Recall {
        phase: "sessions".into(),
        failure: Some("src/auth/session.py:41: KeyError: 'user_id'".into()),
        run: None,
        limit: 3,
        max_chars: 1_000,
    };
    let found = memory.recall(&recall).await;
    assert_eq!(found[0].source, "run/phase-1");
    assert_eq!(found[0].via, autopack::memory::MatchSource::Both);
}

#[tokio::test]
async fn test_memory_service_falls_back_to_faiss_when_qdrant_unreachable() {
    let mut qdrant = dead();
    let workspace = Workspace::new(&qdrant);
    let opened = workspace.try_open().await.unwrap();
    let line = opened.line.unwrap();
    assert!(
        line.starts_with("memory: using FAISS in this process; Qdrant at 127.0.0.1:"),
        "{line}"
    );
    let memory = opened.memory;
    assert_eq!(memory.backend(), Backend::Faiss);
    memory.remember(error(1, "ImportError: cannot import name 'Session'")).await;
    memory.close().await;

    let memory = workspace.open().await;
    assert_eq!(texts(&memory, "import error of Session").await.len(), 1);
    // Entries written during the outage arrive when it is over.
    qdrant.restart();
    let line = until_some(|| memory.at_batch()).await;
    assert!(line.contains("it is back"), "{line}");
    sync(&memory).await;
    assert_eq!(memory.backend(), Backend::Qdrant);
    assert_eq!(qdrant.state.all_points().len(), 1);
}

/// Repeats a call, since the breaker has to let one through first.
pub async fn until_some<F, T>(mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asking).await.unwrap()
}

#[tokio::test]
async fn test_memory_service_disabled_env() {
    let dir = TempDir::new().unwrap();
    let env = Env::new([("AUTOPACK_ENABLE_MEMORY", "0")]);
    let places = autopack::config::Places { chosen: None, workspace: Some(dir.path().to_owned()) };
    let config = autopack::config::load(&places, &env, &[]).unwrap();
    assert!(!config.memory.enabled);
    let opened = Memory::open(&config.memory, &place(dir.path()), AutostartPermission::Allowed)
        .await
        .unwrap();
    assert_eq!((opened.memory.backend(), opened.line), (Backend::Off, None));
    opened.memory.remember(error(1, "anything")).await;
    assert!(texts(&opened.memory, "anything").await.is_empty());
    opened.memory.close().await;
    assert!(!dir.path().join(".autopack").exists(), "no journal, no index");
}

#[tokio::test]
async fn required_and_down_is_an_error_that_says_how_to_start_it() {
    let mut workspace = Workspace::new(&dead());
    workspace.settings.qdrant.require = true;
    workspace.settings.qdrant.fallback_to_faiss = false;
    let error = workspace.try_open().await.unwrap_err();
    assert!(matches!(error, MemoryError::Required { .. }));
    assert!(error.to_string().contains("; start"), "which command, is what is here: {error}");
}

#[tokio::test]
async fn memory_without_qdrant_sends_no_request_and_prints_nothing() {
    let qdrant = StandIn::start();
    let mut workspace = Workspace::new(&qdrant);
    workspace.settings.use_qdrant = false;
    workspace.settings.qdrant.autostart = true;
    let opened = workspace.try_open().await.unwrap();
    assert_eq!((opened.memory.backend(), opened.line), (Backend::Faiss, None));
    opened.memory.remember(error(1, "a timeout of the socket")).await;
    sync(&opened.memory).await;
    assert_eq!(texts(&opened.memory, "socket timeout").await.len(), 1);
    assert_eq!(qdrant.state.requests.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test]
async fn without_a_fallback_the_memory_is_off_until_qdrant_is_back() {
    let mut qdrant = dead();
    let mut workspace = Workspace::new(&qdrant);
    workspace.settings.qdrant.fallback_to_faiss = false;
    let opened = workspace.try_open().await.unwrap();
    assert!(opened.line.unwrap().starts_with("memory is off for now; "));
    let memory = opened.memory;
    assert_eq!(memory.backend(), Backend::Suspended);
    assert!(memory.may_claim().is_ok());
    memory.remember(error(1, "lost in between")).await;
    qdrant.restart();
    until_some(|| memory.at_batch()).await;
    sync(&memory).await;
    assert_eq!(qdrant.state.all_points().len(), 1);
}

#[tokio::test]
async fn a_dead_or_hanging_qdrant_falls_back_to_faiss_at_once() {
    let mut qdrant = StandIn::start();
    let workspace = Workspace::new(&qdrant);
    let memory = workspace.open().await;
    memory.remember(error(1, "TypeError: unsupported operand")).await;
    sync(&memory).await;
    qdrant.hang(true);
    assert_eq!(texts(&memory, "unsupported operand").await.len(), 1);
    qdrant.kill();
    qdrant.hang(false);
    assert_eq!(texts(&memory, "unsupported operand").await.len(), 1);
    assert_eq!(memory.backend(), Backend::Faiss);

    let mut required = Workspace::new(&qdrant);
    required.settings.qdrant.require = true;
    qdrant.restart();
    let memory = required.open().await;
    assert!(memory.may_claim().is_ok());
    qdrant.kill();
    texts(&memory, "anything").await;
    assert!(matches!(memory.may_claim(), Err(MemoryError::Required { .. })));
}

#[tokio::test]
async fn deletions_follow_and_other_workspaces_keep_theirs() {
    let qdrant = StandIn::start();
    let (one, two) = (Workspace::new(&qdrant), Workspace::new(&qdrant));
    let memories = [one.open().await, two.open().await];
    for memory in &memories {
        memory.remember(error(1, "the same error in both")).await;
        sync(memory).await;
    }
    assert_eq!(qdrant.state.all_points().len(), 2);
    assert_eq!(texts(&memories[0], "same error").await.len(), 1, "nothing of another repository");
    let everywhere =
        Query { text: "same error".into(), everywhere: true, limit: 5, ..Query::default() };
    let found = search_in_qdrant(&memories[0], &everywhere, |texts| texts.len() == 2).await;
    assert_eq!(found.len(), 2, "unless asked");

    let mut short = error(2, "short-lived");
    short.lifetime = Some(Duration::ZERO);
    memories[0].remember(short).await;
    memories[0].prune().await.unwrap();
    sync(&memories[0]).await;
    assert_eq!(qdrant.state.all_points().len(), 2);
    assert!(texts(&memories[0], "short-lived").await.iter().all(|text| text != "short-lived"));
}

/// Clones on several machines, at one Qdrant.
#[tokio::test]
async fn clones_of_one_repository_read_each_others_entries() {
    let qdrant = StandIn::start();
    let workspaces = [(); 3].map(|()| Workspace::new(&qdrant));
    let open = |workspace: &Workspace, repository: Option<&str>| {
        let place = MemoryLocation { repository: repository.map(Into::into), ..workspace.place() };
        let settings = workspace.settings.clone();
        async move {
            Memory::open(&settings, &place, AutostartPermission::Allowed).await.unwrap().memory
        }
    };
    // Written by a version without repositories.
    let old = open(&workspaces[0], None).await;
    old.remember(error(1, "a timeout of the socket")).await;
    sync(&old).await;
    old.close().await;

    let first = open(&workspaces[0], Some("remote:git.example/shop")).await;
    sync(&first).await;
    let second = open(&workspaces[1], Some("remote:git.example/shop")).await;
    let other = open(&workspaces[2], Some("remote:git.example/bank")).await;
    let first_is = |memory, text: &'static str| async move {
        let query = Query { text: text.into(), limit: 5, ..Query::default() };
        let is_first = |texts: &[String]| texts.first().is_some_and(|first| first == text);
        let found = search_in_qdrant(memory, &query, is_first).await;
        assert!(is_first(&found), "{text} in {found:?}");
    };
    first_is(&second, "a timeout of the socket").await;
    second.remember(error(2, "the port is in use")).await;
    sync(&second).await;
    first_is(&first, "the port is in use").await;
    assert!(texts(&other, "timeout of the socket").await.is_empty(), "another repository");
    // Each owns its points.
    first.prune().await.unwrap();
    sync(&first).await;
    assert_eq!(qdrant.state.all_points().len(), 2);
}

#[tokio::test]
async fn a_lost_journal_adopts_its_own_points_and_a_lost_qdrant_is_filled_again() {
    let qdrant = StandIn::start();
    let (one, two) = (Workspace::new(&qdrant), Workspace::new(&qdrant));
    for workspace in [&one, &two] {
        let memory = workspace.open().await;
        for number in 0..5 {
            memory.remember(error(number, &format!("error number {number} of assertion"))).await;
        }
        sync(&memory).await;
        memory.close().await;
    }
    for suffix in ["", "-wal", "-shm"] {
        let file = format!("{}{suffix}", one.journal().display());
        let _ = std::fs::remove_file(file);
    }
    let memory = one.open().await;
    let synced = sync(&memory).await;
    // Opening starts to catch up by itself; the first caller adopted the entries.
    let entries = memory.stats().await.unwrap().unwrap().entries;
    assert_eq!(entries["errors_ci"], 5, "{synced:?}");
    assert_eq!(qdrant.state.all_points().len(), 10);
    assert_eq!(
        sync(&memory).await,
        autopack::memory::SyncSummary::default(),
        "nothing is left to do"
    );

    qdrant.state.collections.lock().unwrap().clear();
    let memory = two.open().await;
    sync(&memory).await;
    assert_eq!(qdrant.state.all_points().len(), 5);
}

#[tokio::test]
async fn another_embedders_vectors_are_replaced_not_mixed() {
    let qdrant = StandIn::start();
    let workspace = Workspace::new(&qdrant);
    let memory = workspace.open().await;
    memory.remember(error(1, "an error of the builtin embedder")).await;
    sync(&memory).await;
    memory.close().await;
    let names: Vec<String> = qdrant.state.collections.lock().unwrap().keys().cloned().collect();
    assert_eq!(names, ["autopack_errors_ci_builtin-384-v1"]);
    let indexed = qdrant.state.collections.lock().unwrap()[&names[0]].indexed.clone();
    assert_eq!(indexed.into_iter().collect::<Vec<_>>(), ["run_id", "workspace"]);
}

/// An embeddings endpoint with vectors of 8 dimensions, under `/16` of 16; the same for every text.
async fn embeddings() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(embed(stream));
        }
    });
    url
}

async fn embed(mut stream: TcpStream) {
    let mut request = Vec::new();
    // The body ends with its object; no other object of an embeddings request is at its end.
    while !request.ends_with(b"}") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let start = request.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    let body: serde_json::Value = serde_json::from_slice(&request[start..]).unwrap();
    let dimensions = if request.starts_with(b"POST /16/") { 16 } else { 8 };
    let count = body["input"].as_array().unwrap().len();
    let one = |index| serde_json::json!({"index": index, "embedding": vec![1.0; dimensions]});
    let data: Vec<_> = (0..count).map(one).collect();
    let body = serde_json::json!({ "data": data }).to_string();
    let head =
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
}

fn embedded_at(url: String) -> EmbedderSettings {
    EmbedderSettings::Http(HttpEmbedderSettings { url, model: "m".into(), ..Default::default() })
}

#[tokio::test]
async fn a_changed_embedder_recomputes_all_vectors() {
    let qdrant = StandIn::start();
    let mut workspace = Workspace::new(&qdrant);
    let memory = workspace.open().await;
    memory.remember(error(1, "an error of the builtin embedder")).await;
    sync(&memory).await;
    memory.close().await;

    workspace.settings.embedder = embedded_at(embeddings().await);
    let memory = workspace.open().await;
    memory.remember(error(2, "an error of the other embedder")).await;
    sync(&memory).await;
    let points = qdrant.state.all_points();
    assert_eq!(points.len(), 2, "the old vector is gone");
    assert!(points.values().all(|point| point.vector.len() == 8), "{points:?}");
    assert_eq!(texts(&memory, "an error of the builtin embedder").await.len(), 2);
    memory.close().await;

    workspace.settings.use_qdrant = false;
    let memory = workspace.open().await;
    assert_eq!(texts(&memory, "an error of the builtin embedder").await.len(), 2);
    memory.close().await;
}

#[tokio::test]
async fn another_model_under_the_same_name_mixes_no_vectors() {
    let mut workspace = Workspace::new(&dead());
    workspace.settings.use_qdrant = false;
    workspace.settings.embedder = embedded_at(embeddings().await);
    let memory = workspace.open().await;
    memory.remember(error(1, "an error with eight dimensions")).await;
    sync(&memory).await;
    let id = memory.stats().await.unwrap().unwrap().embedder;
    memory.close().await;

    let journal = Journal::open(&workspace.journal()).await.unwrap().journal;
    assert_eq!(journal.dimensions(&id).await.unwrap(), Some(8));
    journal.close().await;
    let port = id.split(':').nth(1).unwrap().split('-').next().unwrap().to_owned();
    // The endpoint's address is part of its name, so the other model has to be behind the same one.
    workspace.settings.embedder = embedded_at(format!("http://127.0.0.1:{port}/16/v1"));
    let memory = workspace.open().await;
    memory.remember(error(2, "an error with more of them")).await;
    let refused = memory.sync(&|_, _| {}).await.unwrap_err().to_string();
    assert!(refused.contains("16 dimensions") && refused.contains("of 8"), "{refused}");
    assert_eq!(memory.stats().await.unwrap().unwrap().waiting, 1);
    assert_eq!(texts(&memory, "an error with more of them").await.len(), 2, "by their words");
    memory.close().await;
}

#[tokio::test]
async fn a_wrong_key_is_reported_at_once_and_faiss_is_used() {
    let qdrant = StandIn::start();
    *qdrant.state.api_key.lock().unwrap() = Some("the right one".into());
    let mut workspace = Workspace::new(&qdrant);
    workspace.settings.qdrant.api_key = "the wrong one".into();
    let opened = workspace.try_open().await.unwrap();
    assert_eq!(opened.memory.backend(), Backend::Faiss);
    let line = opened.line.unwrap();
    assert!(line.contains("API key") && !line.contains("the wrong one"), "{line}");
    workspace.settings.qdrant.require = true;
    assert!(matches!(workspace.try_open().await, Err(MemoryError::Required { .. })));
}

#[tokio::test]
async fn a_refusing_qdrant_falls_back_to_faiss() {
    let qdrant = StandIn::start();
    let workspace = Workspace::new(&qdrant);
    let memory = workspace.open().await;
    memory.remember(error(1, "TypeError: unsupported operand")).await;
    sync(&memory).await;
    *qdrant.state.api_key.lock().unwrap() = Some("a new one".into());
    let query = Query { text: "unsupported operand".into(), limit: 5, ..Query::default() };
    let found = memory.search(&query).await.unwrap();
    assert_eq!(found[0].via, MatchSource::Both, "the vectors answer too");
}

#[tokio::test]
async fn entries_refused_by_a_busy_journal_are_not_lost() {
    let mut workspace = Workspace::new(&dead());
    workspace.settings.use_qdrant = false;
    let memory = workspace.open().await;
    let options = SqliteConnectOptions::new().filename(workspace.journal());
    let mut other = options.connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let many = (0..300).map(|number| error(number, &format!("error {number}"))).collect();
    // It comes back although nobody can write.
    memory.remember_all(many).await;
    sqlx::query("COMMIT").execute(&mut other).await.unwrap();
    memory.close().await;
    let memory = workspace.open().await;
    assert_eq!(memory.stats().await.unwrap().unwrap().entries["errors_ci"], 300);
    memory.close().await;
}

#[tokio::test]
async fn secrets_are_redacted_before_anything_is_kept() {
    let qdrant = StandIn::start();
    let workspace = Workspace::new(&qdrant);
    let memory = workspace.open().await;
    let key = format!("ghp_{}", "a1B2".repeat(9));
    memory.remember(error(1, &format!("401 with token {key}"))).await;
    sync(&memory).await;
    let found = texts(&memory, "401 with token").await;
    assert!(found[0].starts_with("401 with token") && !found[0].contains(&key), "{found:?}");
    let points = format!("{:?}", qdrant.state.all_points());
    assert!(!points.contains(&key));
}

#[tokio::test]
async fn the_repositorys_files_are_indexed_by_content() {
    let qdrant = StandIn::start();
    let workspace = Workspace::new(&qdrant);
    let root = workspace.dir.path();
    std::fs::write(root.join("session.py"), "def open_session(user):\n    return user\n").unwrap();
    std::fs::write(root.join("rain.py"), "def rainfall():\n    return 3\n").unwrap();
    std::fs::write(root.join("logo.png"), [0u8, 159, 146, 150]).unwrap();
    let memory = workspace.open().await;
    let files = ["logo.png", "rain.py", "session.py"].map(str::to_owned);
    let first = memory.index(root, &files).await.unwrap();
    assert_eq!((first.indexed, first.skipped), (2, 1));
    assert_eq!(memory.index(root, &files).await.unwrap().unchanged, 2);
    let query = Query {
        text: "open a session for a user".into(),
        filter: EntryFilter { collections: vec![Collection::CodeDocs], run: None },
        limit: 1,
        ..Query::default()
    };
    sync(&memory).await;
    assert_eq!(memory.search(&query).await.unwrap()[0].source, "session.py");

    std::fs::remove_file(root.join("session.py")).unwrap();
    std::fs::write(root.join("rain.py"), "def rainfall():\n    return 4\n").unwrap();
    let again = memory.index(root, &files).await.unwrap();
    assert_eq!((again.indexed, again.removed), (1, 1));
    sync(&memory).await;
    assert_eq!(memory.stats().await.unwrap().unwrap().entries["code_docs"], 1);
    assert_eq!(qdrant.state.all_points().len(), 1);
}

#[tokio::test]
async fn a_killed_stub_keeps_acknowledged_writes() {
    let dir = TempDir::new().unwrap();
    let mut qdrant = StandInProcess::start(Some(&dir.path().join("points")));
    let workspace = Workspace::at(qdrant.rest_port, qdrant.grpc_port);
    let memory = workspace.open().await;
    assert_eq!(memory.backend(), Backend::Qdrant);
    memory.remember(error(1, "kept")).await;
    sync(&memory).await;
    let before = qdrant.entries().await;
    assert_eq!(before.values().map(|held| held.text.as_str()).collect::<Vec<_>>(), ["kept"]);
    qdrant.restart();
    assert_eq!(qdrant.entries().await, before);
}

/// The journal's entries as Qdrant should have them: the number and the text, by id.
async fn in_journal(workspace: &Workspace) -> BTreeMap<String, (i64, String)> {
    let journal = Journal::open(&workspace.journal()).await.unwrap().journal;
    let puts = journal.live_vectors(EMBEDDER).await.unwrap();
    let ids: Vec<EntryId> = puts.iter().map(|put| put.id.clone()).collect();
    let entries = journal.entries(&ids).await.unwrap();
    assert_eq!(journal.waiting(EMBEDDER).await.unwrap(), 0, "every entry has its vector");
    let last = journal.last_change().await.unwrap();
    let (faiss, loaded) =
        Faiss::open(&workspace.dir.path().join(".autopack/faiss"), EMBEDDER, &puts, last);
    assert_eq!((loaded.unusable, loaded.missing), (vec![], vec![]), "FAISS lacks nothing");
    assert_eq!(faiss.size().live, puts.len(), "and holds nothing else");
    journal.close().await;
    puts.into_iter()
        .map(|put| (put.id.to_string(), (put.n, entries[&put.id].text.clone())))
        .collect()
}

/// Remembers, recalls and lets entries expire; counts its actions.
async fn write_on(memory: Memory, writer: usize, done: Arc<watch::Sender<usize>>) {
    for number in 0..WRITES {
        let mut entry =
            error(writer * WRITES + number, &format!("writer {writer} saw error {number}"));
        if number % 7 == 0 {
            entry.lifetime = Some(Duration::ZERO);
        }
        memory.remember(entry).await;
        if number % 10 == 0 {
            texts(&memory, &format!("error {}", number / 2)).await;
        }
        done.send_modify(|done| *done += 1);
    }
}

const WRITES: usize = 100;
const EMBEDDER: &str = "builtin-384-v1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_over_a_qdrant_that_is_killed_again_and_again_leave_the_same_entries_everywhere()
 {
    let dir = TempDir::new().unwrap();
    let mut qdrant = StandInProcess::start(Some(&dir.path().join("points")));
    let workspace = Workspace::at(qdrant.rest_port, qdrant.grpc_port);
    // As in two processes: each has its own connections, with one journal.
    let memories = [workspace.open().await, workspace.open().await];
    let (done, mut progress) = watch::channel(0);
    let done = Arc::new(done);
    let writing: Vec<_> = memories
        .iter()
        .enumerate()
        .map(|(writer, memory)| tokio::spawn(write_on(memory.clone(), writer, Arc::clone(&done))))
        .collect();
    let (mut at, mut dice) = (0, Dice::of(20_261_122));
    while at < 2 * WRITES {
        at = (at + 1 + dice.below(25) as usize).min(2 * WRITES);
        progress.wait_for(|done| *done >= at).await.unwrap();
        if qdrant.is_up() {
            qdrant.kill()
        } else {
            qdrant.restart()
        }
        // The breaker keeps the writers away after the first kill: they come back as a new batch or a person does.
        if qdrant.is_up() {
            let _ = memories[at % 2].sync(&|_, _| {}).await;
        }
    }
    for writer in writing {
        writer.await.unwrap();
    }
    qdrant.restart();
    memories[1].close().await;
    memories[0].sync(&|_, _| {}).await.unwrap();
    assert_eq!(memories[0].backend(), Backend::Qdrant);
    memories[0].close().await;

    let wanted = in_journal(&workspace).await;
    assert!(wanted.len() > WRITES, "{}", wanted.len());
    let held = qdrant.entries().await;
    let held: BTreeMap<String, (i64, String)> =
        held.into_iter().map(|(id, held)| (id, (held.n, held.text))).collect();
    assert_eq!(held, wanted);
}
