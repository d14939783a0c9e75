//! Snapshot of the store for `status`, and the liveness of drains.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::attempt::{compare_with_tip, run_end};
use crate::cli::{Context, open_database};
use crate::clock::now;
use crate::drain::appears_dead;
use crate::failure::Failure;
use crate::overview::{RunOverview, read_run};
use crate::phase::words::quoted;
use crate::phase::{PhaseId, PhaseState, RunId, UnixMs};
use crate::progress::view::Pace;
use crate::progress::{duration, printable, shown_id, shown_message};
use crate::store::{InFlight, KeyLimit, OwnerId, OwnerRow, RunSummary, Store, Waiting};
use crate::workspace::Repo;

/// A run with everything shown of it.
pub(super) struct RunStatus {
    pub overview: RunOverview,
    pub waiting: Vec<Waiting>,
    pub pace: Pace,
}

/// Snapshot of runs, phases and drains.
pub(super) struct StatusSnapshot {
    pub database: String,
    pub runs: Vec<RunStatus>,
    /// Runs of other repositories, with their repository.
    pub elsewhere: BTreeMap<RunId, String>,
    /// Claimed phases, including phases of dead drains ([`StatusSnapshot::is_abandoned`]).
    pub running: Vec<InFlight>,
    pub drains: Drains,
    /// Rate limits of providers' keys that have not ended.
    pub key_limits: Vec<KeyLimit>,
    /// Default maximum of counted attempts.
    pub max_attempts: u32,
    pub at: UnixMs,
}

/// Drains of the shown runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Drains {
    pub alive: usize,
    /// Dead drains whose work the next drain reclaims.
    pub dead: Vec<OwnerId>,
}

/// Places that a snapshot is read from, and the run asked for.
#[derive(Clone, Copy)]
pub(super) struct SnapshotSource<'a> {
    pub store: &'a Store,
    pub repo: Option<&'a Repo>,
    pub wanted: Option<&'a RunId>,
    pub context: &'a Context,
}

impl SnapshotSource<'_> {
    /// Reads a snapshot.
    pub async fn read_snapshot(&self) -> Result<StatusSnapshot, Failure> {
        let Self { store, repo, wanted, context } = *self;
        let settings = &context.config()?.settings;
        let at = now();
        let summaries = match wanted {
            Some(run) => vec![store.run(run).await?],
            None => store.runs().await?,
        };
        let elsewhere = match repo {
            Some(repo) => open_database::elsewhere(store, repo, &summaries).await?,
            None => BTreeMap::new(),
        };
        let owners = store.owners().await?;
        let drains = count_drains(&owners, wanted);
        let mut runs = Vec::new();
        for mut summary in summaries {
            let repo = repo.filter(|_| !elsewhere.contains_key(&summary.run_id));
            if let Some(repo) = repo {
                compare_with_tip(&mut summary, repo).await;
            }
            let waiting = match summary.counts.queued {
                0 => Vec::new(),
                _ => store.waiting_phases(&summary.run_id, at).await?,
            };
            let is_draining = owners.iter().any(|row| {
                row.owner.runs.contains(&summary.run_id) && !drains.dead.contains(&row.owner.id)
            });
            let ended = store.ended_attempts(&summary.run_id).await?;
            let busy = Duration::from_millis(ended.busy_ms);
            let pace = Pace { attempts: ended.count, settled: ended.settled, busy };
            let final_test = run_end(&summary, settings.ci.final_test);
            let read = read_run(store, summary, &waiting, settings.executor.budgets).await?;
            let merged_into = match (repo, &read.summary.facts) {
                (Some(repo), Some(facts)) if read.tip.is_some() => {
                    repo.merged_into(&read.summary.run_id, &facts.base_commit).await
                }
                _ => None,
            };
            runs.push(RunStatus {
                overview: RunOverview { is_draining, final_test, merged_into, ..read },
                waiting,
                pace,
            });
        }
        let executing = owners.into_iter().flat_map(|owner| owner.executing);
        let running =
            executing.filter(|work| wanted.is_none_or(|run| work.run_id == *run)).collect();
        let key_limits = store.key_limits(at).await?;
        let database = store.name().to_string();
        let max_attempts = settings.executor.max_attempts;
        Ok(StatusSnapshot {
            database,
            runs,
            elsewhere,
            running,
            drains,
            key_limits,
            max_attempts,
            at,
        })
    }
}

