//! Parse, set up tracing, run the verb, exit with its code; nothing else.

use std::process::ExitCode;

use autopack::cli::{self, Cli};
use autopack::process::supervise;
use clap::Parser;

fn main() -> ExitCode {
    // Before everything else: a supervisor has neither a terminal nor a configuration.
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|verb| verb == supervise::SUBCOMMAND) {
        return supervise::supervise_main(args);
    }
    let cli = Cli::parse();
    cli.global.set_up_terminal();
    let code = match cli::run(cli) {
        Ok(exit) => exit.code(),
        Err(failure) => {
            failure.report();
            failure.exit_code()
        }
    };
    ExitCode::from(code)
}
