//! Content of a report: phases and their attempts, cleaned, with the last lines and patches of failed
//! attempts as far as there is room.

use maud::Render as _;

use super::ReportInput;
use super::excerpt::{self, Excerpt};
use super::failure_story::FailureStory;
use super::landed_change::{LandedChange, read_changes};
use super::request_story::RequestStory;
use super::run_figures::figures_of;
use crate::attempt::{AttemptDirectory, AttemptFileFinder, compare_with_tip, run_end};
use crate::clock::now;
use crate::failure::Failure;
use crate::phase::{AttemptOutcome, PhaseHistory, PhaseId, PhaseState, RunId, UnixMs};
use crate::process::Redactor;
use crate::store::{AttemptRow, PhaseRow, RunSummary, Store};
use crate::telemetry::summary::Summary;

/// Limits for logs.
const TAIL_LINES: usize = 40;
const TAIL_BYTES: u64 = 16 * 1024;
/// Limits for patches.
const PATCH_LINES: usize = 160;
const PATCH_BYTES: u64 = 12 * 1024;
/// Limit for a description.
const DESCRIPTION_LINES: usize = 12;
/// Width of the list of changed files.
const STAT_COLUMNS: usize = 80;
/// Size of the markup around an excerpt, in bytes.
const FRAME: usize = 160;

/// Content of a report.
pub struct RunReport {
    /// Id of the run, for people.
    pub name: String,
    /// Counters and branch of the run.
    pub run: RunSummary,
    /// Figures.
    pub summary: Summary,
    /// Phases in order.
    pub phases: Vec<PhaseStory>,
    pub end: Vec<String>,
    /// Command of CI; `None` without CI.
    pub ci_command: Option<String>,
    /// Changed lines of each file between the base, or what an update merged last, and the
    /// tip.
    pub stat: Option<String>,
    /// Time of the report.
    pub created_at: UnixMs,
}

/// A phase in the report.
pub struct PhaseStory {
    /// Id of the phase, as stored.
    pub phase_id: PhaseId,
    /// Id of the phase, for people.
    pub id: String,
    /// Name of the phase.
    pub name: String,
    /// Beginning of the description.
    pub description: Excerpt,
    /// Category.
    pub category: String,
    /// Complexity.
    pub complexity: String,
    /// State.
    pub state: PhaseState,
    /// Whether the phase is queued behind a failed phase.
    pub blocked: bool,
    /// Number of counted attempts.
    pub counted_attempts: u32,
    /// Landed commit.
    pub commit: Option<String>,
    /// Change of the landed commit.
    pub change: Option<LandedChange>,
    /// Ids of required phases.
    pub depends_on: Vec<String>,
    /// Reason for the failed state, or the failure of the last attempt.
    pub failure: Option<FailureStory>,
    /// Attempts in order.
    pub attempts: Vec<AttemptStory>,
    /// Files that agents asked for.
    pub requests: Vec<RequestStory>,
}

/// An attempt in the report.
pub struct AttemptStory {
    /// The attempt as stored.
    pub row: AttemptRow,
    /// Why the attempt did not land.
    pub failure: Option<FailureStory>,
    /// Note about the attempt.
    pub note: Option<String>,
    /// Last lines of CI or the agent.
    pub tail: Option<Excerpt>,
    /// Patch of the attempt.
    pub patch: Option<Excerpt>,
    /// Whether content was omitted for lack of room.
    pub no_room: bool,
}

impl AttemptStory {
    /// Checks whether the attempt passed.
    pub fn passed(&self) -> bool {
        self.row.outcome.is_some_and(AttemptOutcome::passed)
    }

    /// Returns the duration so far, in milliseconds.
    pub fn wall_ms(&self, now: UnixMs) -> u64 {
        let end = self.row.ended_at.unwrap_or(now);
        u64::try_from(end.0 - self.row.started_at.0).unwrap_or(0)
    }
}

