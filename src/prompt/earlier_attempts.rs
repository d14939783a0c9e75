//! History in the prompt: the last attempt's failure, and memories of other work.

use super::Snippet;
use super::sections::{Section, SectionPriority};
use crate::phase::verdict::FailingTest;
use crate::phase::{Failure, FailureDetail};

/// Maximum length of lists; the rest is counted.
const LISTED: usize = 50;

/// Renders the last failure: failing tests first, then the log.
pub fn failed(failure: &Failure) -> Vec<Section> {
    let FailureDetail { breaches, missing, failing_tests, log_tail, .. } = &failure.detail;
    let mut parts = vec![format!(
        "The last attempt failed and its changes were discarded. Start again from the current files and make \
         the whole change, without this problem: {}.",
        failure.message.trim().trim_end_matches('.')
    )];
    parts.extend(list("Forbidden changes", breaches.iter().map(|line| format!("- {line}"))));
    parts.extend(list("Missing or empty", missing.iter().map(|path| format!("- `{path}`"))));
    let names = failing_tests.iter().map(|test| format!("- `{}`", test.name));
    parts.extend(list("Failing tests", names));
    let mut sections = vec![Section::new(
        SectionPriority::Never,
        "Failure of the last attempt",
        parts.join("\n\n"),
    )];
    sections.extend(failing_tests.iter().filter(|test| !test.message.is_empty()).map(message));
    let heading = "### End of the output".to_owned();
    sections.push(Section::quoted(SectionPriority::Log, heading, log_tail));
    sections
}

fn message(test: &FailingTest) -> Section {
    Section::quoted(
        SectionPriority::Messages,
        format!("### {}", one_line(&test.name)),
        &test.message,
    )
}

fn list(what: &str, lines: impl ExactSizeIterator<Item = String>) -> Option<String> {
    let count = lines.len();
    let shown: Vec<String> = lines.take(LISTED).map(|line| one_line(&line)).collect();
    let more = match count.saturating_sub(LISTED) {
        0 => String::new(),
        more => format!("\n- and {more} more"),
    };
    (count > 0).then(|| format!("{what}:\n\n{}{more}", shown.join("\n")))
}

/// Renders memories of earlier phases.
pub fn memories(snippets: &[Snippet]) -> Vec<Section> {
    let filled = snippets.iter().filter(|snippet| !snippet.text.trim().is_empty());
    filled.enumerate()
        .map(|(at, snippet)| {
            let of = format!("### {}", one_line(&snippet.source));
            let heading = match at {
                0 => format!(
                    "## From earlier work\n\nThese notes may be out of date; the files are authoritative.\n\n{of}"
                ),
                _ => of,
            };
            Section::quoted(SectionPriority::Memories, heading, &snippet.text)
        })
        .collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
