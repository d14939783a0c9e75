//! The model's tools: parses and checks calls.
//!
//! The files beside this one and `edit_bench` execute the calls; the session runs CI, so that CI can be stopped.

mod read_files;
mod search_files;

use genai::chat::Tool;
use serde::Deserialize;
use serde_json::{Value, json};

use super::edit::{FileChange, Refusal, parse_patch};
use super::edit_bench::Bench;

/// A valid call.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ParsedCall {
    List(read_files::List),
    Read(read_files::Read),
    Search(search_files::Search),
    Edit(Vec<FileChange>),
    RunCi,
    RequestScope { path: String, reason: String },
    Finish { summary: String },
}

#[derive(Deserialize)]
struct Edit {
    path: String,
    old: String,
    new: String,
}

#[derive(Deserialize)]
struct Write {
    path: String,
    content: String,
}

#[derive(Deserialize)]
struct Patch {
    patch: String,
}

#[derive(Deserialize)]
struct RequestScope {
    path: String,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
struct Finish {
    #[serde(default)]
    summary: String,
}

/// Parses a call; the error describes a malformed call. An unreadable patch is a refused edit, not a
/// malformed call.
pub(super) fn parse(name: &str, arguments: &Value) -> Result<Result<ParsedCall, Refusal>, String> {
    let call = match name {
        "list" => ParsedCall::List(typed(name, arguments)?),
        "read" => ParsedCall::Read(typed(name, arguments)?),
        "search" => ParsedCall::Search(typed(name, arguments)?),
        "edit" => {
            let Edit { path, old, new } = typed(name, arguments)?;
            ParsedCall::Edit(vec![FileChange::Replace { path, old, new }])
        }
        "write" => {
            let Write { path, content } = typed(name, arguments)?;
            ParsedCall::Edit(vec![FileChange::Write { path, content }])
        }
        "patch" => {
            let Patch { patch } = typed(name, arguments)?;
            return Ok(parse_patch(&patch).map(ParsedCall::Edit));
        }
        "run_ci" => ParsedCall::RunCi,
        REQUEST => {
            let RequestScope { path, reason } = typed(name, arguments)?;
            ParsedCall::RequestScope { path, reason }
        }
        "finish" => {
            let Finish { summary } = typed(name, arguments)?;
            ParsedCall::Finish { summary }
        }
        other => {
            let names: Vec<&str> = TOOLS.iter().map(|tool| tool.name).collect();
            return Err(format!("there is no tool {other:?}; the tools are {}", names.join(", ")));
        }
    };
    Ok(Ok(call))
}

fn typed<T: for<'a> Deserialize<'a>>(name: &str, arguments: &Value) -> Result<T, String> {
    let wrong = |why: String| format!("the arguments of `{name}` are malformed: {why}");
    let object = match arguments {
        // Some providers omit empty arguments.
        Value::Null => json!({}),
        Value::String(text) if text.trim().is_empty() => json!({}),
        Value::Object(_) => arguments.clone(),
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Err(error) => return Err(wrong(format!("they are not JSON: {error}"))),
            Ok(_) => return Err(wrong("they are not a JSON object".to_owned())),
        },
        _ => return Err(wrong("they are not a JSON object".to_owned())),
    };
    serde_json::from_value(object).map_err(|error| wrong(error.to_string()))
}

impl ParsedCall {
    /// Describes the call for people.
    pub(super) fn label(&self) -> String {
        match self {
            Self::List(list) => format!("listing {}", list.place()),
            Self::Read(read) => format!("reading {}", read.path),
            Self::Search(search) => format!("searching for {:?}", search.pattern),
            Self::Edit(changes) => {
                let paths: Vec<&str> = changes.iter().map(FileChange::path).collect();
                format!("editing {}", paths.join(", "))
            }
            Self::RunCi => "running CI".to_owned(),
            Self::RequestScope { path, .. } => format!("asking for {path}"),
            Self::Finish { .. } => "finishing".to_owned(),
        }
    }
}

/// Executes a call on the files and returns the answer. Blocks; `limit` is in characters.
pub(super) fn execute(call: ParsedCall, bench: &Bench, limit: usize) -> Result<String, Refusal> {
    match call {
        ParsedCall::List(list) => read_files::list(&list, bench),
        ParsedCall::Read(read) => read_files::read(&read, bench, limit),
        ParsedCall::Search(search) => search_files::search(&search, bench, limit),
        ParsedCall::Edit(changes) => bench.edit(changes),
        ParsedCall::RunCi | ParsedCall::RequestScope { .. } | ParsedCall::Finish { .. } => {
            Ok(String::new())
        }
    }
}

struct ToolDescription {
    name: &'static str,
    about: &'static str,
    /// Name, JSON type, whether required, description.
    parameters: &'static [(&'static str, &'static str, bool, &'static str)],
}

/// Tool that asks for a file outside of the scope.
const REQUEST: &str = "request_scope";

