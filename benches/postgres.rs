//! Claims on a Postgres server: as many a second as are asked for, and as many as there can be.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use autopack::phase::{RunId, UnixMs, Verdict};
use autopack::store::{DatabaseUrl, Finish, ImportMode, OwnerId, Store};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use super::claims::{NOW, claim, fix, plan, register};
use super::scale::Scale;
use super::stats::{Samples, grouped};

/// Machines, each with a connection for writes.
const MACHINES: usize = 32;
/// Claims a second in the open loop.
const RATE: u32 = 50;
const OPEN_LOOP: Duration = Duration::from_secs(20);
const SATURATED: Duration = Duration::from_secs(10);

pub fn section(scale: &Scale) -> String {
    let Ok(server) = std::env::var("AUTOPACK_TEST_POSTGRES") else {
        return "Not measured: `AUTOPACK_TEST_POSTGRES` names no server.\n".to_owned();
    };
    let queued = if scale.quick { 10_000 } else { 1_000_000 };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure(&server, queued))
}

async fn measure(server: &str, queued: usize) -> String {
    let name = format!("autopack_bench_{}", std::process::id());
    execute(server, format!("CREATE DATABASE {name}")).await;
    let (place, _) = server.rsplit_once('/').expect("the URL ends with a database");
    let text = measure_in(&format!("{place}/{name}"), queued).await;
    execute(server, format!("DROP DATABASE {name} WITH (FORCE)")).await;
    text
}

async fn measure_in(url: &str, queued: usize) -> String {
    let run = RunId::new("r");
    let database = DatabaseUrl::parse(url, "/".as_ref()).expect("a URL");
    let store = Store::open(&database).await.expect("a database");
    store.import_by_run(&plan(&run), ImportMode::Add, NOW).await.expect("imported");
    store.repair_queued(None, &fix, false, &mut |_| {}).await.expect("repaired");
    execute(url, multiplied(queued)).await;
    let mut machines = Vec::new();
    for number in 0..MACHINES {
        let store = Store::open(&database).await.expect("a database");
        let owner = register(&store, &run, &format!("bench-{number}")).await;
        machines.push((store, owner));
    }
    let (claims, finishes) = open_loop(&machines, &run).await;
    let rate = saturated(&machines, &run).await;
    for (store, _) in machines {
        store.close().await;
    }
    store.close().await;
    format!(
        "{} queued phases, {MACHINES} machines with a connection each, server and clients on this machine. Milliseconds from the moment at which \
         a claim was due, {RATE} a second, each with its finish.\n\n\
         | claim p50 | p99 | finish p50 | p99 | claims a second, saturated |\n|---|---|---|---|---|\n| {} | {} | {rate:.0} |\n",
        grouped(queued as i64),
        Samples::ms(claims).p50_p99(),
        Samples::ms(finishes).p50_p99(),
    )
}

/// Claims at fixed times, whether or not the ones before have ended.
async fn open_loop(machines: &[(Store, OwnerId)], run: &RunId) -> (Vec<Duration>, Vec<Duration>) {
    let start = Instant::now();
    let mut tasks = Vec::new();
    for number in 0..(OPEN_LOOP.as_secs() as u32 * RATE) {
        let (store, owner) = machines[number as usize % machines.len()].clone();
        let (run, due) = (run.clone(), start + Duration::from_secs(1) / RATE * number);
        tasks.push(tokio::spawn(async move {
            tokio::time::sleep_until(due.into()).await;
            let claimed = claim(&store, &owner, &run).await;
            let claims = due.elapsed();
            let started = Instant::now();
            store.finish(claimed, &landed()).await.expect("finished");
            (claims, started.elapsed())
        }));
    }
    let mut all = (Vec::new(), Vec::new());
    for task in tasks {
        let (claim, finish) = task.await.expect("a measured claim");
        all.0.push(claim);
        all.1.push(finish);
    }
    all
}

/// Returns claims a second, each with its finish, by machines that never rest.
async fn saturated(machines: &[(Store, OwnerId)], run: &RunId) -> f64 {
    let (over, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let started = Instant::now();
    let mut tasks = Vec::new();
    for (store, owner) in machines {
        let (store, owner) = (store.clone(), owner.clone());
        let (run, over, count) = (run.clone(), Arc::clone(&over), Arc::clone(&count));
        tasks.push(tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let claimed = claim(&store, &owner, &run).await;
                store.finish(claimed, &landed()).await.expect("finished");
                count.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    tokio::time::sleep(SATURATED).await;
    over.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.expect("a machine");
    }
    count.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
}

fn landed() -> Finish {
    Finish::of(Verdict::Passed { commit: Some("c".repeat(40)) }, UnixMs(NOW.0), true)
}

/// Copies the one imported and repaired phase, each with a file of its own.
fn multiplied(queued: usize) -> String {
    format!(
        "SET search_path TO autopack, pg_catalog;
         INSERT INTO phases (run, phase_id, position, state, name, spec_version, fixes, raw_spec, spec, footprint)
         SELECT run, new, n, state, name, spec_version, fixes,
                replace(replace(raw_spec, 'p0000', directory), directory || '00', new),
                replace(replace(spec, 'p0000', directory), directory || '00', new),
                replace(replace(footprint, 'p0000', directory), directory || '00', new)
           FROM (SELECT n, 'p' || lpad(n::text, 6, '0') AS new, 'p' || lpad((n / 100)::text, 4, '0') AS directory
                   FROM generate_series(1, {queued} - 1) AS n) AS numbers, phases;
         ANALYZE"
    )
}

/// Runs statements.
pub async fn execute(url: &str, sql: String) {
    let options: PgConnectOptions = url.parse().expect("a URL");
    let mut connection = options.connect().await.expect("the server answers");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("the statement works");
    connection.close().await.expect("closed");
}
