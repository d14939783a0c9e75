//! The book, `docs/SUMMARY.md`: its pages, their words, their commands, the pages made from the program, `autopack help`.

mod commands;
mod generated;
mod help;
mod pages;

#[path = "../../src/cli/help/summary.rs"]
mod summary;

use std::fs;
use std::path::{Path, PathBuf};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// The pages of the summary that are in the binary: path and text.
fn book() -> Vec<(String, String)> {
    let list = fs::read_to_string(docs().join("SUMMARY.md")).unwrap();
    let entries = summary::entries(&list);
    assert!(entries.len() > 30, "{entries:#?}");
    let page = |entry: summary::Entry<'_>| {
        (entry.path.to_owned(), fs::read_to_string(docs().join(entry.path)).unwrap())
    };
    entries.into_iter().map(page).collect()
}
