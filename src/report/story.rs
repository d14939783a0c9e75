//! What a report tells of a run: its phases and their attempts, cleaned, with the last lines and the patch of what did
//! not land, as far as there is room for them.

use std::path::Path;

use super::escape::Html;
use super::excerpt::{self, Excerpt};
use super::run_figures::figures_of;
use crate::attempt::{AttemptFolder, run_end};
use crate::clock::now;
use crate::config::FinalTest;
use crate::failure::Failure;
use crate::phase::{
    AttemptOutcome, Failure as PhaseFailure, PhaseHistory, PhaseId, PhaseState, RunId, UnixMs,
};
use crate::process::Redactor;
use crate::store::{AttemptRow, PhaseRow, RunSummary, Store};
use crate::telemetry::summary::Summary;

/// Of logs.
const TAIL_LINES: usize = 40;
const TAIL_BYTES: u64 = 16 * 1024;
/// Of patches.
const PATCH_LINES: usize = 160;
const PATCH_BYTES: u64 = 12 * 1024;
/// Of a description.
const DESCRIPTION_LINES: usize = 12;
/// Of a failure's own lists.
const LISTED: usize = 20;
/// What surrounds an excerpt in the page.
const FRAME: usize = 160;

pub struct Report {
    /// The run's id, for people.
    pub name: String,
    pub run: RunSummary,
    pub summary: Summary,
    pub phases: Vec<PhaseStory>,
    /// CI on its tip in a clean clone.
    pub end: Vec<String>,
    pub made_at: UnixMs,
}

pub struct PhaseStory {
    pub id: String,
    pub name: String,
    pub description: Excerpt,
    pub category: String,
    pub complexity: String,
    pub state: PhaseState,
    /// QUEUED behind a FAILED one.
    pub blocked: bool,
    /// Charged.
    pub tries: u32,
    pub commit: Option<String>,
    pub depends_on: Vec<String>,
    /// Why it is FAILED, or what its last try failed with.
    pub failure: Option<FailureStory>,
    pub attempts: Vec<AttemptStory>,
}

pub struct FailureStory {
    pub kind: String,
    pub message: String,
    pub exit_code: Option<i32>,
    /// Breaches, missing deliverables, failing tests.
    pub particulars: Vec<String>,
}

pub struct AttemptStory {
    pub row: AttemptRow,
    /// Why it did not land, or what was said of it.
    pub failure: Option<FailureStory>,
    pub note: Option<String>,
    /// The last lines of CI or of the agent.
    pub tail: Option<Excerpt>,
    pub patch: Option<Excerpt>,
    /// There was something to show, and no room for it.
    pub no_room: bool,
}

impl AttemptStory {
    pub fn passed(&self) -> bool {
        self.row.outcome.is_some_and(AttemptOutcome::passed)
    }

    /// How long it took, or takes so far.
    pub fn wall_ms(&self, now: UnixMs) -> u64 {
        let end = self.row.ended_at.unwrap_or(now);
        u64::try_from(end.0 - self.row.started_at.0).unwrap_or(0)
    }
}

impl Report {
    /// Everything that the store knows; nothing of the folders of attempts yet.
    pub async fn gather(
        store: &Store,
        run: &RunId,
        final_test: FinalTest,
        redactor: &Redactor,
    ) -> Result<Self, Failure> {
        let made_at = now();
        let mut kinds = Kinds::new();
        let named = std::slice::from_ref(run);
        let summary = figures_of(store, named, None, |phase| {
            kinds.extend(kind_of(phase));
        })
        .await?;
        let mut attempts = store.attempts_of(run).await?;
        let rows = store.phases(run, None).await?;
        let waiting = store.waiting(run, made_at).await?;
        let blocked: std::collections::HashSet<&PhaseId> =
            waiting.iter().filter(|w| w.blocked).map(|w| &w.phase_id).collect();
        let phases: Vec<PhaseStory> = rows
            .iter()
            .map(|row| {
                let story = PhaseStory::new(row, kinds.get(&row.phase_id), redactor);
                let log = attempts.remove(&row.phase_id).unwrap_or_default();
                PhaseStory {
                    blocked: blocked.contains(&row.phase_id),
                    attempts: log.into_iter().map(|a| AttemptStory::new(a, redactor)).collect(),
                    ..story
                }
            })
            .collect();
        let name = excerpt::line(run.as_str(), redactor);
        let run = store.run(run).await?;
        let end =
            run_end(&run, final_test).iter().map(|text| excerpt::line(text, redactor)).collect();
        Ok(Self { name, run, summary, phases, end, made_at })
    }

