//! A command in a configuration file.

use serde::{Deserialize, Serialize};

/// A command: a list of arguments, or text for `sh -c`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a list of arguments or a shell command")]
pub enum CommandLine {
    /// Program and arguments.
    Argv(Vec<String>),
    /// Text for the shell.
    Shell(String),
}
