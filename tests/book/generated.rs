//! Pages made from the program: commands from clap, keys from the schemas of the configuration, events from theirs.
//! `INSTA_UPDATE=always` writes them anew.

use std::fmt::Write as _;

use clap::{Arg, Command};
use serde_json::Value;

use super::docs;
use crate::support::Project;

const NOTE: &str = "`INSTA_UPDATE=always cargo nextest run -E 'test(/^book::generated/)'` writes this page; do not edit the page by hand.";

/// Compares a page with the program, or writes it.
fn check(page: &str, text: &str) {
    let path = docs().join(page);
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&path, text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let mut lines = written.lines().chain(std::iter::repeat("")).zip(text.lines());
    let differs = lines.find(|(written, made)| written != made);
    assert!(written == text, "docs/{page} differs from the program, first in {differs:#?}: {NOTE}");
}

#[test]
fn the_page_of_commands_is_made_from_the_command_line() {
    let mut text = format!(
        "# Commands\n\nEvery command with its options, as `autopack help COMMAND` shows them. {NOTE}\n"
    );
    let mut command = autopack::cli::bare_command();
    command.build();
    text += "\n## autopack\n";
    text += &description(&command);
    let globals: Vec<&Arg> = command.get_arguments().filter(|arg| arg.is_global_set()).collect();
    text += "\nGlobal options work with every command:\n\n";
    for arg in &globals {
        text += &argument(arg);
    }
    write!(text, "\n```\n{}\n```\n", command.get_after_help().unwrap()).unwrap();
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        text += &section(verb, "autopack");
    }
    check("reference/commands.md", &text);
}

/// A command with its arguments, then its own commands.
fn section(command: &Command, parent: &str) -> String {
    let name = format!("{parent} {}", command.get_name());
    let mut text = format!("\n## {name}\n");
    text += &description(command);
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").replace("\n       ", "\n");
    write!(text, "\n```\n{usage}\n```\n").unwrap();
    let own = command.get_arguments().filter(|arg| !arg.is_global_set() && !arg.is_hide_set());
    let own: String = own.filter(|arg| arg.get_id() != "help").map(argument).collect();
    if !own.is_empty() {
        write!(text, "\n{own}").unwrap();
    }
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let verbs = verbs.filter(|verb| verb.get_name() != "help");
    text + &verbs.map(|verb| section(verb, &name)).collect::<String>()
}

fn description(command: &Command) -> String {
    let about = command.get_long_about().or(command.get_about()).unwrap().to_string();
    format!("\n{}\n", about.trim())
}

