//! Reads the kept log of an attempt as a transcript: texts, tool calls, results and errors of the agent.
//!
//! Each adapter's [`Reader`] turns lines into signals, here as during the attempt. An
//! agent without a known stream has a transcript of plain lines.

use std::path::Path;

use super::adapters::find;
use super::builtin::TranscriptReader;
use super::runner::signal::{Reader, Signal, object};
use crate::phase::budget::format_dollars;

/// Entry of a transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TranscriptEntry {
    /// Message of the agent, of any number of lines.
    Text(String),
    /// Tool call in a few words: "editing src/a.rs".
    Tool(String),
    /// Result of a tool call, of any number of lines.
    Output(String),
    /// Error of the agent or its provider.
    Error(String),
    /// Model, oddity or end of the agent.
    Note(String),
    /// Line outside of the stream.
    Line(String),
}

impl TranscriptEntry {
    /// Returns the name of the entry's kind, as in `--json`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Tool(_) => "tool",
            Self::Output(_) => "output",
            Self::Error(_) => "error",
            Self::Note(_) => "note",
            Self::Line(_) => "line",
        }
    }

    /// Returns the text of the entry.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text)
            | Self::Tool(text)
            | Self::Output(text)
            | Self::Error(text)
            | Self::Note(text)
            | Self::Line(text) => text,
        }
    }
}

/// Transcript of a log, read line by line.
pub struct Transcript {
    reader: Option<Box<dyn Reader>>,
    /// Whether texts are fragments of a message.
    has_fragments: bool,
    /// Message whose fragments are still arriving.
    message: String,
    model: Option<String>,
    /// Message of the last error, which the end may repeat.
    error: Option<String>,
}

impl Transcript {
    /// Creates the transcript of an agent; `worktree` is stripped from paths. Unknown kinds have plain lines.
    pub fn new(kind: Option<&str>, worktree: &Path) -> Self {
        let adapter = kind.and_then(find);
        let builtin = || -> Box<dyn Reader> { Box::new(TranscriptReader::new(worktree)) };
        Self {
            reader: adapter
                .map(|adapter| adapter.reader(worktree))
                .or_else(|| (kind == Some("builtin")).then(builtin)),
            has_fragments: adapter.is_some_and(|adapter| adapter.streams_fragments()),
            message: String::new(),
            model: None,
            error: None,
        }
    }

    /// Reads the next line, without its line end.
    pub fn line(&mut self, line: &str) -> Vec<TranscriptEntry> {
        let Some(reader) = &mut self.reader else {
            return vec![TranscriptEntry::Line(line.to_owned())];
        };
        let signals = reader.line(line);
        if signals.is_empty() {
            return match object(line) {
                Some(_) => Vec::new(),
                None => self.plain(line),
            };
        }
        signals.into_iter().flat_map(|signal| self.entries(signal, line)).collect()
    }

    /// Returns the last message, if its fragments are not complete.
    pub fn finish(&mut self) -> Option<TranscriptEntry> {
        let message = std::mem::take(&mut self.message);
        (!message.is_empty()).then_some(TranscriptEntry::Text(message))
    }

    fn plain(&mut self, line: &str) -> Vec<TranscriptEntry> {
        self.finish().into_iter().chain([TranscriptEntry::Line(line.to_owned())]).collect()
    }

    fn entries(&mut self, signal: Signal, line: &str) -> Vec<TranscriptEntry> {
        let entry = match signal {
            // An agent that prints prose: each line is a text.
            Signal::Text(text) if text == line => return self.plain(line),
            Signal::Text(text) if self.has_fragments => {
                self.message += &text;
                return Vec::new();
            }
            Signal::Text(text) => (!text.trim().is_empty()).then_some(TranscriptEntry::Text(text)),
            Signal::Tool(tool) => Some(TranscriptEntry::Tool(tool.words)),
            Signal::Result(result) => {
                (!result.output.trim().is_empty()).then_some(TranscriptEntry::Output(result.output))
            }
            Signal::Held(fault) | Signal::Failed(fault) => {
                let status = fault.status.map(|status| format!("{status} ")).unwrap_or_default();
                // Prose is shown line by line, with what follows.
                let is_prose = !line.trim_start().starts_with('{');
                let is_new = is_prose || self.error.as_ref() != Some(&fault.message);
                self.error = Some(fault.message.clone());
                is_new.then(|| TranscriptEntry::Error(format!("{status}{}", fault.message)))
            }
            Signal::Note(note) => Some(TranscriptEntry::Note(note)),
            // Streams name variants of a model: "model", "model[1m]".
            Signal::Model(model) => {
                let is_known = self.model.as_ref().is_some_and(|known| known.starts_with(&model));
                (!is_known).then(|| {
                    self.model = Some(model.clone());
                    TranscriptEntry::Note(format!("model {model}"))
                })
            }
            Signal::Total(usage) if usage.tokens.output == Some(0) => None,
            Signal::Total(usage) => {
                let count = |count: Option<u64>| count.map_or("?".to_owned(), |n| n.to_string());
                let tokens = usage.tokens;
                let cost = usage.cost_usd.map(|cost| format!(", {}", format_dollars([cost])[0]));
                Some(TranscriptEntry::Note(format!(
                    "used {} input and {} output tokens{}",
                    count(tokens.input),
                    count(tokens.output),
                    cost.unwrap_or_default()
                )))
            }
            Signal::Finished(_) => Some(TranscriptEntry::Note("finished".to_owned())),
            Signal::Session(_)
            | Signal::Usage(_)
            | Signal::SubagentStarted(_)
            | Signal::SubagentEnded(_) => None,
        };
        let Some(entry) = entry else { return Vec::new() };
        self.finish().into_iter().chain([entry]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_of_a_message_are_joined() {
        let mut transcript = Transcript::new(Some("gemini"), Path::new("/slot"));
        let says = |text: &str| {
            serde_json::json!({"type": "message", "role": "assistant", "content": text}).to_string()
        };
        assert_eq!(transcript.line(&says("I be")), []);
        assert_eq!(transcript.line(&says("gin.")), []);
        let error = r#"{"type": "error", "message": "odd"}"#;
        let text = TranscriptEntry::Text("I begin.".to_owned());
        let note = TranscriptEntry::Note("odd".to_owned());
        assert_eq!(transcript.line(error), [text, note]);
        assert_eq!(transcript.finish(), None);
    }

    #[test]
    fn an_unknown_agent_has_plain_lines() {
        let mut transcript = Transcript::new(Some("command"), Path::new("/slot"));
        let line = r#"{"type": "result"}"#;
        assert_eq!(transcript.line(line), [TranscriptEntry::Line(line.to_owned())]);
    }
}
