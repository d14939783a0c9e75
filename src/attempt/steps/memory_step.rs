//! What an attempt asks the memory before it starts, and what it leaves there when it is finished.
//!
//! Nothing here can fail an attempt: the memory answers in time or not at all.

use super::prompt_step::Asked;
use crate::memory::normalise::normalise;
use crate::memory::{Collection, Entry, Memory, Recall};
use crate::phase::words::{first_few, short_commit};
use crate::phase::{Failure, FailureKind, FixedSpec, Verdict};
use crate::prompt::Snippet;
use crate::store::Claim;

/// So many are told, in so many characters: about 3,000 tokens beside a task of its own.
const SNIPPETS: usize = 6;
const SNIPPET_CHARS: usize = 12_000;
/// Of a description, where it stands for its phase.
const DESCRIPTION_CHARS: usize = 800;
/// Of a failing test's message, and of the end of a log without single tests.
const MESSAGE_LINES: usize = 30;
/// More tests than these fail of one cause, as a rule.
const TESTS: usize = 5;
const CHANGED: usize = 30;

/// What an attempt's end teaches, beside its verdict.
#[derive(Debug, Default)]
pub(crate) struct Lesson {
    /// Paths that it changed.
    pub changed: Vec<String>,
    pub has_ci: bool,
    /// On a retry that passes: how it differs from the try that failed.
    pub fix: Option<String>,
}

/// What is known that could help with this attempt, best first.
pub(crate) async fn recall(memory: &Memory, asked: &Asked<'_>) -> Vec<Snippet> {
    let recalled = memory
        .recall(&Recall {
            phase: topic(asked.phase),
            failure: asked.last_failure.map(symptom),
            run: None,
            limit: SNIPPETS + 1,
            max_chars: SNIPPET_CHARS,
        })
        .await;
    let own = |of: &crate::memory::Snippet| {
        of.run.as_ref() == Some(asked.run_id) && of.phase.as_ref() == Some(asked.phase.phase_id())
    };
    // The phase's own plan says nothing that the task does not.
    let others = recalled
        .into_iter()
        .filter(|snippet| !(snippet.collection == Collection::Planning && own(snippet)));
    let told = |snippet: crate::memory::Snippet| Snippet {
        source: format!("{}: {}", kind(snippet.collection), snippet.source),
        text: snippet.text,
    };
    others.take(SNIPPETS).map(told).collect()
}

/// What a snippet is, for the agent that reads it.
fn kind(collection: Collection) -> &'static str {
    match collection {
        Collection::RunSummaries => "what a phase did",
        Collection::ErrorsCi => "an error seen before",
        Collection::DoctorHints => "what fixed a failure",
        Collection::Planning => "planned",
        Collection::CodeDocs => "a file here",
    }
}

/// What is to be remembered of an attempt with this verdict.
pub(crate) fn entries(
    memory: &Memory,
    claim: &Claim,
    verdict: &Verdict,
    lesson: &Lesson,
) -> Vec<Entry> {
    match verdict {
        Verdict::Passed { commit } => {
            let mut summary = summary(claim, &landed(commit.as_deref(), lesson), lesson);
            summary.supersedes = memory.id_of(&plan_of(claim)).into_iter().collect();
            std::iter::once(summary).chain(hint(claim, lesson)).collect()
        }
        Verdict::Failed(failure) => {
            let what = format!("failed: {}: {}", failure.kind.as_str(), failure.message);
            std::iter::once(summary(claim, &what, lesson)).chain(errors(claim, failure)).collect()
        }
        Verdict::Requeued(_) => Vec::new(),
    }
}

/// What a phase is going to do, for those that run before it.
pub fn plan(run: &crate::phase::RunId, phase: &crate::phase::PhaseId, text: String) -> Entry {
    let mut entry = Entry::new(Collection::Planning, format!("{run}/{phase}"), text);
    entry.key = Some("plan".to_owned());
    entry.of(run, phase)
}

fn plan_of(claim: &Claim) -> Entry {
    plan(&claim.run_id, &claim.phase_id, String::new())
}

