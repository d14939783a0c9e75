//! Commands in any accepted shape, converted to shell text: `test_cmd` and the commands in `ci`.

use serde_json::{Map, Value};

use super::draft::{SpecDraft, is_blank, words};
use super::{criteria, field};
use crate::phase::json::kind;
use crate::phase::words::{counted, quoted};

pub(super) const COMMAND: &str = "command";
pub(super) const TEST_CMD: &str = "test_cmd";
/// Keys under which an object may hold a command.
const WITHIN: [&str; 5] = [COMMAND, "cmd", "run", "commands", "script"];
/// Programs that do nothing without arguments: a list entry with only such a name is not a complete command
/// line.
const NOTHING_ALONE: [&str; 27] = [
    "sh", "bash", "node", "deno", "ruby", "perl", "php", "cargo", "go", "npm", "npx", "pnpm", "uv",
    "uvx", "poetry", "pipenv", "pdm", "hatch", "bundle", "dotnet", "docker", "git", "env", "nice",
    "time", "timeout", "xvfb-run",
];

/// Checks whether a command is blank after conversion to text, as an empty list is.
pub(super) fn is_empty(given: &Value) -> bool {
    is_blank(given) || read(given).is_ok_and(|command| command.text.is_empty())
}

/// Converts each command to text. An unreadable command is a problem: ignoring a check would let failing work
/// land.
pub(super) fn normalize(draft: &mut SpecDraft) {
    let mut notes = RepairNotes::default();
    one(&mut draft.json, TEST_CMD, TEST_CMD, &mut notes);
    for (object, name) in [(&mut draft.json, "ci"), (&mut draft.scope, "scope.ci")] {
        let Some(Value::Object(ci)) = field::get_mut(object, "ci") else { continue };
        one(ci, TEST_CMD, &format!("{name}.{TEST_CMD}"), &mut notes);
        if !field::get(ci, COMMAND).is_some_and(is_argv) {
            one(ci, COMMAND, &format!("{name}.{COMMAND}"), &mut notes);
        }
    }
    draft.fixes.extend(notes.fixes);
    draft.prose.extend(notes.prose);
    draft.problems.extend(notes.problems);
}

/// Checks for a list of arguments, allowed in `ci.command`.
fn is_argv(command: &Value) -> bool {
    let word = |word: &Value| !(word.is_object() || word.is_array());
    command.as_array().is_some_and(|words| words.iter().all(word))
}

/// Converts a list of command lines to a multi-line text; returns the value unchanged if unreadable.
pub(super) fn lines(given: Value) -> Value {
    match &given {
        Value::Array(items) => list(items).map_or(given, |command| Value::String(command.text)),
        _ => given,
    }
}

#[derive(Default)]
struct RepairNotes {
    fixes: Vec<String>,
    prose: Vec<String>,
    problems: Vec<String>,
}

fn one(object: &mut Map<String, Value>, key: &str, name: &str, notes: &mut RepairNotes) {
    let Some(given) = field::get_mut(object, key) else { return };
    if given.is_string() || is_blank(given) {
        return;
    }
    if is_empty(given) {
        *given = Value::Array(Vec::new());
        return;
    }
    match read(given) {
        Ok(Command { text, shape }) => {
            if let Value::Object(fields) = &*given {
                notes.prose.extend(beside(fields, name));
            }
            notes.fixes.push(format!("{name}: {shape}"));
            *given = Value::String(text);
        }
        Err(found) => notes.problems.push(format!(
            "{name}: expected a shell command or a list of shell commands, found {found}"
        )),
    }
}

struct Command {
    text: String,
    shape: String,
}

/// Reads a command. `Err` describes the value found instead.
fn read(given: &Value) -> Result<Command, &'static str> {
    match given {
        Value::Array(items) => list(items),
        Value::Object(fields) => {
            let (key, within) = within(fields).ok_or("an object without a command")?;
            Ok(Command { text: text(within)?, shape: format!("taken from `{key}`") })
        }
        Value::String(_) => Ok(Command { text: text(given)?, shape: String::new() }),
        other => Err(kind(other)),
    }
}

