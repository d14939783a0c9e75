//! Reads the built-in agent's transcript back, as a stream of signals.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::runner::signal::{JsonAccess, Reader, Signal, ToolResult, object};
use super::super::runner::tool_words::tool_use;

/// Reader of the lines of `transcript`.
pub(crate) struct TranscriptReader {
    worktree: PathBuf,
}

impl TranscriptReader {
    pub fn new(worktree: &Path) -> Self {
        Self { worktree: worktree.to_owned() }
    }
}

impl Reader for TranscriptReader {
    fn line(&mut self, line: &str) -> Vec<Signal> {
        let Some(entry) = object(line) else { return Vec::new() };
        match entry.str("/role") {
            "assistant" => {
                let text = entry.text("/text").filter(|text| !text.is_empty()).map(Signal::Text);
                let call = |call: &Value| {
                    let arguments = call.get("arguments").unwrap_or(&Value::Null);
                    Signal::Tool(tool_use("", call.str("/name"), arguments, &self.worktree))
                };
                text.into_iter().chain(entry.list("/calls").iter().map(call)).collect()
            }
            "tool" => vec![Signal::Result(ToolResult::new("", entry.str("/text")))],
            // The system prompt and the task are not the agent's words.
            _ => Vec::new(),
        }
    }
}
