//! Report of a run: a page for a browser or short Markdown for a pull request, and the figures shared with
//! `telemetry summary`.
//!
//! Reads the store and attempt directories and changes neither. Names, messages, logs and patches are
//! untrusted: redacted and cleaned when read (`clean`), escaped when written (`maud`, `escape`).

mod escape;
mod excerpt;
mod failure_story;
pub mod figure_words;
mod landed_change;
mod markdown;
mod page;
mod pull_request;
mod request_story;
mod run_figures;
mod run_verdict;
mod story;

use crate::config::{ArtifactsSettings, FinalTest};
use crate::failure::Failure;
use crate::phase::RunId;
use crate::process::Redactor;
use crate::store::Store;
use crate::workspace::Repo;
use story::RunReport;

pub use pull_request::{FailedText, LandedText, PullRequestTexts, pull_request_texts};
pub use run_figures::figures;

/// Maximum page size for adding logs and patches, in bytes.
const PAGE_SIZE: usize = 1_900_000;
/// Minimum size for logs and patches regardless of the number of phases, in bytes.
const LEAST_ROOM: usize = 200_000;

/// What a report needs besides the store.
pub struct ReportInput<'a> {
    /// The repository of the run, with the attempt directories.
    pub repo: &'a Repo,
    /// Whether the tip is tested at the end of a run.
    pub final_test: FinalTest,
    /// Command of CI, for people; `None` without CI.
    pub ci_command: Option<String>,
    /// Removes secrets.
    pub redactor: &'a Redactor,
    /// Where the files of other machines are.
    pub artifacts: &'a ArtifactsSettings,
}

/// Renders the page.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn html(store: &Store, run: &RunId, input: &ReportInput<'_>) -> Result<String, Failure> {
    let mut report = RunReport::gather(store, run, input).await?;
    let bare = page::render(&report)?.len();
    let room = PAGE_SIZE.saturating_sub(bare).max(LEAST_ROOM);
    report.attach(store, input, room).await?;
    let full = page::render(&report)?.len();
    report.attach_patches(input, PAGE_SIZE.saturating_sub(full)).await;
    page::render(&report)
}

/// Renders the Markdown.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn markdown(
    store: &Store,
    run: &RunId,
    input: &ReportInput<'_>,
) -> Result<String, Failure> {
    let mut report = RunReport::gather(store, run, input).await?;
    report.attach_patches(input, 0).await;
    report.attach_stat(input).await;
    Ok(markdown::render(&report))
}
