//! The memory as part of a drain, through the real program, with a stand-in Qdrant that speaks the real protocol.

use crate::support::dice::Dice;
use crate::support::qdrant;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use crate::support::Project;
use autopack::memory::embed::builtin;
use autopack::memory::index::faiss::Faiss;
use autopack::memory::journal::Journal;
use qdrant::{StandIn, StandInProcess};
use serde_json::{Value, json};

/// Green unless the file contains `broken`.
pub const CI: &str = "ci:\n  command: 'if grep -rq broken src; then echo \"src/a.py:7: ValueError: broken pipe of user_id 12345\"; exit 1; fi'\n";

pub fn phases(count: usize) -> Value {
    let phase = |n: usize| json!({"phase_id": format!("p{n}"), "description": format!("write part {n}"), "deliverables": [format!("src/p{n}.txt")]});
    json!({ "phases": (0..count).map(phase).collect::<Vec<_>>() })
}

/// Enables the memory, with a Qdrant on these ports; the machine's own Docker is never used.
pub fn remembering(project: Project, qdrant: (u16, u16), more: &str) -> Project {
    let (rest, grpc) = qdrant;
    project.write(
        ".autopack/config/memory.yaml",
        &format!("memory:\n  qdrant:\n    host: 127.0.0.1\n    port: {rest}\n    grpc_port: {grpc}\n{more}"),
    );
    let docker = format!("unix://{}", project.outside("no-docker.sock").display());
    project.env("AUTOPACK_ENABLE_MEMORY", "1").env("DOCKER_HOST", docker)
}

fn dead_ports() -> (u16, u16) {
    (qdrant::free_port(), qdrant::free_port())
}

pub fn backend(project: &Project) -> Value {
    project.json(["status", "--run-id", "run", "--json"])["runs"][0]["memory_backend"].clone()
}

fn found(project: &Project, args: &[&str]) -> Vec<Value> {
    let found = project.json([&["memory", "search", "--json"], args].concat());
    found.as_array().unwrap().clone()
}

#[test]
fn strategy_a_autostart_and_fallback_goes_on_with_faiss() {
    let project = remembering(
        Project::new().agent_with("write_deliverables()", CI).plan(phases(2)),
        dead_ports(),
        "    require: false\n    fallback_to_faiss: true\n    autostart: true\n    autostart_timeout_seconds: 5\n",
    );
    let ran = project.drain().succeeded();
    let lines: Vec<&str> = ran.stdout.lines().filter(|line| line.contains("memory: ")).collect();
    assert_eq!(lines.len(), 1, "reported once: {ran:#?}");
    assert!(lines[0].contains("FAISS in this process; Qdrant at 127.0.0.1"), "{lines:?}");
    assert!(lines[0].contains("no Docker engine"), "with the reason: {lines:?}");
    assert_eq!(backend(&project), "faiss");
    assert!(!found(&project, &["part 1"]).is_empty());
}

#[test]
fn strategy_b_requires_qdrant_and_claims_nothing_without_it() {
    let project = remembering(
        Project::new().agent_with("write_deliverables()", CI).plan(phases(2)),
        dead_ports(),
        "    require: true\n    fallback_to_faiss: false\n    autostart: false\n",
    );
    // This docker has its plugin.
    let docker = project.outside("bin/docker");
    std::fs::create_dir(docker.parent().unwrap()).unwrap();
    std::fs::write(&docker, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&docker, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", project.outside("bin").display(), std::env::var("PATH").unwrap());
    let ran = project.autopack_with(["drain", "--run-id", "run"], &[("PATH", &path)]).exited(1);
    assert!(ran.stderr.contains("docker compose up -d qdrant"), "{ran:#?}");
    assert_eq!(ran.stderr.lines().count(), 1, "one line: {ran:#?}");
    assert!(project.states().values().all(|state| state == "QUEUED"));
    assert_eq!(project.phase("p0")["attempt_log"], json!([]));
}

#[test]
fn strategy_b_stops_claiming_when_qdrant_goes_away() {
    let mut stand_in = StandInProcess::start(None);
    let project = remembering(
        Project::new().agent_with("write_deliverables()", CI).plan(phases(30)),
        (stand_in.rest_port, stand_in.grpc_port),
        "    require: true\n    fallback_to_faiss: false\n    autostart: false\n",
    );
    let mut child = project.spawn(["drain", "--run-id", "run", "--json"]);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines.map(Result::unwrap) {
        if line.contains("phase_finished") && stand_in.is_up() {
            stand_in.kill();
        }
    }
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let states = project.states();
    assert!(states.values().any(|state| state == "QUEUED"), "{states:?}");
    assert!(states.values().all(|state| state != "FAILED" && state != "EXECUTING"), "{states:?}");
}

#[test]
fn strategy_c_without_qdrant_is_quiet_and_asks_nobody() {
    let stand_in = StandIn::start();
    let project = remembering(
        Project::new().agent_with("write_deliverables()", CI).plan(phases(2)),
        (stand_in.rest_port, stand_in.grpc_port),
        "  use_qdrant: false\n",
    );
    let ran = project.drain().succeeded();
    assert!(!format!("{ran:?}").contains("memory"), "nothing to say: {ran:#?}");
    assert_eq!(backend(&project), "faiss");
    assert!(stand_in.state.all_points().is_empty());
    assert!(!found(&project, &["part 1"]).is_empty());
}

/// The agent, a child of the drain's supervisor, inspects the drain's own open files.
#[test]
fn switched_off_it_opens_no_socket_and_no_index() {
    let look = r#"
write_deliverables()
def parent(pid):
    return int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1])
