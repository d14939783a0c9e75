//! Parse, set up tracing, run the verb, exit with its code; nothing else.

use std::process::ExitCode;

use autopack::cli::{self, Cli};
use autopack::process::supervise;
use clap::Parser;

fn main() -> ExitCode {
    // Not a verb: started by ourselves only, and single-threaded until it has forked.
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == supervise::SUBCOMMAND) {
        return supervise::supervise_main(arguments);
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
