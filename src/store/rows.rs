//! Database rows and their conversion to domain types. Errors name the unreadable row.

use sqlx::FromRow;

use crate::phase::autofix::authors_scope;
use crate::phase::{
    AttemptOutcome, Failure, FixedSpec, Footprint, PhaseId, PhaseState, RawSpec, RunId, UnixMs,
    Usage,
};

use super::columns::{json, number, parse};
use super::error::StoreError;
use super::owner_id::OwnerId;
use super::queue::queue_order::QueuePlace;
use super::state_step::PhaseSnapshot;
use super::token_columns::TokenColumns;

/// A phase as shown in lists.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseRow {
    /// Run of the phase.
    pub run_id: RunId,
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// Display name.
    pub name: String,
    /// Present state.
    pub state: PhaseState,
    /// Order in the queue.
    pub place: QueuePlace,
    /// The repaired spec, or the spec as written before the first repair.
    pub spec: RawSpec,
    /// Whether the spec was repaired.
    pub repaired: bool,
    /// Ids of the dependencies.
    pub depends_on: Vec<PhaseId>,
    /// Counted attempts.
    pub attempts: u32,
    /// All attempts, counted or not.
    pub executions: u32,
    /// Limit of counted attempts set by the phase.
    pub max_attempts: Option<u32>,
    /// Failure of the last attempt.
    pub last_failure: Option<Failure>,
    /// Landed commit.
    pub commit: Option<String>,
    /// Deferred until this time.
    pub not_before: Option<UnixMs>,
    /// Whether the operator stopped the phase: no drain claims it before a resume or retry.
    pub held: bool,
    /// Reason why the spec cannot be executed.
    pub unfixable: Option<String>,
    /// Whether the phase excludes others by directory, not by deliverables.
    pub excludes_directories: bool,
}

#[cfg(test)]
impl PhaseRow {
    /// A queued phase without attempts, for tests.
    pub(crate) fn sample(id: &str, spec: serde_json::Value) -> Self {
        Self {
            run_id: RunId::new("r"),
            phase_id: PhaseId::new(id),
            name: id.to_owned(),
            state: PhaseState::Queued,
            place: QueuePlace::default(),
            spec: RawSpec(spec),
            repaired: false,
            depends_on: Vec::new(),
            attempts: 0,
            executions: 0,
            max_attempts: None,
            last_failure: None,
            commit: None,
            not_before: None,
            held: false,
            unfixable: None,
            excludes_directories: false,
        }
    }
}

#[derive(FromRow)]
pub(super) struct PhaseRecord {
    pub id: i64,
    pub run_id: String,
    pub phase_id: String,
    pub name: String,
    pub state: String,
    pub owner: Option<String>,
    pub executions: i64,
    pub attempts: i64,
    pub base_moves: i64,
    pub uncounted: i64,
    pub max_attempts: Option<i64>,
    pub not_before: i64,
    pub held: i64,
    pub commit_id: Option<String>,
    pub last_failure: Option<String>,
    pub raw_spec: String,
    pub spec: Option<String>,
    pub spec_version: i64,
    pub fixes: String,
    pub unfixable: Option<String>,
    pub note: Option<String>,
    pub footprint: Option<String>,
    #[sqlx(flatten)]
    pub place: QueuePlace,
}

/// Selects [`PhaseRecord`]s with the given conditions.
macro_rules! select_phases {
    ($conditions:literal) => {
        concat!(
            "SELECT p.id, r.run_id, p.phase_id, p.name, p.state, p.owner, p.executions, p.attempts, p.uncounted, p.base_moves, p.max_attempts,
                    p.not_before, p.held, p.commit_id, p.last_failure,
                    p.raw_spec, p.spec, p.spec_version, p.fixes, p.unfixable, p.note, p.footprint, p.band, p.position
               FROM phases p JOIN runs r ON r.id = p.run ",
            $conditions
        )
    };
}
pub(super) use select_phases;

/// Selects [`AttemptRecord`]s with the given conditions.
macro_rules! select_attempts {
    ($conditions:literal) => {
        concat!(
            "SELECT p.phase_id, a.*, u.reverted_by
               FROM phases p JOIN attempts a ON a.phase = p.id
               LEFT JOIN undone_attempts u ON u.phase = a.phase AND u.attempt = a.attempt ",
            $conditions
        )
    };
}
pub(super) use select_attempts;

impl PhaseRecord {
    /// Returns the name of this row for errors.
    pub fn name(&self) -> String {
        format!("phase {} of run {}", self.phase_id, self.run_id)
    }

    pub fn snapshot(&self) -> Result<PhaseSnapshot, StoreError> {
        Ok(PhaseSnapshot {
            id: self.id,
            run_id: RunId::new(&self.run_id),
            phase_id: PhaseId::new(&self.phase_id),
            state: parse(&self.state, || self.name())?,
            owner: self.owner.as_ref().map(OwnerId::new),
            executions: number(self.executions, || self.name())?,
        })
    }

    /// Checks whether the phase excludes others by directory: as its author wrote, or because its work conflicted with another
    /// landing.
    pub fn excludes_directories(&self) -> Result<bool, StoreError> {
        Ok(self.base_moves > 0 || authors_scope(&json(&self.raw_spec, || self.name())?))
    }

    /// Returns the footprint of the repaired phase.
    pub fn footprint_of(&self, phase: &FixedSpec) -> Result<Footprint, StoreError> {
        Ok(match self.excludes_directories()? {
            true => Footprint::of(phase),
            false => Footprint::of_deliverables(phase),
        })
    }

