//! Each page is in the summary once, and is written in plain words.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{book, docs};
use crate::support::skip;

/// Most filler words in 100.
const FILLERS: f64 = 4.0;

/// Pages below `docs`, relative to it.
fn written() -> Vec<String> {
    let directories = ["", "guides", "reference", "explanation", "adr"];
    let mut pages = Vec::new();
    for directory in directories {
        for entry in fs::read_dir(docs().join(directory)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "md") {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                pages.push(if directory.is_empty() { name } else { format!("{directory}/{name}") });
            }
        }
    }
    pages
}

#[test]
fn every_page_is_in_the_summary_once() {
    let summary = fs::read_to_string(docs().join("SUMMARY.md")).unwrap();
    for page in written().iter().filter(|page| *page != "SUMMARY.md") {
        assert_eq!(summary.matches(&format!("]({page})")).count(), 1, "{page}");
    }
}

#[test]
fn every_page_begins_with_its_title() {
    for (page, text) in book() {
        assert!(text.starts_with("# "), "{page}");
    }
}

/// Filler words in 100, as the tool prints them: `FILE: 355 words, 1.4 fillers in 100, ...`.
fn fillers(line: &str) -> f64 {
    line.split(" words, ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn every_page_is_written_in_plain_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("AUTOPACK_SHARED_DATA")
        .map_or_else(|| root.join("../shared/data"), Into::into);
    let tool = shared.join("../tools/prose");
    if !tool.exists() {
        return skip("prose", format_args!("{} is not here", tool.display()));
    }
    let pages = written().into_iter().map(|page| docs().join(page));
    let output =
        Command::new("python3").arg(tool).args(pages).arg(root.join("README.md")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().count() > 50, "{text}");
    let wordy: Vec<&str> = text.lines().filter(|line| fillers(line) > FILLERS).collect();
    assert!(wordy.is_empty(), "more than {FILLERS} fillers in 100 words: {wordy:#?}");
    assert!((fillers("a.md: 355 words, 4.4 fillers in 100, median 8") - 4.4).abs() < 0.01);
}
