//! Recognizes test runners in command lines without changing them, to know whether individual results can be read.

use std::path::Path;

use crate::config::CommandLine;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Pytest,
    CargoTest,
    GoTest,
    Other,
}

/// Returns the runner of a command if certain: with a wrong guess, results of one test program would pass for the
/// whole.
pub fn shape(command: &CommandLine) -> Shape {
    match command {
        CommandLine::Argv(argv) => match shell_line(argv) {
            Some(line) => shape_of_line(line),
            None => shape_of_words(argv.iter().map(String::as_str).collect()),
        },
        CommandLine::Shell(line) => shape_of_line(line),
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
    let line = match command {
        CommandLine::Shell(line) => line.as_str(),
        CommandLine::Argv(argv) => match shell_line(argv) {
            Some(line) => line,
            None => return vec![argv.clone()],
        },
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

/// The script of `package.json` at the end of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeScript {
    pub name: String,
    /// Whether `--` must separate script arguments from the package manager's own.
    needs_separator: bool,
}

impl NodeScript {
    /// Returns the given arguments, with a separator if needed to reach the script.
    pub fn arguments(&self, arguments: Vec<String>) -> Vec<String> {
        let separator = (self.needs_separator && !arguments.is_empty()).then(|| "--".to_owned());
        separator.into_iter().chain(arguments).collect()
    }
}

/// Returns the script called by a command, if arguments appended to the command reach the script.
pub fn node_script(command: &CommandLine) -> Option<NodeScript> {
    let words = match command {
        CommandLine::Shell(line) => last_simple(line)?,
        CommandLine::Argv(argv) => match shell_line(argv) {
            Some(line) => last_simple(line)?,
            None => argv.iter().map(String::as_str).collect(),
        },
    };
    let words = without_launchers(&words);
    let (manager, rest) = words.split_first()?;
    if !matches!(*manager, "npm" | "pnpm" | "yarn" | "bun") {
        return None;
    }
    let is_option = |word: &&&str| word.starts_with('-') && **word != "--";
    let rest: Vec<&str> = rest.iter().filter(|word| !is_option(word)).copied().collect();
    let (name, rest) = match rest.split_first()? {
        (&("test" | "t"), rest) if *manager != "bun" => ("test", rest),
        (&("run" | "run-script"), rest) => rest.split_first().map(|(name, rest)| (*name, rest))?,
        (name, rest) if *manager == "yarn" => (*name, rest),
        _ => return None,
    };
    let needs_separator = *manager == "npm" && !rest.contains(&"--");
    Some(NodeScript { name: name.to_owned(), needs_separator })
}

/// Returns the last command of a line if the line consists of consecutive simple commands only.
fn last_simple(line: &str) -> Option<Vec<&str>> {
    let last = line.trim().rsplit("&&").next()?;
    let opens = last.contains(['"', '\'', '$', '\\']);
    (is_simple(last) && !opens).then(|| last.split_whitespace().collect())
}

/// Recognizes preparations followed by one simple command: `cd backend && python -m pytest -q`.
fn shape_of_line(line: &str) -> Shape {
    let mut parts: Vec<&str> = line.trim().split("&&").map(str::trim).collect();
    let Some(last) = parts.pop() else { return Shape::Other };
    let prepares = |part: &&str| {
        let first = part.split_whitespace().next().unwrap_or_default();
        matches!(first, "cd" | "export" | "." | "source") && is_simple(part)
    };
    if !parts.iter().all(prepares) || !is_simple(last) {
        return Shape::Other;
    }
    shape_of_words(last.split_whitespace().collect())
}

/// Whether the text is a single command, without operators, expansions or comments.
fn is_simple(part: &str) -> bool {
    !part.contains([';', '|', '&', '<', '>', '`', '(', ')', '{', '}', '\n', '#'])
        && !part.contains("$(")
}

fn shape_of_words(words: Vec<&str>) -> Shape {
    let words = without_launchers(&words);
    let Some((program, rest)) = words.split_first() else { return Shape::Other };
    let name = program.rsplit('/').next().unwrap_or(program);
    let is_python = name
        .strip_prefix("python")
        .is_some_and(|version| version.chars().all(|c| c.is_ascii_digit() || c == '.'));
    match name {
        "pytest" | "py.test" => pytest_shape(rest),
        _ if is_python && runs_module(rest, "pytest") => pytest_shape(rest),
        "cargo" => cargo_shape(rest),
        "go" => go_shape(rest),
        _ => Shape::Other,
    }
}

fn runs_module(args: &[&str], module: &str) -> bool {
    let mut args = args.iter().skip_while(|arg| arg.starts_with('-') && **arg != "-m");
    args.next() == Some(&"-m") && args.next() == Some(&module)
}

/// Excludes options to stop at the first failure or to run only the last failures: tests that did not run prove
/// nothing.
fn pytest_shape(args: &[&str]) -> Shape {
    let partial = |arg: &&str| {
        let short = arg.starts_with('-') && !arg.starts_with("--") && !arg.contains('=');
        (short && arg.contains('x') && !arg.starts_with("-p") && !arg.starts_with("-k"))
            || ["--exitfirst", "--maxfail", "--last-failed", "--stepwise"]
                .iter()
                .any(|o| arg.starts_with(o))
            || matches!(*arg, "--lf" | "--sw" | "--junitxml" | "--junit-xml")
            || arg.starts_with("--junit")
    };
    if args.iter().any(partial) { Shape::Other } else { Shape::Pytest }
}

fn cargo_shape(args: &[&str]) -> Shape {
    let mut args = args.iter().filter(|arg| !arg.starts_with('+'));
    let is_test = matches!(args.next(), Some(&"test" | &"t"));
    // Both change the output format.
    let unreadable = |arg: &&str| {
        matches!(*arg, "-q" | "--quiet" | "--nocapture" | "--no-capture" | "--show-output")
            || arg.starts_with("--format")
            || arg.starts_with("--message-format")
    };
    if is_test && !args.any(unreadable) { Shape::CargoTest } else { Shape::Other }
}

/// Excludes options after which the output is no longer go's own.
fn go_shape(args: &[&str]) -> Shape {
    let unreadable = |arg: &&str| {
        let arg = arg.trim_start_matches('-');
        matches!(arg, "json" | "c" | "list" | "args" | "exec" | "o" | "failfast" | "n")
            || ["json=", "exec=", "o=", "list=", "failfast="].iter().any(|o| arg.starts_with(o))
    };
    match args.split_first() {
        Some((&"test", rest)) if !rest.iter().any(unreadable) => Shape::GoTest,
        _ => Shape::Other,
    }
}

/// Removes launchers: `FOO=1 env BAR=2 uv run pytest` is `pytest`.
fn without_launchers<'a, 'b>(mut words: &'b [&'a str]) -> &'b [&'a str] {
    loop {
        words = match words {
            ["env", rest @ ..] => rest,
            ["uv" | "poetry" | "pipenv" | "pdm" | "hatch" | "rye", "run", rest @ ..] => rest,
            [first, rest @ ..] if is_assignment(first) => rest,
            _ => return words,
        };
    }
}

fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    // This assignment would override autopack's own, and its syntax is pytest's.
    name != "PYTEST_ADDOPTS"
        && name != "GOFLAGS"
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Shape {
        shape(&CommandLine::Shell(line.to_owned()))
    }

    #[test]
    fn plain_pytest_is_recognised() {
        for line in [
            "pytest",
            "pytest -q tests/unit",
            "python3 -m pytest -v",
            "python3.11 -X dev -m pytest",
            ".venv/bin/python -m pytest",
            "cd backend && pytest",
            "FOO=1 uv run pytest -q",
            "export A=1 && cd x && env B=2 poetry run pytest",
        ] {
            let expected = if line.contains("-X dev") { Shape::Other } else { Shape::Pytest };
            assert_eq!(of(line), expected, "{line}");
        }
        let argv = ["/usr/bin/python3", "-m", "pytest"].map(str::to_owned).to_vec();
        assert_eq!(shape(&CommandLine::Argv(argv)), Shape::Pytest);
        let shell = ["sh", "-c", "cd x && pytest"].map(str::to_owned).to_vec();
        assert_eq!(shape(&CommandLine::Argv(shell)), Shape::Pytest);
    }

    #[test]
    fn plain_cargo_test_is_recognised() {
        assert_eq!(of("cargo test --workspace"), Shape::CargoTest);
        assert_eq!(of("cargo +nightly test"), Shape::CargoTest);
        assert_eq!(of("cargo test -q"), Shape::Other);
        assert_eq!(of("cargo test -- --nocapture"), Shape::Other);
        assert_eq!(of("cargo nextest run"), Shape::Other);
        assert_eq!(of("cargo build"), Shape::Other);
    }

    #[test]
    fn plain_go_test_is_recognised() {
        assert_eq!(of("go test ./..."), Shape::GoTest);
        assert_eq!(of("cd server && CGO_ENABLED=0 go test -race -v ./..."), Shape::GoTest);
        for line in [
            "go test -json ./...",
            "go vet ./...",
            "go test -c",
            "GOFLAGS=-v go test",
            "go test -args x",
        ] {
            assert_eq!(of(line), Shape::Other, "{line}");
        }
    }

    #[test]
    fn the_directory_and_the_script_of_a_line_are_known() {
        let line = |text: &str| CommandLine::Shell(text.to_owned());
        let directory = |text: &str| directory(&line(text), Path::new("/copy"));
        assert_eq!(directory("cd ./backend/ && pytest").as_deref(), Some("backend"));
        assert_eq!(directory("cd /copy/backend && pytest").as_deref(), Some("backend"));
        assert_eq!(directory("cd /copy && pytest").as_deref(), Some(""));
        assert_eq!(directory("cd /srv && pytest"), None);
        assert_eq!(directory("pytest"), None);
        let tuned = |text: &str| {
            let script = node_script(&line(text))?;
            let arguments = script.arguments(vec!["--run".to_owned()]);
            Some(format!("{} {}", script.name, arguments.join(" ")))
        };
        assert_eq!(tuned("npm test").as_deref(), Some("test -- --run"));
        assert_eq!(tuned("npm ci && CI=1 npm run -s unit -- --x").as_deref(), Some("unit --run"));
        assert_eq!(tuned("pnpm test").as_deref(), Some("test --run"));
        assert_eq!(tuned("yarn unit").as_deref(), Some("unit --run"));
        for text in [
            "npm ci",
            "npm test | tee x",
            "npm test; true",
            "npx vitest",
            "make test",
            "npm test \"$X\"",
        ] {
            assert_eq!(tuned(text), None, "{text}");
        }
        let words = commands(&line("cd x && A=1 python -m pytest 'a b'"));
        assert_eq!(words[0], ["cd", "x"]);
        assert_eq!(words[1][..4], ["A=1", "python", "-m", "pytest"]);
    }

    #[test]
    fn anything_more_is_judged_by_its_exit_code() {
        for line in [
            "pytest && npm test",
            "pytest; true",
            "pytest || true",
            "pytest | tee log",
            "make test",
            "$(which pytest)",
            "PYTEST_ADDOPTS=-q pytest",
            "pytest -qx",
            "pytest --maxfail=1",
            "python -m pytest --junitxml=report.xml",
            "python setup.py test",
            "pytest a && pytest b",
            "",
        ] {
            assert_eq!(of(line), Shape::Other, "{line}");
        }
    }
}
