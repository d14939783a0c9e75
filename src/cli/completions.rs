//! `completions`: prints the script that registers completion in a shell.

use clap_complete::Shell;
use clap_complete::env::Shells;

use super::shell_completion::VARIABLE;
use super::{Context, command};
use crate::failure::{Exit, Failure};

/// Print a shell completion script
///
/// Completes runs, phases, agents and states, too. For bash, add
/// `source <(autopack completions bash)` to ~/.bashrc; for zsh, the same with zsh to ~/.zshrc; for fish, run
/// `autopack completions fish > ~/.config/fish/completions/autopack.fish`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell to complete in
    shell: Shell,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let name = command().get_name().to_owned();
    let shell = args.shell.to_string();
    let shells = Shells::builtins();
    let Some(shell) = shells.completer(&shell) else {
        return Err(Failure::new(format!("there is no completion for {shell}")).exit(Exit::Usage));
    };
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, &name, &name, &program(&name), &mut script)?;
    context.out.bytes(&script)?;
    Ok(Exit::Done)
}

/// Returns the program for the shell to start: this program's path if it was started by a path, else its name.
fn program(name: &str) -> String {
    let own = std::env::args_os().next().map(std::path::PathBuf::from);
    match own
        .filter(|own| own.components().count() > 1)
        .and_then(|own| std::path::absolute(own).ok())
    {
        Some(own) => own.to_string_lossy().into_owned(),
        None => name.to_owned(),
    }
}
