//! The options that every verb takes, and the terminal that they set up.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

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

    /// Say more on stderr; twice, everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Say only errors on stderr
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// How log lines on stderr look
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
        let lines = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(self.log_filter()))
            .with_writer(io::stderr)
            .with_ansi(console::colors_enabled_stderr() && self.color != Color::Never)
            .with_target(self.verbose > 0);
        // A second subscriber can only be a test's own.
        let _ = match self.log_format {
            LogFormat::Text => lines.try_init(),
            LogFormat::Json => lines.json().flatten_event(true).try_init(),
        };
    }

    /// Whether somebody watches stderr.
    pub fn is_interactive(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// `genai` logs what providers say, unredacted, and `h2` what is sent: neither is ever shown.
    fn log_filter(&self) -> &'static str {
        match (self.quiet, self.verbose) {
            (true, _) => "error,genai=off,h2=off",
            (false, 0) => "warn,genai=off,h2=off,autopack=info",
            (false, 1) => "warn,genai=off,h2=off,autopack=debug",
            (false, _) => "debug,genai=off,h2=off,autopack=trace",
        }
    }
}
