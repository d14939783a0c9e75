//! The report of a run: one page for a browser, or short Markdown for a pull request; and the figures that both share
//! with `telemetry summary`.
//!
//! It reads the store and the folders of attempts and changes neither. Names, messages, logs and patches are other
//! people's text: redacted and cleaned when they are read (`clean`), escaped where they are written (`escape`).

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
use story::Report;

pub use run_figures::figures;

/// Logs and patches fill the page up to here, in bytes.
const PAGE_SIZE: usize = 1_900_000;
/// And have this much however many phases there are.
const LEAST_ROOM: usize = 200_000;

/// The page. `root` is the top of the repository, beneath which attempts kept their files.
pub async fn html(
    store: &Store,
    run: &RunId,
    root: &Path,
    final_test: FinalTest,
    redactor: &Redactor,
) -> Result<String, Failure> {
    let mut report = Report::gather(store, run, final_test, redactor).await?;
    let bare = page::render(&report)?.len();
    report.attach(root, redactor, PAGE_SIZE.saturating_sub(bare).max(LEAST_ROOM));
    page::render(&report)
}

/// For a pull request's text.
pub async fn markdown(
    store: &Store,
    run: &RunId,
    final_test: FinalTest,
    redactor: &Redactor,
) -> Result<String, Failure> {
    Ok(markdown::render(&Report::gather(store, run, final_test, redactor).await?))
}