/// An item of a list: the spelling, the text, the default.
fn argument(arg: &Arg) -> String {
    let names: Vec<String> = [
        arg.get_short().map(|short| format!("-{short}")),
        arg.get_long().map(|long| format!("--{long}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let values = arg.get_value_names().unwrap_or_default();
    let takes_values = arg.get_action().takes_values();
    let values: Vec<String> = values.iter().map(|name| format!("<{name}>")).collect();
    let mut spelled = names.join(", ");
    if takes_values {
        write!(spelled, " {}", values.join(" ")).unwrap();
    }
    let help = arg.get_long_help().or(arg.get_help()).unwrap().to_string();
    // The first line has no period.
    let parts: Vec<&str> =
        help.split("\n\n").map(|part| part.trim().trim_end_matches('.')).collect();
    let help = parts.join(". ");
    let mut text = format!("- `{}`: {help}", spelled.trim());
    let choices: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|value| takes_values && !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !choices.is_empty() {
        write!(text, " [values: {}]", choices.join(", ")).unwrap();
    }
    let defaults: Vec<_> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if takes_values && !defaults.is_empty() {
        write!(text, " [default: `{}`]", defaults.join(" ")).unwrap();
    }
    text + "\n"
}

#[test]
fn the_page_of_keys_is_made_from_the_schemas() {
    let project = Project::bare_folder();
    let mut text = format!(
        "# Configuration: all keys and their values\n\nEvery key of both files, from `autopack schema config` and `autopack schema memory`. [Configuration](../configuration.md) explains them. {NOTE}\n"
    );
    for (file, subject) in [("autopack.yaml", "config"), ("memory.yaml", "memory")] {
        write!(text, "\n## {file}\n\n| key | value | meaning |\n|---|---|---|\n").unwrap();
        let schema = project.json(["schema", subject]);
        text += &keys("", &schema);
    }
    check("reference/configuration-keys.md", &text);
}

/// Rows of the keys below a prefix.
fn keys(prefix: &str, schema: &Value) -> String {
    let mut rows = String::new();
    let properties = schema["properties"].as_object().into_iter().flatten();
    for (name, schema) in properties {
        let key = format!("{prefix}{name}");
        if schema["properties"].is_object() {
            rows += &keys(&format!("{key}."), schema);
            continue;
        }
        let meaning = schema["description"].as_str().unwrap_or_default().replace('|', "\\|");
        writeln!(rows, "| `{key}` | {} | {meaning} |", value(schema)).unwrap();
    }
    rows
}

fn may_be_null(schema: &Value) -> bool {
    let has_null = |all: &Value| {
        all.as_array()
            .is_some_and(|all| all.iter().any(|one| one == "null" || one["type"] == "null"))
    };
    ["type", "anyOf", "oneOf"].iter().any(|key| has_null(&schema[key]))
}

/// The accepted values of a schema, in words.
fn value(schema: &Value) -> String {
    let of_all = |all: &Value| {
        let all = all.as_array().into_iter().flatten();
        let kinds = all.filter(|one| one["type"] != "null").map(value);
        kinds.filter(|kind| !kind.is_empty()).collect::<Vec<_>>().join(" or ")
    };
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<String> = words
            .iter()
            .map(|word| format!("`{}`", word.as_str().map_or(word.to_string(), str::to_owned)))
            .collect();
        return words.join(", ");
    }
    for all in ["anyOf", "oneOf"] {
        if schema[all].is_array() {
            return of_all(&schema[all]);
        }
    }
    let kind = match &schema["type"] {
        Value::String(kind) => kind.as_str(),
        Value::Array(kinds) => {
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("")
        }
        _ => "",
    };
    match kind {
        "integer" => "whole number".to_owned(),
        "number" => "number".to_owned(),
        "boolean" => "`true`, `false`".to_owned(),
        "string" => "text".to_owned(),
        "array" => {
            let of = value(&schema["items"]);
            if of.is_empty() { "list".to_owned() } else { format!("list: {of}") }
        }
        "object" => "keys and values".to_owned(),
        _ => String::new(),
    }
}

#[test]
fn the_page_of_events_is_made_from_their_schema() {
    let schema = Project::bare_folder().json(["schema", "events"]);
    let mut text = format!(
        "# JSON events\n\n`autopack drain --json` prints an object on each line of standard output, and nothing else. Fields may be added, never renamed. `autopack schema events` is the JSON Schema. {NOTE}\n\n\
         The last line of a drain is `drain_finished`. A drain that cannot start prints no event; the error is on standard error. The [runbook](../runbook.md#overnight) has examples.\n"
    );
    for event in schema["oneOf"].as_array().unwrap() {
        let name = event["properties"]["event"]["const"].as_str().unwrap();
        let about = event["description"].as_str().unwrap_or_default();
        write!(text, "\n## `{name}`\n\n{about}\n\n| field | value | meaning |\n|---|---|---|\n")
            .unwrap();
        for (field, schema) in event["properties"].as_object().unwrap() {
            if field == "event" {
                continue;
            }
            let meaning = schema["description"].as_str().unwrap_or_default().replace('|', "\\|");
            let or_null = if may_be_null(schema) { " or null" } else { "" };
            writeln!(text, "| `{field}` | {}{or_null} | {meaning} |", value(schema)).unwrap();
        }
    }
    check("reference/events.md", &text);
}
