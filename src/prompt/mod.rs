//! Composition of the prompt from phase, memories and last failure. Pure: the same input gives the same
//! bytes.
//!
//! A prompt over the limit is cut in this order: memories, output of the last attempt, messages of single
//! tests, unknown fields, acceptance criteria, description. Deliverables, scope, checks and the names of last
//! failures always stay.

mod earlier_attempts;
mod extra;
mod issue_section;
mod request_offer;
mod scope_question;
mod sections;

use issue_section::Issue;
pub use request_offer::RequestOffer;
pub use scope_question::{ScopeQuestion, compose_scope_question};

use sections::{Section, SectionPriority};

use crate::phase::protected::ProtectedPaths;
use crate::phase::scope_request::DecidedPath;
use crate::phase::{Complexity, Failure, FixedSpec, PathPattern};

/// Default limit in characters, about 15,000 tokens.
pub const MAX_CHARS: usize = 60_000;

/// Input of a prompt.
#[derive(Clone, Copy, Debug)]
pub struct PromptInput<'a> {
    /// Spec of the phase.
    pub spec: &'a FixedSpec,
    /// Number of this attempt: counted attempts so far plus 1.
    pub counted_attempt: u32,
    /// Maximum number of counted attempts.
    pub max_attempts: u32,
    /// Paths closed to all phases.
    pub protected: &'a [String],
    /// CI command as typed by a person; `None` without CI.
    pub ci_command: Option<&'a str>,
    /// How the agent may ask for files outside of its scope.
    pub request_offer: Option<RequestOffer>,
    /// Files that earlier attempts asked for, oldest first.
    pub requests: &'a [DecidedPath],
    /// Memories, the most relevant first.
    pub memories: &'a [Snippet],
    /// Failure of the last attempt.
    pub last_failure: Option<&'a Failure>,
    /// Limit in characters, usually [`MAX_CHARS`].
    pub max_chars: usize,
}

/// A remembered text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// Source of the text, such as the id of a phase.
    pub source: String,
    /// The text.
    pub text: String,
}

/// Composes the prompt in Markdown, with at most `max_chars` characters.
pub fn compose(input: &PromptInput) -> String {
    let mut parts = vec![task(input)];
    parts.extend(Issue::of(input.spec).map(|issue| issue.section()));
    parts.extend(input.last_failure.map(earlier_attempts::failed).unwrap_or_default());
    parts.extend([deliverables(input.spec), scope(input), criteria(input.spec)]);
    parts.push(extra::section(input.spec));
    parts.push(judgement(input));
    parts.extend(earlier_attempts::memories(input.memories));
    sections::fit(parts, input.max_chars)
}

fn task(input: &PromptInput) -> Section {
    let spec = input.spec;
    let issue = Issue::of(spec);
    let title = issue.map_or_else(|| spec.name().to_owned(), |issue| issue.title());
    let mut lines = vec![format!("# {title}"), String::new()];
    lines.push(format!(
        "You work in a copy of a git repository, your current directory. Questions are not answered: make \
         the change, then finish. Phase `{}`, category {}, complexity {}; attempt {} of {}.",
        spec.phase_id(),
        if spec.category().is_empty() { "unknown" } else { spec.category() },
        complexity(spec.complexity()),
        input.counted_attempt,
        input.max_attempts,
    ));
    if issue.is_none() && !spec.description().trim().is_empty() {
        lines.extend([String::new(), spec.description().trim().to_owned()]);
    }
    Section::new(SectionPriority::Description, "", lines.join("\n"))
}

fn deliverables(spec: &FixedSpec) -> Section {
    let line = |path: &PathPattern| match path {
        path if path.is_glob() => {
            format!("- `{}` (at least one new or changed file must match)", path.as_str())
        }
        path if path.is_dir() => {
            format!("- `{}` (a directory with at least one file)", path.as_str())
        }
        path => format!("- `{}`", path.as_str()),
    };
    let list: Vec<String> = spec.deliverables().iter().map(line).collect();
    let body = match list.is_empty() {
        true => String::new(),
        false => {
            format!(
                "Each of these must exist when you finish, and must not be empty:\n\n{}",
                list.join("\n")
            )
        }
    };
    Section::new(SectionPriority::Never, "Deliverables", body)
}

