//! Autostart against a real Docker engine, with the stand-in Qdrant as an image made here.
//!
//! Without an engine these tests are skipped, or fail where `docker` is required (`AUTOPACK_TEST_REQUIRE`, `AUTOPACK_TEST_DOCKER=1`). The
//! container, volume and compose project are the engine's only ones of their names, so these run one at a time, and not
//! at all on an engine where somebody's real memory lives.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use crate::support::docker::{Engine, docker, text};
use crate::support::{has, skip, succeeds};
use autopack::config::QdrantSettings;
use autopack::memory::autostart::{Autostart, AutostartOutcome, CONTAINER};
use autopack::memory::{
    AutostartPermission, Backend, Collection, Entry, Memory, MemoryLocation, OpenMemory, Query,
};
use autopack::process::Redactor;
use tempfile::TempDir;

const SHIPPED: &str = include_str!("../docker-compose.yml");

/// Starts, never later than the timeout and 2 s.
async fn start(autostart: &Autostart) -> AutostartOutcome {
    let within = autostart.timeout() + Duration::from_secs(2);
    let started = tokio::time::timeout(within, autostart.start()).await;
    let started = started.expect("within the timeout and 2 s");
    println!("{started:?}");
    started
}

fn why(started: AutostartOutcome) -> String {
    match started {
        AutostartOutcome::Failed(why) => {
            assert!(!why.contains('\n'), "one line: {why}");
            why
        }
        other => panic!("{other:?}"),
    }
}

fn how(started: AutostartOutcome) -> String {
    match started {
        AutostartOutcome::Ready(how) => how,
        other => panic!("{other:?}"),
    }
}

/// The memory in the autostart's workspace, opened as by a drain.
async fn open(autostart: &Autostart) -> OpenMemory {
    let place = MemoryLocation {
        workspace: autostart.workspace.clone(),
        autopack_dir: autostart.workspace.join(".autopack"),
        repository: None,
        docker_host: autostart.docker_host.clone(),
        provider_key: None,
        redactor: Redactor::formats_only(),
    };
    let settings = autopack::config::MemorySettings {
        qdrant: autostart.settings.clone(),
        ..autopack::config::MemorySettings::default()
    };
    let within = autostart.timeout() + Duration::from_secs(2);
    let opening = Memory::open(&settings, &place, AutostartPermission::Allowed);
    let opened = tokio::time::timeout(within, opening).await.expect("in time").unwrap();
    println!("{}", opened.line.as_deref().unwrap_or_default());
    opened
}

/// Remembers and finds again, with any index.
async fn works(memory: &Memory) {
    memory.remember(Entry::new(Collection::Planning, "run/phase", "split the parser first")).await;
    memory.sync(&|_, _| {}).await.unwrap();
    let query = Query { text: "parser".into(), limit: 3, ..Query::default() };
    let found = memory.search(&query).await.unwrap();
    assert_eq!(found[0].text, "split the parser first");
}

/// Opens the memory when Qdrant cannot be started: the reason in one line, and FAISS serves.
async fn goes_on_with_faiss(autostart: &Autostart, reason: &str) {
    let opened = open(autostart).await;
    let line = opened.line.unwrap();
    assert!(line.starts_with("memory: using FAISS in this process; Qdrant at "), "{line}");
    assert!(line.contains(reason) && !line.contains('\n'), "{line}");
    assert_eq!(opened.memory.backend(), Backend::Faiss);
    works(&opened.memory).await;
    opened.memory.close().await;
}

