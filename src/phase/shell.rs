//! Texts for the shell: how one is run, so that a text of several lines is red where any of them is.

/// What a line may not begin with, to be a command by itself.
const WITHIN: [&str; 19] = [
    "if", "then", "elif", "else", "fi", "for", "while", "until", "do", "done", "case", "esac",
    "select", "function", "{", "}", "&&", "||", "|",
];

/// The program and its arguments. One line is `sh -c`, as anybody would type it. Of several lines each has to pass, and
/// the first that does not is the last: `sh -e`.
pub fn argv(text: &str) -> Vec<String> {
    if !has_lines(text) {
        return ["sh", "-c", text].map(str::to_owned).to_vec();
    }
    ["sh", "-e", "-c", &guarded(text)].map(str::to_owned).to_vec()
}

/// Whether a text is more than one line.
pub fn has_lines(text: &str) -> bool {
    text.trim().contains('\n')
}

/// A text as a message has it, which is one line.
pub fn in_one_line(text: &str) -> String {
    text.trim().lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

/// `sh -e` overlooks `a && b` where `a` fails, and `! a`. Where every line is plainly a command by itself, such lines end
/// the script by their own exit code; where lines belong together, the text stays as it is.
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

/// Nothing in it is opened that another line closes.
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
