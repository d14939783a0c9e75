//! The memory against a Qdrant that answers like the real one: copied workspaces, points of earlier versions, other
//! dimensions, other ports, and the commands named in hints.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use autopack::memory::Query;
use qdrant_client::qdrant::{Distance, Value as Payload};
use serde_json::Value;

use crate::memory::{Workspace, dead, error, search_in_qdrant, sync, texts};
use crate::memory_drain::{CI, backend, phases, remembering};
use crate::support::Project;
use crate::support::qdrant::{self, Point, StandIn};
use crate::support::ran::Ran;

pub const NO_AUTOSTART: &str = "    autostart: false\n";
const EMBEDDER: &str = "builtin-384-v1";

pub fn project(stand_in: &StandIn, count: usize, more: &str) -> Project {
    remembering(
        Project::new().agent_with("write_deliverables()", CI).plan(phases(count)),
        (stand_in.rest_port, stand_in.grpc_port),
        more,
    )
}

/// Messages about the memory, on both streams.
pub fn memory_lines(ran: &Ran) -> Vec<&str> {
    let lines = ran.stdout.lines().chain(ran.stderr.lines());
    lines.filter(|line| line.contains("Qdrant") || line.contains("memory: ")).collect()
}

/// The points of each workspace: id, text and entry.
fn by_workspace(stand_in: &StandIn) -> BTreeMap<String, BTreeSet<String>> {
    let mut points: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for point in stand_in.state.all_points().values() {
        points.entry(text(point, "workspace")).or_default().insert(text(point, "text"));
    }
    points
}

fn text(point: &Point, key: &str) -> String {
    point.payload.get(key).and_then(Payload::as_str).cloned().unwrap_or_default()
}

/// The binary in a copy of the project's repository.
fn in_copy(project: &Project, copy: &Path, args: &[&str]) -> Ran {
    let output = project.command(args).current_dir(copy).output().unwrap();
    Ran::of(output, copy.to_owned())
}

#[test]
fn a_copied_workspace_leaves_the_originals_points_alone() {
    let stand_in = StandIn::start();
    let project = project(&stand_in, 3, NO_AUTOSTART);
    project.drain().succeeded();
    project.autopack(["memory", "sync"]).succeeded();
    let before = by_workspace(&stand_in);
    assert_eq!(before.len(), 1);
    let (original, held) = before.into_iter().next().unwrap();

    let copy = project.outside("copy");
    let copied = std::process::Command::new("cp").arg("-r").arg(project.root()).arg(&copy).status();
    assert!(copied.unwrap().success());
    in_copy(&project, &copy, &["memory", "sync"]).succeeded();
    let after = by_workspace(&stand_in);
    assert_eq!(after.len(), 2, "{after:?}");
    assert!(after.values().all(|texts| *texts == held), "both have all of it");
    let found = in_copy(&project, &copy, &["memory", "search", "part 1", "--json"]).json();
    assert!(!found.as_array().unwrap().is_empty());

    // Entries forgotten in the copy are kept in the original.
    std::fs::remove_file(copy.join("src/p0.txt")).ok();
    in_copy(&project, &copy, &["memory", "index"]).succeeded();
    in_copy(&project, &copy, &["memory", "sync"]).succeeded();
    project.autopack(["memory", "sync"]).succeeded();
    assert_eq!(by_workspace(&stand_in)[&original], held);

    let moved = project.outside("moved");
    std::fs::rename(&copy, &moved).unwrap();
    in_copy(&project, &moved, &["memory", "sync"]).succeeded();
    assert_eq!(by_workspace(&stand_in).len(), 2, "a moved workspace keeps its points");
}

#[tokio::test]
async fn searching_everywhere_distinguishes_entries_of_copy_and_original() {
    let qdrant = StandIn::start();
    let one = Workspace::new(&qdrant);
    let memory = one.open().await;
    memory.remember(error(1, "the same error in both")).await;
    sync(&memory).await;
    memory.close().await;
    let two = one.copied();
    let memory = two.open().await;
    sync(&memory).await;
    assert_eq!(qdrant.state.all_points().len(), 2);
    let everywhere =
        Query { text: "same error".into(), everywhere: true, limit: 5, ..Query::default() };
    let found = search_in_qdrant(&memory, &everywhere, |texts| texts.len() == 2).await;
    assert_eq!(found.len(), 2);
    assert_eq!(texts(&memory, "same error").await.len(), 1);
    // It goes on with the copied entries: seeing one again makes no second entry.
    memory.remember(error(1, "the same error in both")).await;
    assert_eq!(memory.stats().await.unwrap().unwrap().entries["errors_ci"], 1);
}

