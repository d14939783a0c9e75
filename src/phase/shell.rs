//! Shell commands: conversion of text to arguments, such that a multi-line text fails if any line fails.

/// Words a line must not begin with to be a command of its own.
const WITHIN: [&str; 19] = [
    "if", "then", "elif", "else", "fi", "for", "while", "until", "do", "done", "case", "esac",
    "select", "function", "{", "}", "&&", "||", "|",
];

/// Returns the program and its arguments. A single line runs with `sh -c`, as typed. Several lines run with
/// `sh -e` and stop at the first failure.
pub fn argv(text: &str) -> Vec<String> {
    if !has_lines(text) {
        return ["sh", "-c", text].map(str::to_owned).to_vec();
    }
    ["sh", "-e", "-c", &guarded(text)].map(str::to_owned).to_vec()
}

/// Checks whether a text has more than one line.
pub fn has_lines(text: &str) -> bool {
    text.trim().contains('\n')
}

/// Formats a text as a single line, for messages.
pub fn in_one_line(text: &str) -> String {
    text.trim().lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

/// Guards lines against gaps of `sh -e`, which ignores a failing `a` in `a && b`, and `! a`. If every line is
/// a complete command, such lines end the script with their own exit code; if lines belong together, the text
/// stays unchanged.
fn guarded(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    if !lines.iter().all(|line| is_whole(line.trim())) {
        return lines.join("\n");
    }
    let guard = |line: &&str| match is_overlooked(line.trim()) {
        true => format!("{{ {line}\n}} || exit"),
        false => (*line).to_owned(),
    };
    lines.iter().map(guard).collect::<Vec<_>>().join("\n")
}

fn is_overlooked(line: &str) -> bool {
    let negated = line.split_whitespace().next() == Some("!");
    (negated || line.contains("&&")) && !line.contains(';') && !line.starts_with('#')
}

/// Checks that the line opens nothing closed by another line.
fn is_whole(line: &str) -> bool {
    let count = |c: char| line.matches(c).count();
    let first = line.split_whitespace().next().unwrap_or_default();
    let goes_on = ["\\", "|", "&&"].iter().any(|end| line.ends_with(end));
    line.starts_with('#')
        || !(WITHIN.contains(&first) || goes_on || line.contains("<<"))
            && ['\'', '"', '`'].iter().all(|quote| count(*quote) % 2 == 0)
            && count('(') == count(')')
            && count('{') == count('}')
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn passes(text: &str) -> bool {
        let argv = argv(text);
        Command::new(&argv[0]).args(&argv[1..]).output().unwrap().status.success()
    }

    #[test]
    fn of_several_lines_each_has_to_pass() {
        for red in [
            "false\ntrue",
            "true\nfalse\n",
            "false && true\ntrue",
            "! true\ntrue",
            "cd / && false && true # why\necho done",
            "for i in 1 2; do\n  false\ndone\necho done",
            "false\r\ntrue",
            "false | false\ntrue",
        ] {
            assert!(!passes(red), "{red:?}");
        }
        for green in [
            "true\ntrue",
            "# a remark && more\n\n! false\ncd / && true\ntest \"$PWD\" = /",
            "if true &&\n   true\nthen\n  :\nfi",
            "cat <<END\na && b\nEND\ntrue",
            "echo 'a\n! b && c'\ntrue",
            "false || true\ntrue",
        ] {
            assert!(passes(green), "{green:?}");
        }
    }

    #[test]
    fn one_line_is_what_the_shell_makes_of_it() {
        assert_eq!(argv("false; true\n"), ["sh", "-c", "false; true\n"]);
        assert!(passes("false; true"));
        assert_eq!(in_one_line("make lint\n  make test\n"), "make lint; make test");
    }
}
