//! Extracts the text of a test function in Python, Rust and Go, to find the function after a rename or move, without
//! differences in whitespace. Pure.

use std::collections::BTreeMap;

/// Texts of test files by path, to tell moved and renamed tests from deleted ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Texts on the base.
    pub before: BTreeMap<String, String>,
    /// Texts after the attempt.
    pub now: BTreeMap<String, String>,
}

/// Returns a test's name within its file, without the file or test program before it.
///
/// `tests/test_a.py::TestX::test_y` -> `TestX::test_y`, `src/lib.rs (calc) tests::adds` -> `tests::adds`,
/// `example.com/m/a.TestX` -> `TestX`
pub fn path_in_file<'a>(function: &'a str, file: &str) -> &'a str {
    if let Some(rest) = function.strip_prefix(file).and_then(|rest| rest.strip_prefix("::")) {
        return rest;
    }
    if let Some((_, rest)) = function.split_once(") ") {
        return rest;
    }
    let name_start = function.rfind('/').map_or(0, |slash| slash + 1);
    match file.ends_with(".go") {
        true => function[name_start..].rsplit('.').next().unwrap_or(function),
        false => function,
    }
}

/// Returns the text after the function's name: arguments and lines, without their common indentation. `None` if the
/// function or its end is not found.
pub fn function_text(file: &str, text: &str, path: &str) -> Option<String> {
    let mut names = path.rsplit("::");
    let (name, class) = (names.next()?, names.next());
    match file.rsplit('.').next()? {
        "py" => python(text, name, class),
        "rs" => braces(text, &["fn "], name),
        "go" => braces(text, &["func "], name),
        _ => None,
    }
}

fn python(text: &str, name: &str, class: Option<&str>) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut classes: Vec<(usize, &str)> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let (indent, code) = split_indent(line);
        if code.is_empty() || code.starts_with('#') {
            continue;
        }
        classes.retain(|(outer, _)| *outer < indent);
        if let Some(rest) = code.strip_prefix("class ") {
            classes.push((indent, word(rest)));
        }
        let code = code.strip_prefix("async ").map_or(code, str::trim_start);
        let Some(rest) = code.strip_prefix("def ").and_then(|rest| after_name(rest, name)) else {
            continue;
        };
        if classes.last().map(|(_, class)| *class) != class {
            continue;
        }
        let inside = lines[at + 1..].iter().take_while(|line| {
            let (deeper, code) = split_indent(line);
            // The closing line of multi-line arguments has the same indentation as the name.
            code.is_empty() || deeper > indent || code.starts_with(')')
        });
        return Some(without_self(&join_lines(rest, inside.copied(), indent)));
    }
    None
}

/// Drops the first argument of a method, which a function does not have.
fn without_self(text: &str) -> String {
    let arguments = text.strip_prefix('(').map(str::trim_start);
    let rest = arguments.and_then(|text| text.strip_prefix("self")).map(str::trim_start);
    match rest.and_then(|rest| rest.strip_prefix(',').or(rest.starts_with(')').then_some(rest))) {
        Some(rest) => format!("({}", rest.trim_start()),
        None => text.to_owned(),
    }
}

/// Finds a function whose end is a brace with the indentation of its first line, as left by formatters.
fn braces(text: &str, keywords: &[&str], name: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let (indent, code) = split_indent(line);
        let mut starts = keywords.iter().filter_map(|keyword| {
            let found = code.find(keyword)?;
            let before = code[..found].trim_end();
            let is_start = before.is_empty() || before.ends_with([')', ']']) || is_words(before);
            after_name(&code[found + keyword.len()..], name).filter(|_| is_start)
        });
        let Some(rest) = starts.next() else { continue };
        if rest.trim_end().ends_with('}') {
            return Some(join_lines(rest, std::iter::empty(), indent));
        }
        let length = lines[at + 1..].iter().position(|line| {
            let (deeper, code) = split_indent(line);
            deeper == indent && code.starts_with('}')
        })?;
        return Some(join_lines(rest, lines[at + 1..=at + length].iter().copied(), indent));
    }
    None
}

/// `pub async unsafe`
fn is_words(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == ' ' || c == '_')
}

fn after_name<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let rest = text.trim_start().strip_prefix(name)?;
    rest.trim_start().starts_with(['(', '<', '[']).then_some(rest)
}

pub(super) fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

pub(super) fn split_indent(line: &str) -> (usize, &str) {
    let code = line.trim();
    (line.len() - line.trim_start().len(), code)
}