/// Asks at every batch until the memory has a message.
async fn news(memory: &Memory) -> String {
    let asking = async {
        loop {
            if let Some(line) = memory.at_batch().await {
                return line;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let line = tokio::time::timeout(Duration::from_secs(60), asking).await.expect("some news");
    println!("{line}");
    line
}

#[tokio::test]
async fn test_memory_service_autostarts_qdrant_then_uses_it() {
    let Some(engine) = Engine::get() else { return };
    let autostart = engine.autostart(&engine.image);
    let opened = open(&autostart).await;
    let line = opened.line.unwrap();
    assert!(line.ends_with("container created and started"), "{line}");
    assert_eq!(opened.memory.backend(), Backend::Qdrant);
    works(&opened.memory).await;
    let held = crate::support::qdrant::entries(autostart.settings.grpc_port).await;
    assert_eq!(held.into_values().next().unwrap().text, "split the parser first");
    engine.assert_safe(CONTAINER, &autostart.settings);
}

#[tokio::test]
async fn an_existing_container_is_started_with_its_own_image() {
    let Some(engine) = Engine::get() else { return };
    let mut autostart = engine.autostart(&engine.image);
    assert_eq!(how(start(&autostart).await), "container created and started");
    docker(&["stop", "-t", "1", CONTAINER]);
    autostart.settings.image = "nobody/has-this:1".into();
    assert_eq!(how(start(&autostart).await), "container started");
    // It keeps the ports that it was made with, and waiting for others would be in vain.
    docker(&["stop", "-t", "1", CONTAINER]);
    let other = Autostart { settings: engine.settings(&engine.image), ..autostart };
    let reason = why(start(&other).await);
    assert!(reason.contains("publishes 6333/tcp at port"), "{reason}");
    assert!(reason.contains("docker rm -f autopack-qdrant"), "{reason}");
}

#[tokio::test]
async fn two_processes_may_start_the_container_at_once() {
    let Some(engine) = Engine::get() else { return };
    let autostart = engine.autostart(&engine.image);
    let (one, two) = tokio::join!(start(&autostart), start(&autostart));
    assert!(
        matches!((&one, &two), (AutostartOutcome::Ready(_), AutostartOutcome::Ready(_))),
        "{one:?} {two:?}"
    );
    engine.clean();
    if !compose_is_there() {
        return;
    }
    let autostart = engine.autostart(&engine.image);
    engine.write_compose(&shipped(&autostart.settings));
    let (one, two) = tokio::join!(start(&autostart), start(&autostart));
    assert!(
        matches!((&one, &two), (AutostartOutcome::Ready(_), AutostartOutcome::Ready(_))),
        "{one:?} {two:?}"
    );
}

fn compose_is_there() -> bool {
    let there =
        succeeds("docker", &["compose", "version"]) || succeeds("docker-compose", &["version"]);
    if !there {
        skip("docker-compose", "neither `docker compose` nor docker-compose is installed");
    }
    there
}

fn passes_as_nobody(test: &str) {
    let mut again = Command::new(std::env::current_exe().unwrap());
    match again.args(["--exact", test, "--nocapture"]).uid(65534).gid(65534).output() {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            skip("other-user", format_args!("user 65534 cannot start the tests: {error}"));
        }
        ended => {
            let ended = ended.unwrap();
            // A name that matches no test would end well, too.
            let printed = text(&ended);
            assert!(ended.status.success() && printed.contains("1 passed"), "{printed}");
        }
    }
}

/// The file that autopack ships, with the stand-in's image; the ports are its variables.
fn shipped(settings: &QdrantSettings) -> String {
    let pinned = QdrantSettings::default().image;
    assert!(SHIPPED.contains(&format!("image: {pinned}\n")), "the image that is the default");
    SHIPPED.replace(&pinned, &settings.image)
}

#[tokio::test]
async fn the_compose_service_that_we_ship_is_preferred() {
    let Some(engine) = Engine::get() else { return };
    if !compose_is_there() {
        return;
    }
    let autostart = engine.autostart(&engine.image);
    engine.write_compose(&shipped(&autostart.settings));
    let how = how(start(&autostart).await);
    let plugin = succeeds("docker", &["compose", "version"]);
    let tool = if plugin { "docker compose" } else { "docker-compose" };
    assert_eq!(how, format!("started by {tool}"));
    let id = text(&docker(&["ps", "-q", "--filter", "label=autopack.service=qdrant"]));
    engine.assert_safe(&id, &autostart.settings);
    let by_name = text(&docker(&["ps", "-aq", "--filter", &format!("name=^{CONTAINER}$")]));
    assert_eq!(by_name, "", "only the one that compose made");
}

/// If the system has no plugin, a substitute passes its arguments to the old program: docker finds it, and autopack
/// calls it, like the real one. The directory of plugins is part of the process's environment, hence a process.
#[test]
fn the_plugin_of_the_docker_command_comes_before_the_old_program() {
    const IN_IT: &str = "AUTOPACK_TEST_IN_PLUGIN";
    if std::env::var_os(IN_IT).is_some() {
        return tokio::runtime::Runtime::new().unwrap().block_on(the_plugin_starts_it());
    }
    if succeeds("docker", &["compose", "version"]) {
        // The test before this one used the real plugin.
        return;
    }
    if !has("docker-compose", &["version"]) {
        return;
    }
    let config = TempDir::new().unwrap();
    let plugin = config.path().join("cli-plugins/docker-compose");
    std::fs::create_dir(plugin.parent().unwrap()).unwrap();
    let metadata = r#"{"SchemaVersion":"0.1.0","Vendor":"autopack","Version":"v2","ShortDescription":"a shim"}"#;
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = docker-cli-plugin-metadata ] && {{ echo '{metadata}'; exit; }}\nshift\nexec docker-compose \"$@\"\n"
    );
    std::fs::write(&plugin, script).unwrap();
    assert!(succeeds("chmod", &["755", plugin.to_str().unwrap()]));
    let test = "memory_docker::the_plugin_of_the_docker_command_comes_before_the_old_program";
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("DOCKER_CONFIG", config.path())
        .env(IN_IT, "1")
        .output()
        .unwrap();
    // A filter that matches no test would succeed, too.
    let text = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && text.contains("1 passed"), "{text}");
}