    /// Returns the spec in effect: as repaired, else as written.
    pub fn current_spec(&self) -> Result<RawSpec, StoreError> {
        json(self.spec.as_deref().unwrap_or(&self.raw_spec), || self.name())
    }

    pub fn last_failure(&self) -> Result<Option<Failure>, StoreError> {
        self.last_failure.as_deref().map(|text| json(text, || self.name())).transpose()
    }
}

impl TryFrom<PhaseRecord> for PhaseRow {
    type Error = StoreError;

    fn try_from(row: PhaseRecord) -> Result<Self, StoreError> {
        let name = || row.name();
        Ok(Self {
            state: parse(&row.state, name)?,
            spec: row.current_spec()?,
            place: row.place,
            repaired: row.spec.is_some(),
            depends_on: Vec::new(),
            attempts: number(row.attempts, name)?,
            executions: number(row.executions, name)?,
            max_attempts: row.max_attempts.map(|n| number(n, name)).transpose()?,
            last_failure: row.last_failure()?,
            excludes_directories: row.excludes_directories()?,
            held: row.held > 0,
            not_before: (row.not_before > 0).then_some(UnixMs(row.not_before)),
            run_id: RunId::new(row.run_id),
            phase_id: PhaseId::new(row.phase_id),
            name: row.name,
            commit: row.commit_id,
            unfixable: row.unfixable,
        })
    }
}

/// Returns the outcome of an attempt; a kept scope proposal and a wider scope are stored as interrupted, and told in
/// columns beside it.
pub(super) fn outcome_of(
    stored: Option<AttemptOutcome>,
    purpose: Option<&str>,
    scope_granted: bool,
) -> Option<AttemptOutcome> {
    match (stored, purpose) {
        (Some(AttemptOutcome::Interrupted), _) if scope_granted => {
            Some(AttemptOutcome::ScopeGranted)
        }
        (Some(AttemptOutcome::Interrupted), Some("scope_proposed")) => {
            Some(AttemptOutcome::ScopeProposed)
        }
        (stored, _) => stored,
    }
}

/// One attempt of a phase. `outcome` and `ended_at` are set at the end.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptRow {
    /// Number of the attempt within the phase.
    pub attempt: u32,
    /// Owner of the attempt.
    pub owner: OwnerId,
    /// Start of the attempt.
    pub started_at: UnixMs,
    /// End of the attempt.
    pub ended_at: Option<UnixMs>,
    /// Outcome of the attempt.
    pub outcome: Option<AttemptOutcome>,
    /// Reason for the failure.
    pub failure: Option<Failure>,
    /// Message of an uncounted attempt.
    pub note: Option<String>,
    /// Agent, once started.
    pub agent: Option<String>,
    /// Slot of the attempt.
    pub slot: Option<String>,
    /// Directory of the logs.
    pub log_dir: Option<String>,
    /// Host that executed the attempt; `None` if not recorded.
    pub host: Option<String>,
    /// Commit stored before moving the branch; landed only if `outcome` says so.
    pub landing_commit: Option<String>,
    /// Commit that took the landing back: `autopack undo`.
    pub reverted_by: Option<String>,
    /// Usage reported by the agent.
    pub usage: Usage,
    /// Estimated output tokens.
    pub estimated_output: Option<u64>,
    /// Run time of the agent in milliseconds.
    pub agent_ms: Option<u64>,
    /// Run time of CI in milliseconds.
    pub ci_ms: Option<u64>,
}

#[derive(FromRow)]
pub(super) struct AttemptRecord {
    pub phase_id: String,
    attempt: i64,
    owner: String,
    started_at: i64,
    ended_at: Option<i64>,
    outcome: Option<String>,
    failure: Option<String>,
    note: Option<String>,
    agent: Option<String>,
    slot: Option<String>,
    log_dir: Option<String>,
    host: Option<String>,
    purpose: Option<String>,
    scope_granted: bool,
    landing_commit: Option<String>,
    reverted_by: Option<String>,
    estimated_output_tokens: Option<i64>,
    model: Option<String>,
    #[sqlx(flatten)]
    tokens: TokenColumns,
    cost_usd: Option<f64>,
    truncated: bool,
    stop_reason: Option<String>,
    agent_ms: Option<i64>,
    ci_ms: Option<i64>,
}

impl TryFrom<AttemptRecord> for AttemptRow {
    type Error = StoreError;

    fn try_from(row: AttemptRecord) -> Result<Self, StoreError> {
        let name = || format!("attempt {} of phase {}", row.attempt, row.phase_id);
        let count = |value: Option<i64>| value.map(|n| number(n, name)).transpose();
        Ok(Self {
            attempt: number(row.attempt, name)?,
            started_at: UnixMs(row.started_at),
            ended_at: row.ended_at.map(UnixMs),
            outcome: outcome_of(
                row.outcome.as_deref().map(|text| parse(text, name)).transpose()?,
                row.purpose.as_deref(),
                row.scope_granted,
            ),
            failure: row.failure.as_deref().map(|text| json(text, name)).transpose()?,
            estimated_output: count(row.estimated_output_tokens)?,
            agent_ms: count(row.agent_ms)?,
            ci_ms: count(row.ci_ms)?,
            usage: Usage {
                tokens: row.tokens.tokens(name)?,
                cost_usd: row.cost_usd,
                model: row.model,
                truncated: row.truncated,
                stop_reason: row.stop_reason,
            },
            owner: OwnerId::new(row.owner),
            note: row.note,
            agent: row.agent,
            slot: row.slot,
            log_dir: row.log_dir,
            host: row.host,
            landing_commit: row.landing_commit,
            reverted_by: row.reverted_by,
        })
    }
}