drain = parent(parent(os.getpid()))
assert b"drain" in open(f"/proc/{drain}/cmdline", "rb").read(), "the drain is two above"
inodes = set()
for fd in os.listdir(f"/proc/{drain}/fd"):
    link = os.readlink(f"/proc/{drain}/fd/{fd}")
    assert "memory.db" not in link and "faiss" not in link, link
    if link.startswith("socket:["):
        inodes.add(link[8:-1])
for table in ["tcp", "tcp6", "udp", "udp6"]:
    try:
        rows = open(f"/proc/{drain}/net/{table}").read().splitlines()[1:]
    except FileNotFoundError:
        continue
    open_here = [row for row in rows if row.split()[9] in inodes]
    assert not open_here, open_here
(workspace.parent / "witness" / "looked").write_text("yes")
"#;
    let stand_in = StandIn::start();
    let project = remembering(
        Project::new().without_sandbox().agent_with(look, CI).plan(phases(1)),
        (stand_in.rest_port, stand_in.grpc_port),
        "",
    )
    .env("AUTOPACK_ENABLE_MEMORY", "0");
    project.drain().succeeded();
    assert!(project.outside("looked").exists(), "the agent looked");
    assert_eq!(backend(&project), "off");
    let names: Vec<String> = std::fs::read_dir(project.path(".autopack"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!names.iter().any(|name| name.starts_with("memory") || name == "faiss"), "{names:?}");
}

#[test]
fn a_failure_its_fix_and_the_work_are_remembered_and_reach_the_next_prompt() {
    let agent = r#"
(workspace.parent / "witness" / f"prompt-{phase_id}-{attempt}").write_text(prompt)
write(phase["deliverables"][0], "broken\n" if attempt == 1 and phase_id == "p0" else "mended by retrying the pipe\n")
"#;
    let project = remembering(
        Project::new().agent_with(agent, CI).plan(phases(2)),
        dead_ports(),
        "  use_qdrant: false\n",
    );
    project.drain().succeeded();
    let prompt = |name: &str| std::fs::read_to_string(project.outside(name)).unwrap();
    assert!(prompt("prompt-p0-1").contains("planned: run/p1"), "{}", prompt("prompt-p0-1"));
    assert!(!prompt("prompt-p0-1").contains("planned: run/p0"), "its own plan tells it nothing");
    assert!(prompt("prompt-p0-2").contains("an error seen before: run/p0"));
    assert!(prompt("prompt-p1-1").contains("what a phase did: run/p0"));

    let errors =
        found(&project, &["ValueError broken pipe of user_id 99999", "--collection", "errors_ci"]);
    let text = errors[0]["text"].as_str().unwrap();
    assert!(text.contains("ValueError: broken pipe") && !text.contains("12345"), "{text}");
    assert_eq!(errors[0]["source"], "both");
    assert_eq!((&errors[0]["run_id"], &errors[0]["phase_id"]), (&json!("run"), &json!("p0")));
    let hints = found(&project, &["broken pipe", "--collection", "doctor_hints"]);
    let text = hints[0]["text"].as_str().unwrap();
    assert!(
        text.contains("+mended by retrying the pipe") && text.contains("no longer: +broken"),
        "{text}"
    );
    // The planned work is done, and the plans were removed with it.
    assert_eq!(found(&project, &["write part", "--collection", "planning"]), Vec::<Value>::new());
}

#[test]
fn a_secret_reaches_no_memory() {
    let key = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789";
    let ci = format!(
        "ci:\n  command: 'echo the key is {key}; exit 1'\n  red_base: allow\nexecutor: {{max_attempts: 1}}\n"
    );
    let project = remembering(
        Project::new().agent_with("write_deliverables()", &ci).plan(phases(1)),
        dead_ports(),
        "  use_qdrant: false\n",
    )
    .env("OPENAI_API_KEY", key);
    project.drain().exited(3);
    assert!(!found(&project, &["the key is"]).is_empty(), "the failure is remembered");
    for file in ["memory.db", "memory.db-wal"] {
        let bytes = std::fs::read(project.path(".autopack").join(file)).unwrap_or_default();
        let holds = bytes.windows(key.len()).any(|window| window == key.as_bytes());
        assert!(!holds, "{file} holds the key");
    }
}

