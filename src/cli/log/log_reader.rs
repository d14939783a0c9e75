//! Reads the logs of an attempt from where the last reading ended, and formats them.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::json;

use super::log_files::{LogFile, LogStream, Selection, list};
use super::transcript_text::TranscriptText;
use crate::agent::{Transcript, TranscriptEntry};
use crate::cli::attempt_choice::AttemptChoice;
use crate::failure::Failure;
use crate::progress::{screen, without_escapes};

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogForm {
    Transcript,
    /// The kept bytes.
    Raw,
    /// A JSON object for each entry.
    Json,
}

/// How the agent's stream is read.
pub(super) struct AgentStream {
    pub kind: String,
    /// The agent's checkout.
    pub slot: PathBuf,
    /// The user's checkout, at whose path an agent in a view sees the slot.
    pub checkout: PathBuf,
}

/// The logs of an attempt.
pub(super) struct LogReader {
    directory: PathBuf,
    /// Name of the directory in headings, if it is a copy.
    shown: Option<String>,
    selection: Selection,
    form: LogForm,
    agent: AgentStream,
    logs: Vec<OpenLog>,
    /// Log of the last output, as an index.
    current: Option<usize>,
    /// Whether the last output ended a line.
    at_line_start: bool,
}

/// A log, read up to an offset.
struct OpenLog {
    file: LogFile,
    offset: u64,
    /// Beginning of an unfinished line.
    partial: Vec<u8>,
    transcript: Transcript,
    text: TranscriptText,
}

impl LogReader {
    pub fn new(
        directory: PathBuf,
        selection: Selection,
        form: LogForm,
        agent: AgentStream,
    ) -> Self {
        let (logs, current) = (Vec::new(), None);
        let shown = None;
        Self { directory, shown, selection, form, agent, logs, current, at_line_start: true }
    }

    /// Names the directory in headings.
    pub fn named(self, shown: Option<String>) -> Self {
        Self { shown, ..self }
    }

    /// Checks whether no selected file exists.
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// Explains that no selected file exists.
    pub fn explain_missing(&self, choice: &AttemptChoice) -> Failure {
        let failure = Failure::new(format!("{} has no {}", choice.name(), self.selection.name()));
        match self.selection.is_default() {
            true => failure.hint(format!("`autopack phases show {}` tells why", choice.phase())),
            false => failure.hint(format!("`autopack log {}` shows all its logs", choice.phase())),
        }
    }

    /// Returns the output for everything that was written since the last call.
    pub fn read_new(&mut self) -> anyhow::Result<Vec<u8>> {
        for file in list(&self.directory, self.selection)? {
            if !self.logs.iter().any(|log| log.file.path == file.path) {
                self.logs.push(OpenLog::new(file, &self.agent));
            }
        }
        let mut output = Vec::new();
        for index in 0..self.logs.len() {
            let log = &mut self.logs[index];
            let bytes = log.read_new()?;
            let text = match self.form {
                LogForm::Raw => bytes,
                form => log.lines(&bytes, form, &self.agent),
            };
            self.add(index, text, &mut output);
        }
        Ok(output)
    }

    /// Returns the output for unfinished lines.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut output = Vec::new();
        for index in 0..self.logs.len() {
            let (log, form) = (&mut self.logs[index], self.form);
            let text = log.finish(form, &self.agent);
            self.add(index, text, &mut output);
        }
        if !self.at_line_start && self.selection.is_default() {
            output.push(b'\n');
            self.at_line_start = true;
        }
        output
    }

    /// Adds the output of a log, below its heading where several logs are shown.
    fn add(&mut self, index: usize, text: Vec<u8>, output: &mut Vec<u8>) {
        let is_new = self.current.is_none_or(|current| current < index);
        let is_listed = self.selection.is_default() && is_new;
        if text.is_empty() && !is_listed {
            return;
        }
        let is_several = self.logs.len() > 1 || self.selection.is_default();
        if self.current != Some(index) && is_several && self.form != LogForm::Json {
            if !self.at_line_start {
                output.push(b'\n');
            }
            let path = &self.logs[index].file.path;
            let path = match &self.shown {
                Some(shown) => {
                    format!("{shown}/{}", path.file_name().unwrap_or_default().display())
                }
                None => path.display().to_string(),
            };
            output.extend(format!("==> {} <==\n", without_escapes(&path)).bytes());
            self.at_line_start = true;
        }
        self.current = Some(index);
        self.at_line_start = text.last().map_or(self.at_line_start, |byte| *byte == b'\n');
        output.extend(text);
    }
}

impl OpenLog {
    fn new(file: LogFile, agent: &AgentStream) -> Self {
        let kind = (file.stream == LogStream::Agent).then_some(agent.kind.as_str());
        Self {
            file,
            offset: 0,
            partial: Vec::new(),
            transcript: Transcript::new(kind, &agent.slot),
            text: TranscriptText::new(screen::output_columns()),
        }
    }

    fn read_new(&mut self) -> anyhow::Result<Vec<u8>> {
        let cannot = || format!("cannot read {}", self.file.path.display());
        let mut file = File::open(&self.file.path).with_context(cannot)?;
        file.seek(SeekFrom::Start(self.offset)).with_context(cannot)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(cannot)?;
        self.offset += bytes.len() as u64;
        Ok(bytes)
    }

    /// Formats whole lines; an unfinished line waits for its end.
    fn lines(&mut self, bytes: &[u8], form: LogForm, agent: &AgentStream) -> Vec<u8> {
        let mut text = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.partial);
                text.extend(self.line(&line, form, agent));
            }
        }
        text
    }

    fn finish(&mut self, form: LogForm, agent: &AgentStream) -> Vec<u8> {
        let line = std::mem::take(&mut self.partial);
        let mut text = match line.is_empty() {
            true => Vec::new(),
            false => self.line(&line, form, agent),
        };
        let last = self.transcript.finish();
        text.extend(self.format(last, form, agent));
        text
    }

    fn line(&mut self, line: &[u8], form: LogForm, agent: &AgentStream) -> Vec<u8> {
        let line = String::from_utf8_lossy(line);
        let entries = self.transcript.line(line.trim_end_matches(['\n', '\r']));
        self.format(entries, form, agent)
    }

    fn format(
        &mut self,
        entries: impl IntoIterator<Item = TranscriptEntry>,
        form: LogForm,
        agent: &AgentStream,
    ) -> Vec<u8> {
        let mut text = String::new();
        for entry in entries {
            let entry = without_checkout(entry, agent);
            if form == LogForm::Json {
                let name = self.file.path.file_name().unwrap_or_default().to_string_lossy();
                let object = json!({"file": name, "kind": entry.kind(), "text": entry.text()});
                text += &format!("{object}\n");
            } else {
                text += &self.text.format(&entry);
            }
        }
        text.into_bytes()
    }
}

/// Removes the checkout's path from a tool call, which names paths as the agent sees them.
fn without_checkout(entry: TranscriptEntry, agent: &AgentStream) -> TranscriptEntry {
    match entry {
        TranscriptEntry::Tool(words) => {
            TranscriptEntry::Tool(words.replace(&format!("{}/", agent.checkout.display()), ""))
        }
        entry => entry,
    }
}
