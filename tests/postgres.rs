//! A Postgres server as the database: the same verbs, errors in words, and outages that cost no attempt.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::link::{Link, Passage};
use crate::support::meeting::MEETING;
use crate::support::postgres::{Database, WriteTransaction, database, own_server};
use crate::support::process::signal;
use crate::support::{Project, skip};

const GREEN: &str = "ci: {command: [\"true\"]}\n";

fn project(url: &str, agent: &str) -> Project {
    let project = Project::new().env("AUTOPACK_DATABASE_URL", url);
    std::fs::create_dir(project.outside("meeting")).unwrap();
    project.agent_with(&format!("{MEETING}\n{agent}"), GREEN)
}

fn phases(count: usize) -> Value {
    let phase =
        |n: usize| json!({"phase_id": format!("p{n:02}"), "deliverables": [format!("d{n}/a.txt")]});
    json!({ "phases": (0..count).map(phase).collect::<Vec<_>>() })
}

/// Each phase landed once, with one attempt.
#[track_caller]
fn assert_landed_once(project: &Project, count: usize) {
    let mut landed = project.landed();
    landed.sort();
    let wanted: Vec<String> = (0..count).map(|n| format!("p{n:02}")).collect();
    assert_eq!(landed, wanted);
    for phase in wanted {
        let shown = project.phase(&phase);
        assert_eq!(shown["state"], "COMPLETE", "{shown:#}");
        assert_eq!(shown["attempts"], 1, "{shown:#}");
        assert_eq!(shown["attempt_log"].as_array().unwrap().len(), 1, "{shown:#}");
    }
}

#[test]
fn the_verbs_work_as_with_a_file() {
    let Some(database) = database() else { return };
    let agent = "if phase_id == 'p01': sys.exit(1)\nwrite_deliverables()\nreport(input_tokens=3, output_tokens=5)";
    let project = project(&database.url(), agent).plan(phases(3));
    assert!(!project.path(".autopack/autopack.db").exists());
    project.drain().exited(3);
    assert_eq!(project.states()["p01"], "FAILED");
    project.autopack(["phases", "skip", "p01"]).succeeded();
    project.autopack(["fix-phases", "--run-id", "run"]).succeeded();
    let health = project.json(["health", "--json"]);
    let mut checks = health["checks"].as_array().unwrap().iter();
    let check = checks.find(|check| check["name"] == "database").unwrap();
    let detail = check["detail"].as_str().unwrap();
    assert!(detail.starts_with(&*database.url()), "{detail}");
    assert!(detail.contains(", schema ") && detail.contains(", Postgres "), "{detail}");
    let exported = project.autopack(["telemetry", "export"]).succeeded();
    assert_eq!(exported.stdout.lines().count(), 5, "{exported:#?}");
    project.autopack(["undo", "p00"]).succeeded();
    project.autopack(["drain", "--run-id", "run"]).succeeded();
    assert_eq!(project.states()["p00"], "COMPLETE");
    assert!(!project.path(".autopack/autopack.db").exists(), "nothing is stored beside the server");
}

#[test]
fn two_drains_share_a_run() {
    let Some(database) = database() else { return };
    let agent = "say('came-' + phase_id)\nwait_for('came-', 2)\nwrite_deliverables()";
    let project = project(&database.url(), agent).plan(phases(8));
    let drains = [(); 2].map(|()| project.spawn(["drain", "--run-id", "run"]));
    for drain in drains {
        project.wait(drain).succeeded();
    }
    assert_landed_once(&project, 8);
}

#[test]
fn a_server_that_lets_nobody_in_is_named() {
    let Some(database) = database() else { return };
    let refused = |url: &str| {
        let project = Project::new().env("AUTOPACK_DATABASE_URL", url);
        let ran = project.autopack(["status"]).exited(1);
        assert!(!ran.stderr.contains("hunter2"), "{ran:#?}");
        ran.stderr
    };
    let port = database.port();
    let said = refused(&format!("postgres://autopack:hunter2@127.0.0.1:{port}/nowhere"));
    assert!(said.contains("database \"nowhere\" does not exist"), "{said}");
    assert!(said.contains(&format!("postgres://autopack@127.0.0.1:{port}/nowhere")), "{said}");
    let said = refused(&format!("postgres://autopack@127.0.0.1:{port}/x?sslmode=require"));
    assert!(said.contains("TLS"), "{said}");
    let said = refused("postgres://autopack:hunter2@127.0.0.1/x?sslmod=require");
    assert!(said.contains("unknown parameter \"sslmod\""), "{said}");
    let said = refused(&database.url());
    assert!(said.contains("there is no database at"), "{said}");
}

