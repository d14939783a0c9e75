//! Tests of the store: a database each, with the real SQL. `opening`, `scale` and `statements` concern SQLite alone; the others
//! run on Postgres as well.

mod activity;
mod claiming;
mod dependencies;
mod finishing;
mod history;
mod importing;
mod opening;
mod operating;
mod preparing;
mod querying;
mod reclaiming;
mod repairing;
mod reverting;
mod scale;
mod statements;
mod syncing;
mod telling;
mod test_database;

use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;

use crate::phase::plan::{Plan, PlanPhase, PlanRun, SourcePart};
use crate::phase::{
    Failure, FailureKind, FixedSpec, PhaseId, PhaseState, RawSpec, Repair, RequeueReason, RunId,
    Sample, Unfixable, UnixMs, Verdict,
};

use super::*;
use test_database::TestDatabase;

pub const NOW: UnixMs = UnixMs(1_000_000);

/// A store with a registered owner.
pub struct StoreFixture {
    pub database: TestDatabase,
    pub store: Store,
    pub owner: OwnerId,
}

impl Store {
    /// Imports a plan and returns the total.
    async fn import(
        &self,
        plan: &Plan,
        update: bool,
        now: UnixMs,
    ) -> Result<ImportReport, StoreError> {
        let mode = if update { ImportMode::Update } else { ImportMode::Add };
        let reports = self.import_by_run(plan, mode, now).await?;
        Ok(reports.iter().fold(ImportReport::default(), |sum, report| ImportReport {
            runs: sum.runs + report.runs,
            added: sum.added + report.added,
            updated: sum.updated + report.updated,
            unchanged: sum.unchanged + report.unchanged,
            differing: sum.differing + report.differing,
            kept: sum.kept + report.kept,
            samples: sum.samples + report.samples,
            done: sum.done + report.done,
            skipped: sum.skipped + report.skipped,
            stopped: sum.stopped + report.stopped,
            reopened: sum.reopened + report.reopened,
            removed: [sum.removed, report.removed.clone()].concat(),
            pruned: [sum.pruned, report.pruned.clone()].concat(),
        }))
    }
}

impl StoreFixture {
    pub async fn new() -> Self {
        let database = TestDatabase::new().await;
        let store = database.open().await;
        let owner = register(&store, "owner-1").await;
        Self { database, store, owner }
    }

    /// Creates a store with the phases of run `r`.
    pub async fn with(phases: Vec<PlanPhase>) -> Self {
        let bed = Self::new().await;
        bed.store.import(&plan(phases), false, NOW).await.unwrap();
        bed
    }

    pub async fn samples(&self) -> Vec<Sample> {
        self.store.samples_page(&SampleFilter::default(), None, 10).await.unwrap()
    }

    pub async fn next(&self) -> ClaimOutcome {
        self.next_at(NOW).await
    }

    pub async fn next_at(&self, now: UnixMs) -> ClaimOutcome {
        claim(&self.store, &self.owner, &[run()], now).await.unwrap()
    }

    /// Claims the next phase of [`within`], if any.
    pub async fn claim_within(&self) -> Option<Claim> {
        self.claim_fixed_by(&fix_within).await
    }

    pub async fn claim_fixed_by(&self, fix: &Fixer<'_>) -> Option<Claim> {
        let runs = [run()];
        let claimer = Claimer { fix, ..claimer(&self.owner, &runs) };
        loop {
            match self.store.claim_next(&claimer, NOW).await.unwrap() {
                ClaimOutcome::Claimed(claim) => return Some(*claim),
                ClaimOutcome::Waiting { until } if until == NOW => {}
                _ => return None,
            }
        }
    }

    /// Claims a phase; panics if there is none.
    pub async fn claim(&self) -> Claim {
        claimed(self.next().await)
    }

    /// Enters the merge queue with a commit.
    pub async fn record_landing(&self, claim: &Claim, commit: &str) -> Result<(), StoreError> {
        let (position, _) = self.store.enter_merge_queue(claim, NOW).await?;
        self.store.record_member_commit(claim, position, "base", commit).await
    }

    pub async fn finish(&self, claim: Claim, verdict: Verdict) -> PhaseState {
        self.store.finish(claim, &Finish::of(verdict, NOW, true)).await.unwrap()
    }

    pub async fn row(&self, phase: &str) -> PhaseRow {
        self.store.phase(&run(), &PhaseId::new(phase)).await.unwrap().row
    }

    pub async fn log(&self, phase: &str) -> Vec<AttemptRow> {
        self.store.phase(&run(), &PhaseId::new(phase)).await.unwrap().attempt_log
    }

    /// Returns everything in progress for the owner.
    pub async fn in_flight(&self) -> Vec<InFlight> {
        let owners = self.store.owners().await.unwrap();
        owners.into_iter().flat_map(|owner| owner.executing).collect()
    }
}

/// Opens a database in a file.
pub async fn open(dir: &TempDir) -> Store {
    Store::open(&url(dir)).await.unwrap()
}