impl RunReport {
    /// Reads the content from the store, without the attempt directories.
    pub async fn gather(
        store: &Store,
        run: &RunId,
        input: &ReportInput<'_>,
    ) -> Result<Self, Failure> {
        let redactor = input.redactor;
        let created_at = now();
        let mut kinds = Kinds::new();
        let named = std::slice::from_ref(run);
        let summary = figures_of(store, named, None, |phase| {
            kinds.extend(kind_of(phase));
        })
        .await?;
        let mut attempts = store.attempts_of(run).await?;
        let mut requests = store.scope_requests_of_run(run).await?;
        let rows = store.phases(run, None).await?;
        let waiting = store.waiting_phases(run, created_at).await?;
        let blocked: std::collections::HashSet<&PhaseId> =
            waiting.iter().filter(|w| w.blocked).map(|w| &w.phase_id).collect();
        let phases: Vec<PhaseStory> = rows
            .iter()
            .map(|row| {
                let story = PhaseStory::new(row, kinds.get(&row.phase_id), redactor);
                let log = attempts.remove(&row.phase_id).unwrap_or_default();
                let asked = requests.remove(&row.phase_id).unwrap_or_default();
                PhaseStory {
                    blocked: blocked.contains(&row.phase_id),
                    attempts: log.into_iter().map(|a| AttemptStory::new(a, redactor)).collect(),
                    requests: asked.iter().map(|one| RequestStory::new(one, redactor)).collect(),
                    ..story
                }
            })
            .collect();
        let name = excerpt::line(run.as_str(), redactor);
        let mut run = store.run(run).await?;
        compare_with_tip(&mut run, input.repo).await;
        let end = run_end(&run, input.final_test)
            .iter()
            .map(|text| excerpt::line(text, redactor))
            .collect();
        let ci_command =
            input.ci_command.as_deref().map(|command| excerpt::line(command, redactor));
        Ok(Self { name, run, summary, phases, end, ci_command, stat: None, created_at })
    }

    /// Adds the last lines and patches of failed attempts while there is room, in bytes of the page: first
    /// the attempts that made phases fail, then earlier attempts.
    pub async fn attach(
        &mut self,
        store: &Store,
        input: &ReportInput<'_>,
        mut room: usize,
    ) -> Result<(), Failure> {
        let run = &self.run.run_id;
        let files = AttemptFileFinder { root: input.repo.root(), store, settings: input.artifacts };
        for last_of_failed in [true, false] {
            for phase in &mut self.phases {
                let is_failed = phase.state == PhaseState::Failed;
                let count = phase.attempts.len();
                for (index, attempt) in phase.attempts.iter_mut().enumerate() {
                    let is_last = is_failed && index + 1 == count;
                    if is_last == last_of_failed
                        && attempt.row.outcome.is_some()
                        && !attempt.passed()
                    {
                        let found = files.find_known(run, &phase.phase_id, &attempt.row).await?;
                        let path = found.as_ref().map(|found| found.path.clone());
                        let directory = path.map(AttemptDirectory::at);
                        attempt.attach(directory.as_ref(), input.redactor, &mut room);
                    }
                }
            }
        }
        Ok(())
    }
}

impl RunReport {
    /// Adds the changes of landed phases; `room` is the size left for patches, in bytes.
    pub async fn attach_patches(&mut self, input: &ReportInput<'_>, room: usize) {
        let commits: Vec<String> = self
            .phases
            .iter()
            .filter(|phase| phase.has_landed())
            .filter_map(|phase| phase.commit.clone())
            .collect();
        let names: Vec<&str> = commits.iter().map(String::as_str).collect();
        let mut changes = read_changes(input.repo, &names, input.redactor, room).await;
        for phase in &mut self.phases {
            phase.change = phase.commit.as_ref().and_then(|commit| changes.remove(commit));
        }
    }

    /// Adds the changed lines of each file between the base and the tip.
    pub async fn attach_stat(&mut self, input: &ReportInput<'_>) {
        let Some(facts) = &self.run.facts else { return };
        let start = input.repo.last_update(&facts.base_commit, &facts.branch).await;
        let start = start.unwrap_or_else(|_| facts.base_commit.clone());
        let stat = input.repo.stat_between(&start, &facts.branch, STAT_COLUMNS).await;
        self.stat = stat.ok().map(|stat| excerpt::block(&stat, input.redactor));
    }
}

type Kinds = std::collections::HashMap<PhaseId, (String, String)>;

/// Returns category and complexity at the time of the last claim.
fn kind_of(phase: &PhaseHistory) -> Option<(PhaseId, (String, String))> {
    let last = phase.attempts.last()?;
    Some((phase.phase_id.clone(), (last.category.clone(), last.complexity.clone())))
}

