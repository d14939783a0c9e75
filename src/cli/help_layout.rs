//! The layout of `--help`: a line or two for each option, and global options only in the help of `autopack` itself.

use clap::builder::{Resettable, StyledStr};
use clap::{Arg, Command};

/// The text of `before_help`, here the description, stands below the first line.
const TEMPLATE: &str = "\
{about-with-newline}
{before-help}{usage-heading} {usage}

{all-args}{after-help}";

const GLOBAL_OPTIONS: &str = "Global options: see `autopack --help`";

/// Gives a command and its subcommands the layout. Without long texts, `-h`, `--help` and `help VERB` are the same.
pub fn lay_out(command: Command) -> Command {
    hide_global_options(describe_all(command))
}

/// Hides global options in the help of subcommands, which names the place of these options instead.
pub fn hide_global_options(command: Command) -> Command {
    let globals: Vec<Arg> =
        command.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    command.mut_subcommands(|verb| hide_in_verb(verb, &globals))
}

fn hide_in_verb(verb: Command, globals: &[Arg]) -> Command {
    let verb = verb.mut_subcommands(|verb| hide_in_verb(verb, globals));
    let after = match verb.get_after_help() {
        Some(own) => format!("{own}\n\n{GLOBAL_OPTIONS}"),
        None => GLOBAL_OPTIONS.to_owned(),
    };
    // A verb's own argument of the same id takes the place of a global one.
    verb.after_help(after).args(globals.iter().map(|arg| arg.clone().hide(true)))
}

fn describe_all(command: Command) -> Command {
    describe(command).mut_subcommands(describe_all)
}

/// Puts the description below the first line, and leaves the first paragraph of each argument's text.
fn describe(command: Command) -> Command {
    let (about, long) = (command.get_about().cloned(), command.get_long_about().cloned());
    let description = about.zip(long).and_then(|(about, long)| rest(&about, &long));
    let command = command.help_template(TEMPLATE).long_about(Resettable::Reset);
    let command = match description {
        Some(description) => command.before_help(description),
        None => command,
    };
    command.mut_args(|arg| list_values(arg.long_help(Resettable::Reset)))
}

/// Returns the text after the first paragraph.
fn rest(about: &StyledStr, long: &StyledStr) -> Option<String> {
    let long = long.to_string();
    // The first line has lost its period.
    let rest = long.strip_prefix(&about.to_string())?.trim_start_matches('.').trim().to_owned();
    (!rest.is_empty()).then_some(rest)
}

/// Lists the possible values in the argument's text, without a line for each.
fn list_values(arg: Arg) -> Arg {
    let values = arg.get_possible_values();
    if !arg.get_action().takes_values() || values.iter().all(|value| value.get_help().is_none()) {
        return arg;
    }
    let names: Vec<&str> =
        values.iter().filter(|value| !value.is_hide_set()).map(|value| value.get_name()).collect();
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let help = format!("{help} [possible values: {}]", names.join(", "));
    arg.hide_possible_values(true).help(help)
}
