//! Converts a plan file, standard input or the Python Autopack's database to a [`Plan`] for the store.
//!
//! Import never repairs a spec: specs arrive as written, with the run's defaults merged in. Import assigns run ids,
//! phase ids, order and dependencies, and refuses the whole input if a part cannot be understood. Import writes
//! nothing.

mod depends;
mod error;
#[cfg(any(test, fuzzing))]
pub mod invariants;
mod json;
mod json_text;
mod plan_draft;
mod plan_shapes;
mod plan_source;
mod python_db;
mod source_place;
mod spec_keys;
mod standing;
mod text_decoding;
mod written_numbers;
mod yaml;

use std::io::Read;
use std::path::Path;

use crate::phase::RunId;
use crate::phase::plan::Plan;

pub use depends::Existing;
pub use error::ImportError;
pub use plan_draft::Draft;

/// Name of standard input on the command line.
pub const STDIN: &str = "-";
const STDIN_NAME: &str = "standard input";
const STDIN_RUN: &str = "stdin";
const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";

/// Reads `file` (`-` is standard input). Dependencies are not yet checked, see [`Draft::resolve`].
///
/// # Errors
/// The file cannot be read or understood.
pub async fn read(file: &Path, run_id: Option<&RunId>) -> Result<Draft, ImportError> {
    if file.as_os_str() == STDIN {
        let mut bytes = Vec::new();
        std::io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .map_err(|source| ImportError::Unreadable { name: STDIN_NAME.to_owned(), source })?;
        return parse(Path::new(STDIN), &bytes, run_id);
    }
    let unreadable = |source| ImportError::Unreadable { name: file.display().to_string(), source };
    if is_sqlite(file).map_err(unreadable)? {
        return python_db::read(file, run_id).await;
    }
    parse(file, &std::fs::read(file).map_err(unreadable)?, run_id)
}

/// Parses a plan. The extension of `file` gives the format; the file name becomes the run id unless the plan names a
/// run.
///
/// # Errors
/// The bytes cannot be understood.
pub fn parse(file: &Path, bytes: &[u8], run_id: Option<&RunId>) -> Result<Draft, ImportError> {
    let (name, stem) = names(file);
    if bytes.starts_with(SQLITE_MAGIC) {
        return Err(ImportError::malformed(
            name,
            "is an SQLite database; pass the file name instead of the content",
        ));
    }
    let text = text_decoding::decode(&name, bytes)?;
    let source = plan_source::read(&name, Format::of(file, &text), &text)?;
    plan_shapes::draft(&name, stem, source, run_id)
}

/// Parses a plan without dependencies on stored phases.
///
/// # Errors
/// The bytes cannot be understood, or a dependency is unknown or cyclic.
pub fn parse_whole(file: &Path, bytes: &[u8], run_id: Option<&RunId>) -> Result<Plan, ImportError> {
    parse(file, bytes, run_id)?.resolve(&Existing::default())
}

/// Returns the name of the input for messages, and the default run id.
fn names(file: &Path) -> (String, RunId) {
    if file.as_os_str() == STDIN {
        return (STDIN_NAME.to_owned(), RunId::new(STDIN_RUN));
    }
    let stem = file.file_stem().unwrap_or(file.as_os_str());
    (file.display().to_string(), RunId::new(stem.to_string_lossy()))
}

fn is_sqlite(file: &Path) -> std::io::Result<bool> {
    // `parse` reads pipes and devices, because they can be read only once.
    if !std::fs::metadata(file)?.is_file() {
        return Ok(false);
    }
    let mut start = Vec::new();
    let length = SQLITE_MAGIC.len() as u64;
    std::fs::File::open(file)?.take(length).read_to_end(&mut start)?;
    Ok(start == SQLITE_MAGIC)
}

/// Format of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Yaml,
    Json,
    /// One JSON value per line.
    Lines,
}

impl Format {
    fn of(file: &Path, text: &str) -> Self {
        let extension = file.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        match extension.as_deref() {
            Some("yaml" | "yml") => Self::Yaml,
            Some("json") => Self::Json,
            Some("jsonl" | "ndjson") => Self::Lines,
            _ => Self::by_content(text),
        }
    }

    /// Returns `self` for JSON formats, else `other`.
    fn json_or(self, other: Self) -> Self {
        if self == Self::Yaml { other } else { self }
    }

    fn by_content(text: &str) -> Self {
        let text = text.trim();
        if json_text::begins_with_comment(text) {
            return Self::Json;
        }
        if !text.starts_with(['{', '[']) {
            return Self::Yaml;
        }
        let first = text.lines().next().unwrap_or_default();
        if first.len() < text.len() && json::is_complete(first) {
            return Self::Lines;
        }
        // `{name: x}` is YAML's flow style; text in neither format is reported as JSON.
        let is_json = json::is_complete(text)
            || json_text::without_comments(text)
                .is_some_and(|(clean, _)| json::is_complete(&clean));
        match is_json || yaml::documents("", text).is_err() {
            true => Self::Json,
            false => Self::Yaml,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(file: &str, text: &str) -> Format {
        Format::of(Path::new(file), text)
    }

    #[test]
    fn the_extension_decides_then_the_content() {
        assert_eq!(format("a.yml", "{}"), Format::Yaml);
        assert_eq!(format("a.JSON", "- a"), Format::Json);
        assert_eq!(format("a.ndjson", ""), Format::Lines);
        assert_eq!(format("-", "{\"id\": 1}\n{\"id\": 2}\n"), Format::Lines);
        assert_eq!(format("-", "{\n \"id\": 1}\n"), Format::Json);
        assert_eq!(format("-", "[{\"id\": 1}]\n"), Format::Json);
        assert_eq!(format("-", "{phases: [{id: a}]}"), Format::Yaml);
        assert_eq!(format("-", "{\"phases\": ["), Format::Json);
        assert_eq!(format("plan.txt", "phases:\n- id: a\n"), Format::Yaml);
    }
}