    /// Adds last lines and patches of what did not land: first of what made phases fail, then of the tries before, while
    /// there is room, in bytes of the page. `root` is the top of the repository, beneath which attempts kept their files.
    pub fn attach(&mut self, root: &Path, redactor: &Redactor, mut room: usize) {
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
                        attempt.attach(root, redactor, &mut room);
                    }
                }
            }
        }
    }
}

type Kinds = std::collections::HashMap<PhaseId, (String, String)>;

/// Category and complexity as they were when it was last claimed.
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
            tries: row.attempts,
            commit: row.commit.clone(),
            depends_on: row.depends_on.iter().map(|id| line(id.as_str())).collect(),
            failure: row.last_failure.as_ref().map(|failure| FailureStory::new(failure, redactor)),
            attempts: Vec::new(),
        }
    }
}

impl PhaseStory {
    /// Over all its attempts; `None` where none said.
    pub fn billed(&self) -> Option<u64> {
        let known = self.attempts.iter().filter_map(|attempt| attempt.row.usage.tokens.billed());
        known.reduce(u64::saturating_add)
    }

    pub fn cost_usd(&self) -> Option<f64> {
        let known = self.attempts.iter().filter_map(|attempt| attempt.row.usage.cost_usd);
        known.reduce(|sum, cost| sum + cost)
    }

    /// Nothing where the name is the id.
    pub fn own_name(&self) -> &str {
        if self.name == self.id { "" } else { &self.name }
    }

    /// Its state in a word or two.
    pub fn standing(&self) -> &'static str {
        match (self.state, self.blocked) {
            (PhaseState::Complete, _) => "landed",
            (PhaseState::Failed, _) => "failed",
            (PhaseState::Skipped, _) => "skipped",
            (PhaseState::Executing, _) => "running",
            (PhaseState::Queued, true) => "blocked by a failed phase",
            (PhaseState::Queued, false) => "queued",
        }
    }
}

impl FailureStory {
    fn new(failure: &PhaseFailure, redactor: &Redactor) -> Self {
        let detail = &failure.detail;
        let tests =
            detail.failing_tests.iter().map(|test| format!("{} {}", test.name, test.message));
        let all: Vec<String> = detail
            .breaches
            .iter()
            .chain(&detail.missing)
            .cloned()
            .chain(tests)
            .map(|text| excerpt::line(&text, redactor))
            .collect();
        let mut particulars = all;
        let more = particulars.len().saturating_sub(LISTED);
        particulars.truncate(LISTED);
        if more > 0 {
            particulars.push(format!("and {more} more"));
        }
        Self {
            kind: failure.kind.as_str().to_owned(),
            message: excerpt::line(&failure.message, redactor),
            exit_code: failure.exit_code,
            particulars,
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

    fn attach(&mut self, root: &Path, redactor: &Redactor, room: &mut usize) {
        let folder = self.row.log_dir.as_ref().map(|dir| AttemptFolder::at(root.join(dir)));
        let kept = self.row.failure.as_ref().map(|failure| failure.detail.log_tail.as_str());
        let tail = match kept.filter(|text| !text.trim().is_empty()) {
            Some(text) => Some(excerpt::tail(&excerpt::block(text, redactor), TAIL_LINES)),
            None => folder.as_ref().and_then(|folder| {
                excerpt::file_tail(&folder.agent_log(), TAIL_BYTES, TAIL_LINES, redactor)
            }),
        };
        let patch = folder.as_ref().and_then(|folder| {
            excerpt::file_head(&folder.patch(), PATCH_BYTES, PATCH_LINES, redactor)
        });
        let mut take = |excerpt: Option<Excerpt>| {
            let excerpt = excerpt.filter(|excerpt| !excerpt.text.is_empty())?;
            let size = Html(&excerpt.text).to_string().len() + FRAME;
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
