//! Normalization of errors: removes the parts that vary between runs, so that the same error is found again: line
//! numbers, addresses, times, temporary paths, colors.
//!
//! Pure, and idempotent: `normalise(normalise(x)) == normalise(x)`.

use std::sync::LazyLock;

use regex::Regex;

/// Rules in order: longer and more specific rules first, so that a time is not mistaken for a line number.
const RULES: &[(&str, &str)] = &[
    // Terminal colors and cursor moves.
    (r"\x1b\[[0-9;?]*[A-Za-z]", ""),
    (r"\r", ""),
    // A slot in any location: each attempt may use another slot. Before the rule for commit hashes, because of the hash
    // in the path.
    (
        r"[^\s'\x22(]*/[A-Za-z0-9._-]+-[0-9a-f]{8}/[A-Za-z0-9._-]+-[0-9a-f]{4}-\d+(-ci)?(\.git)?/",
        "",
    ),
    (r"[^\s'\x22(]*/\.autopack/slots/[^\s/]+/", ""),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?([.,]\d+)?(\s?(Z|UTC|[+-]\d\d:?\d\d))?", "<time>"),
    (
        r"\b((Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? )?(\d{1,2} )?(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]* ( ?\d{1,2},? )?(\d{4} )?\d\d:\d\d(:\d\d)?([.,]\d+)?( \d{4}| GMT| UTC| [+-]\d{4})?\b",
        "<time>",
    ),
    (r"\b\d{4}/\d\d/\d\d \d\d:\d\d:\d\d([.,]\d+)?\b", "<time>"),
    (r"\b\d{1,2}:\d\d:\d\d([.,]\d+)?\b", "<time>"),
    (r"\b\d{4}-\d\d-\d\d\b", "<date>"),
    (r"(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<id>"),
    (r"(?i)\b0x[0-9a-f]+\b", "<addr>"),
    (r"\b([0-9a-f]*[0-9][0-9a-f]*[a-f]|[0-9a-f]*[a-f][0-9a-f]*[0-9])[0-9a-f]*\b", "<hex>"),
    // macOS's, a directory for each user.
    (r"(/private)?/var/folders/[^\s/]+/[^\s/]+/T/((\.?tmp|pytest-)[^\s/:'\x22,)]*/)*", "<tmp>/"),
    // A temporary path up to the part chosen by a person.
    (
        r"(/private)?(/tmp|/var/tmp|/var/folders|/dev/shm)(/[^\s/:'\x22,)]+)*?(/(tmp|pytest-|\.tmp|T/)[^\s/:'\x22,)]*)*/",
        "<tmp>/",
    ),
    // Go's: a test's name, a number, a count.
    (r"<tmp>/(Test[A-Za-z_]*)\d+/\d{3}/", "<tmp>/$1/"),
    (r"(?i)[a-z]:\\(users\\[^\s\\]+\\appdata\\local\\)?temp\\[^\s\\:'\x22]+", "<tmp>"),
    (r"(/home|/Users)/[^\s/:'\x22]+/", "<home>/"),
    (
        r"(?i)\b(lines?|ln|col|column|char|offset|position|pid|thread|port|goroutine|seed)([ =:#]+)\d+(-\d+)?",
        "$1$2<n>",
    ),
    (r"(\.[A-Za-z]{1,5}):\d+(:\d+)?", "$1:<n>"),
    // Files without an extension: after a slash, or known by name.
    (r"(/[A-Za-z_][A-Za-z0-9_-]*|\b(?:Make|Docker|Just|Proc|Jenkins)file):\d+(:\d+)?\b", "$1:<n>"),
    (r"(ThreadId|<\w+ Task-|\bTask-|\bThread-|\bworker-)\(?\d+\)?", "$1<n>"),
    (r"\((\d+),\s?(\d+)\)", "(<n>,<n>)"),
    (r"\b\d+([.,]\d+)?\s?(ms|s|sec|secs|seconds|min|minutes|us|µs|ns)\b", "<duration>"),
    (r"(127\.0\.0\.1|localhost|0\.0\.0\.0|\[::1?\]):\d+", "$1:<n>"),
    (r"(?m)^\s*\d+\s*\|", "<n> |"),
    (r"\b\d{5,}(\.\d+)?\b", "<n>"),
    (r"[ \t]+", " "),
    (r"(?m) $", ""),
    (r"\n{2,}", "\n"),
];

/// Shorter words like `add` and `bad1` look like hexadecimal too.
const SHORTEST_HEX: usize = 7;

/// A pass may create text matched by an earlier rule.
const MOST_PASSES: usize = 8;

/// Normalizes an error message.
pub fn normalise(error: &str) -> String {
    let mut text = one_pass(error);
    for _ in 1..MOST_PASSES {
        let next = one_pass(&text);
        if next == text {
            break;
        }
        text = next;
    }
    text
}

