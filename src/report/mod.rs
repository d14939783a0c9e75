//! Report of a run: a page for a browser or short Markdown for a pull request, and the figures shared with
//! `telemetry summary`.
//!
//! Reads the store and attempt directories and changes neither. Names, messages, logs and patches are
//! untrusted: redacted and cleaned when read (`clean`), escaped when written (`maud`, `escape`).

mod escape;
mod excerpt;
pub mod figure_words;
mod markdown;
mod page;
mod run_figures;
mod story;

use std::path::Path;

use crate::config::FinalTest;
use crate::failure::Failure;
use crate::phase::RunId;
use crate::process::Redactor;
use crate::store::Store;
use story::RunReport;

pub use run_figures::figures;

/// Maximum page size for adding logs and patches, in bytes.
const PAGE_SIZE: usize = 1_900_000;
/// Minimum size for logs and patches regardless of the number of phases, in bytes.
const LEAST_ROOM: usize = 200_000;

/// Renders the page. `root` is the root of the repository with the attempt directories.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn html(
    store: &Store,
    run: &RunId,
    root: &Path,
    final_test: FinalTest,
    redactor: &Redactor,
) -> Result<String, Failure> {
    let mut report = RunReport::gather(store, run, final_test, redactor).await?;
    let bare = page::render(&report)?.len();
    report.attach(root, redactor, PAGE_SIZE.saturating_sub(bare).max(LEAST_ROOM));
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
    final_test: FinalTest,
    redactor: &Redactor,
) -> Result<String, Failure> {
    Ok(markdown::render(&RunReport::gather(store, run, final_test, redactor).await?))
}
