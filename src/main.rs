//! Entry point: parses arguments, sets up the terminal, runs the command and returns the exit code.

use std::process::ExitCode;

use autopack::cli;
use autopack::failure::Exit;
use autopack::process::{self, fork_server};

fn main() -> ExitCode {
    // No commands of users: both start programs, and have a single thread.
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(first) if first == fork_server::FORK_SERVER => {
            return fork_server::fork_server_main();
        }
        Some(first) if first == process::ATTACH => return process::attach_main(arguments),
        _ => {}
    }
    if cli::complete() {
        return ExitCode::SUCCESS;
    }
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(error) if cli::print_usage_as_json(&error) => {
            return ExitCode::from(Exit::Usage.code());
        }
        Err(error) => {
            // Best effort, as in `clap::Error::exit`.
            let _ = error.print();
            if let Some(hint) = cli::usage_hint(&error) {
                eprintln!("\nhint: {hint}");
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage.code()));
        }
    };
    cli::set_up_terminal(&cli.global);
    let format = cli.global.log_format;
    let code = match cli::run(cli) {
        Ok(exit) => exit.code(),
        Err(failure) => {
            cli::print_failure(&failure, format);
            failure.exit_code()
        }
    };
    ExitCode::from(code)
}
