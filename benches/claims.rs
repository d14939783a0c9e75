//! Claiming and finishing one phase at a time, for backlogs of different length.

use std::path::Path;
use std::time::{Duration, Instant};

use autopack::phase::autofix::{Limits, Unscoped, autofix};
use autopack::phase::plan::{Plan, PlanPhase, PlanRun, SourcePart};
use autopack::phase::{Failure, PhaseId, PhaseState, RawSpec, Repair, RunId, UnixMs, Verdict};
use autopack::store::{
    Admission, Claim, ClaimOutcome, Claimer, DatabaseUrl, Finish, ImportMode, Owner, OwnerId,
    OwnerProcess, Store,
};
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};

use super::scale::Scale;
use super::scratch::{file_of, id_of};
use super::stats::{Samples, grouped};

pub const NOW: UnixMs = UnixMs(1_750_000_000_000);

pub fn section(scale: &Scale) -> String {
    let mut text = format!(
        "{} claims and finishes in a row, in milliseconds. Each is a transaction, on disk when the call returns (`synchronous=FULL`), in a\n\
         backlog of repaired phases. A claim repairs its phase again; a finish writes a telemetry sample.\n\n\
         | queued | claim p50 | p99 | finish p50 | p99 | both p50 | p99 |\n|---|---|---|---|---|---|---|\n",
        grouped(scale.claims as i64)
    );
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    for queued in &scale.queued {
        let [claims, finishes, both] =
            runtime.block_on(measure(*queued, scale.claims.min(*queued)));
        text += &format!(
            "| {} | {} | {} | {} |\n",
            grouped(*queued as i64),
            claims.p50_p99(),
            finishes.p50_p99(),
            both.p50_p99()
        );
    }
    text + &super::others::queue(scale)
}

async fn measure(queued: usize, count: usize) -> [Samples; 3] {
    let dir = tempfile::Builder::new().prefix("autopack-bench-").tempdir().expect("a directory");
    let url = DatabaseUrl::parse("sqlite:///queue.db", dir.path()).expect("a URL");
    let run = RunId::new("r");
    let store = Store::open(&url).await.expect("a database");
    store.import_by_run(&plan(&run), ImportMode::Add, NOW).await.expect("imported");
    store.repair_queued(None, &fix, false, &mut |_| {}).await.expect("repaired");
    multiply(url.file().expect("the database is a file"), queued).await;
    let owner = register(&store, &run, "bench").await;
    let (mut claims, mut finishes) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let started = Instant::now();
        let claim = claim(&store, &owner, &run).await;
        claims.push(started.elapsed());
        store.record_agent(&claim, "noop", Some(900), None).await.expect("recorded");
        let finish = Finish::of(Verdict::Passed { commit: Some("c".repeat(40)) }, NOW, true);
        let started = Instant::now();
        store.finish(claim, &finish).await.expect("finished");
        finishes.push(started.elapsed());
    }
    store.close().await;
    let both: Vec<Duration> = claims.iter().zip(&finishes).map(|(a, b)| *a + *b).collect();
    [claims, finishes, both].map(Samples::ms)
}

/// Copies one imported and repaired phase many times, each with a file of its own: `import` would take minutes for a
/// million. The WAL left by this is not part of the measured claims.
async fn multiply(path: &Path, queued: usize) {
    let options = SqliteConnectOptions::new().filename(path).synchronous(SqliteSynchronous::Off);
    let mut connection = options.connect().await.expect("the database");
    sqlx::query(
        "WITH RECURSIVE numbers (n, old, new, directory) AS (
             SELECT 0, 'p000000', 'p000000', 'p0000/' UNION ALL
             SELECT n + 1, old, printf('p%06d', n + 1), printf('p%04d/', (n + 1) / 100) FROM numbers WHERE n + 1 < ?)
         INSERT INTO phases (run, phase_id, position, state, name, spec_version, fixes, raw_spec, spec, footprint)
         SELECT run, new, n, state, name, spec_version, fixes, replace(replace(raw_spec, 'p0000/', directory), old, new),
                replace(replace(spec, 'p0000/', directory), old, new), replace(replace(footprint, 'p0000/', directory), old, new)
           FROM numbers JOIN phases ON run = (SELECT id FROM runs) AND phase_id = old WHERE n > 0",
    )
    .bind(queued as i64)
    .execute(&mut connection)
    .await
    .expect("a backlog");
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await.expect("on disk");
    connection.close().await.expect("closed");
}

pub async fn register(store: &Store, run: &RunId, name: &str) -> OwnerId {
    let id = OwnerId::new(name);
    let owner = Owner {
        id: id.clone(),
        process: OwnerProcess {
            pid: std::process::id(),
            process_start: None,
            boot_id: "boot".into(),
            host: "here".into(),
            machine: None,
            pid_namespace: None,
        },
        lease_ms: None,
        repo: None,
        lock_path: "/nowhere".into(),
        runs: vec![run.clone()],
        started_at: NOW,
        workers: None,
        labels: Vec::new(),
    };
    store.register_owner(&owner, 1).await.expect("registered");
    id
}

pub async fn claim(store: &Store, owner: &OwnerId, run: &RunId) -> Claim {
    let claimer = Claimer {
        owner,
        runs: std::slice::from_ref(run),
        max_attempts: 3,
        fix: &fix,
        only: &[],
        admit: &|_| Admission::Go,
        spending: false,
        keys: &[],
    };
    match store.claim_next(&claimer, NOW).await.expect("claimed") {
        ClaimOutcome::Claimed(claim) => *claim,
        other => panic!("nothing was claimed: {other:?}"),
    }
}

pub fn fix(raw: &RawSpec, last: Option<&Failure>) -> Repair {
    let limits = Limits { workspace: None, max_timeout_seconds: 3600, unscoped: Unscoped::Refuse };
    autofix(raw, last, &limits)
}

pub fn plan(run: &RunId) -> Plan {
    let id = id_of(0);
    let spec = json!({"phase_id": id, "name": "A phase", "category": "backend", "complexity": "low",
        "description": "Write the one file that is asked for.", "deliverables": [file_of(0)]});
    let phase = PlanPhase {
        phase_id: PhaseId::new(id),
        name: "A phase".into(),
        spec: RawSpec(spec),
        depends_on: vec![],
        max_attempts: None,
        state: PhaseState::Queued,
        attempts: 0,
        last_failure: None,
        note: None,
    };
    let empty = PlanRun::empty(run.clone(), "bench", "bench", SourcePart::default());
    Plan { runs: vec![PlanRun { phases: vec![phase], ..empty }] }
}
