//! Writes into the store like a drain, without a drain: claims and finishes phases at invented times.

use autopack::phase::autofix::{Limits, Unscoped, autofix};
use autopack::phase::{Failure, RawSpec, RunId, UnixMs, Usage, Verdict};
use autopack::store::{
    Admission, Claim, ClaimOutcome, Claimer, DatabaseUrl, Finish, Owner, OwnerId, OwnerProcess,
    Store,
};

use super::Project;

/// Start of test runs, in milliseconds.
pub const START: i64 = 1_767_225_600_000;

/// The only drain of a run.
pub struct ByHand {
    store: Store,
    owner: OwnerId,
    runs: Vec<RunId>,
}

/// One attempt and its result.
pub struct Went<'a> {
    pub slot: &'a str,
    pub agent: &'a str,
    pub estimated: u64,
    pub usage: Usage,
    pub agent_ms: Option<u64>,
    pub ci_ms: Option<u64>,
    pub ended: i64,
}

/// Directory of an attempt's files, relative to the top of the repository.
pub fn attempt_dir(claim: &Claim) -> String {
    format!(".autopack/attempts/{}/{}/{}", claim.run_id, claim.phase_id, claim.attempt)
}

impl ByHand {
    pub async fn begin(project: &Project, run: &str) -> Self {
        let url = DatabaseUrl::parse("sqlite:///.autopack/autopack.db", &project.root()).unwrap();
        let store = Store::open(&url).await.unwrap();
        let owner = Owner {
            id: OwnerId::new("drain-1"),
            process: OwnerProcess {
                pid: 1,
                process_start: None,
                boot_id: "boot".into(),
                host: "host".into(),
                machine: None,
                pid_namespace: None,
            },
            lease_ms: None,
            repo: None,
            lock_path: "lock".into(),
            runs: vec![RunId::new(run)],
            started_at: UnixMs(START),
            workers: None,
            labels: Vec::new(),
        };
        store.register_owner(&owner, 0).await.unwrap();
        Self { store, owner: owner.id, runs: owner.runs }
    }

    /// Claims the next phase; `None` if there is none left.
    pub async fn claim(&self, now: i64) -> Option<Claim> {
        let fix = |raw: &RawSpec, failure: Option<&Failure>| {
            let limits =
                Limits { workspace: None, max_timeout_seconds: 3600, unscoped: Unscoped::Refuse };
            autofix(raw, failure, &limits)
        };
        let claimer = Claimer {
            owner: &self.owner,
            runs: &self.runs,
            max_attempts: 3,
            fix: &fix,
            only: &[],
            admit: &|_| Admission::Go,
            spending: false,
            keys: &[],
        };
        match self.store.claim_next(&claimer, UnixMs(now)).await.unwrap() {
            ClaimOutcome::Claimed(claim) => Some(*claim),
            ClaimOutcome::Nothing => None,
            other => panic!("{other:?}"),
        }
    }

    pub async fn finish(&self, claim: Claim, verdict: Verdict, went: Went<'_>) {
        self.store.record_slot(&claim, went.slot, &attempt_dir(&claim)).await.unwrap();
        self.store.record_agent(&claim, went.agent, Some(went.estimated), None).await.unwrap();
        if let Verdict::Passed { commit: Some(commit) } = &verdict {
            let (position, _) =
                self.store.enter_merge_queue(&claim, UnixMs(went.ended)).await.unwrap();
            let record = self.store.record_member_commit(&claim, position, commit, commit);
            record.await.unwrap();
        }
        let finish = Finish {
            usage: went.usage,
            agent_ms: went.agent_ms,
            ci_ms: went.ci_ms,
            ..Finish::of(verdict, UnixMs(went.ended), true)
        };
        self.store.finish(claim, &finish).await.unwrap();
    }

    pub async fn end(self) {
        self.store.unregister_owner(&self.owner).await.unwrap();
        self.store.close().await;
    }
}