fn list(items: &[Value]) -> Result<Command, &'static str> {
    let texts: Vec<String> = items.iter().map(text).collect::<Result<_, _>>()?;
    let nested = items.iter().any(|item| item.is_array() || item.is_object());
    if !nested && is_one_command(&texts) {
        let text = texts.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
        let shape = format!("one command of {}", counted(texts.len() as u64, "word"));
        return Ok(Command { text, shape });
    }
    let lines: Vec<&str> =
        texts.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
    let shape = match lines.len() {
        1 => "converted to text".to_owned(),
        many => format!("{}, all must pass", counted(many as u64, "command line")),
    };
    Ok(Command { text: lines.join("\n"), shape })
}

/// Reads an entry of a list, or a value in place of a command.
fn text(item: &Value) -> Result<String, &'static str> {
    match item {
        Value::Array(items) => list(items).map(|command| command.text),
        Value::Object(fields) => text(within(fields).ok_or("an object without a command")?.1),
        // YAML parses the commands `true` and `false` as booleans and an argument `5` as a number.
        scalar => Ok(words(scalar)),
    }
}

fn within(fields: &Map<String, Value>) -> Option<(&'static str, &Value)> {
    let held = |key: &&'static str| Some((*key, field::get(fields, key)?));
    WITHIN.iter().filter_map(held).find(|(_, value)| !is_blank(value))
}

/// Returns the other fields of an object with a command, as texts.
fn beside(fields: &Map<String, Value>, name: &str) -> Vec<String> {
    let command = within(fields).map(|(key, _)| key);
    let others =
        fields.iter().filter(|(key, value)| Some(key.as_str()) != command && !is_blank(value));
    others.map(|(key, value)| format!("{name}: {}", criteria::describe(key, value))).collect()
}

/// Checks whether a list holds the words of a single command: its first entry is a single word and the rest
/// cannot be commands. In doubt, entries are separate lines.
fn is_one_command(items: &[String]) -> bool {
    let [first, rest @ ..] = items else { return false };
    let is_word = !first.is_empty() && !first.contains(char::is_whitespace);
    let is_argument = |item: &String| {
        item.starts_with('-') || item.ends_with('/') || item.starts_with("./...") || item == "."
    };
    is_word && !rest.is_empty() && (does_nothing_alone(first) || rest.iter().any(is_argument))
}

fn does_nothing_alone(program: &str) -> bool {
    let python = program.strip_prefix("python");
    NOTHING_ALONE.contains(&program)
        || python.is_some_and(|version| version.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(given: Value) -> Result<String, &'static str> {
        read(&given).map(|command| command.text)
    }

    #[test]
    fn a_list_is_lines_unless_it_is_plainly_one_command() {
        for (list, text) in [
            (json!(["false", "true"]), "false\ntrue"),
            (json!([false, true]), "false\ntrue"),
            (
                json!(["python3 -c 'raise SystemExit(1)'", "echo done"]),
                "python3 -c 'raise SystemExit(1)'\necho done",
            ),
            (json!(["make", "test"]), "make\ntest"),
            (json!(["pytest -q", "-x"]), "pytest -q\n-x"),
            (json!([" make check ", "", null]), "make check"),
            (json!(["grep", "-q", "not here", "src/x"]), "grep -q 'not here' src/x"),
            (json!(["pytest", "tests/"]), "pytest tests/"),
            (json!(["head", "-n", 5, "x"]), "head -n 5 x"),
            (json!(["cargo", "test"]), "cargo test"),
            (json!(["python3", "check.py"]), "python3 check.py"),
            (json!([["grep", "-q", "x y", "f"], "true"]), "grep -q 'x y' f\ntrue"),
            (json!([{"run": "make lint"}, {"run": "make test"}]), "make lint\nmake test"),
        ] {
            assert_eq!(of(list).unwrap(), text);
        }
    }

    #[test]
    fn an_invalid_command_is_reported() {
        assert_eq!(of(json!({"cmd": false})).unwrap(), "false");
        assert_eq!(of(json!({"commands": ["a b", "c"]})).unwrap(), "a b\nc");
        assert_eq!(of(json!({"check": "x"})).unwrap_err(), "an object without a command");
        assert_eq!(of(json!(["true", {"check": "x"}])).unwrap_err(), "an object without a command");
        assert_eq!(of(json!(1)).unwrap_err(), "a number");
        assert_eq!(of(json!(false)).unwrap_err(), "a boolean");
    }
}
