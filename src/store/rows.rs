//! Rows as the database holds them, and the domain types that they become. A row that cannot be read is an error that
//! names it.

use sqlx::FromRow;

use crate::phase::{AttemptOutcome, Failure, PhaseId, PhaseState, RawSpec, RunId, UnixMs, Usage};

use super::columns::{json, number, parse};
use super::error::StoreError;
use super::queue::owners::OwnerId;
use super::state_step::Standing;
use super::token_columns::TokenColumns;

/// A phase as lists show it.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseRow {
    pub run_id: RunId,
    pub phase_id: PhaseId,
    pub name: String,
    pub state: PhaseState,
    /// As repaired; as written, where it was not repaired yet.
    pub spec: RawSpec,
    pub repaired: bool,
    pub depends_on: Vec<PhaseId>,
    /// Tries that were charged.
    pub attempts: u32,
    /// Executions, charged or not.
    pub executions: u32,
    /// The phase's own, where it has one.
    pub max_attempts: Option<u32>,
    pub last_failure: Option<Failure>,
    pub commit: Option<String>,
    pub not_before: Option<UnixMs>,
    pub unfixable: Option<String>,
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
    pub uncounted: i64,
    pub max_attempts: Option<i64>,
    pub not_before: i64,
    pub commit_id: Option<String>,
    pub last_failure: Option<String>,
    pub raw_spec: String,
    pub spec: Option<String>,
    pub spec_version: i64,
    pub fixes: String,
    pub unfixable: Option<String>,
    pub note: Option<String>,
    pub footprint: Option<String>,
}

/// The SQL that selects [`PhaseRecord`]s, with the conditions given.
macro_rules! select_phases {
    ($conditions:literal) => {
        concat!(
            "SELECT p.id, r.run_id, p.phase_id, p.name, p.state, p.owner, p.executions, p.attempts, p.uncounted, p.max_attempts,
                    p.not_before, p.commit_id, p.last_failure,
                    p.raw_spec, p.spec, p.spec_version, p.fixes, p.unfixable, p.note, p.footprint
               FROM phases p JOIN runs r ON r.id = p.run ",
            $conditions
        )
    };
}
pub(super) use select_phases;

impl PhaseRecord {
    /// Names this row in errors.
    pub fn name(&self) -> String {
        format!("phase {} of run {}", self.phase_id, self.run_id)
    }

    pub fn standing(&self) -> Result<Standing, StoreError> {
        Ok(Standing {
            id: self.id,
            run_id: RunId::new(&self.run_id),
            phase_id: PhaseId::new(&self.phase_id),
            state: parse(&self.state, || self.name())?,
            owner: self.owner.as_ref().map(OwnerId::new),
            executions: number(self.executions, || self.name())?,
        })
    }

    /// The spec that counts: as repaired, else as written.
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
            repaired: row.spec.is_some(),
            depends_on: Vec::new(),
            attempts: number(row.attempts, name)?,
            executions: number(row.executions, name)?,
            max_attempts: row.max_attempts.map(|n| number(n, name)).transpose()?,
            last_failure: row.last_failure()?,
            not_before: (row.not_before > 0).then_some(UnixMs(row.not_before)),
            run_id: RunId::new(row.run_id),
            phase_id: PhaseId::new(row.phase_id),
            name: row.name,
            commit: row.commit_id,
            unfixable: row.unfixable,
        })
    }
}

/// One execution of a phase. `outcome` and `ended_at` are there once it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptRow {
    pub attempt: u32,
    pub owner: OwnerId,
    pub started_at: UnixMs,
    pub ended_at: Option<UnixMs>,
    pub outcome: Option<AttemptOutcome>,
    pub failure: Option<Failure>,
    /// What was said where an attempt charged no try.
    pub note: Option<String>,
    pub agent: Option<String>,
    pub slot: Option<String>,
    pub log_dir: Option<String>,
    /// Stored before the branch moved: it landed only where `outcome` says so.
    pub landing_commit: Option<String>,
    pub usage: Usage,
    pub estimated_output: Option<u64>,
    pub agent_ms: Option<u64>,
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
    landing_commit: Option<String>,
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
            outcome: row.outcome.as_deref().map(|text| parse(text, name)).transpose()?,
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
            landing_commit: row.landing_commit,
        })
    }
}