const TOOLS: [ToolDescription; 9] = [
    ToolDescription {
        name: "list",
        about: "Lists a directory of the repository. Names of directories end with `/`.",
        parameters: &[
            ("path", "string", false, "Relative to the repository. Default: the whole repository."),
            ("depth", "integer", false, "Number of levels. Default: 2."),
        ],
    },
    ToolDescription {
        name: "read",
        about: "Reads a text file with line numbers (`12 | text`; the number and the bar are not part of the file). \
                Long files are shown in parts.",
        parameters: &[
            ("path", "string", true, "Relative to the repository."),
            ("start_line", "integer", false, "The first line, counted from 1."),
            ("lines", "integer", false, "Number of lines. Default: 400."),
        ],
    },
    ToolDescription {
        name: "search",
        about: "Searches the files of the repository, line by line, with a regular expression (Rust's syntax).",
        parameters: &[
            ("pattern", "string", true, "The regular expression."),
            (
                "path",
                "string",
                false,
                "A directory or file to search in. Default: the whole repository.",
            ),
            ("ignore_case", "boolean", false, "Whether to ignore case."),
        ],
    },
    ToolDescription {
        name: "edit",
        about: "Replaces a text that occurs exactly once in a file. Give enough surrounding lines to make the text unique, with \
                their exact indentation and without line numbers.",
        parameters: &[
            ("path", "string", true, "Relative to the repository."),
            ("old", "string", true, "The text to replace, exactly as in the file."),
            ("new", "string", true, "The replacement; empty to delete the text."),
        ],
    },
    ToolDescription {
        name: "write",
        about: "Writes a whole file: a new file, or a small existing file.",
        parameters: &[
            ("path", "string", true, "Relative to the repository."),
            ("content", "string", true, "The whole content of the file."),
        ],
    },
    ToolDescription {
        name: "patch",
        about: "Changes several places or files at once, adds, moves and deletes files: a unified diff, or a patch between \
                `*** Begin Patch` and `*** End Patch`. The patch is applied whole or not at all.",
        parameters: &[("patch", "string", true, "The patch.")],
    },
    ToolDescription {
        name: "run_ci",
        about: "Runs the checks that will judge your work, on the present files, and shows the result.",
        // Gemini rejects an object without properties.
        parameters: &[("reason", "string", false, "The reason, in a few words.")],
    },
    ToolDescription {
        name: REQUEST,
        about: "Asks for a file outside of the task's scope, if the task cannot be done without it. A granted file is in scope \
                in the next attempt: then call `finish`.",
        parameters: &[
            ("path", "string", true, "The file, relative to the repository."),
            ("reason", "string", true, "The reason, in a few words."),
        ],
    },
    ToolDescription {
        name: "finish",
        about: "Ends the work. ParsedCall this tool when the task is done.",
        parameters: &[("summary", "string", true, "The changes, in a few sentences.")],
    },
];

/// Tools that change nothing, for questions.
const READING: [&str; 4] = ["list", "read", "search", "finish"];

/// Returns the tools in the provider's format; for a question, only tools that read.
pub(super) fn definitions(is_question: bool, has_requests: bool) -> Vec<Tool> {
    let tool = |tool: &ToolDescription| {
        let property = |(name, kind, _, about): &(&str, &str, bool, &str)| {
            ((*name).to_owned(), json!({"type": kind, "description": about}))
        };
        let properties: serde_json::Map<String, Value> =
            tool.parameters.iter().map(property).collect();
        let required: Vec<&str> =
            tool.parameters.iter().filter(|p| p.2).map(|(name, ..)| *name).collect();
        let mut schema = json!({"type": "object", "properties": properties});
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        Tool::new(tool.name).with_description(tool.about).with_schema(schema)
    };
    let offered = TOOLS.iter().filter(|tool| match tool.name {
        REQUEST => has_requests,
        name => !is_question || READING.contains(&name),
    });
    offered.map(tool).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offered_tool_can_be_parsed() {
        for tool in &TOOLS {
            let value = |kind| match kind {
                "string" => json!("*** Delete File: x"),
                "integer" => json!(1),
                _ => json!(true),
            };
            let all: serde_json::Map<String, Value> =
                tool.parameters.iter().map(|p| (p.0.to_owned(), value(p.1))).collect();
            assert!(matches!(parse(tool.name, &Value::Object(all)), Ok(Ok(_))), "{}", tool.name);
        }
        assert_eq!(definitions(false, true).len(), TOOLS.len());
        assert_eq!(definitions(false, false).len(), TOOLS.len() - 1);
        let reading: Vec<_> = definitions(true, false).into_iter().map(|tool| tool.name).collect();
        assert_eq!(reading.len(), READING.len());
    }

    #[test]
    fn malformed_calls_are_described() {
        let why = |name, arguments| parse(name, &arguments).unwrap_err();
        assert!(why("delete", json!({})).contains("the tools are list, read,"));
        assert!(why("read", json!({})).contains("missing field `path`"));
        assert!(why("read", json!("{\"path\": \"a")).contains("not JSON: EOF"));
        assert!(why("read", json!([1])).contains("not a JSON object"));
        assert!(why("write", json!({"path": "a", "content": 3})).contains("invalid type"));
        assert!(parse("patch", &json!({"patch": "nonsense"})).unwrap().is_err());
        assert_eq!(parse("run_ci", &json!("")), Ok(Ok(ParsedCall::RunCi)));
    }
}
