//! Invariants of reading a model's or provider's output, for property tests and the fuzzer.

use std::collections::BTreeMap;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use serde_json::Value;

use super::edit::{FileChange, Refusal, Staged, parse_patch, plan};
use super::{request_failure, tools};
use crate::phase::UnixMs;

/// Separates the files from the patch in an input.
const CUT: &str = "\n=======\n";
const TOOLS: [&str; 6] = ["list", "read", "search", "edit", "write", "patch"];

/// Reads `<file a>CUT<file b>CUT<patch>`; without a cut, the whole input is the patch.
pub fn bytes(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let parts: Vec<&str> = text.splitn(3, CUT).collect();
    let (patch, files) = parts.split_last().expect("a split has a part");
    let names = ["a", "src/b.py"];
    let files: BTreeMap<&str, &str> = names.into_iter().zip(files.iter().copied()).collect();
    if let Ok(changes) = parse_patch(patch) {
        all_or_nothing(&changes, &files);
    }
    if let Ok(arguments) = serde_json::from_str(patch) {
        calls(&arguments, &files);
        request_failure::classify_stream_error(&arguments, UnixMs(0));
    }
    refusals(patch);
}

/// Checks that a plan names each file once, changes each named file, and writes only files named in the
/// changes.
fn all_or_nothing(changes: &[FileChange], files: &BTreeMap<&str, &str>) {
    let mut asked: Vec<String> = Vec::new();
    let mut read = |path: &str| {
        asked.push(path.to_owned());
        Ok::<_, Refusal>(files.get(path).map(|text| (*text).to_owned()))
    };
    let Ok(staged) = plan(changes, &mut read) else { return };
    assert!(!staged.is_empty());
    for (at, Staged { path, before, after, .. }) in staged.iter().enumerate() {
        assert_ne!(before, after, "{path}");
        assert_eq!(before.as_deref(), files.get(path.as_str()).copied(), "{path}");
        assert!(staged[..at].iter().all(|other| other.path != *path), "{path} twice");
        assert!(asked.contains(path), "{path} was never asked for");
    }
    // The same changes on the same files have the same result.
    let mut read = |path: &str| Ok(files.get(path).map(|text| (*text).to_owned()));
    assert_eq!(plan(changes, &mut read).as_ref(), Ok(&staged));
}

fn calls(arguments: &Value, files: &BTreeMap<&str, &str>) {
    for tool in TOOLS {
        if let Ok(Ok(tools::ParsedCall::Edit(changes))) = tools::parse(tool, arguments) {
            all_or_nothing(&changes, files);
        }
    }
}

/// Reads a provider's error, with the same text as the body and as the retry headers.
fn refusals(text: &str) {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(text.lines().next().unwrap_or_default()) {
        headers.insert(RETRY_AFTER, value.clone());
        headers.insert("x-ratelimit-remaining-tokens", HeaderValue::from_static("0"));
        headers.insert("x-ratelimit-reset-tokens", value);
    }
    for status in [StatusCode::BAD_REQUEST, StatusCode::TOO_MANY_REQUESTS] {
        request_failure::classify_response(status, text, &headers, UnixMs(i64::MAX));
    }
}