fn one_pass(error: &str) -> String {
    static COMPILED: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let compile = |(rule, to): &(&str, &'static str)| {
            (Regex::new(rule).expect("the rules above are regular expressions"), *to)
        };
        RULES.iter().map(compile).collect()
    });
    let mut text = error.to_owned();
    for (rule, to) in COMPILED.iter() {
        let replaced = if *to == "<hex>" {
            rule.replace_all(&text, |found: &regex::Captures<'_>| {
                if found[0].len() < SHORTEST_HEX { found[0].to_owned() } else { (*to).to_owned() }
            })
        } else {
            rule.replace_all(&text, *to)
        };
        text = replaced.into_owned();
    }
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_error_of_another_day_is_the_same_text() {
        let pairs = [
            (
                "File \"/tmp/pytest-of-root/pytest-7/test_a0/x.py\", line 12, in f\nKeyError: 'a'",
                "File \"/tmp/pytest-of-ci/pytest-93/test_a0/x.py\", line 120, in f\nKeyError: 'a'",
            ),
            (
                "src/main.rs:10:5: error[E0308]: mismatched types",
                "src/main.rs:99:13: error[E0308]: mismatched types",
            ),
            ("<Foo object at 0x7f3a2c> leaked", "<Foo object at 0x55aa01f0> leaked"),
            ("2026-01-02T03:04:05.678Z ERROR refused", "2025-11-12 13:14:15 ERROR refused"),
            ("FAILED in 3.41s", "FAILED in 12.01s"),
            ("connect to 127.0.0.1:54321 failed", "connect to 127.0.0.1:8080 failed"),
            ("\u{1b}[31mE   assert 1 == 2\u{1b}[0m", "E assert 1 == 2"),
            (
                "request 3f2b8c1e-0d5a-4b7e-9c1d-2a3b4c5d6e7f failed",
                "request 00000000-1111-2222-3333-444444444444 failed",
            ),
            (
                "/w/repo/.autopack/slots/1/src/a.py:3: boom",
                "/w/repo/.autopack/slots/12/src/a.py:44: boom",
            ),
            (
                "/h/.local/state/autopack/app-1a2b3c4d/app-1a2b-1/src/a.py:3: boom",
                "/var/tmp/autopack-1000/my.app-00000000/my.app-0000-12-ci/src/a.py:44: boom",
            ),
            ("commit 9f8e7d6c5b not found", "commit 1a2b3c4d5e not found"),
            ("Mon, 02 Jan 2026 15:04:05 GMT refused", "Tue, 13 Oct 2025 01:02:03 GMT refused"),
            ("Jan  2 15:04:05 host sshd: refused", "Dec 31 01:02:03 host sshd: refused"),
            ("2026/01/02 15:04:05 listen failed", "2025/11/12 01:02:03 listen failed"),
            ("--- FAIL: TestLogin (0.00s)", "--- FAIL: TestLogin (1.23s)"),
            ("goroutine 18 [running]:", "goroutine 7 [running]:"),
            ("\t/w/a/main.go:31 +0x1d", "\t/w/a/main.go:7 +0xf3"),
            ("Makefile:12: recipe failed", "Makefile:98: recipe failed"),
            (
                "thread 'main' (12345) panicked at src/a.rs:1:2:",
                "thread 'main' (99887) panicked at src/a.rs:30:4:",
            ),
            ("open /tmp/TestRead123/001/a.txt: gone", "open /tmp/TestRead98/002/a.txt: gone"),
            (
                "open /var/folders/ab/cd12/T/tmpx1y2/a.txt: gone",
                "open /var/folders/zz/q/T/tmp8u/a.txt: gone",
            ),
            ("at f (/home/ann/p/y.js:1:2)", "at f (/home/bob/p/y.js:33:20)"),
            ("__ ERROR at 1736951234.123: boom", "__ ERROR at 1799999999.9: boom"),
        ];
        for (a, b) in pairs {
            assert_eq!(normalise(a), normalise(b));
        }
    }

    #[test]
    fn distinguishing_details_stay() {
        for text in [
            "KeyError: 'user_id'",
            "HTTP 404 for /api/users",
            "expected 3 arguments, got 2",
            "error[E0308]: mismatched types in src/decade/facade.rs",
            "assert 1 == 2",
            "python3.11 is missing libfoo.so.6",
            "exit code 137",
            "assertion `left == right` failed left: 3 right: 4",
            "cannot GET /users/42",
            "expected 10 May entries",
        ] {
            assert_eq!(normalise(text), text);
        }
        assert_ne!(normalise("/tmp/a/one.py: boom"), normalise("/tmp/a/two.py: boom"));
    }

    proptest::proptest! {
        #[test]
        fn normalising_twice_is_normalising_once(text in "[ -~\n]{0,120}") {
            let once = normalise(&text);
            proptest::prop_assert_eq!(normalise(&once), once);
        }
    }
}
