//! Candidates in queue order, without phases overlapping executing phases; and the events to wait for if nothing can
//! run.
//!
//! Of overlapping phases, the first in the plan takes precedence: a phase skipped because of an executing phase also
//! holds back later phases that overlap with it. So a skipped phase is neither overtaken nor starved.

use std::collections::{BTreeSet, VecDeque};

use super::{ClaimOutcome, Claimer};
use crate::phase::footprint::{Footprint, FootprintSet};
use crate::phase::{PhaseId, RunId, UnixMs};
use crate::store::backend::{Connection, query_as, query_scalar};
use crate::store::columns::{json, to_json};
use crate::store::error::StoreError;
use crate::store::owner_id::OwnerId;
use crate::store::queue::key_limits::{KeyLimits, end_deferrals_of_others};
use crate::store::queue::queue_order::{QueuePlace, queue_order};

/// Those of the selected phases that can run, in the order of the queue, from a place on.
macro_rules! candidates {
    ($selected:literal) => {
        concat!(
            $selected,
            " WHERE run = (SELECT id FROM runs WHERE run_id = ?1 AND paused_at IS NULL)
                AND state = 'QUEUED' AND unmet = 0 AND held = 0 AND not_before <= ?2 AND (",
            queue_order!(),
            ") > (?3, ?4)
                AND (footprint IS NULL OR footprint NOT IN (SELECT value FROM json_each(?5)))
              ORDER BY ",
            queue_order!(),
            " LIMIT ?6"
        )
    };
}

/// Selects the next few phases after (band, position), without known overlapping footprints. Answered by the index
/// `phases_claimable` alone, whatever the number of phases.
pub(in crate::store) const CANDIDATES: &str =
    candidates!("SELECT id, band, position, footprint FROM phases");

/// Selects candidates among named phases; only these are looked up.
const CANDIDATES_AMONG: &str = candidates!(
    "SELECT phases.id, band, position, footprint
       FROM (SELECT value AS wanted FROM json_each(?7)) AS asked CROSS JOIN phases ON phase_id = wanted"
);

/// Number of rows in the first and in the largest page. Overlapping phases are usually adjacent, and a row costs
/// microseconds.
const FIRST_PAGE: i64 = 8;
const LARGEST_PAGE: i64 = 1024;
/// Number of footprints excluded by SQLite itself. Phases of one directory share a footprint, so a few suffice.
const MAX_EXCLUDED_FOOTPRINTS: usize = 64;

/// A walk along the queues of several runs, in turn.
pub(super) struct QueueWalk<'a> {
    pub claimer: &'a Claimer<'a>,
    now: UnixMs,
    runs: std::slice::Iter<'a, RunId>,
    at: Option<RunPosition<'a>>,
    /// Whether a runnable phase was skipped because of an overlap.
    overlapping: bool,
    /// Whether the last candidate was left to another machine.
    pub is_elsewhere: bool,
    /// Rate limits by key.
    pub limits: KeyLimits,
    has_taken_back: bool,
}

/// Position of the walk within a run.
struct RunPosition<'a> {
    run: &'a RunId,
    /// Footprints of executing phases and of skipped phases ahead in the queue.
    reserved: FootprintSet,
    place: QueuePlace,
    size: i64,
    page: VecDeque<(i64, Option<String>)>,
    overlapping: BTreeSet<String>,
    has_skipped: bool,
}

/// Returns the footprints of all phases executing in a run, for any owner.
async fn executing(tx: &mut Connection, run: &RunId) -> Result<FootprintSet, StoreError> {
    let rows: Vec<Option<String>> = query_scalar(
        "SELECT footprint FROM phases
          WHERE owner IS NOT NULL AND run = (SELECT id FROM runs WHERE run_id = ?)",
    )
    .bind(run.as_str())
    .fetch_all(tx)
    .await?;
    let mut reserved = FootprintSet::default();
    for text in rows {
        match text {
            Some(text) => reserved.add(&read(&text, run)?),
            // Claimed by an older version.
            None => reserved.add(&Footprint::everything()),
        }
    }
    Ok(reserved)
}

impl<'a> QueueWalk<'a> {
    pub fn new(claimer: &'a Claimer<'a>, limits: KeyLimits, now: UnixMs) -> Self {
        Self {
            claimer,
            now,
            runs: claimer.runs.iter(),
            at: None,
            overlapping: false,
            is_elsewhere: false,
            limits,
            has_taken_back: false,
        }
    }