/// Rewrites all points in the form of the previous version: the entry's id is the point's.
fn as_before(stand_in: &StandIn, workspace: impl Fn(&str) -> bool) {
    let mut collections = stand_in.state.collections.lock().unwrap();
    for collection in collections.values_mut() {
        let points = std::mem::take(&mut collection.points);
        for (id, mut point) in points {
            let is_meant = workspace(&text(&point, "workspace"));
            let entry = if is_meant { point.payload.remove("entry") } else { None };
            let id = entry.and_then(|entry| entry.as_str().cloned()).unwrap_or(id);
            collection.points.insert(id, point);
        }
    }
}

#[tokio::test]
async fn points_of_the_version_before_are_rewritten_once_and_others_stay() {
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
    let new = qdrant.state.all_points();
    as_before(&qdrant, |_| true);
    let old = qdrant.state.all_points();
    assert!(new.keys().all(|id| !old.contains_key(id)), "other ids");
    for workspace in [&one, &two] {
        forget_followers(workspace).await;
    }

    let memory = one.open().await;
    assert_eq!(texts(&memory, "error number 3").await.len(), 5, "found before they are rewritten");
    sync(&memory).await;
    let now: BTreeSet<String> = qdrant.state.all_points().into_keys().collect();
    let mine = |id: &&String| new.contains_key(*id);
    assert_eq!(
        (now.len(), now.iter().filter(mine).count()),
        (10, 5),
        "the other's stay as they are"
    );
    assert_eq!(sync(&memory).await, autopack::memory::SyncSummary::default(), "once");
    assert_eq!(texts(&memory, "error number 3").await.len(), 5);
    sync(&two.open().await).await;
    let now: BTreeSet<String> = qdrant.state.all_points().into_keys().collect();
    assert_eq!(now, new.into_keys().collect());
}

/// The previous version knew this server under another name.
async fn forget_followers(workspace: &Workspace) {
    use sqlx::ConnectOptions;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(workspace.journal());
    let mut journal = options.connect().await.unwrap();
    sqlx::query("DELETE FROM follower").execute(&mut journal).await.unwrap();
}

#[tokio::test]
async fn a_lost_journal_adopts_points_of_the_version_before() {
    let qdrant = StandIn::start();
    let one = Workspace::new(&qdrant);
    let memory = one.open().await;
    memory.remember(error(1, "an error that only Qdrant remembers")).await;
    sync(&memory).await;
    memory.close().await;
    as_before(&qdrant, |_| true);
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", one.journal().display()));
    }
    let memory = one.open().await;
    sync(&memory).await;
    assert_eq!(memory.stats().await.unwrap().unwrap().entries["errors_ci"], 1);
    let points = qdrant.state.all_points();
    assert_eq!(points.len(), 1, "no duplicate");
    assert!(
        points
            .iter()
            .all(|(id, point)| !text(point, "entry").is_empty() && text(point, "entry") != *id)
    );
}

/// One of autopack's collections with vectors of 8 dimensions, with these points.
fn of_8_dimensions(stand_in: &StandIn, points: BTreeMap<String, Point>) {
    let made = qdrant::Collection {
        dimensions: 8,
        distance: Distance::Cosine,
        points,
        indexed: BTreeSet::new(),
    };
    let name = format!("autopack_run_summaries_{EMBEDDER}");
    stand_in.state.collections.lock().unwrap().insert(name, made);
}

