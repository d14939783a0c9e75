//! Tests declared in a source file: names, texts, and whether they run. Pure.
//!
//! Declarations are found in the layout of common formatters. Tests made by other code have no declaration.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::test_source::{self, join_lines, split_indent, word};

/// A test as written in a file.
#[derive(Clone, Debug)]
pub struct DeclaredTest {
    /// Title or function name; of a method, after its class and `::`. Empty if the title is computed.
    pub name: String,
    /// Matches the names of a title with computed parts.
    pattern: Option<Regex>,
    /// The text without the name, without differences in whitespace. `None` if the end is not found.
    pub body: Option<String>,
    /// Whether the test runs, as far as the file tells.
    pub runs: bool,
}

impl DeclaredTest {
    /// Whether a runner prints this test with this name.
    pub fn is_named(&self, name: &str) -> bool {
        !self.name.is_empty() && self.name == name
            || self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(name))
    }

    fn function(file: &str, text: &str, name: String, is_on: bool) -> Self {
        let body = test_source::function_text(file, text, &name);
        let runs = is_on && body.as_deref().is_none_or(|body| !skips(body));
        Self { name, pattern: None, body, runs }
    }
}

/// Lists the tests in a file.
pub fn declared(file: &str, text: &str) -> Vec<DeclaredTest> {
    match file.rsplit('.').next().unwrap_or_default() {
        "py" => python(file, text),
        "js" | "cjs" | "mjs" | "jsx" | "ts" | "cts" | "mts" | "tsx" => javascript(text),
        "rs" => rust(file, text),
        "go" => go(file, text),
        _ => others(text),
    }
}

/// Whether a test skips itself.
fn skips(body: &str) -> bool {
    [".skip(", ".skipTest(", ".todo(", ".Skip(", ".SkipNow("].iter().any(|call| body.contains(call))
}

fn python(file: &str, text: &str) -> Vec<DeclaredTest> {
    let is_off = |code: &str| {
        let code = code.to_ascii_lowercase();
        ["skip", "xfail", "expectedfailure"].iter().any(|mark| code.contains(mark))
    };
    let module_off = text.lines().any(|line| line.starts_with("pytestmark") && is_off(line));
    let mut classes: Vec<(usize, &str, bool)> = Vec::new();
    let mut tests = Vec::new();
    // Decorators precede their class or function.
    let mut off = module_off;
    for line in text.lines() {
        let (indent, code) = split_indent(line);
        if code.starts_with('@') {
            off |= is_off(code);
        }
        let code = code.strip_prefix("async ").map_or(code, str::trim_start);
        let Some((keyword, rest)) = code.split_once(' ') else { continue };
        if !matches!(keyword, "class" | "def") {
            continue;
        }
        classes.retain(|(outer, ..)| *outer < indent);
        let outer = classes.last().copied();
        let is_off = off || outer.is_some_and(|(.., off)| off);
        let name = word(rest.trim_start());
        if keyword == "class" {
            classes.push((indent, name, is_off));
        } else if name.starts_with("test") {
            let path = match outer {
                Some((_, class, _)) => format!("{class}::{name}"),
                None => name.to_owned(),
            };
            tests.push(DeclaredTest::function(file, text, path, !is_off));
        }
        off = module_off;
    }
    tests
}

fn rust(file: &str, text: &str) -> Vec<DeclaredTest> {
    static TEST: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"#\[(?:\w+::)*test\b").expect("a pattern"));
    let mut tests = Vec::new();
    let (mut is_test, mut off) = (false, false);
    for line in text.lines() {
        let code = line.trim();
        if code.starts_with("#[") {
            is_test |= TEST.is_match(code);
            off |= code.contains("#[ignore");
        }
        match code.split_once("fn ") {
            Some((_, rest)) if is_test => {
                let name = word(rest).to_owned();
                tests.push(DeclaredTest::function(file, text, name, !off));
            }
            None if code.is_empty() || code.starts_with("#[") || code.starts_with("//") => continue,
            _ => {}
        }
        (is_test, off) = (false, false);
    }
    tests
}

fn go(file: &str, text: &str) -> Vec<DeclaredTest> {
    let names = text.lines().filter_map(|line| line.strip_prefix("func ")).map(word);
    let tests = names.filter(|name| name.starts_with("Test"));
    tests.map(|name| DeclaredTest::function(file, text, name.to_owned(), true)).collect()
}

/// bats, RSpec, PHPUnit, JUnit, NUnit and similar: names only.
fn others(text: &str) -> Vec<DeclaredTest> {
    static TEST: LazyLock<Regex> = LazyLock::new(|| {
        let pattern = r#"(?m)^[ \t]*(?:@test[ \t]+["'](.+?)["']|(?:it|specify)[ \t]*\(?["'](.+?)["']|(?:\w+[ \t]+)*function[ \t]+(test\w*)|@(?:Parameterized)?Test\b|\[(?:Fact|Test|TestMethod|Theory)\b)"#;
        Regex::new(pattern).expect("a pattern")
    });
    let test = |found: regex::Captures| {
        let name = found.iter().skip(1).flatten().next();
        let name = name.map_or(String::new(), |name| name.as_str().to_owned());
        DeclaredTest { name, pattern: None, body: None, runs: true }
    };
    TEST.captures_iter(text).map(test).collect()
}