#[test]
fn a_schema_of_others_is_refused_and_left_alone() {
    let Some(database) = database() else { return };
    database.execute("CREATE SCHEMA autopack; CREATE TABLE autopack.customers (id INT)");
    let project = Project::new().env("AUTOPACK_DATABASE_URL", database.url());
    let ran = project.autopack(["fix-phases"]).exited(1);
    assert!(ran.stderr.contains("belongs to another application"), "{ran:#?}");
    let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'autopack'";
    assert_eq!(database.texts(tables), ["customers"]);
}

#[test]
fn an_applications_database_url_is_handed_on_and_ours_is_used() {
    let Some(database) = database() else { return };
    let agent = "write(phase['deliverables'][0], os.environ.get('DATABASE_URL', 'none'))";
    let seen = |project: &Project| project.git(["show", "autopack/run:d0/a.txt"]);
    database.execute("CREATE TABLE customers (id INT)");
    let application = Project::new().env("DATABASE_URL", database.url());
    let application = application.agent_with(agent, GREEN).plan(phases(1));
    let ran = application.drain().succeeded();
    assert!(ran.stderr.contains("ignoring DATABASE_URL"), "{ran:#?}");
    assert_eq!(seen(&application), database.url());
    assert!(application.path(".autopack/autopack.db").exists());
    let schemas = "SELECT nspname::text FROM pg_namespace WHERE nspname = 'autopack'";
    assert!(database.texts(schemas).is_empty());

    project(&database.url(), "").plan(phases(1));
    let ours = Project::new().env("DATABASE_URL", database.url()).agent_with(agent, GREEN);
    ours.drain().succeeded();
    assert!(!ours.path(".autopack/autopack.db").exists());
    assert_eq!(seen(&ours), "none", "agents do not get the queue's database");
    // The server is away: autopack does not begin a queue of its own.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let known = ours.read(".autopack/shared-server");
    ours.write(
        ".autopack/shared-server",
        &known.replace(&database.port().to_string(), &free.to_string()),
    );
    let ours = ours.env("DATABASE_URL", database.url_at(free));
    let ran = ours.autopack(["fix-phases", "--run-id", "run"]).exited(1);
    assert!(ran.stderr.contains("the server does not answer"), "{ran:#?}");
    assert!(!ours.path(".autopack/autopack.db").exists());
}

#[test]
fn agents_and_ci_do_not_get_the_password_of_the_queue() {
    let Some(database) = database() else { return };
    let url = database.url().replace("autopack@", "autopack:hunter2@");
    let agent = "write(phase['deliverables'][0], json.dumps({k: v for k, v in os.environ.items() if 'hunter2' in v}))";
    let project = project(&url, agent).env("PGPASSWORD", "hunter2").plan(phases(1));
    project.drain().succeeded();
    assert_eq!(project.git(["show", "autopack/run:d0/a.txt"]), "{}");
}

/// Agents wait while the server is killed, so that their attempts end without it.
#[test]
fn a_killed_server_is_waited_for() {
    let Some(server) = own_server() else { return };
    let database = Database::at(&server.url());
    let agent = "say('came-' + phase_id)\nwait_for('go-' + phase_id[2])\nwrite_deliverables()";
    let project = project(&database.url(), agent).plan(phases(6));
    let drain = project.spawn(["drain", "--run-id", "run", "--jobs", "2"]);
    let meeting = project.outside("meeting");
    for (first, second) in [(0, 1), (2, 3), (4, 5)] {
        for number in [first, second] {
            wait_for(|| meeting.join(format!("came-p{number:02}")).exists());
        }
        server.kill();
        for number in [first, second] {
            std::fs::write(meeting.join(format!("go-{number}")), "").unwrap();
        }
        server.start();
    }
    project.wait(drain).succeeded();
    assert_landed_once(&project, 6);
}

