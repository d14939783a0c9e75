//! Result of a finished command, and its form in golden texts.

use std::path::{Path, PathBuf};
use std::process::Output;

use regex::{NoExpand, Regex};
use serde_json::Value;

#[derive(Debug)]
pub struct Ran {
    /// `None`: a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// The repository that it ran in.
    root: PathBuf,
}

impl Ran {
    pub fn of(output: Output, root: PathBuf) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let code = output.status.code();
        Self { code, stdout: text(output.stdout), stderr: text(output.stderr), root }
    }

    #[track_caller]
    pub fn exited(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    #[track_caller]
    pub fn succeeded(self) -> Self {
        self.exited(0)
    }

    /// The one JSON value that it printed.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("no JSON ({e}): {self:#?}"))
    }

    /// Everything that a person sees, for golden texts: exit code, stdout and stderr, with paths replaced by names.
    pub fn shown(&self) -> String {
        let code = self.code.map_or("none".to_owned(), |code| code.to_string());
        let part = |name: &str, text: &str| match text.is_empty() {
            true => String::new(),
            false => format!("--- {name}\n{text}"),
        };
        let (stdout, stderr) = (part("stdout", &self.stdout), part("stderr", &self.stderr));
        named(&self.root, &format!("exit {code}\n{stdout}{stderr}"))
    }
}

/// Replaces the paths of a project by names: `[REPO]` for its repository, `[BESIDE]` for the directory around it and for
/// that of [`super::Project::outside`]. They contain a space; a path broken there by a line wrap is joined again.
pub fn named(root: &Path, text: &str) -> String {
    let name = |text: &str, path: &Path, name: &str| {
        let path = regex::escape(&path.display().to_string()).replace(' ', r"\s+");
        Regex::new(&path).unwrap().replace_all(text, NoExpand(name)).into_owned()
    };
    let beside = root.parent().unwrap();
    let text = name(&name(text, root, "[REPO]"), &beside.join("witness"), "[BESIDE]");
    name(&text, beside, "[BESIDE]")
}
