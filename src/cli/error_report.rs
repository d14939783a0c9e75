//! Final error of a failed command: cause, place and next step, as text or as a JSON object.

use anyhow::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use console::style;
use serde_json::{Map, Value, json};
use tracing::Level;

use super::LogFormat;
use super::output::logging;
use crate::config::ConfigError;
use crate::failure::{Exit, Failure};
use crate::import::ImportError;
use crate::memory::MemoryError;
use crate::process::{SpawnError, ToolError};
use crate::progress::{printable, screen, width, wrap};
use crate::store::{BadDatabaseUrl, StoreError};
use crate::workspace::WorkspaceError;

/// Fewest columns of a wrapped text.
const NARROWEST: usize = 20;

/// Prints the error to stderr. Prints nothing if the failure is only a closed stdout.
pub fn print_failure(failure: &Failure, format: LogFormat) {
    screen::close();
    if failure.reader_is_gone() {
        return;
    }
    match format {
        LogFormat::Json => logging::write(&json_line(failure)),
        LogFormat::Text => {
            let paint = |word: &'static str| style(word).for_stderr().bold();
            let errors = single_errors(failure);
            let text = match errors.len() {
                0 => failure.text(),
                count => format!("{count} errors: nothing was imported"),
            };
            logging::write(&format!("{} {}", paint("error:").red(), paragraph(&text, 7)));
            for error in errors {
                logging::write(&format!("  {}", paragraph(&error, 2)));
            }
            if let Some(hint) = failure.hint_text() {
                logging::write(&format!("{} {}", paint("hint:").cyan(), paragraph(hint, 6)));
            }
        }
    }
}

/// Wraps a text on a terminal, with this many columns before each line.
fn paragraph(text: &str, indent: usize) -> String {
    let text = printable(text);
    match screen::error_columns() {
        Some(columns) if indent + width(&text) > columns => {
            let lines = wrap(&text, columns.saturating_sub(indent).max(NARROWEST));
            lines.join(&format!("\n{:indent$}", ""))
        }
        _ => text,
    }
}

fn json_line(failure: &Failure) -> String {
    let mut fields = json!({
        "message": failure.text(),
        "kind": kind(failure),
        "hint": failure.hint_text(),
        "exit_code": failure.exit_code(),
    });
    let errors = single_errors(failure);
    if !errors.is_empty() {
        fields["errors"] = errors.into();
    }
    logging::json_line(Level::ERROR, "autopack", object(fields))
}

/// Returns the errors of a plan if there are several.
fn single_errors(failure: &Failure) -> Vec<String> {
    let plan = failure.error().chain().find_map(|cause| cause.downcast_ref::<ImportError>());
    plan.map_or(&[][..], ImportError::several).iter().map(ToString::to_string).collect()
}

/// Prints a usage error as JSON if `--log-format json` was given, and returns whether it did.
///
/// Reads the raw arguments, because clap has no parsed command line at this point.
pub fn print_usage_as_json(error: &clap::Error) -> bool {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let asked = args.iter().any(|arg| arg == "--log-format=json")
        || args.windows(2).any(|pair| pair[0] == "--log-format" && pair[1] == "json");
    if !asked || !error.use_stderr() {
        return false;
    }
    let text = error.render().to_string();
    let (message, hint) = text.split_once("\n\n").unwrap_or((&text, ""));
    let fields = json!({
        "message": message.trim_start_matches("error: ").replace('\n', " "),
        "kind": "usage",
        "hint": usage_hint(error).unwrap_or_else(|| hint.trim().replace('\n', " ")),
        "exit_code": Exit::Usage.code(),
    });
    logging::write(&logging::json_line(Level::ERROR, "autopack", object(fields)));
    true
}

/// Returns what to do after a usage error, where clap does not tell.
pub fn usage_hint(error: &clap::Error) -> Option<String> {
    if let Some(ContextValue::String(verb)) = error.get(ContextKind::InvalidSubcommand) {
        if verb == "help" {
            return Some("`autopack help COMMAND` shows the help of a command".to_owned());
        }
        let command = super::command();
        let has_verb = |parent: &&clap::Command| parent.find_subcommand(verb).is_some();
        let parents = command.get_subcommands().filter(has_verb).map(clap::Command::get_name);
        let spelled: Vec<String> =
            parents.map(|parent| format!("`autopack {parent} {verb}`")).collect();
        return (!spelled.is_empty()).then(|| format!("did you mean {}?", spelled.join(" or ")));
    }
    let is_missing = error.kind() == ErrorKind::MissingRequiredArgument;
    let missing = error.get(ContextKind::InvalidArg).map(ToString::to_string)?;
    (is_missing && missing.contains("<PHASE"))
        .then(|| "`autopack phases list` lists the phases of the run used last".to_owned())
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Returns the error category for scripts.
fn kind(failure: &Failure) -> &'static str {
    match failure.exit_code() {
        code if code == Exit::Usage.code() => return "usage",
        code if code == Exit::Systemic.code() => return "systemic",
        _ => {}
    }
    let error = failure.error();
    let kinds: [(&str, ErrorPredicate); 7] = [
        ("configuration", has::<ConfigError>),
        ("database", |error| has::<StoreError>(error) || has::<BadDatabaseUrl>(error)),
        ("git", has::<WorkspaceError>),
        ("import", has::<ImportError>),
        ("memory", has::<MemoryError>),
        ("program", |error| has::<SpawnError>(error) || has::<ToolError>(error)),
        ("io", has::<std::io::Error>),
    ];
    kinds.iter().find(|(_, is)| is(error)).map_or("other", |(kind, _)| kind)
}

type ErrorPredicate = fn(&Error) -> bool;

fn has<E: std::error::Error + Send + Sync + 'static>(error: &Error) -> bool {
    error.chain().any(|cause| cause.is::<E>())
}