    /// At the end of the queues: takes back phases that other machines deferred for the limit of a key that this machine does
    /// not have. If there are any, the walk begins anew, once.
    pub async fn take_back_deferrals(&mut self, tx: &mut Connection) -> Result<bool, StoreError> {
        if std::mem::replace(&mut self.has_taken_back, true) {
            return Ok(false);
        }
        let mut is_any = false;
        for run in self.claimer.runs {
            let keys = self.claimer.keys;
            is_any |= end_deferrals_of_others(tx, run, &self.limits, keys, self.now).await?;
        }
        if is_any {
            self.runs = self.claimer.runs.iter();
            self.at = None;
        }
        Ok(is_any)
    }

    /// Returns the row id of the next phase without a known overlap.
    pub async fn next(&mut self, tx: &mut Connection) -> Result<Option<i64>, StoreError> {
        loop {
            let Some(at) = &mut self.at else {
                let Some(run) = self.runs.next() else { return Ok(None) };
                self.at = Some(RunPosition::begin(tx, run).await?);
                continue;
            };
            while let Some((id, footprint)) = at.page.pop_front() {
                match footprint {
                    Some(text) if at.is_skipped(&text)? => {}
                    _ => return Ok(Some(id)),
                }
            }
            self.overlapping |= at.has_skipped;
            if at.is_full() || !at.read_next_page(tx, self.claimer, self.now).await? {
                self.at = None;
            }
        }
    }

    /// Checks whether the last returned phase has to wait, now that the footprint is known.
    pub fn has_to_wait(&mut self, footprint: &Footprint) -> bool {
        self.at.as_mut().is_some_and(|at| at.has_to_wait(footprint))
    }
}

impl<'a> RunPosition<'a> {
    async fn begin(tx: &mut Connection, run: &'a RunId) -> Result<Self, StoreError> {
        let reserved = executing(tx, run).await?;
        let size = if reserved.is_empty() { 1 } else { FIRST_PAGE };
        let (page, overlapping) = (VecDeque::new(), BTreeSet::new());
        let has_skipped = false;
        let place = QueuePlace::START;
        Ok(Self { run, reserved, place, size, page, overlapping, has_skipped })
    }

    /// Reads the next page; `false` at the end of the queue.
    async fn read_next_page(
        &mut self,
        tx: &mut Connection,
        claimer: &Claimer<'_>,
        now: UnixMs,
    ) -> Result<bool, StoreError> {
        let excluded =
            to_json(&self.overlapping.iter().take(MAX_EXCLUDED_FOOTPRINTS).collect::<Vec<_>>());
        let sql = if claimer.only.is_empty() { CANDIDATES } else { CANDIDATES_AMONG };
        let mut query = query_as(sql)
            .bind(self.run.as_str())
            .bind(now.0)
            .bind(self.place.band())
            .bind(self.place.position())
            .bind(excluded)
            .bind(self.size);
        if !claimer.only.is_empty() {
            query = query.bind(of_run(claimer.only, self.run));
        }
        let rows: Vec<(i64, i64, i64, Option<String>)> = query.fetch_all(tx).await?;
        let Some(last) = rows.last() else { return Ok(false) };
        self.place = QueuePlace::new(last.1, last.2);
        self.size = (self.size * 4).min(LARGEST_PAGE);
        self.page.extend(rows.into_iter().map(|(id, _, _, footprint)| (id, footprint)));
        Ok(true)
    }

    /// Checks whether all further phases will be skipped, because an executing or waiting phase may write anywhere.
    fn is_full(&self) -> bool {
        self.has_skipped && self.reserved.is_everything()
    }

    /// Checks whether a phase with this footprint is skipped.
    fn is_skipped(&mut self, text: &str) -> Result<bool, StoreError> {
        if self.reserved.is_empty() {
            return Ok(false);
        }
        if self.overlapping.contains(text) {
            return Ok(true);
        }
        let waits = self.has_to_wait(&read(text, self.run)?);
        if waits {
            self.overlapping.insert(text.to_owned());
        }
        Ok(waits)
    }

    fn has_to_wait(&mut self, footprint: &Footprint) -> bool {
        let waits = self.reserved.overlaps(footprint);
        if waits {
            self.has_skipped = true;
            self.reserved.add(footprint);
        }
        waits
    }
}

