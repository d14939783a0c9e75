//! Phase, memories and the last failure -> the prompt. Pure: the same input gives the same bytes.
//!
//! Too long a prompt is cut, in this order: memories, the last attempt's output, the messages of single
//! tests, fields that we do not know, acceptance criteria, the description. What has to be produced, where,
//! how it is judged and what failed last time by name stay.

mod earlier_attempts;
mod extra;
mod sections;

use sections::{Cut, Section};

use crate::phase::protected::ProtectedPaths;
use crate::phase::{Complexity, Failure, FixedSpec, PathPattern};

/// About 15,000 tokens.
pub const MAX_CHARS: usize = 60_000;

/// Everything that a prompt is made of.
#[derive(Clone, Copy, Debug)]
pub struct PromptInput<'a> {
    pub spec: &'a FixedSpec,
    /// This one: charged tries so far, and one.
    pub try_number: u32,
    pub max_attempts: u32,
    /// Paths that no phase may change.
    pub protected: &'a [String],
    /// The CI command as a person would type it; none where there is no CI.
    pub ci_command: Option<&'a str>,
    /// What the memory knows, the most telling first.
    pub memories: &'a [Snippet],
    pub last_failure: Option<&'a Failure>,
    /// [`MAX_CHARS`], unless somebody knows better.
    pub max_chars: usize,
}

/// Something that was remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// Where it comes from, such as a phase's id.
    pub source: String,
    pub text: String,
}

/// The whole prompt, in Markdown, never longer than `max_chars` characters.
pub fn compose(input: &PromptInput) -> String {
    let mut parts = vec![task(input)];
    parts.extend(input.last_failure.map(earlier_attempts::failed).unwrap_or_default());
    parts.extend([deliverables(input.spec), scope(input), criteria(input.spec)]);
    parts.push(extra::section(input.spec));
    parts.push(judgement(input));
    parts.extend(earlier_attempts::memories(input.memories));
    sections::fitted(parts, input.max_chars)
}

fn task(input: &PromptInput) -> Section {
    let spec = input.spec;
    let mut lines = vec![format!("# {}", spec.name()), String::new()];
    lines.push(format!(
        "You work in a copy of a git repository, your current directory. Nobody answers questions: make \
         the change, then end. Phase `{}`, category {}, complexity {}; try {} of {}.",
        spec.phase_id(),
        if spec.category().is_empty() { "unknown" } else { spec.category() },
        complexity(spec.complexity()),
        input.try_number,
        input.max_attempts,
    ));
    if !spec.description().trim().is_empty() {
        lines.extend([String::new(), spec.description().trim().to_owned()]);
    }
    Section::new(Cut::Description, "", lines.join("\n"))
}

fn deliverables(spec: &FixedSpec) -> Section {
    let line = |path: &PathPattern| match path {
        path if path.is_glob() => {
            format!("- `{}` (at least one file that matches, new or changed)", path.as_str())
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
            format!("Each of these must exist in the end and not be empty:\n\n{}", list.join("\n"))
        }
    };
    Section::new(Cut::Never, "Deliverables", body)
}

fn scope(input: &PromptInput) -> Section {
    let spec = input.spec;
    let mut parts = Vec::new();
    let protected = ProtectedPaths::new(input.protected);
    let opened = protected.opened(spec);
    // What stays protected is nowhere in reach, whatever lies around it.
    let scope: Vec<&PathPattern> = spec
        .scope_paths()
        .iter()
        .filter(|path| protected.by(path.as_str()).is_none())
        .chain(opened.iter().copied())
        .collect();
    let scope = bullets(&scope);
    if scope.is_empty() {
        parts.push("You may change any path that is not named below.".to_owned());
    } else {
        parts.push(format!(
            "Change only what lies at or beneath these paths, the deliverables, and test files for them. \
             A change of anything else, a deletion or a rename included, fails the attempt:\n\n{scope}"
        ));
    }
    if !spec.read_only().is_empty() {
        let paths = extra::with_reasons(spec);
        parts.push(format!("Read these for context, and do not change them:\n\n{paths}"));
    }
    if !spec.protected().is_empty() {
        let paths = bullets(&spec.protected().iter().collect::<Vec<_>>());
        parts.push(format!("Existing files here must stay as they are:\n\n{paths}"));
    }
    if !input.protected.is_empty() {
        let paths: Vec<String> = input.protected.iter().map(|path| format!("`{path}`")).collect();
        let opened: Vec<String> =
            opened.iter().map(|path| format!("`{}`", path.as_str())).collect();
        let but = match opened.is_empty() {
            true => String::new(),
            false => format!(", except for {}: this phase may change that", opened.join(", ")),
        };
        parts.push(format!("Never touch {}{but}.", paths.join(", ")));
    }
    Section::new(Cut::Never, "Scope", parts.join("\n\n"))
}

fn criteria(spec: &FixedSpec) -> Section {
    let list: Vec<String> = spec.acceptance_criteria().iter().map(|line| bullet(line)).collect();
    Section::new(Cut::Criteria, "Acceptance criteria", list.join("\n"))
}

fn judgement(input: &PromptInput) -> Section {
    let mut lines = vec![
        "Nothing that you say decides, only what is on disk when you end:".to_owned(),
        String::new(),
        "- every changed path is in scope".to_owned(),
    ];
    if !input.spec.deliverables().is_empty() {
        lines.push("- every deliverable is there".to_owned());
    }
    if !input.spec.allow_no_change() {
        lines.push("- there is a change".to_owned());
    }
    match input.ci_command {
        Some(command) => {
            lines.push(format!("- this passes, run from the repository's root: {}", code(command)))
        }
        None => lines.push("- there is no CI here: take care that it works".to_owned()),
    }
    if let Some(check) = &input.spec.ci().test_cmd {
        lines.push(format!("- after it, this passes: {}", code(check)));
    }
    if input.ci_command.is_some() {
        lines.push(
            "- no test that passed before is gone or skipped, unless its file is a deliverable"
                .to_owned(),
        );
    }
    lines.extend([
        String::new(),
        "Do not commit: what you leave in the working tree is taken. Write logs and notes of your own to the directory \
         $AUTOPACK_LOG_DIR, not to the repository."
            .to_owned(),
    ]);
    Section::new(Cut::Never, "How it is judged", lines.join("\n"))
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

/// Further lines of an item stay in it.
fn bullet(text: &str) -> String {
    format!("- {}", text.trim().replace('\n', "\n  "))
}

/// A command in a line, or in a block where it has several.
fn code(command: &str) -> String {
    match command.contains(['\n', '`']) {
        false => format!("`{command}`"),
        true => format!("\n\n  ```sh\n  {}\n  ```\n", command.replace('\n', "\n  ")),
    }
}

#[cfg(test)]
mod tests;