pub fn url(dir: &TempDir) -> DatabaseUrl {
    DatabaseUrl::parse("sqlite:///.autopack/autopack.db", dir.path()).unwrap()
}

pub async fn register(store: &Store, name: &str) -> OwnerId {
    try_to_register(store, name).await.unwrap()
}

pub async fn try_to_register(store: &Store, name: &str) -> Result<OwnerId, StoreError> {
    let id = OwnerId::new(name);
    let owner = Owner {
        id: id.clone(),
        process: OwnerProcess {
            pid: 7,
            process_start: None,
            boot_id: "boot".into(),
            host: "host".into(),
            machine: None,
            pid_namespace: None,
        },
        lease_ms: None,
        repo: None,
        lock_path: format!("/locks/{name}"),
        runs: vec![run()],
        started_at: NOW,
        workers: None,
        labels: Vec::new(),
    };
    store.register_owner(&owner, 1).await.map(|()| id)
}

pub async fn claim(
    store: &Store,
    owner: &OwnerId,
    runs: &[RunId],
    now: UnixMs,
) -> Result<ClaimOutcome, StoreError> {
    store.claim_next(&claimer(owner, runs), now).await
}

pub fn claimer<'a>(owner: &'a OwnerId, runs: &'a [RunId]) -> Claimer<'a> {
    Claimer {
        owner,
        runs,
        max_attempts: 3,
        fix: &fix,
        only: &[],
        admit: &|_| Admission::Go,
        spending: false,
        keys: &[],
    }
}

pub fn claimed(next: ClaimOutcome) -> Claim {
    match next {
        ClaimOutcome::Claimed(claim) => *claim,
        other => panic!("nothing was claimed: {other:?}"),
    }
}

pub fn run() -> RunId {
    RunId::new("r")
}

pub fn ids(names: &[&str]) -> Vec<PhaseId> {
    names.iter().map(|name| PhaseId::new(*name)).collect()
}

pub fn base_key(tree: &str) -> BaseKey {
    let text = |text: &str| text.to_owned();
    BaseKey { tree: text(tree), command: text("k"), setup: text("s"), environment: text("e") }
}

pub fn phase(id: &str, needs: &[&str]) -> PlanPhase {
    PlanPhase {
        phase_id: PhaseId::new(id),
        name: format!("Phase {id}"),
        spec: RawSpec(json!({"phase_id": id, "deliverables": [format!("{id}.txt (new)")]})),
        depends_on: ids(needs),
        max_attempts: None,
        state: PhaseState::Queued,
        attempts: 0,
        last_failure: None,
        note: None,
    }
}

/// Creates a phase that the auto-fixer of these tests refuses.
pub fn broken(id: &str) -> PlanPhase {
    PlanPhase { spec: RawSpec(json!({"phase_id": id, "broken": "no path"})), ..phase(id, &[]) }
}

pub fn plan(phases: Vec<PlanPhase>) -> Plan {
    Plan { runs: vec![plan_run("r", phases)] }
}

pub fn plan_run(id: &str, phases: Vec<PlanPhase>) -> PlanRun {
    PlanRun {
        phases,
        ..PlanRun::empty(RunId::new(id), "plan.yaml", "plan.yaml", SourcePart::default())
    }
}

/// Stands in for the auto-fixer: marks each spec, once.
pub fn fix(raw: &RawSpec, _: Option<&Failure>) -> Repair {
    let id = raw.0["phase_id"].as_str().unwrap_or_default().to_owned();
    let result = match raw.0["broken"].as_str() {
        Some(why) => Err(Unfixable(why.to_owned())),
        None => Ok(FixedSpec::sample(&id, &format!("{id}.txt"))),
    };
    let mut spec = raw.0.clone();
    let mut fixes = Vec::new();
    if spec.get("fixed").is_none() {
        spec["fixed"] = json!(true);
        fixes.push("marked as fixed".to_owned());
    }
    Repair { spec: Arc::new(spec), fixes, defaults: Vec::new(), result }
}

/// Creates a phase that writes only in a directory.
pub fn within(id: &str, directory: &str) -> PlanPhase {
    let spec = json!({"phase_id": id, "deliverables": [format!("{directory}/")]});
    PlanPhase { spec: RawSpec(spec), ..phase(id, &[]) }
}

/// Stands in for the auto-fixer in tests about deliverables.
pub fn fix_within(raw: &RawSpec, last: Option<&Failure>) -> Repair {
    let id = raw.0["phase_id"].as_str().unwrap_or_default();
    let directory = raw.0["deliverables"][0].as_str().unwrap_or_default();
    Repair { result: Ok(FixedSpec::sample(id, directory)), ..fix(raw, last) }
}

pub fn passed() -> Verdict {
    Verdict::Passed { commit: Some("c0ffee".into()) }
}

pub fn red() -> Verdict {
    Verdict::Failed(Failure::new(FailureKind::CiFailed, "1 test failed"))
}

pub fn crashed() -> Verdict {
    Verdict::Requeued(RequeueReason::Crashed)
}