async fn the_plugin_starts_it() {
    let Some(engine) = Engine::get() else { return };
    let autostart = engine.autostart(&engine.image);
    engine.write_compose(&shipped(&autostart.settings));
    assert_eq!(how(start(&autostart).await), "started by docker compose");
}

#[tokio::test]
async fn an_applications_own_qdrant_service_is_neither_started_nor_written_to() {
    let Some(engine) = Engine::get() else { return };
    let autostart = engine.autostart(&engine.image);
    let theirs = shipped(&autostart.settings).replace("autopack.service", "shop.service");
    engine.write_compose(&theirs);
    assert_eq!(how(start(&autostart).await), "container created and started");
    let service = "label=com.docker.compose.service=qdrant";
    assert_eq!(text(&docker(&["ps", "-aq", "--filter", service])), "");
}

#[tokio::test]
async fn an_occupied_port_is_reported() {
    let Some(engine) = Engine::get() else { return };
    let autostart = engine.autostart(&engine.image);
    let _taken = TcpListener::bind(("127.0.0.1", autostart.settings.port)).unwrap();
    goes_on_with_faiss(&autostart, "Docker cannot start the container autopack-qdrant: ").await;
    if compose_is_there() {
        engine.clean();
        engine.write_compose(&shipped(&autostart.settings));
        goes_on_with_faiss(&autostart, "could not start the service qdrant: ").await;
    }
}

#[tokio::test]
async fn a_container_that_exits_at_once_is_reported_without_waiting() {
    let Some(engine) = Engine::get() else { return };
    let reason =
        "Qdrant's container ended at once with exit code 3: the stand-in exits as configured";
    goes_on_with_faiss(&engine.autostart(&engine.exits), reason).await;
    if compose_is_there() {
        engine.clean();
        // There it is restarted again and again.
        let autostart = engine.autostart(&engine.exits);
        engine.write_compose(&shipped(&autostart.settings));
        goes_on_with_faiss(&autostart, "Qdrant's container ended at once with exit code 3").await;
    }
}

/// Whether a container runs, and starts by itself with the engine.
fn state(container: &str) -> String {
    text(&docker(&[
        "inspect",
        "-f",
        "{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}",
        container,
    ]))
}

#[tokio::test]
async fn a_container_that_stopped_in_the_middle_of_a_drain_is_started_again() {
    let Some(engine) = Engine::get() else { return };
    let autostart = engine.autostart(&engine.image);
    let opened = open(&autostart).await;
    assert_eq!(state(CONTAINER), "true unless-stopped");
    // As after a restart of an engine that does not restart its containers.
    docker(&["stop", "-t", "1", CONTAINER]);
    let query = Query { text: "parser".into(), limit: 3, ..Query::default() };
    let _ = opened.memory.search(&query).await;
    let line = news(&opened.memory).await;
    assert!(line.ends_with("container started"), "{line}");
    assert_eq!(opened.memory.backend(), Backend::Qdrant);
    works(&opened.memory).await;
}