#[test]
fn a_foreign_collection_with_other_dimensions_is_reported_once_and_unchanged() {
    let stand_in = StandIn::start();
    let payload = [("workspace".to_owned(), Payload::from("somebody-else"))].into();
    let theirs = Point { payload, vector: vec![1.0; 8] };
    let id = "11111111-1111-8111-8111-111111111111".to_owned();
    of_8_dimensions(&stand_in, [(id.clone(), theirs)].into());
    let project = project(&stand_in, 4, NO_AUTOSTART);
    let ran = project.drain().succeeded();
    let lines: Vec<&str> =
        memory_lines(&ran).into_iter().filter(|line| line.contains("dimensions")).collect();
    assert_eq!(lines.len(), 1, "{ran:#?}");
    for part in ["autopack_run_summaries_", "8 dimensions", "384", "memory.embedder.model"] {
        assert!(lines[0].contains(part), "{part}: {lines:?}");
    }
    assert!(!format!("{ran:?}").contains("it is back"), "{ran:#?}");
    assert!(stand_in.state.all_points().contains_key(&id));
    assert_eq!(backend(&project), "faiss");
}

#[test]
fn an_empty_collection_with_other_dimensions_is_recreated() {
    let stand_in = StandIn::start();
    of_8_dimensions(&stand_in, BTreeMap::new());
    let project = project(&stand_in, 2, NO_AUTOSTART);
    project.drain().succeeded();
    project.autopack(["memory", "sync"]).succeeded();
    assert_eq!(backend(&project), "qdrant");
    let points = stand_in.state.points(&format!("autopack_run_summaries_{EMBEDDER}"));
    assert_eq!(points.len(), 2);
    assert!(points.values().all(|point| point.vector.len() == 384));
}

#[tokio::test]
async fn own_vectors_of_other_dimensions_are_made_anew_and_their_texts_kept() {
    let qdrant = StandIn::start();
    let workspace = Workspace::new(&qdrant);
    let memory = workspace.open().await;
    memory.remember(error(1, "an error that only Qdrant remembers")).await;
    sync(&memory).await;
    memory.close().await;
    {
        let mut collections = qdrant.state.collections.lock().unwrap();
        for collection in collections.values_mut() {
            collection.dimensions = 8;
            collection.points.values_mut().for_each(|point| point.vector = vec![1.0; 8]);
        }
    }
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", workspace.journal().display()));
    }
    let memory = workspace.open().await;
    sync(&memory).await;
    sync(&memory).await;
    assert_eq!(texts(&memory, "error that only Qdrant remembers").await.len(), 1);
    let points = qdrant.state.all_points();
    assert_eq!(points.len(), 1);
    assert!(points.values().all(|point| point.vector.len() == 384));
}

#[test]
fn stats_say_what_the_indexes_hold() {
    let stand_in = StandIn::start();
    let project = project(&stand_in, 3, NO_AUTOSTART);
    project.drain().succeeded();
    project.autopack(["memory", "sync"]).succeeded();
    let stats = project.json(["memory", "stats", "--json"]);
    assert_eq!(stats["entries"], stats["indexes"]["qdrant"]["points"], "{stats}");
    assert_eq!(stats["indexes"]["faiss"]["points"], stats["entries"], "{stats}");
    assert_eq!(stats["indexes"]["qdrant"]["behind"], 0);
    // Someone empties it: the journal alone would not tell.
    stand_in.state.collections.lock().unwrap().clear();
    *stand_in.state.read_only_api_key.lock().unwrap() = Some("reader".into());
    let stats = project.json(["memory", "stats", "--json"]);
    assert_eq!(stats["indexes"]["qdrant"], Value::Null, "it does not serve: {stats}");
    let text = project.autopack(["memory", "stats"]).succeeded().stdout;
    assert!(text.contains("in faiss  ") && text.contains("up to date"), "{text}");
}

