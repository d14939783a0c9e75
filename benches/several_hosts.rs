//! Several hosts that share a Postgres server and a git remote: how near they come to the ideal, and how many phases land a
//! second if agents and CI take no time.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use super::postgres::execute;
use super::process::{cpu_seconds, succeed};
use super::queue_models::{Trace, oracle};
use super::scale::Scale;
use super::scratch::Scratch;
use super::stats::figure;

/// Workers of each host.
const WORKERS: usize = 4;
/// Phases for each worker of all hosts.
const PER_WORKER: usize = 4;
/// The same, if agents and CI take no time.
const PER_IDLE_WORKER: usize = 12;

/// Sleeps, and writes its phase's file.
const AGENT: &str = r#"cat >/dev/null; [ "$SECONDS_OF_AGENT" = 0 ] || sleep "$SECONDS_OF_AGENT"; d=src/${AUTOPACK_PHASE_ID%??}; mkdir -p "$d"
echo "made by $AUTOPACK_PHASE_ID" >"$d/$AUTOPACK_PHASE_ID.txt""#;

pub fn section(scale: &Scale) -> String {
    let Ok(server) = std::env::var("AUTOPACK_TEST_POSTGRES") else {
        return "Not measured: `AUTOPACK_TEST_POSTGRES` names no server.\n".to_owned();
    };
    let mut text = format!(
        "Clones on this machine with {WORKERS} workers each, one Postgres server and one bare remote, reached by its path; agent and CI sleep. \
         {PER_WORKER} phases for\neach worker, {PER_IDLE_WORKER} without sleep, without common paths. The seconds are from the start of the drains to the end of the last one, without the\n\
         test of the base. Efficiency: the seconds of the oracle of the section above, divided by the seconds. Landings a second: between the\n\
         first landing and the last one. Processor time: of all programs but the servers. All clones share the processors of this machine.\n\n\
         | hosts | agent, CI (s) | phases | seconds | efficiency | landings a second | processor time a landing (ms) |\n|---|---|---|---|---|---|---|\n"
    );
    let (hosts, times): (&[usize], f64) =
        if scale.quick { (&[1, 2], 1.0) } else { (&[1, 2, 4], 10.0) };
    for (agent, ci) in [(times, times / 2.0), (0.0, 0.0)] {
        for hosts in hosts {
            let row = row(&server, *hosts, agent, ci);
            eprint!("{row}");
            text += &row;
        }
    }
    text
}

fn row(server: &str, hosts: usize, agent: f64, ci: f64) -> String {
    let workers = hosts * WORKERS;
    let phases = workers * if agent > 0.0 { PER_WORKER } else { PER_IDLE_WORKER };
    let trace = Trace { workers, agent, ci, red: vec![false; phases] };
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let name = format!("autopack_bench_{}_{hosts}", std::process::id());
    let (place, _) = server.rsplit_once('/').expect("the URL ends with a database");
    let url = format!("{place}/{name}");
    runtime.block_on(execute(server, format!("CREATE DATABASE {name}")));
    let (seconds, cpu) = drain(&url, hosts, &trace);
    let landed = runtime.block_on(landings(&url));
    runtime.block_on(execute(server, format!("DROP DATABASE {name} WITH (FORCE)")));
    assert_eq!(landed.len(), phases, "all phases landed");
    let between = (landed[phases - 1] - landed[0]) as f64 / 1e3;
    let efficiency = match oracle(&trace) {
        0.0 => "".to_owned(),
        ideal => figure(ideal / seconds),
    };
    format!(
        "| {hosts} | {agent}, {ci} | {phases} | {} | {efficiency} | {} | {} |\n",
        figure(seconds),
        figure((phases - 1) as f64 / between),
        figure(cpu * 1e3 / phases as f64)
    )
}

/// Seconds of a drain of all hosts, and seconds of processor time.
fn drain(url: &str, hosts: usize, trace: &Trace) -> (f64, f64) {
    let mut first = Scratch::new(100);
    let remote = first.outside("remote.git");
    succeed(first.command("git").args(["init", "-q", "--bare", "-b", "main"]).arg(&remote));
    succeed(first.command("git").args(["remote", "add", "origin"]).arg(&remote));
    first.git(["push", "-q", "origin", "main"]);
    let mut clones: Vec<Scratch> = (1..hosts).map(|_| Scratch::clone_of(&remote)).collect();
    for clone in clones.iter_mut().chain([&mut first]) {
        clone.use_database(url);
        let env = json!({"SECONDS_OF_AGENT": trace.agent.to_string()});
        let agents = json!({"default": "sleeper",
            "sleeper": {"kind": "command", "command": ["sh", "-c", AGENT], "env": env}});
        let ci = if trace.ci > 0.0 { format!("sleep {}", trace.ci) } else { "true".to_owned() };
        clone.configure(&json!({
            "agents": agents,
            "ci": {"command": ["sh", "-c", ci], "final": "off"},
            "sandbox": {"mode": "off"},
            "workspace": {"remote": "origin"},
        }));
    }
    first.plan("r", 0..trace.red.len());
    let (started, before) = (Instant::now(), cpu_seconds());
    let drains: Vec<(Child, &Scratch)> =
        clones.iter().chain([&first]).map(|clone| (start(clone), clone)).collect();
    for (mut drain, clone) in drains {
        let status = drain.wait().expect("the drain ends");
        let log = std::fs::read_to_string(clone.outside("drain.log")).unwrap_or_default();
        assert!(status.success(), "{status}: {log}");
    }
    (started.elapsed().as_secs_f64() - trace.ci, cpu_seconds() - before)
}

fn start(clone: &Scratch) -> Child {
    let log = std::fs::File::create(clone.outside("drain.log")).expect("a file");
    let errors = log.try_clone().expect("the file");
    let jobs = WORKERS.to_string();
    let mut drain: Command = clone.autopack(["drain", "--run-id", "r", "--json", "--jobs", &jobs]);
    // Permits of `ci.jobs` are locks of the user, in this directory.
    drain.env("XDG_RUNTIME_DIR", clone.outside("runtime"));
    drain.stdout(Stdio::from(log)).stderr(Stdio::from(errors)).spawn().expect("autopack starts")
}

/// Times of all landings, in milliseconds.
async fn landings(url: &str) -> Vec<i64> {
    let options: PgConnectOptions = url.parse().expect("a URL");
    let mut connection = options.connect().await.expect("the server answers");
    let sql = "SELECT ended_at FROM autopack.attempts WHERE outcome = 'landed' ORDER BY ended_at";
    let rows = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut connection).await;
    connection.close().await.expect("closed");
    rows.expect("attempts")
}