fn scope(input: &PromptInput) -> Section {
    let spec = input.spec;
    let mut parts = Vec::new();
    let protected = ProtectedPaths::new(input.protected);
    let opened = protected.opened(spec);
    // Protected paths are never in scope, even inside a directory in scope.
    let scope: Vec<&PathPattern> = spec
        .scope_paths()
        .iter()
        .filter(|path| protected.by(path.as_str()).is_none())
        .chain(opened.iter().copied())
        .collect();
    let scope = bullets(&scope);
    if scope.is_empty() {
        parts.push("You may change any path not named below.".to_owned());
    } else {
        parts.push(format!(
            "Change only files at or under these paths, the deliverables, and test files for them. \
             Any other change, including a deletion or a rename, fails the attempt:\n\n{scope}"
        ));
    }
    parts.extend(request_offer::earlier_requests(input.requests));
    if !scope.is_empty() {
        parts.extend(input.request_offer.map(|offer| offer.text()));
    }
    if !spec.read_only().is_empty() {
        let paths = extra::with_reasons(spec);
        parts.push(format!("Read these for context, but do not change them:\n\n{paths}"));
    }
    if !spec.protected().is_empty() {
        let paths = bullets(&spec.protected().iter().collect::<Vec<_>>());
        parts.push(format!("Do not change existing files here:\n\n{paths}"));
    }
    if !input.protected.is_empty() {
        let paths: Vec<String> = input.protected.iter().map(|path| format!("`{path}`")).collect();
        let opened: Vec<String> =
            opened.iter().map(|path| format!("`{}`", path.as_str())).collect();
        let but = match opened.is_empty() {
            true => String::new(),
            false => format!(", except for {}, which this phase may change", opened.join(", ")),
        };
        parts.push(format!("Never touch {}{but}.", paths.join(", ")));
    }
    Section::new(SectionPriority::Never, "Scope", parts.join("\n\n"))
}

fn criteria(spec: &FixedSpec) -> Section {
    let list: Vec<String> = spec.acceptance_criteria().iter().map(|line| bullet(line)).collect();
    let list = list.join("\n");
    match Issue::of(spec) {
        Some(_) => Issue::criteria(&list),
        None => Section::new(SectionPriority::Criteria, "Acceptance criteria", list),
    }
}

fn judgement(input: &PromptInput) -> Section {
    let mut lines = vec![
        "Your messages are not evaluated; only the files on disk when you finish are. The checks:"
            .to_owned(),
        String::new(),
        "- every changed path is in scope".to_owned(),
    ];
    if !input.spec.deliverables().is_empty() {
        lines.push("- every deliverable exists".to_owned());
    }
    if !input.spec.allow_no_change() {
        lines.push("- at least one file is changed".to_owned());
    }
    match input.ci_command {
        Some(command) => lines.push(format!(
            "- this command passes in the root of the repository: {}",
            code(command)
        )),
        None => lines.push("- there is no CI: make sure that the change works".to_owned()),
    }
    if let Some(check) = &input.spec.ci().test_cmd {
        lines.push(format!("- then this command passes: {}", code(check)));
    }
    if input.ci_command.is_some() {
        lines.push(
            "- every test that passed before still runs and is not skipped, unless its file is a deliverable"
                .to_owned(),
        );
    }
    lines.extend([
        String::new(),
        "Do not commit: autopack takes the changes from the working tree. Write your own logs and notes to the directory \
         $AUTOPACK_LOG_DIR, not to the repository."
            .to_owned(),
    ]);
    Section::new(SectionPriority::Never, "How your work is checked", lines.join("\n"))
}

fn complexity(complexity: Complexity) -> &'static str {
    match complexity {
        Complexity::Low => "low",
        Complexity::Medium => "medium",
        Complexity::High => "high",
    }
}

fn bullets(paths: &[&PathPattern]) -> String {
    paths.iter().map(|path| format!("- `{}`", path.as_str())).collect::<Vec<_>>().join("\n")
}

/// Formats a list item; further lines are indented.
fn bullet(text: &str) -> String {
    format!("- {}", text.trim().replace('\n', "\n  "))
}

/// Formats a command inline, or as a block if it has several lines.
fn code(command: &str) -> String {
    match command.contains(['\n', '`']) {
        false => format!("`{command}`"),
        true => format!("\n\n  ```sh\n  {}\n  ```\n", command.replace('\n', "\n  ")),
    }
}

#[cfg(test)]
mod tests;
