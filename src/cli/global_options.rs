//! The options that every verb takes, and the terminal that they set up.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::output::logging;
use crate::config::Env;

#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The git repository to work on [default: the one around the current folder]
    #[arg(long, global = true, value_name = "DIR")]
    pub workspace: Option<PathBuf>,

    /// Where autopack.yaml and memory.yaml are looked for first [env: AUTOPACK_CONFIG_DIR]
    #[arg(long, global = true, value_name = "DIR")]
    pub config_dir: Option<PathBuf>,

    /// The database [env: AUTOPACK_DATABASE_URL, DATABASE_URL] [default: sqlite:///.autopack/autopack.db]
    #[arg(long, global = true, value_name = "URL")]
    pub database_url: Option<String>,

    /// Say more on stderr: -v milestones, -vv every decision and every call of git, -vvv all that agents say too
    ///
    /// Without it, warnings (the work went on despite) and errors (somebody has to do something). Lines bear their time, and
    /// the run, phase and attempt that they are about. Secrets are taken out of every line.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Say only errors on stderr
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// How log lines on stderr look; json is one object a line, the last word of a failure too
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// When to color
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

impl Global {
    /// Colors and log lines, once, before anything is said.
    pub fn set_up_terminal(&self) {
        match self.color {
            // `console` looks at the terminal and at NO_COLOR by itself.
            Color::Auto => {}
            choice => {
                console::set_colors_enabled(choice == Color::Always);
                console::set_colors_enabled_stderr(choice == Color::Always);
            }
        }
        logging::start(self, Env::of_process());
    }

    /// Whether somebody watches stderr.
    pub fn is_interactive(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }
}