fn read(footprint: &str, run: &RunId) -> Result<Footprint, StoreError> {
    json(footprint, || format!("the footprint of a phase of run {run}"))
}

/// Returns the named phases of a run, as JSON. Phases of different runs may have the same id.
fn of_run(only: &[(RunId, PhaseId)], run: &RunId) -> String {
    let ids = only.iter().filter(|(of, _)| of == run).map(|(_, id)| id);
    to_json(&ids.collect::<Vec<_>>())
}

/// Selects the earliest end of a deferral; answered by the index `phases_put_off` alone.
const SOONEST: &str = "SELECT MIN(not_before) FROM phases
      WHERE run = (SELECT id FROM runs WHERE run_id = ?1 AND paused_at IS NULL)
        AND state = 'QUEUED' AND unmet = 0 AND held = 0 AND not_before > 0 AND not_before > ?2";

/// Selects the earliest end of a deferral among named phases.
const SOONEST_AMONG: &str = "SELECT MIN(not_before)
       FROM (SELECT value AS wanted FROM json_each(?3)) AS asked CROSS JOIN phases ON phase_id = wanted
      WHERE run = (SELECT id FROM runs WHERE run_id = ?1 AND paused_at IS NULL)
        AND state = 'QUEUED' AND unmet = 0 AND held = 0 AND not_before > ?2";

/// Selects executing phases. If phases were named, other phases matter only while they hold back a named phase.
const EXECUTING: &str = "SELECT phase_id, owner FROM phases
      WHERE owner IS NOT NULL AND run = (SELECT id FROM runs WHERE run_id = ?1)
        AND (?2 OR phase_id IN (SELECT value FROM json_each(?4)) OR EXISTS (
                SELECT 1 FROM json_each(?4) AS named CROSS JOIN phases kept ON kept.phase_id = named.value
                 WHERE kept.run = phases.run AND kept.state = 'QUEUED' AND kept.unmet = 0
                   AND kept.held = 0 AND kept.not_before <= ?3))";

/// Selects a paused run with claimable phases. The `band` condition selects their index.
const PAUSED: &str = "SELECT EXISTS (
    SELECT 1 FROM runs r WHERE r.run_id = ?1 AND r.paused_at IS NOT NULL
       AND EXISTS (SELECT 1 FROM phases p
                    WHERE p.run = r.id AND p.state = 'QUEUED' AND p.unmet = 0 AND p.held = 0 AND p.band >= 0))";

/// Explains why nothing can be claimed, and when to ask again.
pub(super) async fn explain_no_claim(
    tx: &mut Connection,
    walk: &QueueWalk<'_>,
) -> Result<ClaimOutcome, StoreError> {
    let (claimer, now) = (walk.claimer, walk.now);
    let all = claimer.only.is_empty();
    let mut until: Option<i64> = None;
    let mut executing: Vec<(String, String)> = Vec::new();
    let mut paused: Vec<RunId> = Vec::new();
    for run in claimer.runs {
        let among = of_run(claimer.only, run);
        let query = query_scalar(if all { SOONEST } else { SOONEST_AMONG });
        let query = query.bind(run.as_str()).bind(now.0);
        let query = if all { query } else { query.bind(&among) };
        let soonest: Option<i64> = query.fetch_one(&mut *tx).await?;
        until = [until, soonest].into_iter().flatten().min();
        let query = query_as(EXECUTING).bind(run.as_str()).bind(all);
        executing.extend(query.bind(now.0).bind(among).fetch_all(&mut *tx).await?);
        if query_scalar(PAUSED).bind(run.as_str()).fetch_one(&mut *tx).await? {
            paused.push(run.clone());
        }
    }
    let until = until.map(UnixMs);
    if executing.is_empty() {
        return Ok(match until {
            _ if !paused.is_empty() => ClaimOutcome::Paused { runs: paused, until },
            Some(until) => ClaimOutcome::Waiting { until },
            None => ClaimOutcome::Nothing,
        });
    }
    let theirs = executing.into_iter().find(|(_, owner)| OwnerId::new(owner) != *claimer.owner);
    let by_another = theirs.map(|(phase, _)| PhaseId::new(phase));
    Ok(ClaimOutcome::Held { by_another, until, overlapping: walk.overlapping, paused })
}
