//! Takes command lines apart without changing them, to know which program runs last, and whether it runs alone.

use std::path::Path;

use crate::config::CommandLine;

/// Returns the words of the only program of a command, without variables and launchers; preparations such as `cd DIR &&`
/// may come first. `None` if the command does more. An assignment of an `is_ours` variable, which autopack sets itself,
/// stays.
pub fn only_command<'a>(
    command: &'a CommandLine,
    is_ours: &dyn Fn(&str) -> bool,
) -> Option<Vec<&'a str>> {
    let words = match program_of(command) {
        Program::Line(line) => prepared_command(line)?,
        Program::Words(words) => words,
    };
    Some(without_launchers(&words, is_ours).to_vec())
}

/// Returns the words of the last program of a command that runs one after the other, like [`only_command`]. Arguments
/// appended to the command reach this program.
pub fn last_command<'a>(
    command: &'a CommandLine,
    is_ours: &dyn Fn(&str) -> bool,
) -> Option<Vec<&'a str>> {
    let words = match program_of(command) {
        Program::Line(line) => last_simple(line)?,
        Program::Words(words) => words,
    };
    Some(without_launchers(&words, is_ours).to_vec())
}

enum Program<'a> {
    /// A shell line.
    Line(&'a str),
    Words(Vec<&'a str>),
}

fn program_of(command: &CommandLine) -> Program<'_> {
    match command {
        CommandLine::Shell(line) => Program::Line(line),
        CommandLine::Argv(argv) => match shell_line(argv) {
            Some(line) => Program::Line(line),
            None => Program::Words(argv.iter().map(String::as_str).collect()),
        },
    }
}

/// Returns the text of `sh -c TEXT` and `sh -e -c TEXT`, the usual forms of a phase's own command.
pub fn shell_line(argv: &[String]) -> Option<&str> {
    match argv {
        [shell, options @ .., line]
            if (shell == "sh" || shell == "bash")
                && (options == ["-c"] || options == ["-e", "-c"]) =>
        {
            Some(line)
        }
        _ => None,
    }
}

/// Splits a line into simple commands and their words; removes quotes, keeps expansions as written.
pub fn commands(command: &CommandLine) -> Vec<Vec<String>> {
    let line = match program_of(command) {
        Program::Line(line) => line,
        Program::Words(words) => return vec![words.into_iter().map(str::to_owned).collect()],
    };
    line.split(['&', ';', '|', '\n', '(', ')'])
        .map(|part| {
            let words = part.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
            words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
        })
        .filter(|words: &Vec<String>| !words.is_empty())
        .collect()
}

/// Returns the directory of `cd DIR && command`, relative to the starting directory `top`.
pub fn directory(command: &CommandLine, top: &Path) -> Option<String> {
    let commands = commands(command);
    let [cd, dir] = commands.first()?.as_slice() else { return None };
    let dir = Path::new(dir).strip_prefix(top).ok().and_then(Path::to_str).unwrap_or(dir);
    (cd == "cd" && !dir.starts_with(['/', '~', '$']))
        .then(|| dir.trim_end_matches('/').trim_start_matches("./").to_owned())
}

/// Returns the last command of a line if the line consists of consecutive simple commands only.
fn last_simple(line: &str) -> Option<Vec<&str>> {
    let last = line.trim().rsplit("&&").next()?;
    let opens = last.contains(['"', '\'', '$', '\\']);
    (is_simple(last) && !opens).then(|| last.split_whitespace().collect())
}

/// Reads preparations followed by one simple command: `cd backend && python -m pytest -q`.
fn prepared_command(line: &str) -> Option<Vec<&str>> {
    let mut parts: Vec<&str> = line.trim().split("&&").map(str::trim).collect();
    let last = parts.pop()?;
    let prepares = |part: &&str| {
        let first = part.split_whitespace().next().unwrap_or_default();
        matches!(first, "cd" | "export" | "." | "source") && is_simple(part)
    };
    (parts.iter().all(prepares) && is_simple(last)).then(|| last.split_whitespace().collect())
}

/// Whether the text is a single command, without operators, expansions or comments.
fn is_simple(part: &str) -> bool {
    !part.contains([';', '|', '&', '<', '>', '`', '(', ')', '{', '}', '\n', '#'])
        && !part.contains("$(")
}

/// Removes launchers: `FOO=1 env BAR=2 uv run pytest` is `pytest`.
fn without_launchers<'a, 'b>(
    mut words: &'b [&'a str],
    is_ours: &dyn Fn(&str) -> bool,
) -> &'b [&'a str] {
    loop {
        words = match words {
            ["env", rest @ ..] => rest,
            ["uv" | "poetry" | "pipenv" | "pdm" | "hatch" | "rye", "run", rest @ ..] => rest,
            [first, rest @ ..] if is_assignment(first, is_ours) => rest,
            _ => return words,
        };
    }
}

fn is_assignment(word: &str, is_ours: &dyn Fn(&str) -> bool) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    !is_ours(name)
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> CommandLine {
        CommandLine::Shell(text.to_owned())
    }

    #[test]
    fn the_directory_and_the_commands_of_a_line_are_known() {
        let directory = |text: &str| directory(&line(text), Path::new("/copy"));
        assert_eq!(directory("cd ./backend/ && pytest").as_deref(), Some("backend"));
        assert_eq!(directory("cd /copy/backend && pytest").as_deref(), Some("backend"));
        assert_eq!(directory("cd /copy && pytest").as_deref(), Some(""));
        assert_eq!(directory("cd /srv && pytest"), None);
        assert_eq!(directory("pytest"), None);
        let words = commands(&line("cd x && A=1 python -m pytest 'a b'"));
        assert_eq!(words[0], ["cd", "x"]);
        assert_eq!(words[1][..4], ["A=1", "python", "-m", "pytest"]);
    }

    #[test]
    fn arguments_can_be_appended_to_the_last_command() {
        let last = |text: &str| last_command(&line(text), &|_| false).map(|words| words.join(" "));
        assert_eq!(last("npm ci && CI=1 npm run -s unit").as_deref(), Some("npm run -s unit"));
        assert_eq!(last("npx vitest").as_deref(), Some("npx vitest"));
        for text in ["npm test | tee x", "npm test; true", "npm test \"$X\""] {
            assert_eq!(last(text), None, "{text}");
        }
    }
}