#[tokio::test]
async fn a_second_server_on_the_volume_is_not_started() {
    let Some(engine) = Engine::get() else { return };
    let one = engine.autostart(&engine.image);
    let publish = [
        format!("127.0.0.1:{}:6333", one.settings.port),
        format!("127.0.0.1:{}:6334", one.settings.grpc_port),
    ];
    let volume = "autopack_qdrant_storage:/qdrant/storage";
    let label = "autopack.service=test";
    let args = [
        "run",
        "-d",
        "--label",
        label,
        "-p",
        &publish[0],
        "-p",
        &publish[1],
        "-v",
        volume,
        &engine.image,
    ];
    let id = text(&docker(&args));
    let other = Autostart { settings: engine.settings(&engine.image), ..one.clone() };
    let reason = why(start(&other).await);
    assert!(reason.contains("serves the volume autopack_qdrant_storage at the ports"), "{reason}");
    assert!(
        reason.contains(&one.settings.port.to_string()) && reason.contains("docker stop"),
        "{reason}"
    );
    assert!(state(&id).starts_with("true"), "the other goes on");
    assert_eq!(text(&docker(&["ps", "-aq", "--filter", &format!("name=^{CONTAINER}$")])), "");
    // On autopack's ports, this is the one wanted.
    assert_eq!(how(start(&one).await), "started by another process");
}

#[tokio::test]
async fn a_started_qdrant_that_rejects_the_key_is_stopped() {
    let Some(engine) = Engine::get() else { return };
    let mut autostart = engine.autostart(&engine.image);
    autostart.settings.api_key = "the first key".into();
    assert_eq!(how(start(&autostart).await), "container created and started");
    docker(&["stop", "-t", "1", CONTAINER]);
    autostart.settings.api_key = "another key".into();
    let opened = open(&autostart).await;
    let line = opened.line.unwrap();
    assert!(line.contains("does not accept the API key"), "{line}");
    assert_eq!(opened.memory.backend(), Backend::Faiss);
    assert!(state(CONTAINER).starts_with("false"), "stopped again");
}

#[tokio::test]
async fn a_failed_pull_is_retried_in_a_later_batch() {
    let Some(engine) = Engine::get() else { return };
    let image = "localhost:1/nobody/has-this:2";
    let opened = open(&engine.autostart(image)).await;
    let line = news(&opened.memory).await;
    assert!(line.starts_with("memory: Qdrant stays down: Docker cannot pull"), "{line}");
    assert!(docker(&["tag", &engine.image, image]).status.success());
    let line = news(&opened.memory).await;
    docker(&["rmi", image]);
    assert!(line.ends_with("container created and started"), "{line}");
}

#[tokio::test]
async fn an_unavailable_image_is_reported_in_a_later_batch() {
    let Some(engine) = Engine::get() else { return };
    let image = "localhost:1/nobody/has-this:1";
    let opened = open(&engine.autostart(image)).await;
    let line = opened.line.unwrap();
    assert!(line.ends_with("its image localhost:1/nobody/has-this:1 is being pulled"), "{line}");
    works(&opened.memory).await;
    let line = news(&opened.memory).await;
    let output = format!("memory: Qdrant stays down: Docker cannot pull {image}: ");
    assert!(line.starts_with(&output) && !line.contains('\n'), "{line}");
    assert_eq!(opened.memory.backend(), Backend::Faiss);
}

#[tokio::test]
async fn faiss_serves_during_a_hanging_pull_and_qdrant_afterwards() {
    let Some(engine) = Engine::get() else { return };
    // Accepts connections, as the system does, and never answers.
    let registry = TcpListener::bind("127.0.0.1:0").unwrap();
    let image = format!("{}/qdrant:1", registry.local_addr().unwrap());
    let autostart = engine.autostart(&image);
    let opened = open(&autostart).await;
    assert_eq!(opened.memory.backend(), Backend::Faiss);
    works(&opened.memory).await;
    assert_eq!(opened.memory.at_batch().await, None, "nothing new");
    assert!(docker(&["tag", &engine.image, &image]).status.success());
    let line = news(&opened.memory).await;
    docker(&["rmi", &image]);
    assert!(line.ends_with("container created and started"), "{line}");
    assert_eq!(opened.memory.backend(), Backend::Qdrant);
    works(&opened.memory).await;
    assert_eq!(crate::support::qdrant::entries(autostart.settings.grpc_port).await.len(), 1);
}

/// Needs no engine: these are not engines.
fn elsewhere(dir: &TempDir, docker_host: &str, timeout: u64) -> Autostart {
    let mut settings = crate::support::docker::settings("nobody/has-this:1");
    settings.autostart_timeout_seconds = timeout;
    let (workspace, docker_host) = (dir.path().to_owned(), Some(docker_host.to_owned()));
    Autostart { settings, workspace, docker_host }
}

