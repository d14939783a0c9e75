//! Memory of an attempt: recalls entries before the start, and writes entries after the end.
//!
//! Nothing here can fail an attempt: the memory answers in time or not at all.

use crate::attempt::attempt_record::Lesson;
use crate::memory::normalise::normalise;
use crate::memory::{Collection, Entry, Memory, Recall};
use crate::phase::words::{first_few, short_commit};
use crate::phase::{Failure, FailureKind, FixedSpec, PhaseId, RunId, Verdict};
use crate::prompt::Snippet;
use crate::store::Claim;

/// Snippets and characters in a prompt, about 3,000 tokens besides the task.
const SNIPPETS: usize = 6;
const SNIPPET_CHARS: usize = 12_000;
/// Characters of a description used to represent a phase.
const DESCRIPTION_CHARS: usize = 800;
/// Lines of a failing test's message, or of the end of a log without individual tests.
const MESSAGE_LINES: usize = 30;
/// Failing tests recorded; more usually have the same cause.
const TESTS: usize = 5;
const CHANGED: usize = 30;

/// Recalls entries relevant to this attempt, best first.
pub(crate) async fn recall(
    memory: &Memory,
    run: &RunId,
    phase: &FixedSpec,
    last_failure: Option<&Failure>,
) -> Vec<Snippet> {
    let recalled = memory
        .recall(&Recall {
            phase: topic(phase),
            failure: last_failure.map(symptom),
            run: None,
            limit: SNIPPETS + 1,
            max_chars: SNIPPET_CHARS,
        })
        .await;
    let own = |of: &crate::memory::Snippet| {
        of.run.as_ref() == Some(run) && of.phase.as_ref() == Some(phase.phase_id())
    };
    // The phase's own plan adds nothing to the task.
    let others = recalled
        .into_iter()
        .filter(|snippet| !(snippet.collection == Collection::Planning && own(snippet)));
    let convert = |snippet: crate::memory::Snippet| Snippet {
        source: format!("{}: {}", kind(snippet.collection), snippet.source),
        text: snippet.text,
    };
    others.take(SNIPPETS).map(convert).collect()
}

/// Describes the kind of a snippet, for the agent.
fn kind(collection: Collection) -> &'static str {
    match collection {
        Collection::RunSummaries => "what a phase did",
        Collection::ErrorsCi => "an error seen before",
        Collection::DoctorHints => "what fixed a failure",
        Collection::Planning => "planned",
        Collection::CodeDocs => "a file here",
    }
}

/// Builds the entries for an attempt with this verdict.
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

/// Builds the plan entry of a phase, for recall by phases running earlier.
pub fn plan(run: &RunId, phase: &PhaseId, text: String) -> Entry {
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

/// Builds the summary of a phase; replaces the summary of an earlier attempt.
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

/// Builds the hint about the fix of the previous attempt's failure.
fn hint(claim: &Claim, lesson: &Lesson) -> Option<Entry> {
    let (failure, fix) = (claim.last_failure.as_ref()?, lesson.fix.as_ref()?);
    let symptom = normalise(&symptom(failure));
    let mut entry = of(
        claim,
        Collection::DoctorHints,
        format!("{symptom}\n\nDifferences in the attempt that passed:\n{fix}"),
    );
    entry.key = Some(symptom);
    entry.payload = serde_json::json!({ "kind": failure.kind.as_str(), "attempt": claim.attempt });
    Some(entry)
}

/// Builds the entries of a CI failure, test by test; normalized, so that equal errors match.
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

/// Describes a phase in a few lines.
pub(crate) fn topic(spec: &FixedSpec) -> String {
    let paths: Vec<&str> = spec.deliverables().iter().map(|path| path.as_str()).collect();
    topic_of(spec.name(), spec.description(), &paths)
}

/// Describes a phase from name, description and deliverables, in a few lines.
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

/// Describes the symptoms of a failure.
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
