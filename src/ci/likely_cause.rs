//! Guesses the cause of a red CI run from the output: a missing setup, link, service or variable. Pure.

use std::sync::LazyLock;

use regex::Regex;

/// A pattern in the output and the advice; `$1` is the captured name.
struct OutputHint {
    pattern: Regex,
    cure: &'static str,
}

/// The first match counts, so the most specific patterns come first.
static HINTS: LazyLock<Vec<OutputHint>> = LazyLock::new(|| {
    [
        (
            r"(?:ModuleNotFoundError: )?No module named '?([A-Za-z0-9_.]+)'?",
            "the Python module $1 is not installed where CI runs: install it in workspace.setup \
             (such as `pip install -r requirements.txt`), or share your environment with workspace.link: [.venv]",
        ),
        (
            r"Cannot find (?:module|package) '([^./'][^']*)'",
            "the Node package $1 is not installed where CI runs: set workspace.setup: npm ci, or workspace.link: [node_modules]",
        ),
        (
            r"(?m)\b(jest|vitest|mocha|tsc|eslint|next|vite|react-scripts|ava|nyc|c8|playwright): (?:command )?not found",
            "the program $1 of node_modules is not installed where CI runs: set workspace.setup: npm ci, or workspace.link: [node_modules]",
        ),
        (
            r"vendor/autoload\.php",
            "vendor/ is not installed where CI runs: set workspace.setup: composer install, or workspace.link: [vendor]",
        ),
        (
            r"Could not find (?:gem )?'?([A-Za-z0-9_-]+)[^\n]* in (?:any of the sources|locally installed gems)",
            "the gem $1 is not installed where CI runs: set workspace.setup: bundle install",
        ),
        (
            r"(?:no required module provides package|missing go\.sum entry for module providing package) ([^\s;:]+)",
            "the Go module of $1 is missing from go.mod or go.sum: run `go mod tidy` and commit the result",
        ),
        (
            r"(?i)(?:ECONNREFUSED|connection refused)[^\n]*?([A-Za-z0-9_.-]+:\d{2,5})",
            "nothing listens at $1: start that service before the drain, or in ci.command",
        ),
        (
            r"(?i)()(?:ECONNREFUSED|connection refused|could not connect to server)",
            "a service that CI talks to is not running: start it before the drain, or in ci.command",
        ),
        (
            r"KeyError: '([A-Z][A-Z0-9_]{2,})'",
            "the variable $1 is not set: export it before the drain",
        ),
        (
            r"(?i:(?:missing|required|undefined|no)(?: required)? (?:environment|env)(?:ironment)? ?(?:variable|var)?s?:? *)[`'\x22]?([A-Z][A-Z0-9_]{2,})",
            "the variable $1 is not set: export it before the drain",
        ),
        (
            r"[`'\x22]?\b([A-Z][A-Z0-9]*_[A-Z0-9_]+)\b[`'\x22]?(?: environment variable)?:? (?:is|was|must be|not)\b[^\n]{0,12}\b(?:set|defined|required|missing|unbound)",
            "the variable $1 is not set: export it before the drain",
        ),
        (
            r"([A-Z][A-Z0-9_]{2,}): (?:unbound variable|parameter not set|parameter null or not set)",
            "the variable $1 is not set: export it before the drain",
        ),
        (
            r"()(?:Could not resolve host|Temporary failure in name resolution|EAI_AGAIN|ENOTFOUND|failed to download)",
            "CI cannot download something: fetch dependencies in workspace.setup, or go online",
        ),
        (
            r"(?m)(?:^|: |\s)([A-Za-z0-9_.+-]+): (?:command )?not found",
            "$1 is not installed, or not on the PATH that the drain was started with",
        ),
        (
            r"'([A-Za-z0-9_.-]+)' does not appear to be a git repository",
            "CI and setup have only the remote origin, and only if your checkout has an origin: add it, fetch from the URL \
             of $1, or fetch before the drain, since tags and origin/* are copied",
        ),
        (
            r"(?:ENOENT|No such file or directory)[^\n]*?(node_modules|\.venv|venv)\b",
            "$1 is missing where CI runs: create it in workspace.setup, or share yours with workspace.link: [$1]",
        ),
        (
            r"(?:No such file or directory|ENOENT[^\n]*open):? '?([A-Za-z0-9_./-]*\.env[A-Za-z0-9_.-]*)",
            "$1 is missing where CI runs, since it is not committed: share yours with workspace.link: [$1]",
        ),
    ]
    .into_iter()
    .map(|(pattern, cure)| OutputHint { pattern: Regex::new(pattern).expect("a pattern"), cure })
    .collect()
});

