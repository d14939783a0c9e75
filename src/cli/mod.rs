//! Command line: global options, a file per command, and the shared context.
//!
//! A command parses its arguments, calls the module that does the work, and prints the result.

use std::ffi::OsStr;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Command, CommandFactory, FromArgMatches, Parser, Subcommand};

mod agent_choice;
mod attach;
mod attempt_choice;
mod attempt_setup;
mod autofix_limits;
mod branch_change_setup;
mod branch_check;
mod calibration_in_force;
mod completions;
mod config;
mod confirm;
mod context;
mod db;
mod diff;
mod drain;
mod drain_preview;
mod drain_publish;
mod drain_runs;
mod dry_run_store;
mod error_report;
mod files_elsewhere;
mod fix_phases;
mod gc;
mod global_options;
mod health;
mod help;
mod help_layout;
mod hosts;
mod import;
mod imported_run;
mod init;
mod land;
mod log;
mod man;
mod memory;
mod merge;
mod metrics;
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
mod reserved_phase;
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
mod stored_artifacts;
mod sync;
mod telemetry;
mod time_window;
mod tracker_access;
mod tracker_import;
mod undo;
mod update;
mod verify;
mod view;

pub use context::{Context, DatabaseChoice};
pub use error_report::{print_failure, print_usage_as_json, usage_hint};
pub use global_options::{Color, Global, LogFormat};
pub use output::{Output, set_up_terminal};
pub use shell_completion::complete;

use crate::failure::{Exit, Failure};

/// Stack of a thread in a debug build, in bytes.
const DEBUG_STACK: usize = 8 << 20;

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
#[command(
    max_term_width = 80,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Root {
    #[command(flatten)]
    global: Global,
}

/// The command line.
#[derive(Debug)]
pub struct Cli {
    /// Global options.
    pub global: Global,
    /// Subcommand to run.
    pub verb: Verb,
}

/// Registers the commands. A new command needs a line here and a `mod` above. Its help text is the doc comment of
/// its `Args`.
macro_rules! verbs {
    ($($name:ident => $module:ident $verb:literal,)*) => {
        /// Subcommands of `autopack`.
        #[derive(Debug, Subcommand)]
        #[expect(missing_docs, reason = "a variant's help text is the doc comment of its `Args`")]
        pub enum Verb {
            $(#[command(name = $verb)] $name($module::Args),)*
        }

        /// Returns the definition of a single verb.
        fn verb_command(verb: &str) -> Option<Command> {
            match verb {
                $($verb => {
                    let verb = Command::default().name($verb);
                    Some(<$module::Args as clap::Args>::augment_args(verb))
                })*
                _ => None,
            }
        }

        async fn dispatch(verb: Verb, context: &Context) -> Result<Exit, Failure> {
            match verb {
                $(Verb::$name(args) => $module::run(args, context).await,)*
            }
        }
    };
}

verbs! {
    Init => init "init",
    Plan => plan "plan",
    Import => import "import",
    Sync => sync "sync",
    FixPhases => fix_phases "fix-phases",
    Drain => drain "drain",
    Stop => stop "stop",
    Pause => pause "pause",
    Resume => resume "resume",
    Verify => verify "verify",
    Merge => merge "merge",
    Publish => publish "publish",
    Undo => undo "undo",
    Update => update "update",
    Status => status "status",
    Phases => phases "phases",
    Log => log "log",
    Diff => diff "diff",
    Open => open "open",
    Runs => runs "runs",
    Hosts => hosts "hosts",
    Attach => attach "attach",
    Land => land "land",
    Shell => shell "shell",
    View => view "view",
    Gc => gc "gc",
    Db => db "db",
    Config => config "config",
    Health => health "health",
    Notify => notify "notify",
    Memory => memory "memory",
    Telemetry => telemetry "telemetry",
    Report => report "report",
    Metrics => metrics "metrics",
    Schema => schema "schema",
    Completions => completions "completions",
    Man => man "man",
    Help => help "help",
}

/// Returns the definition of the command line, with the layout of its help.
pub fn command() -> Command {
    lay_out(bare_command())
}

/// Returns the definition of the command line, with the long texts.
pub fn bare_command() -> Command {
    // The root last, since each part brings a description.
    let verbs = Verb::augment_subcommands(Command::default().name("autopack"));
    <Root as clap::Args>::augment_args(verbs)
}

fn lay_out(command: Command) -> Command {
    shell_completion::add_completion(help_layout::lay_out(command))
}

/// Returns what of the definition a command line needs: most name a verb first, and the others take half of the start.
fn needed_command(first_word: Option<&str>) -> Command {
    match first_word {
        Some("--version" | "-V") => Root::command(),
        Some(word) => match verb_command(word) {
            Some(verb) => lay_out(Root::command().subcommand(verb)),
            None => command(),
        },
        None => command(),
    }
}

/// Parses the arguments of the process.
///
/// # Errors
///
/// Returns a usage error, or the text of `--help` or `--version`.
pub fn parse() -> Result<Cli, clap::Error> {
    let first_word = std::env::args_os().nth(1);
    let mut command = needed_command(first_word.as_deref().and_then(OsStr::to_str));
    let mut matches = command.try_get_matches_from_mut(std::env::args_os())?;
    let global = Global::from_arg_matches_mut(&mut matches);
    let parsed = global
        .and_then(|global| Ok(Cli { global, verb: Verb::from_arg_matches_mut(&mut matches)? }));
    parsed.map_err(|error| error.format(&mut command))
}

/// Longest wait for calls of the system at the end of a command.
const LAST_CALLS: Duration = Duration::from_secs(5);

/// Runs a command and returns its exit code.
///
/// # Errors
///
/// Returns the failure of the command.
pub fn run(cli: Cli) -> Result<Exit, Failure> {
    let context = Context::new(cli.global)?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if cfg!(debug_assertions) {
        // Without optimization, the steps of an attempt need almost the usual 2 MiB.
        runtime.thread_stack_size(DEBUG_STACK);
    }
    let runtime = runtime.enable_all().build()?;
    let result = runtime.block_on(async {
        context.check_shared_database().await;
        dispatch(cli.verb, &context).await
    });
    // A call to a directory that does not answer would keep the process.
    runtime.shutdown_timeout(LAST_CALLS);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_definition_is_valid() {
        command().debug_assert();
        let about = command().get_about().map(ToString::to_string).unwrap_or_default();
        assert!(about.starts_with("Drains a backlog"), "{about}");
    }

    #[test]
    fn a_verb_alone_has_the_definition_that_all_have() {
        for verb in command().get_subcommands() {
            let name = verb.get_name();
            let mut alone = needed_command(Some(name));
            assert_eq!(alone.get_subcommands().count(), 1, "{name}");
            let help = |command: &mut Command| {
                let arguments = ["autopack", name, "--help"];
                command.try_get_matches_from_mut(arguments).unwrap_err().to_string()
            };
            assert_eq!(help(&mut alone), help(&mut command()), "{name}");
        }
        for other in ["fixPhases", "Status", "-", "", "é", "--json"] {
            assert!(verb_command(other).is_none(), "{other}");
        }
    }
}