/// `test('title', () => {`, `it.each([..])('title', ..)`, `t.test("title", ..)`
fn javascript(text: &str) -> Vec<DeclaredTest> {
    static COMMENT: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?ms)^[ \t]*/\*.*?\*/").expect("a pattern"));
    static TEST: LazyLock<Regex> = LazyLock::new(|| {
        let pattern = r"(?m)(?:^|[;{}>])[ \t]*(?:(?:await|return|void)[ \t]+)?([A-Za-z_$][\w$]*\.)?\b(x?(?:it|test|specify))((?:\.\w+)*)[ \t]*[(`]";
        Regex::new(pattern).expect("a pattern")
    });
    static OPTIONS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"^,\{[^}]*\b(?:skip|todo):(?:true|['"`])"#).expect("a pattern")
    });
    let text = COMMENT.replace_all(text, "");
    let off = suites_off(&text);
    let test = |found: regex::Captures| {
        let (start, end) = (found.get(2)?.start(), found.get(0)?.end());
        let (callee, chain) = (&found[2], &found[3]);
        let calls = |name: &str| chain.split('.').any(|part| part == name);
        let is_table = ["each", "for", "skipIf", "runIf"].into_iter().any(calls);
        let (name, after) = title(&text[end..], is_table)
            .map_or((String::new(), end), |(title, length)| (title, end + length));
        let line = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let body = arguments(&text[after..], split_indent(&text[line..]).0.min(start - line));
        // `pattern.test(text)` is a call of another kind.
        if found.get(1).is_some() && body.as_deref().is_none_or(|body| !body.starts_with(',')) {
            return None;
        }
        let is_off = callee.starts_with('x')
            || ["skip", "todo", "fails", "failing", "skipIf", "runIf"].into_iter().any(calls)
            || off.iter().any(|suite| suite.contains(&start))
            || body.as_deref().is_some_and(|body| skips(body) || OPTIONS.is_match(body));
        let pattern = pattern(&name, is_table);
        Some(DeclaredTest { name, pattern, body, runs: !is_off })
    };
    TEST.captures_iter(&text).filter_map(test).collect()
}

/// Reads the title after the opening parenthesis; of a table, after the parentheses of its rows. Returns the title, and
/// the length up to its end.
fn title(text: &str, is_table: bool) -> Option<(String, usize)> {
    static PLAIN: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"^\s*(['"`])"#).expect("a pattern"));
    static TABLE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"(?s)^.*?[)`]\s*\(\s*(['"`])"#).expect("a pattern"));
    let opening = if is_table { TABLE.captures(text) } else { PLAIN.captures(text) }?.get(1)?;
    let quote = opening.as_str().chars().next()?;
    let mut title = String::new();
    let mut chars = text[opening.end()..].char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => title.extend(chars.next().map(|(_, c)| c)),
            _ if c == quote => return Some((title, opening.end() + at + c.len_utf8())),
            '\n' if quote != '`' => return None,
            _ => title.push(c),
        }
    }
    None
}

/// Returns a pattern for a title with computed parts, if something else stands beside them.
fn pattern(title: &str, is_table: bool) -> Option<Regex> {
    static PART: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\$\{[^}]*\}|%[sdifjopO#%]|\$[A-Za-z_][\w.]*").expect("a pattern")
    });
    if !(is_table || title.contains("${")) {
        return None;
    }
    let parts: Vec<String> = PART.split(title).map(regex::escape).collect();
    let tells = parts.iter().any(|part| part.chars().any(char::is_alphanumeric));
    tells.then(|| Regex::new(&format!("^{}$", parts.join(".*"))).ok()).flatten()
}

/// Returns the arguments after a title. The call ends in its first line, or before a line with its indentation.
fn arguments(text: &str, indent: usize) -> Option<String> {
    let mut lines = text.split('\n');
    let first = lines.next()?;
    if let Some(length) = end_of_call(first) {
        return Some(join_lines(&first[..length], std::iter::empty(), 0));
    }
    let rest: Vec<&str> = lines.collect();
    let length = rest.iter().position(|line| {
        let (deeper, code) = split_indent(line);
        deeper == indent && code.starts_with(['}', ')', ']'])
    })?;
    Some(join_lines(first, rest[..length].iter().copied(), indent))
}

/// Returns the position of the parenthesis that ends a call already open.
fn end_of_call(line: &str) -> Option<usize> {
    let (mut depth, mut quote) = (1_usize, None);
    let mut chars = line.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some(_), '\\') => drop(chars.next()),
            (Some(open), _) => quote = Some(open).filter(|open| *open != c),
            (None, '\'' | '"' | '`') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Returns the positions of skipped suites.
fn suites_off(text: &str) -> Vec<Range<usize>> {
    static SUITE: LazyLock<Regex> = LazyLock::new(|| {
        let pattern = r#"(?m)^([ \t]*)(?:[A-Za-z_$][\w$]*\.)?(?:x(?:describe|suite|context)\b|(?:describe|suite|context)(?:\.\w+)*\.(?:skip|todo)\b|(?:describe|suite)(?:\.\w+)*\([^\n]*\{[^\n}]*\b(?:skip|todo):[ \t]*(?:true|['"`]))"#;
        Regex::new(pattern).expect("a pattern")
    });
    let suite = |found: regex::Captures| {
        let start = found.get(0)?.start();
        let rest = &text[start..];
        let line = rest.lines().next()?;
        let is_whole = line.trim_end().trim_end_matches(';').ends_with("})");
        let end = match is_whole {
            true => line.len(),
            false => rest.find(&format!("\n{}}}", &found[1])).unwrap_or(rest.len()),
        };
        Some(start..start + end)
    };
    SUITE.captures_iter(text).filter_map(suite).collect()
}

#[cfg(test)]
#[path = "declared_tests_tests.rs"]
mod tests;
