//! Common signals of all agents' streams, and the trait of their readers.

use serde_json::Value;

use super::event::RateLimitReset;
use crate::phase::Tokens;
use crate::phase::usage::MOST;

/// An event in an agent's stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Signal {
    Session(String),
    Model(String),
    Text(String),
    Tool(ToolUse),
    Result(ToolResult),
    /// A subagent works until reported as ended; with the id.
    SubagentStarted(String),
    SubagentEnded(String),
    /// Usage of a turn; the same id again replaces the earlier numbers.
    Usage(ReportedUsage),
    /// Total usage so far; replaces the turns.
    Total(ReportedUsage),
    /// The provider delays the agent, which waits and retries by itself.
    Held(Fault),
    /// The agent failed, temporarily or finally.
    Failed(Fault),
    /// A harmless oddity.
    Note(String),
    /// Final message of a successful agent.
    Finished(Finish),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ToolUse {
    pub id: String,
    /// Tool and arguments, for comparing two uses.
    pub key: String,
    /// For people: "editing src/a.rs".
    pub words: String,
    pub purpose: Purpose,
}

/// Purpose of a tool use, as far as relevant for the agent's end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Purpose {
    #[default]
    Work,
    /// Waits for an event or asks for progress. The same answer again is no loop.
    Wait,
    /// Another agent works until the result arrives.
    Subagent,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ToolResult {
    pub id: String,
    /// For comparing two results.
    pub key: String,
    /// For people: the output of a command, the error of a tool.
    pub output: String,
}

impl ToolResult {
    /// Creates a result whose output is also its key.
    pub fn new(id: &str, output: &str) -> Self {
        Self::with_key(id, output.to_owned(), output.to_owned())
    }

    /// Creates a result with a key of its own.
    pub fn with_key(id: &str, key: String, output: String) -> Self {
        Self { id: id.to_owned(), key, output }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ReportedUsage {
    pub id: Option<String>,
    pub tokens: Tokens,
    pub cost_usd: Option<f64>,
}

/// A failure, as far as reported in fields; `message` is for people and has no effect.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fault {
    pub status: Option<u16>,
    pub code: Option<String>,
    pub message: String,
    pub until: Option<RateLimitReset>,
    /// The agent's final message: the agent ends with this fault.
    pub last: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Finish {
    pub summary: Option<String>,
    pub stop_reason: Option<String>,
}

/// Reads an agent's output. Pure: lines in, signals out; never panics.
pub(crate) trait Reader: Send {
    /// Reads a line of standard output.
    fn line(&mut self, line: &str) -> Vec<Signal>;

    /// Reads a line of standard error.
    fn error_line(&mut self, _line: &str) -> Vec<Signal> {
        Vec::new()
    }

    /// Notes that the agent resumes this session.
    fn resume(&mut self, _session: &str) {}

    /// Reads the file left by the agent at the end, for kinds with such a file.
    fn file(&mut self, _text: &str) -> Vec<Signal> {
        Vec::new()
    }
}

/// Access to a JSON value by path; a missing value, or a value of another type, is `None`.
pub(crate) trait JsonAccess {
    fn text(&self, path: &str) -> Option<String>;
    fn str(&self, path: &str) -> &str;
    fn count(&self, path: &str) -> Option<u64>;
    fn amount(&self, path: &str) -> Option<f64>;
    fn list(&self, path: &str) -> &[Value];
}

impl JsonAccess for Value {
    fn text(&self, path: &str) -> Option<String> {
        self.pointer(path)?.as_str().map(str::to_owned)
    }

    /// Returns the empty string if there is no text.
    fn str(&self, path: &str) -> &str {
        self.pointer(path).and_then(Value::as_str).unwrap_or_default()
    }

    fn count(&self, path: &str) -> Option<u64> {
        self.pointer(path)?.as_u64().filter(|count| *count <= MOST)
    }

    fn amount(&self, path: &str) -> Option<f64> {
        self.pointer(path)?.as_f64().filter(|amount| (0.0..=MOST as f64).contains(amount))
    }

    fn list(&self, path: &str) -> &[Value] {
        self.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
}

/// Returns the JSON object in a line; programs print other lines in between.
pub(crate) fn object(line: &str) -> Option<Value> {
    let line = line.trim_start_matches('\u{feff}').trim();
    line.starts_with('{').then(|| serde_json::from_str(line).ok()).flatten()
}

/// Joins the `text` of content parts, as of a tool's result.
pub(crate) fn texts(parts: &[Value]) -> String {
    let texts: Vec<&str> = parts.iter().map(|part| part.str("/text")).collect();
    texts.join("\n")
}

pub(crate) fn status(value: Option<u64>) -> Option<u16> {
    value.and_then(|status| u16::try_from(status).ok()).filter(|status| (100..600).contains(status))
}

impl ReportedUsage {
    /// Subtracts cached tokens, for agents that include tokens read from or written to a cache in `input`.
    pub fn without_cache(mut self) -> Self {
        let cached = self
            .tokens
            .cache_read
            .unwrap_or(0)
            .saturating_add(self.tokens.cache_write.unwrap_or(0));
        self.tokens.input = self.tokens.input.map(|input| input.saturating_sub(cached));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_or_mistyped_values_are_none() {
        let value = object(r#" {"a":{"b":"c","n":7,"x":-1},"l":[1]} "#).unwrap();
        assert_eq!((value.text("/a/b").as_deref(), value.str("/a/n")), (Some("c"), ""));
        assert_eq!(
            (value.count("/a/n"), value.count("/a/x"), value.amount("/a/x")),
            (Some(7), None, None)
        );
        let beyond = object(r#"{"n":18446744073709551615,"x":1e300}"#).unwrap();
        assert_eq!((beyond.count("/n"), beyond.amount("/x")), (None, None));
        assert_eq!((value.list("/l").len(), value.list("/a").len()), (1, 0));
        for line in ["", "text", "[1]", "{", "{\"a\":}"] {
            assert_eq!(object(line), None, "{line}");
        }
        assert_eq!(
            (status(Some(429)), status(Some(70_000)), status(Some(7))),
            (Some(429), None, None)
        );
    }
}
