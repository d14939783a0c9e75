use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next() {
        Some(first) if first == autopack::process::supervise::SUBCOMMAND => {
            autopack::process::supervise::supervise_main(args)
        }
        _ => ExitCode::SUCCESS,
    }
}