/// Joins lines without blank lines; indentation is counted in levels, and other whitespace only separates words.
pub(super) fn join_lines<'a>(
    first: &str,
    rest: impl Iterator<Item = &'a str>,
    indent: usize,
) -> String {
    let mut text = compact(first);
    let mut levels = vec![indent];
    for line in rest.filter(|line| !line.trim().is_empty()) {
        let (deep, code) = split_indent(line);
        levels.retain(|level| *level < deep);
        levels.push(deep);
        text.push('\n');
        text.push_str(&"    ".repeat(levels.len().saturating_sub(1)));
        text.push_str(&compact(code));
    }
    text
}

/// Drops whitespace next to punctuation, outside of quotes.
fn compact(line: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut text = String::with_capacity(line.len());
    let (mut quote, mut gap) = (None, false);
    let mut chars = line.trim().chars();
    while let Some(c) = chars.next() {
        if let Some(open) = quote {
            text.push(c);
            match c {
                '\\' => text.extend(chars.next()),
                _ => quote = (c != open).then_some(open),
            }
            continue;
        }
        if c.is_whitespace() {
            gap = true;
            continue;
        }
        if gap && is_word(c) && text.chars().next_back().is_some_and(is_word) {
            text.push(' ');
        }
        gap = false;
        quote = matches!(c, '"' | '\'' | '`').then_some(c);
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PYTHON: &str = "import a\n\ndef test_x(tmp):\n    assert a.f(tmp)\n\n    assert 1\n\n\
        class TestA:\n    def test_x(self): pass\n\n    async def test_long(\n        self,\n    ):\n        assert 2\n\n\
        class TestB:\n    def test_x(self):\n        assert 3\n\nX = 1\n";

    #[test]
    fn a_python_function_is_told_by_its_class() {
        let body = |path| function_text("tests/test_a.py", PYTHON, path);
        assert_eq!(body("test_x").as_deref(), Some("(tmp):\n    assert a.f(tmp)\n    assert 1"));
        assert_eq!(body("TestA::test_x").as_deref(), Some("():pass"));
        assert_eq!(body("TestB::test_x").as_deref(), Some("():\n    assert 3"));
        assert_eq!(body("TestA::test_long").as_deref(), Some("():\n    assert 2"));
        assert_eq!((body("test_y"), body("TestC::test_x"), body("X")), (None, None, None));
    }

    #[test]
    fn functions_with_braces_end_where_they_began() {
        let rust = "mod tests {\n    #[test]\n    fn adds() {\n        if true {\n        }\n        assert!(f());\n    }\n    #[test] fn short() { g() }\n}\n";
        let body_of = |path| function_text("src/lib.rs", rust, path);
        let adds = "(){\n    if true{\n    }\n    assert!(f());";
        assert_eq!(body_of("tests::adds").as_deref(), Some(adds));
        assert_eq!(body_of("tests::short").as_deref(), Some("(){g()}"));
        assert_eq!(body_of("tests::add"), None);
        let go = "func TestX(t *testing.T) {\n\tt.Fatal()\n}\n";
        assert_eq!(
            function_text("a/a_test.go", go, "TestX").as_deref(),
            Some("(t*testing.T){\n    t.Fatal()")
        );
    }

    #[test]
    fn a_body_does_not_depend_on_class_and_whitespace() {
        let body = |text: &str, path| function_text("t.py", text, path).unwrap();
        let plain = body("def test_x(tmp):\n    assert add(5,5) == 10\n", "test_x");
        let method = "class T:\n  def test_y(self, tmp):\n\n      assert add(5, 5)==10\n";
        assert_eq!(body(method, "T::test_y"), plain);
        assert_ne!(body("def test_x(tmp):\n    assert add(5, 5) == 'a b'\n", "test_x"), plain);
        let quoted = |text: &str| body(&format!("def test_x():\n    f('{text}')\n"), "test_x");
        assert_ne!(quoted("a  b"), quoted("a b"));
    }

    #[test]
    fn names_stand_without_their_file() {
        for (function, file, expected) in [
            ("tests/a.py::T::x", "tests/a.py", "T::x"),
            ("src/lib.rs (calc) tests::adds", "core/src/lib.rs", "tests::adds"),
            ("gopkg.in/yaml.v2.TestX", "x_test.go", "TestX"),
            ("somewhere", "a.py", "somewhere"),
        ] {
            assert_eq!(path_in_file(function, file), expected);
        }
    }
}
