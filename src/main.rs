//! Parse, set up tracing, run the verb, exit with its code; nothing else.

use std::process::ExitCode;

use autopack::cli::{self, Cli};
use clap::Parser;

fn main() -> ExitCode {
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