#[test]
fn a_hanging_qdrant_delays_no_phase_and_loses_no_entry() {
    let stand_in = StandInProcess::start(None);
    let project = remembering(
        Project::new().agent_with("write_deliverables()", CI).plan(phases(4)),
        (stand_in.rest_port, stand_in.grpc_port),
        "",
    );
    let mut child = project.spawn(["drain", "--run-id", "run", "--json"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    lines.find(|line| line.contains("phase_finished")).unwrap();
    stand_in.pause(true);
    assert_eq!(lines.filter(|line| line.contains(r#""verdict":"landed""#)).count(), 3);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    stand_in.pause(false);
    same_everywhere(&project, &stand_in);
}

/// The long form: `AUTOPACK_TEST_PHASES=1000 AUTOPACK_TEST_OUTAGE_SECONDS=5..20`.
#[test]
fn qdrant_dying_again_and_again_fails_no_phase_and_loses_nothing() {
    let count = number("AUTOPACK_TEST_PHASES", 24);
    let (least, most) = match std::env::var("AUTOPACK_TEST_OUTAGE_SECONDS") {
        Ok(range) => {
            range.split_once("..").map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap())).unwrap()
        }
        Err(_) => (0.3, 1.2),
    };
    let storage = tempfile::tempdir().unwrap();
    let mut stand_in = StandInProcess::start(Some(&storage.path().join("points")));
    let agent = "write(phase['deliverables'][0], 'broken' if attempt == 1 and int(phase_id[1:]) % 10 == 3 else phase_id)";
    let project = remembering(
        Project::new().agent_with(agent, CI).plan(phases(count)),
        (stand_in.rest_port, stand_in.grpc_port),
        "    autostart: false\n",
    );
    let done = AtomicBool::new(false);
    let (mut kills, mut landed) = (0, 0);
    std::thread::scope(|scope| {
        let (ended, wait) = mpsc::channel::<()>();
        let (stand_in, done, kills) = (&mut stand_in, &done, &mut kills);
        let killer = scope.spawn(move || {
            let mut dice = Dice::of(0x2545_F491_4F6C_DD1D);
            while !done.load(Ordering::SeqCst) {
                let seconds: f64 = least + (most - least) * dice.unit();
                // Waits for the end of the drain; the time limit is the length of the outage.
                let _ = wait.recv_timeout(Duration::from_secs_f64(seconds));
                match stand_in.is_up() {
                    true => stand_in.kill(),
                    false => stand_in.restart(),
                }
                *kills += 1;
            }
            if !stand_in.is_up() {
                stand_in.restart();
            }
        });
        let mut child = project.spawn(["drain", "--run-id", "run", "--json"]);
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap) {
            let event: Value = serde_json::from_str(&line).unwrap();
            landed += usize::from(event["verdict"] == "landed");
        }
        let code = child.wait().unwrap().code();
        done.store(true, Ordering::SeqCst);
        drop(ended);
        killer.join().unwrap();
        assert_eq!(code, Some(0));
    });
    println!("{count} phases, {kills} kills and restarts");
    assert_eq!(landed, count);
    assert!(kills > 0);
    same_everywhere(&project, &stand_in);
}

/// Afterwards Qdrant, FAISS and the journal have the same entries.
fn same_everywhere(project: &Project, stand_in: &StandInProcess) {
    project.autopack(["memory", "sync"]).succeeded();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let in_qdrant: BTreeMap<String, String> = runtime
        .block_on(stand_in.entries())
        .into_iter()
        .map(|(id, held)| (id, held.text))
        .collect();
    let in_journal = runtime.block_on(journal(&project.path(".autopack/memory.db")));
    assert!(!in_journal.is_empty());
    assert_eq!(in_qdrant, in_journal);
    let (indexed, lacking) = runtime.block_on(saved_index(&project.path(".autopack")));
    assert_eq!((indexed, lacking), (in_journal.len(), Vec::new()));
}

/// The saved FAISS files: number of the journal's entries in them, and the missing changes.
async fn saved_index(directory: &Path) -> (usize, Vec<i64>) {
    let journal = Journal::open(&directory.join("memory.db")).await.unwrap().journal;
    let puts = journal.live_vectors(builtin::ID).await.unwrap();
    let last = journal.last_change().await.unwrap();
    journal.close().await;
    let (index, loaded) = Faiss::open(&directory.join("faiss"), builtin::ID, &puts, last);
    assert_eq!(loaded.unusable, Vec::<String>::new());
    (index.size().live, loaded.missing)
}

async fn journal(path: &Path) -> BTreeMap<String, String> {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).read_only(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT id, text FROM entry").fetch_all(&pool).await.unwrap();
    pool.close().await;
    rows.into_iter().collect()
}

fn number(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn memory_commands_report_the_new_path_of_a_damaged_journal() {
    let project = Project::new().file(".autopack/memory.db", "not a database");
    let ran = project.autopack_with(
        ["memory", "stats"],
        &[("AUTOPACK_USE_QDRANT", "0"), ("AUTOPACK_ENABLE_MEMORY", "1")],
    );
    let why = "the memory's journal was damaged and has been moved to ";
    assert!(ran.succeeded().stderr.contains(why));
    assert!(project.path(".autopack/memory.db.broken-1").exists());
}
