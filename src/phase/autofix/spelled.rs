//! Specs derived from bytes: every input is valid and each byte is a choice, so the fuzzer spends its time on
//! specs instead of JSON syntax.

use serde_json::{Map, Value, json};

/// Field names known to the auto-fixer.
pub const KEYS: [&str; 33] = [
    "phase_id",
    "id",
    "name",
    "description",
    "goal",
    "category",
    "complexity",
    "deliverables",
    "scope",
    "paths",
    "read_only_context",
    "protected_paths",
    "allowed_paths",
    "acceptance_criteria",
    "ci",
    "pytest",
    "timeout_seconds",
    "per_test_timeout",
    "command",
    "metadata",
    "output_file",
    "files_to_modify",
    "path",
    "reason",
    "file",
    "depends_on",
    "max_attempts",
    "agent",
    "test_cmd",
    "cmd",
    "commands",
    "_autofix_v1_applied",
    "two words",
];

/// Building blocks of paths and the words around them.
pub const PIECES: [&str; 62] = [
    "src/a.py",
    "src\\b.py",
    "docs/",
    "README.md",
    "main.py",
    "Makefile",
    "../",
    "..",
    "/",
    "\\",
    "./",
    ".",
    "~/",
    "~",
    "C:\\",
    "C:",
    ".git/",
    ".git",
    ".autopack/x.py",
    "/home/u/project/",
    "/home/u/",
    "*",
    "**",
    "**/*.py",
    "?",
    "[slug]",
    "(auth)",
    "{a,b}",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "`",
    "\"",
    "'",
    "- ",
    "* ",
    "1. ",
    "[x] ",
    ":",
    ": ",
    ", ",
    ";",
    " ",
    " - ",
    " -> ",
    "\n",
    "\0",
    "\u{feff}",
    "é",
    "Delete ",
    "and ",
    "the",
    "words",
    "#",
    "::",
    "<",
    ">",
    "=",
    "x",
];

const NUMBERS: [i64; 8] = [0, -1, 1, 3, 60, 900, 5_000, i64::MAX];
const DEEPEST: usize = 4;

/// Builds an object that resembles a phase more than arbitrary JSON does.
pub fn spec(bytes: &[u8]) -> Value {
    let mut spelled = WordReader(bytes.iter());
    let mut spec = spelled.object(1);
    spec["deliverables"] = spelled.value(1);
    spec["scope"] = spelled.value(1);
    let more = spelled.object(1);
    spec.as_object_mut()
        .into_iter()
        .for_each(|fields| fields.extend(more.as_object().cloned().unwrap_or_default()));
    spec
}

struct WordReader<'a>(std::slice::Iter<'a, u8>);

impl WordReader<'_> {
    /// Returns the next byte, or 0 at the end of input. 0 ends every list.
    fn choice(&mut self) -> usize {
        self.0.next().copied().map_or(0, usize::from)
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.choice() % 8 {
            0..=3 => self.text().into(),
            4 => match self.choice() % 12 {
                0 => Value::Null,
                1 => true.into(),
                2 => false.into(),
                3 => json!(1.5e300),
                number => NUMBERS[number - 4].into(),
            },
            5 | 6 if depth < DEEPEST => {
                let length = self.choice() % 6;
                (0..length).map(|_| self.value(depth + 1)).collect()
            }
            7 if depth < DEEPEST => self.object(depth + 1),
            _ => self.text().into(),
        }
    }

    fn object(&mut self, depth: usize) -> Value {
        let fields = self.choice() % 5;
        let fields = (0..fields).map(|_| {
            let key = match self.choice() {
                known if known < 224 => KEYS[known % KEYS.len()].to_owned(),
                _ => self.text(),
            };
            (key, self.value(depth))
        });
        Value::Object(fields.collect::<Map<_, _>>())
    }

    fn text(&mut self) -> String {
        let pieces = self.choice() % 8;
        let piece = |choice: usize| match choice {
            known if known < 248 => PIECES[known % PIECES.len()],
            odd => ["\u{202e}", "\t", "\r\n", "\u{0}", "日本", "𝒳", "%2e%2e", "\u{a0}"][odd - 248],
        };
        (0..pieces).map(|_| piece(self.choice())).collect()
    }
}