/// Describes the likely missing piece and where to set it; `None` if the output gives no sign.
pub fn likely_cause(output: &str) -> Option<String> {
    HINTS.iter().find_map(|OutputHint { pattern, cure }| {
        let found = pattern.captures(output)?;
        Some(cure.replace("$1", found.get(1).map_or("", |name| name.as_str())))
    })
}

/// Returns the first withheld variable that the output names.
pub fn mentions_withheld<'a>(output: &str, withheld: &'a [String]) -> Option<&'a str> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let is_named = |name: &&String| {
        output.match_indices(name.as_str()).any(|(at, found)| {
            !output[..at].ends_with(is_part) && !output[at + found.len()..].starts_with(is_part)
        })
    };
    withheld.iter().find(is_named).map(String::as_str)
}

/// Names the key that passes on a variable withheld from CI, if the output names the variable.
pub fn name_withheld(why: String, output: &str, withheld: &[String]) -> String {
    let Some(name) = mentions_withheld(output, withheld) else { return why };
    let advice = format!(
        "{name} is withheld from CI, because its name looks like a secret's: set ci.env_pass: [{name}]"
    );
    let unset = format!("the variable {name} is not set: export it before the drain");
    match why.contains(&unset) {
        true => why.replace(&unset, &advice),
        false => format!("{why}; {advice}"),
    }
}

/// Returns the program not found by a shell, as named by the shell.
pub fn missing_program(output: &str) -> Option<&str> {
    output.lines().rev().find_map(|line| {
        let line = line.trim_end();
        let ends = [
            ": not found",
            ": command not found",
            ": No such file or directory",
            ": Permission denied",
        ];
        let rest = ends.iter().find_map(|end| line.strip_suffix(end))?;
        Some(rest.rsplit(": ").next().unwrap_or(rest).trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        for (output, named) in [
            ("E   ModuleNotFoundError: No module named 'flask'", "the Python module flask"),
            ("/usr/bin/python3: No module named pytest", "the Python module pytest"),
            ("Error: Cannot find module 'express'\nRequire stack:", "the Node package express"),
            (
                "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'zod' imported from",
                "the Node package zod",
            ),
            ("sh: 1: jest: not found", "the program jest of node_modules"),
            ("sh: 1: exec: no-such-program: not found", "no-such-program is not installed"),
            ("bash: mkae: command not found", "mkae is not installed"),
            ("Error: connect ECONNREFUSED 127.0.0.1:5432", "nothing listens at 127.0.0.1:5432"),
            ("connection to server failed: Connection refused", "a service that CI talks to"),
            ("    KeyError: 'DATABASE_URL'", "the variable DATABASE_URL is not set"),
            ("Error: Missing required environment variable STRIPE_KEY", "the variable STRIPE_KEY"),
            ("ValueError: SECRET_KEY must be set", "the variable SECRET_KEY"),
            ("sh: 1: API_TOKEN: parameter not set", "the variable API_TOKEN"),
            ("fatal: Could not resolve host: github.com", "cannot download"),
            (
                "fatal: 'upstream' does not appear to be a git repository",
                "fetch from the URL of upstream",
            ),
            (
                "open '/x/node_modules/a': ENOENT node_modules",
                "node_modules is missing where CI runs",
            ),
        ] {
            let cause = likely_cause(output).unwrap_or_default();
            assert!(cause.contains(named), "{output}: {cause}");
        }
    }

    #[test]
    fn a_withheld_variable_is_named_with_its_key() {
        let withheld = ["API_TOKEN".to_owned(), "STRIPE_KEY".to_owned()];
        let named = |output: &str| {
            let cause = likely_cause(output).unwrap_or_else(|| "red".to_owned());
            name_withheld(cause, output, &withheld)
        };
        let advice = "STRIPE_KEY is withheld from CI, because its name looks like a secret's: set ci.env_pass: [STRIPE_KEY]";
        assert_eq!(named("KeyError: 'STRIPE_KEY'"), advice);
        assert_eq!(named("no STRIPE_KEY here"), format!("red; {advice}"));
        assert_eq!(named("MY_STRIPE_KEY STRIPE_KEYS"), "red");
    }

    #[test]
    fn a_failing_test_is_no_cause() {
        for output in [
            "boom",
            "assert 1 == 2",
            "FAILED tests/test_a.py::test_x",
            "Cannot find module './a'",
            "",
        ] {
            assert_eq!(likely_cause(output), None, "{output}");
        }
    }

    #[test]
    fn the_program_that_is_missing_is_told_from_what_a_phase_makes() {
        for (output, program) in [
            ("sh: 1: exec: no-such: not found", Some("no-such")),
            ("sh: 1: ./check.sh: not found", Some("./check.sh")),
            ("bash: line 1: jq: command not found\n", Some("jq")),
            ("sh: 1: ./check.sh: Permission denied", Some("./check.sh")),
            ("boom", None),
        ] {
            assert_eq!(missing_program(output), program, "{output}");
        }
    }
}
