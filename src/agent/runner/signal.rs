//! What the streams of all agents come down to, and who reads it out of them.

use serde_json::Value;

use super::event::Until;
use crate::phase::Tokens;
use crate::phase::usage::MOST;

/// One thing that an agent's stream said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Signal {
    Session(String),
    Model(String),
    Text(String),
    Tool(ToolUse),
    Result(ToolResult),
    /// A subagent works from now on, until it is said to have ended; by its id.
    SubagentStarted(String),
    SubagentEnded(String),
    /// Of one turn; the same id again says the same turn anew.
    Usage(Spent),
    /// Of everything so far; takes the place of the turns.
    Total(Spent),
    /// The provider holds the agent up, which waits and tries again by itself.
    Held(Fault),
    /// It failed, for now or for good.
    Failed(Fault),
    /// What is odd but stops nothing.
    Note(String),
    /// The last word of an agent that means well.
    Finished(Finish),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ToolUse {
    pub id: String,
    /// Tool and arguments, for telling whether two uses are the same.
    pub key: String,
    /// For people: "editing src/a.rs".
    pub words: String,
    pub purpose: Purpose,
}

/// What a tool use is for, as far as the end of the agent depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Purpose {
    #[default]
    Work,
    /// Waits for something, or asks whether it is over. The same answer again is no loop.
    Wait,
    /// Another agent does the work until the result comes.
    Subagent,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ToolResult {
    pub id: String,
    pub text: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Spent {
    pub id: Option<String>,
    pub tokens: Tokens,
    pub cost_usd: Option<f64>,
}

/// What went wrong, as far as fields said it; `message` is for people and decides nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fault {
    pub status: Option<u16>,
    pub code: Option<String>,
    pub message: String,
    pub until: Option<Until>,
    /// The agent's own last word: it ends with this.
    pub last: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Finish {
    pub summary: Option<String>,
    pub stop_reason: Option<String>,
}

/// Reads one agent's output. Pure: lines in, signals out; no line makes it panic.
pub(crate) trait Reader: Send {
    /// A line of standard output.
    fn line(&mut self, line: &str) -> Vec<Signal>;

    /// A line of standard error.
    fn error_line(&mut self, _line: &str) -> Vec<Signal> {
        Vec::new()
    }

    /// It goes on with this session.
    fn resume(&mut self, _session: &str) {}

    /// The file that the agent leaves at its end, where its kind does.
    fn file(&mut self, _text: &str) -> Vec<Signal> {
        Vec::new()
    }
}

/// Looking into a JSON value by path; what is not there, or of another type, is `None`.
pub(crate) trait Look {
    fn text(&self, path: &str) -> Option<String>;
    fn str(&self, path: &str) -> &str;
    fn count(&self, path: &str) -> Option<u64>;
    fn amount(&self, path: &str) -> Option<f64>;
    fn list(&self, path: &str) -> &[Value];
}

impl Look for Value {
    fn text(&self, path: &str) -> Option<String> {
        self.pointer(path)?.as_str().map(str::to_owned)
    }

    /// Empty where there is no text.
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

/// The JSON object in a line; programs print other things in between.
pub(crate) fn object(line: &str) -> Option<Value> {
    let line = line.trim_start_matches('\u{feff}').trim();
    line.starts_with('{').then(|| serde_json::from_str(line).ok()).flatten()
}

pub(crate) fn status(value: Option<u64>) -> Option<u16> {
    value.and_then(|status| u16::try_from(status).ok()).filter(|status| (100..600).contains(status))
}

impl Spent {
    /// For agents whose `input` includes what came from or went to a cache.
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
    fn what_is_not_there_or_of_another_type_is_unknown() {
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
