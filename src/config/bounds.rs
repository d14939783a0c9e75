//! Limits for single values, independent of the setting. Messages do not name the setting.

use std::path::{Component, Path};

use super::command_setting::CommandLine;
use super::env;
use super::settings::MAX_JOBS;

/// Upper limit of all durations: longer waits are mistakes, and clocks overflow far beyond.
const LONGEST_SECONDS: u64 = 30 * 24 * 60 * 60;
/// Most KiB of a file in the database: a part is one value, and whole in memory while it is stored or shown.
const MOST_DATABASE_KB: u64 = 64 * 1024;

pub(super) fn at_least_one(number: u64) -> Result<(), String> {
    if number == 0 { Err("is 0; must be at least 1".to_owned()) } else { Ok(()) }
}

pub(super) fn jobs(jobs: u32) -> Result<(), String> {
    at_least_one(jobs.into())?;
    at_most(MAX_JOBS.into(), jobs.into())
}

pub(super) fn database_kb(kb: u64) -> Result<(), String> {
    at_most(MOST_DATABASE_KB, kb).map_err(|why| format!("{why}; artifacts.dir takes whole files"))
}

fn at_most(most: u64, number: u64) -> Result<(), String> {
    if number > most { Err(format!("is {number}; must be at most {most}")) } else { Ok(()) }
}

pub(super) fn seconds(seconds: u64) -> Result<(), String> {
    at_least_one(seconds)?;
    at_most(LONGEST_SECONDS, seconds).map_err(|why| format!("{why} (30 days)"))
}

pub(super) fn dollars(amount: f64) -> Result<(), String> {
    if !amount.is_finite() {
        return Err(format!("is {amount}, expected an amount in dollars, or null for no limit"));
    }
    if amount < 0.0 { Err(format!("is {amount}; must not be negative")) } else { Ok(()) }
}

pub(super) fn filled(text: &str) -> Result<(), String> {
    if text.trim().is_empty() { Err("is empty".to_owned()) } else { Ok(()) }
}

/// Machines that share a directory have different homes.
pub(super) fn shared_directory(text: &str) -> Result<(), String> {
    filled(text)?;
    without_nul(text)?;
    match text.starts_with('~') {
        true => Err(format!("is {text:?}; write the path that all machines have, without ~")),
        false => Ok(()),
    }
}

/// A leading dash would turn the value into an option.
pub(super) fn word(text: &str) -> Result<(), String> {
    filled(text)?;
    without_nul(text)?;
    match text.starts_with('-') {
        true => Err(format!("is {text:?}, which looks like an option; put options in extra_args")),
        false => Ok(()),
    }
}

pub(super) fn without_nul(text: &str) -> Result<(), String> {
    if text.contains('\0') { Err("contains a NUL character".to_owned()) } else { Ok(()) }
}

pub(super) fn command_line(command: &CommandLine) -> Result<(), String> {
    let (program, words) = match command {
        CommandLine::Shell(line) => (Some(line), std::slice::from_ref(line)),
        CommandLine::Argv(argv) => (argv.first(), argv.as_slice()),
    };
    if words.iter().any(|word| word.contains('\0')) {
        return Err("contains a NUL character".to_owned());
    }
    match program {
        Some(program) if !program.trim().is_empty() => Ok(()),
        _ => Err("names no program".to_owned()),
    }
}

pub(super) fn variable(name: &str, value: &str) -> Result<(), String> {
    if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
        return Err("is not a valid environment variable".to_owned());
    }
    Ok(())
}

/// Checks an entry of `env_pass`: the name of a variable, or its start and `*`.
pub(super) fn passed_name(name: &str) -> Result<(), String> {
    let start = name.strip_suffix('*').unwrap_or(name);
    if name.is_empty() || start.contains(|c: char| c.is_whitespace() || matches!(c, '=' | '\0')) {
        return Err(format!("has {name:?}, which is not the name of a variable"));
    }
    if start.contains('*') {
        return Err(format!("has {name:?}; `*` stands only at the end, as in \"AWS_*\""));
    }
    if [env::DATABASE_URL, env::QDRANT_API_KEY].contains(&name) {
        return Err(format!("has {name:?}, which belongs to autopack and is never passed on"));
    }
    Ok(())
}

/// A leading dash would turn the value into an option of git.
pub(super) fn revision(revision: &str) -> Result<(), String> {
    filled(revision)?;
    match revision.starts_with('-') {
        true => Err(format!("is {revision:?}, which is not a git revision")),
        false => Ok(()),
    }
}

pub(super) fn inside(path: &str) -> Result<(), String> {
    let leaves = |component| !matches!(component, Component::Normal(_) | Component::CurDir);
    if path.trim().is_empty() {
        return Err("has an empty path".to_owned());
    }
    match Path::new(path).components().any(leaves) {
        true => Err(format!("has {path:?}, which leaves the repository")),
        false => Ok(()),
    }
}

/// Checks a path linked into a slot: neither the whole repository, nor git's directory, nor autopack's.
pub(super) fn linked(path: &str) -> Result<(), String> {
    inside(path)?;
    let mut names = Path::new(path).components().filter(|name| *name != Component::CurDir);
    match names.next().and_then(|first| first.as_os_str().to_str()) {
        None => Err(format!("has {path:?}, which is the whole repository")),
        Some(own @ (".git" | ".autopack")) => Err(format!("has {path:?}; {own} is never linked")),
        Some(_) => Ok(()),
    }
}

/// Checks the name of a variable with a key, or an empty text. The message omits the value, since the value
/// may be the key itself.
pub(super) fn key_variable(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) {
        true => Ok(()),
        false => {
            Err("is not the name of a variable; set the name of the variable with the key"
                .to_owned())
        }
    }
}

pub(super) fn host(host: &str) -> Result<(), String> {
    filled(host)?;
    match host.contains(['/', ' ', '@']) {
        true => Err(format!("is {host:?}; expected a host name without scheme or path")),
        false => Ok(()),
    }
}

/// Checks a URL with a secret in its path, which no message may show.
pub(super) fn secret_url(secret: &str) -> Result<(), String> {
    url(secret).map_err(|_| "is not a URL that starts with http:// or https://".to_owned())
}

pub(super) fn url(url: &str) -> Result<(), String> {
    match url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) {
        Some(rest) if !rest.is_empty() => Ok(()),
        _ => Err(format!("is {url:?}; expected a URL that starts with http:// or https://")),
    }
}
