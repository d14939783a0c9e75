//! Autostart against a real Docker engine, with the stand-in Qdrant as an image made here.
//!
//! Needs an engine; where there is none, each test says so and passes, unless `AUTOPACK_TEST_DOCKER=1` asks for one.
//! The container, volume and compose project are the engine's only ones of their names, so these run one at a time.

#![allow(clippy::disallowed_methods, reason = "tests start the real programs")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use autopack::config::QdrantSettings;
use autopack::memory::autostart::{Autostart, CONTAINER, Started};
use autopack::memory::{Backend, Memory, Place, Starting};
use autopack::process::Redactor;
use tempfile::TempDir;

const IMAGE: &str = "autopack-test/qdrant-stand-in:1";
const EXITS: &str = "autopack-test/exits-at-once:1";

fn docker(args: &[&str]) -> Output {
    Command::new("docker").args(args).output().expect("the docker command")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// One engine, one container name: a lock across test processes, and a clean engine at both ends.
struct Engine {
    _lock: fs::File,
    dir: TempDir,
}

impl Engine {
    fn get() -> Option<Self> {
        let there = Command::new("docker").arg("info").output();
        if !there.is_ok_and(|answer| answer.status.success()) {
            let required = std::env::var("AUTOPACK_TEST_DOCKER").is_ok_and(|value| value == "1");
            assert!(!required, "AUTOPACK_TEST_DOCKER=1, but no Docker engine answers");
            eprintln!("skipped: no Docker engine answers here");
            return None;
        }
        let lock =
            fs::File::create(std::env::temp_dir().join("autopack-test-docker.lock")).unwrap();
        lock.lock().unwrap();
        let engine = Self { _lock: lock, dir: TempDir::new().unwrap() };
        engine.clean();
        engine.make_images();
        Some(engine)
    }

    fn clean(&self) {
        docker(&["rm", "-f", CONTAINER]);
        let ours = docker(&["ps", "-aq", "--filter", "label=autopack.service"]);
        for id in text(&ours).lines() {
            docker(&["rm", "-f", id]);
        }
    }

    /// From nothing but the program and the libraries that it is linked with.
    fn make_images(&self) {
        if docker(&["image", "inspect", IMAGE]).status.success()
            && docker(&["image", "inspect", EXITS]).status.success()
        {
            return;
        }
        let root = self.dir.path().join("image");
        let program = stand_in();
        copy(&program, &root.join("stand-in"));
        let linked = Command::new("ldd").arg(&program).output().unwrap();
        for library in text(&linked).split_whitespace().filter(|word| word.starts_with('/')) {
            copy(Path::new(library), &root.join(&library[1..]));
        }
        let archive = self.dir.path().join("image.tar");
        let root = root.to_str().unwrap();
        let tar = Command::new("tar").args(["-C", root, "-cf"]).arg(&archive).arg(".").status();
        assert!(tar.unwrap().success());
        for (image, command) in
            [(IMAGE, r#"CMD ["/stand-in"]"#), (EXITS, r#"CMD ["/stand-in","--exit","3"]"#)]
        {
            let made = docker(&["import", "-c", command, archive.to_str().unwrap(), image]);
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
    }

    fn autostart(&self, image: &str) -> Autostart {
        Autostart {
            settings: settings(image),
            workspace: self.dir.path().to_owned(),
            docker_host: None,
        }
    }

    fn write_compose(&self, settings: &QdrantSettings, label: &str) {
        let text = format!(
            "version: '3'\nservices:\n  qdrant:\n    image: {}\n    labels:\n      {label}: qdrant\n    ports:\n      - \"127.0.0.1:{}:6333\"\n      - \"127.0.0.1:{}:6334\"\n",
            settings.image, settings.port, settings.grpc_port
        );
        fs::write(self.dir.path().join("docker-compose.yml"), text).unwrap();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.clean();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
}

/// The example program, which cargo builds beside the tests.
fn stand_in() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples/qdrant_stand_in")
}

fn settings(image: &str) -> QdrantSettings {
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (rest, grpc) = (free(), free());
    QdrantSettings {
        host: "127.0.0.1".into(),
        port: rest.local_addr().unwrap().port(),
        grpc_port: grpc.local_addr().unwrap().port(),
        image: image.into(),
        autostart_timeout_seconds: 30,
        ..QdrantSettings::default()
    }
}

async fn start(autostart: &Autostart) -> Started {
    let within = autostart.timeout() + Duration::from_secs(2);
    tokio::time::timeout(within, autostart.start()).await.expect("within the timeout and 2 s")
}

fn why(started: Started) -> String {
    match started {
        Started::Failed(why) => {
            assert!(!why.contains('\n'), "one line: {why}");
            why
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn test_memory_service_autostarts_qdrant_then_uses_it() {
    let Some(engine) = Engine::get() else { return };
    let place = Place {
        workspace: engine.dir.path().to_owned(),
        autopack_dir: engine.dir.path().join(".autopack"),
        docker_host: None,
        provider_key: None,
        redactor: Redactor::formats_only(),
    };
    let memory = autopack::config::MemorySettings {
        qdrant: settings(IMAGE),
        ..autopack::config::MemorySettings::default()
    };
    let opened = Memory::open(&memory, &place, Starting::Allowed).await.unwrap();
    let line = opened.line.unwrap();
    assert!(line.ends_with("its container was made and started"), "{line}");
    assert_eq!(opened.memory.backend(), Backend::Qdrant);
    let entry =
        autopack::memory::Entry::new(autopack::memory::Collection::Planning, "r/p", "a plan");
    opened.memory.remember(entry).await;
    let synced = opened.memory.sync(&|_, _| {}).await;
    assert!(synced.is_ok(), "{synced:?}");
    let bound = text(&docker(&["port", CONTAINER]));
    assert!(bound.lines().all(|line| line.contains("127.0.0.1:")), "{bound}");
}

#[tokio::test]
async fn an_existing_container_is_started_with_the_image_that_it_has() {
    let Some(engine) = Engine::get() else { return };
    let mut autostart = engine.autostart(IMAGE);
    assert!(matches!(start(&autostart).await, Started::Ready(_)));
    docker(&["stop", "-t", "1", CONTAINER]);
    autostart.settings.image = "nobody/has-this:1".into();
    match start(&autostart).await {
        Started::Ready(how) => assert_eq!(how, "its container was started"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn two_processes_may_start_it_at_once() {
    let Some(engine) = Engine::get() else { return };
    let autostart = engine.autostart(IMAGE);
    let (one, two) = tokio::join!(start(&autostart), start(&autostart));
    assert!(matches!((&one, &two), (Started::Ready(_), Started::Ready(_))), "{one:?} {two:?}");
}

#[tokio::test]
async fn a_compose_service_of_ours_is_preferred_and_another_left_alone() {
    let Some(engine) = Engine::get() else { return };
    let autostart = engine.autostart(IMAGE);
    engine.write_compose(&autostart.settings, "some.application");
    match start(&autostart).await {
        Started::Ready(how) => assert_eq!(how, "its container was made and started"),
        other => panic!("{other:?}"),
    }
    engine.clean();
    let answers = |program: &str, args: &[&str]| {
        Command::new(program).args(args).output().is_ok_and(|answer| answer.status.success())
    };
    if !answers("docker", &["compose", "version"]) && !answers("docker-compose", &["version"]) {
        eprintln!("skipped: no compose here");
        return;
    }
    engine.write_compose(&autostart.settings, "autopack.service");
    match start(&autostart).await {
        Started::Ready(how) => assert!(how.starts_with("started by docker"), "{how}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_taken_port_a_container_that_exits_and_a_missing_engine_are_said_in_a_line() {
    let Some(engine) = Engine::get() else { return };
    let autostart = engine.autostart(IMAGE);
    let _taken = std::net::TcpListener::bind(("127.0.0.1", autostart.settings.port)).unwrap();
    let reason = why(start(&autostart).await);
    assert!(reason.starts_with("Docker cannot start the container autopack-qdrant"), "{reason}");
    engine.clean();

    let reason = why(start(&engine.autostart(EXITS)).await);
    assert!(reason.contains("ended at once with exit code 3"), "{reason}");

    let mut absent = engine.autostart(IMAGE);
    absent.docker_host = Some("unix:///nonexistent/docker.sock".into());
    assert!(why(start(&absent).await).starts_with("no Docker engine at unix:///nonexistent"));
}

#[tokio::test]
async fn an_absent_image_is_pulled_in_the_background() {
    let Some(engine) = Engine::get() else { return };
    let started = start(&engine.autostart("localhost:1/nobody/has-this:1")).await;
    let Started::Pulling(pull) = started else { panic!("{started:?}") };
    let result = tokio::time::timeout(Duration::from_secs(60), pull.wait()).await.unwrap();
    assert!(result.unwrap_err().starts_with("Docker cannot pull localhost:1/nobody/has-this:1"));
}