#[test]
fn a_drain_that_starts_without_its_server_waits_for_it() {
    let Some(server) = own_server() else { return };
    let database = Database::at(&server.url());
    let project = project(&database.url(), "write_deliverables()").plan(phases(2));
    project.autopack(["fix-phases", "--run-id", "run"]).succeeded();
    server.kill();
    let mut drain = project.spawn(["drain", "--run-id", "run"]);
    let mut said = String::new();
    let mut lines = BufReader::new(drain.stderr.take().unwrap());
    while !said.contains(
        "does not answer (Connection refused (os error 111)); waiting for it, 15 min at most",
    ) {
        assert_ne!(lines.read_line(&mut said).unwrap(), 0, "{said}");
    }
    server.start();
    // A full pipe would stop the drain.
    lines.read_to_string(&mut said).unwrap();
    project.wait(drain).succeeded();
    assert!(said.contains("answers again"), "{said}");
    assert_landed_once(&project, 2);
}

#[test]
fn a_command_says_that_the_server_does_not_answer() {
    let Some(database) = database() else { return };
    let project = project(&database.url(), "").plan(phases(1));
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let project = project.env("AUTOPACK_DATABASE_URL", database.url_at(free));
    let ran = project.autopack(["status"]).exited(1);
    assert!(
        ran.stderr.contains("the server does not answer; check that the server runs"),
        "{ran:#?}"
    );
}

/// A link breaks connections right after it passed on a COMMIT: the server carried it out, and
/// the drain never hears of it.
#[test]
fn a_commit_without_an_answer_is_settled() {
    let Some(database) = database() else { return };
    let project = project(&database.url(), "write_deliverables()").plan(phases(6));
    let (link, broken) = link_without_some_answers(database.port());
    let project = project.env("AUTOPACK_DATABASE_URL", database.url_at(link.port()));
    project.autopack(["drain", "--run-id", "run", "--jobs", "2"]).succeeded();
    assert!(broken.load(Ordering::SeqCst) >= 5, "{broken:?}");
    let project = project.env("AUTOPACK_DATABASE_URL", database.url());
    assert_landed_once(&project, 6);
}

/// Every seventh COMMIT of a writer breaks its connection. Returns the link and the number of broken connections.
fn link_without_some_answers(server: u16) -> (Link, Arc<AtomicUsize>) {
    let (broken, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&broken);
    let link = Link::watched(server, move || {
        let (broken, seen) = (Arc::clone(&broken), Arc::clone(&seen));
        let mut transaction = WriteTransaction::default();
        Box::new(move |sent| {
            if transaction.commit(sent).is_some() && seen.fetch_add(1, Ordering::SeqCst) % 7 == 6 {
                broken.fetch_add(1, Ordering::SeqCst);
                return Passage::BreakAfter;
            }
            Passage::Pass
        })
    });
    (link, counted)
}

#[test]
fn a_pooler_that_gives_each_transaction_another_connection_works() {
    // One that refuses the setting by which a direct connection is recognized, and one that ignores it.
    for (ignored, parameters) in
        [("extra_float_digits", ""), ("options", "?statement-cache-capacity=20")]
    {
        let Some(database) = database() else { return };
        let Some(pooler) = Pooler::start(&database, ignored) else { return };
        let url = database.url_at(pooler.port) + parameters;
        let project = project(&url, "write_deliverables()").plan(phases(8));
        let drains = [(); 2].map(|()| project.spawn(["drain", "--run-id", "run", "--jobs", "2"]));
        for drain in drains {
            project.wait(drain).succeeded();
        }
        assert_landed_once(&project, 8);
    }
}

/// PgBouncer with pooling by transaction.
struct Pooler {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Pooler {
    /// `ignored`: settings of a new connection that it ignores; it refuses others.
    fn start(database: &Database, ignored: &str) -> Option<Self> {
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter();
        let Some(program) = program.into_iter().find(|at| std::path::Path::new(at).exists()) else {
            skip("pgbouncer", "there is no pgbouncer");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 3\nmax_client_conn = 50\n\
             ignore_startup_parameters = {ignored}\n",
            database.port()
        );
        let settings = settings.replace("* = host=127.0.0.1", "* = user=autopack host=127.0.0.1");
        let file = dir.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new(program);
        if nix::unistd::geteuid().is_root() {
            std::fs::set_permissions(
                dir.path(),
                std::os::unix::fs::PermissionsExt::from_mode(0o755),
            )
            .unwrap();
            command.args(["-u", "nobody"]);
        }
        let command = command.arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        wait_for(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(Self { child, port, _dir: dir })
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        signal(&self.child, "-INT");
        let _ = self.child.wait();
    }
}

/// Polls for what no event tells.
#[track_caller]
fn wait_for(holds: impl Fn() -> bool) {
    for _ in 0..6000 {
        if holds() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("waited in vain");
}