/// Every way to reach it gives the same reason, compose too.
async fn both_ways(autostart: &Autostart, reason: &str) {
    goes_on_with_faiss(autostart, reason).await;
    std::fs::write(autostart.workspace.join("docker-compose.yml"), SHIPPED).unwrap();
    goes_on_with_faiss(autostart, reason).await;
}

#[tokio::test]
async fn a_missing_docker_engine_is_reported() {
    let dir = TempDir::new().unwrap();
    let autostart = elsewhere(&dir, "unix:///nonexistent/docker.sock", 15);
    both_ways(&autostart, "no Docker engine at unix:///nonexistent/docker.sock: ").await;
}

#[tokio::test]
async fn denied_access_to_docker_is_reported() {
    let dir = TempDir::new().unwrap();
    let socket = dir.path().join("docker.sock");
    answering(&socket, |_| {
        Some("HTTP/1.1 403 Forbidden\r\ncontent-length: 25\r\n\r\n{\"message\":\"not for you\"}\n")
    });
    let autostart = elsewhere(&dir, &format!("unix://{}", socket.display()), 15);
    both_ways(&autostart, "denies access (403: not for you)").await;
}

/// Root can open any socket: as root, the test runs once more as another user.
#[tokio::test]
async fn a_docker_socket_of_another_user_is_reported() {
    let dir = TempDir::new().unwrap();
    let socket = dir.path().join("docker.sock");
    let _engine = UnixListener::bind(&socket).unwrap();
    assert!(succeeds("chmod", &["000", socket.to_str().unwrap()]));
    if std::os::unix::net::UnixStream::connect(&socket).is_ok() {
        return passes_as_nobody("memory_docker::a_docker_socket_of_another_user_is_reported");
    }
    let autostart = elsewhere(&dir, &format!("unix://{}", socket.display()), 15);
    both_ways(&autostart, "permission denied; is this user in the group docker?").await;
}

#[tokio::test]
async fn a_hanging_docker_engine_is_not_waited_for() {
    let dir = TempDir::new().unwrap();
    let socket = dir.path().join("docker.sock");
    // Accepts connections, as the system does, and never answers.
    let _engine = UnixListener::bind(&socket).unwrap();
    let autostart = elsewhere(&dir, &format!("unix://{}", socket.display()), 15);
    both_ways(&autostart, "does not answer").await;
}

#[tokio::test]
async fn a_docker_engine_hanging_after_its_first_answer_times_out() {
    let dir = TempDir::new().unwrap();
    let socket = dir.path().join("docker.sock");
    answering(&socket, |request| {
        let ping = "HTTP/1.1 200 OK\r\napi-version: 1.41\r\ncontent-length: 2\r\n\r\nOK";
        request.contains("/_ping").then_some(ping)
    });
    let autostart = elsewhere(&dir, &format!("unix://{}", socket.display()), 2);
    both_ways(&autostart, "Docker did not get Qdrant ready within 2 s").await;
}

/// An engine that gives each connection one answer, or none and keeps it open. Ends with the test's process.
pub fn answering(socket: &std::path::Path, answer: fn(&str) -> Option<&'static str>) {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            match answer(&String::from_utf8_lossy(&request[..length])) {
                Some(answer) => drop(stream.write_all(answer.as_bytes())),
                None => open.push(stream),
            }
        }
    });
}

/// The image has neither curl nor wget, and the stand-in's has no bash: the command itself is run here.
#[test]
fn the_healthcheck_tells_a_ready_qdrant_from_a_dead_one() {
    let file: serde_yaml::Value = serde_yaml::from_str(SHIPPED).unwrap();
    let check = &file["services"]["qdrant"]["healthcheck"]["test"];
    let words: Vec<&str> = check.as_sequence().unwrap().iter().filter_map(|w| w.as_str()).collect();
    let ["CMD", "bash", "-c", script] = words[..] else { panic!("{words:?}") };
    let mut qdrant = crate::support::qdrant::StandIn::start();
    let script = script.replace("/6333", &format!("/{}", qdrant.rest_port));
    assert!(succeeds("bash", &["-c", &script]));
    qdrant.kill();
    assert!(!succeeds("bash", &["-c", &script]));
}
