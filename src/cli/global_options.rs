//! Global options.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Options of all subcommands.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Git repository to work on [default: the repository of the current directory]
    #[arg(long, global = true, value_name = "DIR")]
    pub workspace: Option<PathBuf>,

    /// First directory to search for autopack.yaml and memory.yaml [env: AUTOPACK_CONFIG_DIR]
    #[arg(long, global = true, value_name = "DIR")]
    pub config_dir: Option<PathBuf>,

    /// Database URL [env: AUTOPACK_DATABASE_URL, DATABASE_URL] [default: sqlite:///.autopack/autopack.db]
    #[arg(long, global = true, value_name = "URL")]
    pub database_url: Option<String>,

    /// Log more to stderr: -v milestones, -vv decisions and git calls, -vvv agent output too
    ///
    /// By default, only warnings (work continues) and errors (action is needed) are logged. Verbose lines start with the
    /// time and end with run, phase and attempt. Secrets are redacted.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Log errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Format of log lines on stderr; json prints an object per line, including the final error
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// When to use color
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text for people
    #[default]
    Text,
    /// JSON objects, one per line
    Json,
}

/// Use of color.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On terminals, unless NO_COLOR is set
    #[default]
    Auto,
    /// In files and pipes too
    Always,
    /// Without color
    Never,
}

impl Global {
    /// Checks whether stderr is a terminal and output is wanted.
    pub fn is_interactive(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }
}