impl PhaseStory {
    fn new(row: &PhaseRow, kind: Option<&(String, String)>, redactor: &Redactor) -> Self {
        let line = |text: &str| excerpt::line(text, redactor);
        let field = |name: &str| row.spec.0[name].as_str().unwrap_or_default().to_owned();
        let (category, complexity) =
            kind.cloned().unwrap_or_else(|| (field("category"), field("complexity")));
        Self {
            phase_id: row.phase_id.clone(),
            id: line(row.phase_id.as_str()),
            name: line(&row.name),
            description: excerpt::head(
                &excerpt::block(&field("description"), redactor),
                DESCRIPTION_LINES,
            ),
            category: line(&category),
            complexity: line(&complexity),
            state: row.state,
            blocked: false,
            counted_attempts: row.attempts,
            commit: row.commit.clone(),
            change: None,
            depends_on: row.depends_on.iter().map(|id| line(id.as_str())).collect(),
            failure: row.last_failure.as_ref().map(|failure| FailureStory::new(failure, redactor)),
            attempts: Vec::new(),
            requests: Vec::new(),
        }
    }
}

impl PhaseStory {
    /// Returns the billed tokens of all attempts; `None` if unknown.
    pub fn billed(&self) -> Option<u64> {
        let known = self.attempts.iter().filter_map(|attempt| attempt.row.usage.tokens.billed());
        known.reduce(u64::saturating_add)
    }

    /// Returns the cost of all attempts in US dollars; `None` if unknown.
    pub fn cost_usd(&self) -> Option<f64> {
        let known = self.attempts.iter().filter_map(|attempt| attempt.row.usage.cost_usd);
        known.reduce(|sum, cost| sum + cost)
    }

    /// Returns the name, or an empty text if equal to the id.
    pub fn own_name(&self) -> &str {
        if self.name == self.id { "" } else { &self.name }
    }

    /// Whether the phase was done elsewhere: COMPLETE without a passed attempt.
    pub fn is_done_before(&self) -> bool {
        let has_passed = self.attempts.last().is_some_and(AttemptStory::passed);
        self.state == PhaseState::Complete && self.commit.is_none() && !has_passed
    }

    /// Whether a change of the phase landed, or no change was needed.
    pub fn has_landed(&self) -> bool {
        self.state == PhaseState::Complete && !self.is_done_before()
    }

    /// Returns the state in a word or two.
    pub fn standing(&self) -> &'static str {
        match (self.state, self.blocked) {
            (PhaseState::Complete, _) if self.is_done_before() => "done before",
            (PhaseState::Complete, _) => "landed",
            (PhaseState::Failed, _) => "failed",
            (PhaseState::Skipped, _) => "skipped",
            (PhaseState::Executing, _) => "running",
            (PhaseState::Queued, true) => "blocked by a failed phase",
            (PhaseState::Queued, false) => "queued",
        }
    }
}

impl AttemptStory {
    fn new(mut row: AttemptRow, redactor: &Redactor) -> Self {
        let clean = |text: &Option<String>| text.as_ref().map(|text| excerpt::line(text, redactor));
        row.agent = clean(&row.agent);
        row.usage.model = clean(&row.usage.model);
        let note = clean(&row.note);
        let failure = row.failure.as_ref().map(|failure| FailureStory::new(failure, redactor));
        Self { row, failure, note, tail: None, patch: None, no_room: false }
    }

    fn attach(
        &mut self,
        directory: Option<&AttemptDirectory>,
        redactor: &Redactor,
        room: &mut usize,
    ) {
        let kept = self.row.failure.as_ref().map(|failure| failure.detail.log_tail.as_str());
        let tail = match kept.filter(|text| !text.trim().is_empty()) {
            Some(text) => Some(excerpt::tail(&excerpt::block(text, redactor), TAIL_LINES)),
            None => directory.and_then(|directory| {
                excerpt::file_tail(&directory.agent_log(), TAIL_BYTES, TAIL_LINES, redactor)
            }),
        };
        let patch = directory.and_then(|directory| {
            excerpt::file_head(&directory.patch(), PATCH_BYTES, PATCH_LINES, redactor)
        });
        let mut take = |excerpt: Option<Excerpt>| {
            let excerpt = excerpt.filter(|excerpt| !excerpt.text.is_empty())?;
            let size = excerpt.text.render().into_string().len() + FRAME;
            if size > *room {
                self.no_room = true;
                return None;
            }
            *room -= size;
            Some(excerpt)
        };
        self.tail = take(tail);
        self.patch = take(patch);
    }
}
