//! Texts for pull requests and for issues of failed phases: Markdown for a forge, cleaned and escaped like the report.

use std::collections::HashSet;

use super::ReportInput;
use super::escape::{fence, markdown};
use super::excerpt;
use super::markdown::{self as run_markdown, LeftOut};
use super::story::{PhaseStory, RunReport};
use crate::failure::Failure;
use crate::memory::normalise::normalise;
use crate::phase::words::{counted, quoted};
use crate::phase::{PhaseId, PhaseState, RunId};
use crate::store::Store;

/// Failing tests in a comment.
const TESTS: usize = 5;

/// Texts of a run for its forge.
pub struct PullRequestTexts {
    report: RunReport,
    name: String,
    /// Landed phases, in the order of the run.
    pub landed: Vec<LandedText>,
    /// Failed phases, in the order of the run.
    pub failed: Vec<FailedText>,
}

/// Texts of a landed phase.
#[derive(Clone, Debug)]
pub struct LandedText {
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// Title of its own pull request.
    pub title: String,
    /// Text of its own pull request.
    pub text: String,
    /// Whether it has a commit.
    pub has_commit: bool,
}

/// Texts of a failed phase.
#[derive(Clone, Debug)]
pub struct FailedText {
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// The reason without its varying parts: numbers, paths, times.
    pub reason: String,
    /// A comment for its issue.
    pub comment: String,
}

/// Returns the texts of a run.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn pull_request_texts(
    store: &Store,
    run: &RunId,
    input: &ReportInput<'_>,
) -> Result<PullRequestTexts, Failure> {
    let mut report = RunReport::gather(store, run, input).await?;
    report.attach_patches(input, 0).await;
    report.attach_stat(input).await;
    let landed = report.phases.iter().filter(|phase| phase.has_landed());
    let failed = report.phases.iter().filter(|phase| phase.state == PhaseState::Failed);
    Ok(PullRequestTexts {
        name: excerpt::line(run.as_str(), input.redactor),
        landed: landed.map(landed_text).collect(),
        failed: failed.map(|phase| failed_text(run, phase)).collect(),
        report,
    })
}

impl PullRequestTexts {
    /// Returns title and text of the run's pull request, without landings that were merged before, or are gone from the
    /// branch.
    pub fn of_run(&self, merged: &HashSet<PhaseId>, gone: &HashSet<PhaseId>) -> (String, String) {
        let left_out = LeftOut { merged: Some(merged), gone: Some(gone) };
        let landed = left_out.rest(&self.report).len();
        let all = counted(self.report.run.counts.total(), "phase");
        let title = format!("autopack {}: {landed} of {all}", self.name);
        (title, run_markdown::render_without(&self.report, left_out))
    }
}

fn landed_text(phase: &PhaseStory) -> LandedText {
    let title = match phase.own_name() {
        "" => phase.id.clone(),
        name => name.to_owned(),
    };
    let text = format!("## {}\n\n{}", markdown(&title), run_markdown::landed_phase(phase));
    let has_commit = phase.commit.is_some();
    LandedText { phase_id: phase.phase_id.clone(), title, text, has_commit }
}

fn failed_text(run: &RunId, phase: &PhaseStory) -> FailedText {
    let (kind, message) = match &phase.failure {
        Some(failure) => (failure.kind.as_str(), failure.message.as_str()),
        None => ("failed", "no recorded reason"),
    };
    let attempts = counted(phase.counted_attempts.into(), "attempt");
    let mut comment = format!(
        "autopack could not complete this issue: {} after {attempts}.\n\n> {}\n",
        markdown(kind),
        markdown(message)
    );
    let tests = phase.failure.as_ref().map_or(&[][..], |failure| &failure.tests);
    if !tests.is_empty() {
        let text = tests[..tests.len().min(TESTS)].join("\n");
        let fence = fence(&text, 3);
        comment += &format!("\n{fence}\n{text}\n{fence}\n");
    }
    let command = quoted(run.as_str());
    comment += &format!(
        "\nNothing of these attempts landed. On the machine of autopack, `autopack status {}` tells the next step.\n",
        command.replace('`', "'")
    );
    let reason = format!("{kind}: {}", normalise(message));
    FailedText { phase_id: phase.phase_id.clone(), reason, comment }
}