/// A directory of programs: git and these shell scripts.
fn programs(project: &Project, scripts: &[(&str, &str)]) -> String {
    let directory = project.outside("bin");
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir(&directory).unwrap();
    for program in ["git", "sh", "env", "python3", "true"] {
        let path = std::env::var_os("PATH").unwrap();
        let at = std::env::split_paths(&path).map(|dir| dir.join(program)).find(|at| at.exists());
        symlink(at.unwrap(), directory.join(program)).unwrap();
    }
    for (name, script) in scripts {
        let file = directory.join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    directory.to_str().unwrap().to_owned()
}

#[test]
fn hints_name_the_commands_that_are_here() {
    let stand_in = dead();
    let project = project(&stand_in, 1, "    autostart: false\n    require: true\n");
    project.write("docker-compose.yml", include_str!("../docker-compose.yml"));
    let (plugin, no_plugin) = ("exit 0", "case $1 in compose) exit 1;; esac; exit 0");
    let cases: [(&[(&str, &str)], &str); 5] = [
        (&[("docker", plugin)], " docker compose up -d qdrant`"),
        (&[("docker", no_plugin), ("docker-compose", "exit 0")], " docker-compose up -d qdrant`"),
        (&[("docker", no_plugin)], "`docker run -d --name autopack-qdrant "),
        (&[("podman", plugin)], "`podman run -d --name autopack-qdrant "),
        (&[], "start a Qdrant server there, or install Docker"),
    ];
    for (scripts, hint) in cases {
        let path = programs(&project, scripts);
        let ran = project.autopack_with(["drain", "--run-id", "run"], &[("PATH", &path)]).exited(1);
        assert!(ran.stderr.contains(hint), "{hint}: {ran:#?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:#?}");
        // The file's ports follow the variables.
        let variable = format!("AUTOPACK_QDRANT_PORT={} ", stand_in.rest_port);
        assert_eq!(ran.stderr.contains(&variable), hint.contains("up -d"), "{ran:#?}");
        assert!(
            scripts.iter().any(|(name, _)| name.starts_with("docker"))
                || !ran.stderr.contains("docker ")
        );
    }
}

/// An engine that answers every question with "fine" and nothing else.
fn idle_engine(socket: &Path) {
    crate::memory_docker::answering(socket, |_| {
        Some(
            "HTTP/1.1 200 OK\r\napi-version: 1.41\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 2\r\n\r\n[]",
        )
    });
}

#[test]
fn a_compose_file_with_other_ports_is_reported_and_not_started() {
    let stand_in = dead();
    let project = project(&stand_in, 1, "    autostart: true\n    autostart_timeout_seconds: 30\n");
    let socket = project.outside("engine.sock");
    idle_engine(&socket);
    let fixed = include_str!("../docker-compose.yml")
        .replace("${AUTOPACK_QDRANT_PORT:-6333}", "6333")
        .replace("${AUTOPACK_QDRANT_GRPC_PORT:-6334}", "6334");
    project.write("docker-compose.yml", &fixed);
    let calls = project.outside("calls");
    let script = format!("echo \"$@\" >>{:?}", calls.to_str().unwrap());
    let path = programs(&project, &[("docker", &script)]);
    let path = format!("{path}:{}", std::env::var("PATH").unwrap());
    let host = format!("unix://{}", socket.display());
    let variables = [("PATH", path.as_str()), ("DOCKER_HOST", host.as_str())];
    let ran = project.autopack_with(["drain", "--run-id", "run"], &variables).succeeded();
    let line = memory_lines(&ran)[0].to_owned();
    let port = stand_in.rest_port;
    let why = format!("docker-compose.yml publishes Qdrant's port 6333 at port 6333, not {port}");
    assert!(line.contains(&why) && line.contains("${AUTOPACK_QDRANT_PORT:-6333}"), "{ran:#?}");
    let calls = std::fs::read_to_string(calls).unwrap();
    assert!(!calls.contains("up -d"), "{calls}");
}

#[test]
fn compose_gets_the_ports() {
    let stand_in = dead();
    let project = project(&stand_in, 1, "    autostart: true\n    autostart_timeout_seconds: 2\n");
    let socket = project.outside("engine.sock");
    idle_engine(&socket);
    project.write("docker-compose.yml", include_str!("../docker-compose.yml"));
    let calls = project.outside("calls");
    let script = format!(
        "echo \"$AUTOPACK_QDRANT_PORT $AUTOPACK_QDRANT_GRPC_PORT $@\" >>{:?}",
        calls.to_str().unwrap()
    );
    let path = programs(&project, &[("docker", &script)]);
    let path = format!("{path}:{}", std::env::var("PATH").unwrap());
    let host = format!("unix://{}", socket.display());
    let variables = [("PATH", path.as_str()), ("DOCKER_HOST", host.as_str())];
    project.autopack_with(["memory", "sync"], &variables).succeeded();
    let calls = std::fs::read_to_string(calls).unwrap();
    let ports = format!("{} {} compose -f ", stand_in.rest_port, stand_in.grpc_port);
    let up = calls.lines().find(|line| line.ends_with("up -d --no-deps qdrant"));
    assert!(up.is_some_and(|up| up.starts_with(&ports)), "{calls}");
}