/// Counts alive and dead drains. Drains of unknown liveness, such as drains in a container, count as alive.
fn count_drains(owners: &[OwnerRow], wanted: Option<&RunId>) -> Drains {
    let mut drains = Drains::default();
    for row in owners {
        if wanted.is_some_and(|run| !row.owner.runs.contains(run)) {
            continue;
        }
        match appears_dead(&row.owner) {
            true => drains.dead.push(row.owner.id.clone()),
            false => drains.alive += 1,
        }
    }
    drains
}

impl StatusSnapshot {
    /// Suggests the next command if no drain is running.
    pub fn advice(&self) -> Option<String> {
        if self.drains.alive > 0 || self.runs.is_empty() {
            return None;
        }
        let runs = self.runs.iter().map(|run| &run.overview.summary);
        let (others, open): (Vec<&RunSummary>, Vec<&RunSummary>) = runs
            .filter(|run| run.has_work())
            .partition(|run| self.elsewhere.contains_key(&run.run_id));
        let died =
            if !self.drains.dead.is_empty() { "a drain died" } else { "no drain is running" };
        Some(match open.as_slice() {
            [] if !others.is_empty() => {
                let open = |run: &RunId| others.iter().any(|other| other.run_id == *run);
                let elsewhere = self.elsewhere.iter().filter(|(run, _)| open(run));
                let elsewhere = elsewhere.map(|(run, repo)| (run.clone(), repo.clone())).collect();
                let names = open_database::name_all(&elsewhere).unwrap_or_default();
                format!("{died}; drain the runs of other repositories there: {names}")
            }
            [] => "no drain is running, and no phase can run".to_owned(),
            [run] if run.paused_at.is_some() => {
                let name = quoted(&shown_id(run.run_id.as_str())).into_owned();
                format!("{died}; start: autopack resume {name} && autopack drain {name}")
            }
            [run] => match self.budget_to_raise(&run.run_id) {
                Some((key, why)) => format!("{died}; {why}: raise {key} before the next drain"),
                None => format!(
                    "{died}; start: autopack drain --run-id {}",
                    quoted(&shown_id(run.run_id.as_str()))
                ),
            },
            _ => format!("{died}; start: autopack drain --all"),
        })
    }

    /// Returns the key and the reason of a spent budget that would end the next drain of the run at once.
    fn budget_to_raise(&self, run: &RunId) -> Option<(String, String)> {
        let of_run = self.runs.iter().find(|status| status.overview.summary.run_id == *run)?;
        of_run.overview.budget_to_raise()
    }

    /// Checks whether the drain of a claimed phase died; the next drain will reclaim the phase.
    pub fn is_abandoned(&self, work: &InFlight) -> bool {
        self.drains.dead.contains(&work.owner)
    }

    pub fn since(&self, then: UnixMs) -> Duration {
        self.at.since(then)
    }
}

/// Lists all reasons why a phase waits.
pub(super) fn format_reasons(phase: &Waiting, at: UnixMs) -> String {
    let mut reasons = describe_dependencies(&phase.needs);
    if phase.held {
        reasons.insert(0, "held until `autopack resume`".to_owned());
    }
    if let Some((id, state)) = &phase.overlaps {
        let what = match state {
            PhaseState::Executing => "is running",
            _ => "runs first",
        };
        let id = printable(&shown_id(id.as_str()));
        reasons.push(format!("overlaps with the scope of {id}, which {what}"));
    }
    if let Some(until) = phase.not_before {
        reasons.push(format!("rate limited for another {}", duration(until.since(at))));
    }
    if let Some(reason) = &phase.unfixable {
        reasons.push(format!("its spec will be refused: {}", shown_message(reason)));
    }
    reasons.join("; ")
}

/// Lists the first few dependencies, because a phase may have hundreds.
fn describe_dependencies(needs: &[(PhaseId, PhaseState)]) -> Vec<String> {
    const NAMED: usize = 3;
    let mut reasons: Vec<String> = Vec::new();
    for (id, state) in needs.iter().take(NAMED) {
        let what = match state {
            PhaseState::Failed => "failed",
            PhaseState::Executing => "is running",
            _ => "is not complete",
        };
        reasons.push(format!("{} {what}", printable(&shown_id(id.as_str()))));
    }
    if needs.len() > NAMED {
        reasons.push(format!("{} more are not complete", needs.len() - NAMED));
    }
    reasons
}
