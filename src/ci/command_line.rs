//! Looking at a command without changing it: is it plainly one of the runners whose single results can be read?

use crate::config::CommandLine;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Pytest,
    CargoTest,
    GoTest,
    Other,
}

/// Only what is certain: a wrong guess would take one test program's results for the whole.
pub fn shape(command: &CommandLine) -> Shape {
    match command {
        CommandLine::Argv(argv) => match shell_line(argv) {
            Some(line) => shape_of_line(line),
            None => shape_of_words(argv.iter().map(String::as_str).collect()),
        },
        CommandLine::Shell(line) => shape_of_line(line),
    }
}

/// The text of `sh -c TEXT` and of `sh -e -c TEXT`, which is how a phase's own command may come.
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

/// `cd backend && python -m pytest -q`: preparations, then one simple command.
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

/// No operator, expansion or comment that would make it more than one command.
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

/// Not where it stops at the first failure or runs only the last ones: what did not run says nothing.
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
    // Both change what the output looks like.
    let unreadable = |arg: &&str| {
        matches!(*arg, "-q" | "--quiet" | "--nocapture" | "--no-capture" | "--show-output")
            || arg.starts_with("--format")
            || arg.starts_with("--message-format")
    };
    if is_test && !args.any(unreadable) { Shape::CargoTest } else { Shape::Other }
}

/// Not where what is printed is no longer go's own.
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

/// `FOO=1 env BAR=2 uv run pytest` is `pytest`.
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
    // Ours would be overridden by it, and its value is not ours to parse.
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
