//! Files of an attempt's directory: what each contains, their order in time, and the selection of the command line.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Logs to show; without a choice, all of them.
#[derive(Clone, Copy, Debug, clap::Args)]
#[group(multiple = false)]
pub(super) struct Selection {
    /// Show the output of CI only
    #[arg(long)]
    ci: bool,
    /// Show the output of the agent only
    #[arg(long)]
    agent: bool,
    /// Show the output of setup and installs only
    #[arg(long)]
    setup: bool,
    /// Show the prompt of the agent only
    #[arg(long)]
    prompt: bool,
    /// Show all kept files, including prompt and patch
    #[arg(long)]
    all: bool,
}

/// Content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogStream {
    Setup,
    Agent,
    Ci,
    Prompt,
    OtherLog,
    /// The patch, the phase and the like.
    Other,
}

/// File of an attempt.
#[derive(Clone, Debug)]
pub(super) struct LogFile {
    pub path: PathBuf,
    pub stream: LogStream,
}

impl Selection {
    fn includes(self, stream: LogStream) -> bool {
        match stream {
            LogStream::Prompt => self.prompt || self.all,
            LogStream::Other => self.all,
            LogStream::Setup => self.setup || self.is_default(),
            LogStream::Agent => self.agent || self.is_default(),
            LogStream::Ci => self.ci || self.is_default(),
            LogStream::OtherLog => self.is_default(),
        }
    }

    /// Checks whether several streams are shown.
    pub fn is_default(self) -> bool {
        self.all || !(self.ci || self.agent || self.setup || self.prompt)
    }

    /// Returns the name of the only selected stream.
    pub fn name(self) -> &'static str {
        match self {
            _ if self.is_default() => "logs",
            Self { ci: true, .. } => "CI log",
            Self { agent: true, .. } => "agent log",
            Self { setup: true, .. } => "setup log",
            _ => "prompt",
        }
    }
}

/// Lists the selected files of an attempt's directory, in the order of their creation.
pub(super) fn list(directory: &Path, selection: Selection) -> anyhow::Result<Vec<LogFile>> {
    let cannot = || format!("cannot read the logs in {}", directory.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (stream, step) = classify(&name);
        if path.is_file() && !name.starts_with('.') && selection.includes(stream) {
            // CI of the base precedes the agent. `ci.log` comes before `ci-2.log` and `ci-10.log`.
            // A copy has the times of the original.
            let created = path.metadata().and_then(|about| {
                about
                    .modified()
                    .map(|modified| about.created().map_or(modified, |at| at.min(modified)))
            });
            files.push(((created.ok(), step, name.len(), name), LogFile { path, stream }));
        }
    }
    files.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(files.into_iter().map(|(_, file)| file).collect())
}

/// Returns the content of a file, and the usual place of its step in an attempt.
fn classify(name: &str) -> (LogStream, u8) {
    let Some(stem) = name.strip_suffix(".log") else {
        return if name == "prompt.md" { (LogStream::Prompt, 2) } else { (LogStream::Other, 8) };
    };
    match stem {
        "setup" => (LogStream::Setup, 0),
        "install" => (LogStream::Setup, 1),
        "agent" => (LogStream::Agent, 3),
        "setup-ci" => (LogStream::Setup, 5),
        "install-ci" => (LogStream::Setup, 6),
        _ if stem.starts_with("ci-by-agent") => (LogStream::Ci, 4),
        _ if stem == "ci" || stem.starts_with("ci-") => (LogStream::Ci, 7),
        _ => (LogStream::OtherLog, 7),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_in_order_and_selected() {
        let directory = tempfile::tempdir().unwrap();
        let names =
            ["setup.log", "prompt.md", "agent.log", "ci-by-agent-1.log", "ci.log", "ci-2.log"];
        for name in names {
            fs::write(directory.path().join(name), "").unwrap();
        }
        let none = Selection { ci: false, agent: false, setup: false, prompt: false, all: false };
        let listed = |selection| {
            let files = list(directory.path(), selection).unwrap();
            let name = |file: LogFile| file.path.file_name().unwrap().to_string_lossy().into();
            files.into_iter().map(name).collect::<Vec<String>>()
        };
        assert_eq!(listed(Selection { all: true, ..none }), names);
        assert_eq!(listed(none).len(), 5);
        let ci = Selection { ci: true, ..none };
        assert_eq!(listed(ci), ["ci-by-agent-1.log", "ci.log", "ci-2.log"]);
        assert_eq!(listed(Selection { prompt: true, ..none }), ["prompt.md"]);
    }
}