fn landed(commit: Option<&str>, lesson: &Lesson) -> String {
    match commit {
        Some(commit) => {
            let ci = if lesson.has_ci { "CI green" } else { "without CI" };
            format!("landed as {}, {ci}", short_commit(commit))
        }
        None => "there was nothing left to do".to_owned(),
    }
}

/// One for a phase: a later attempt's takes its place.
fn summary(claim: &Claim, outcome: &str, lesson: &Lesson) -> Entry {
    let mut text = format!("{}\n{outcome}", topic(&claim.phase));
    if !lesson.changed.is_empty() {
        text += &format!("\nchanged: {}", first_few(&lesson.changed, CHANGED));
    }
    let mut entry = of(claim, Collection::RunSummaries, text);
    entry.key = Some("summary".to_owned());
    entry.payload = serde_json::json!({ "attempt": claim.attempt, "outcome": outcome });
    entry
}

/// What fixed the failure that the try before met.
fn hint(claim: &Claim, lesson: &Lesson) -> Option<Entry> {
    let (failure, fix) = (claim.last_failure.as_ref()?, lesson.fix.as_ref()?);
    let symptom = normalise(&symptom(failure));
    let mut entry = of(
        claim,
        Collection::DoctorHints,
        format!("{symptom}\n\nWhat the try that passed did differently:\n{fix}"),
    );
    entry.key = Some(symptom);
    entry.payload = serde_json::json!({ "kind": failure.kind.as_str(), "attempt": claim.attempt });
    Some(entry)
}

/// A failure of CI, test by test; normalised, so that the same error is found again.
fn errors(claim: &Claim, failure: &Failure) -> Vec<Entry> {
    let of_ci = matches!(
        failure.kind,
        FailureKind::CiFailed
            | FailureKind::CiTimeout
            | FailureKind::CiNoTests
            | FailureKind::CiCollectionError
            | FailureKind::CiCannotStart
    );
    if !of_ci {
        return Vec::new();
    }
    let tests = &failure.detail.failing_tests;
    let texts: Vec<String> = if tests.is_empty() {
        let tail = last_lines(&failure.detail.log_tail, MESSAGE_LINES);
        vec![format!("{}\n{tail}", failure.message)]
    } else {
        let text = |test: &crate::phase::verdict::FailingTest| {
            format!("{}\n{}", test.name, first_lines(&test.message, MESSAGE_LINES))
        };
        tests.iter().take(TESTS).map(text).collect()
    };
    let entry = |text: String| {
        let mut entry = of(claim, Collection::ErrorsCi, normalise(&text));
        entry.payload =
            serde_json::json!({ "kind": failure.kind.as_str(), "attempt": claim.attempt });
        entry
    };
    texts.into_iter().map(entry).collect()
}

fn of(claim: &Claim, collection: Collection, text: String) -> Entry {
    let source = format!("{}/{}", claim.run_id, claim.phase_id);
    Entry::new(collection, source, text).of(&claim.run_id, &claim.phase_id)
}

/// A phase in a few lines.
pub(crate) fn topic(spec: &FixedSpec) -> String {
    let paths: Vec<&str> = spec.deliverables().iter().map(|path| path.as_str()).collect();
    topic_of(spec.name(), spec.description(), &paths)
}

pub fn topic_of(name: &str, description: &str, deliverables: &[&str]) -> String {
    let mut lines = vec![name.to_owned()];
    let description: String = description.chars().take(DESCRIPTION_CHARS).collect();
    lines.push(description.trim().to_owned());
    if !deliverables.is_empty() {
        lines.push(format!("files: {}", deliverables.join(", ")));
    }
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

/// What a failure looks like from outside.
fn symptom(failure: &Failure) -> String {
    let mut lines = vec![failure.message.clone()];
    for test in failure.detail.failing_tests.iter().take(TESTS) {
        lines.push(test.name.clone());
        lines.push(first_lines(&test.message, MESSAGE_LINES));
    }
    if failure.detail.failing_tests.is_empty() {
        lines.push(last_lines(&failure.detail.log_tail, MESSAGE_LINES));
    }
    lines.retain(|line| !line.trim().is_empty());
    lines.join("\n")
}

fn first_lines(text: &str, most: usize) -> String {
    text.lines().take(most).collect::<Vec<_>>().join("\n")
}

fn last_lines(text: &str, most: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(most)..].join("\n")
}
