//! Command line: global options, a file per command, and the shared context.
//!
//! A command parses its arguments, calls the module that does the work, and prints the result.

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Command, CommandFactory, FromArgMatches, Parser, Subcommand};

mod agent_choice;
mod attempt_choice;
mod attempt_setup;
mod autofix_limits;
mod branch_check;
mod calibration_in_force;
mod completions;
mod config;
mod confirm;
mod context;
mod diff;
mod drain;
mod drain_preview;
mod drain_publish;
mod drain_runs;
mod dry_run_store;
mod error_report;
mod fix_phases;
mod gc;
mod global_options;
mod health;
mod help;
mod help_layout;
mod import;
mod imported_run;
mod init;
mod log;
mod man;
mod memory;
mod merge;
mod notify;
mod open;
mod open_database;
mod output;
mod paged_output;
mod pause;
mod phases;
mod plan;
mod plan_import;
mod preview_text;
mod price_check;
mod propose_scopes;
mod publish;
mod publish_text;
mod report;
mod resume;
mod run_choice;
mod run_to_publish;
mod runs;
mod schema;
mod shell;
mod shell_completion;
mod source_import;
mod start_time;
mod status;
mod stop;
mod sync;
mod telemetry;
mod time_window;
mod tracker_access;
mod tracker_import;
mod undo;
mod verify;
mod view;

pub use context::{Context, DatabaseChoice};
pub use error_report::{print_failure, print_usage_as_json, usage_hint};
pub use global_options::{Color, Global, LogFormat};
pub use output::{Output, set_up_terminal};
pub use shell_completion::complete;

use crate::failure::{Exit, Failure};

/// Exit codes shown by `--help`; part of the contract with scripts.
const EXIT_CODES: &str = "\
Exit codes:
    0  done, nothing failed
    1  autopack failed: configuration, database, git, or a health check
    2  usage error
    3  a drained run has a failed or blocked phase
    4  stopped at the first failed phase (--stop-on-first-failure);
       phases already running were finished
    5  stopped by a failure that affects all phases, or by a spent budget
  130  interrupted
  143  terminated";

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Drains a backlog of coding work unattended.
///
/// Repairs malformed phases, gives each phase to a coding agent in an isolated copy of the repository, and lands
/// changes that stay in scope and pass CI on the run's branch.
#[derive(Debug, Parser)]
#[command(name = "autopack", version, after_help = EXIT_CODES, styles = STYLES)]
#[command(max_term_width = 80, disable_help_subcommand = true)]
pub struct Cli {
    /// Global options.
    #[command(flatten)]
    pub global: Global,
    /// Subcommand to run.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Registers the commands. A new command needs a line here and a `mod` above. Its help text is the doc comment of
/// its `Args`.
macro_rules! verbs {
    ($($(#[$meta:meta])* $name:ident => $module:ident,)*) => {
        /// Subcommands of `autopack`.
        #[derive(Debug, Subcommand)]
        #[expect(missing_docs, reason = "a variant's help text is the doc comment of its `Args`")]
        pub enum Verb {
            $($(#[$meta])* $name($module::Args),)*
        }

        async fn dispatch(verb: Verb, context: &Context) -> Result<Exit, Failure> {
            match verb {
                $(Verb::$name(args) => $module::run(args, context).await,)*
            }
        }
    };
}

verbs! {
    Init => init,
    Plan => plan,
    Import => import,
    Sync => sync,
    FixPhases => fix_phases,
    Drain => drain,
    Stop => stop,
    Pause => pause,
    Resume => resume,
    Verify => verify,
    Merge => merge,
    Publish => publish,
    Undo => undo,
    Status => status,
    Phases => phases,
    Log => log,
    Diff => diff,
    Open => open,
    Runs => runs,
    Shell => shell,
    View => view,
    Gc => gc,
    Config => config,
    Health => health,
    Notify => notify,
    Memory => memory,
    Telemetry => telemetry,
    Report => report,
    Schema => schema,
    Completions => completions,
    Man => man,
    Help => help,
}

/// Returns the definition of the command line, with the layout of its help.
pub fn command() -> Command {
    shell_completion::add_completion(help_layout::lay_out(bare_command()))
}

/// Returns the definition of the command line, with the long texts.
pub fn bare_command() -> Command {
    Cli::command()
}

/// Parses the arguments of the process.
///
/// # Errors
///
/// Returns a usage error, or the text of `--help` or `--version`.
pub fn parse() -> Result<Cli, clap::Error> {
    let mut command = command();
    let mut matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// Runs a command and returns its exit code.
///
/// # Errors
///
/// Returns the failure of the command.
pub fn run(cli: Cli) -> Result<Exit, Failure> {
    let context = Context::new(cli.global)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        context.check_shared_database().await;
        dispatch(cli.verb, &context).await
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_definition_is_valid() {
        command().debug_assert();
    }
}
