//! Ids and source files of cargo's test programs and libtest's tests.

use std::collections::BTreeMap;

use super::TestCase;
use super::test_report::FindFile;

/// A test program as announced by cargo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// `src/lib.rs`, relative to its package; none for doctests and very old cargo versions.
    root: Option<String>,
    /// The crate for doctests and unit tests, the file's stem for others.
    name: String,
    doctests: bool,
    /// Distinguishes test programs of two packages with the same name and path.
    number: usize,
}

/// Recognizes `Running unittests src/lib.rs (target/debug/deps/calc-735160b19cd407a9)` and `Doc-tests calc`.
pub fn program(line: &str) -> Option<Program> {
    let line = line.strip_prefix("  ")?.trim();
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(Program { root: None, name: name.to_owned(), doctests: true, number: 1 });
    }
    let what = line.strip_prefix("Running ")?;
    let what = what.strip_prefix("unittests ").unwrap_or(what);
    let (root, binary) = match what.strip_suffix(')').and_then(|what| what.rsplit_once(" (")) {
        Some((root, binary)) => (Some(root.replace('\\', "/")), binary),
        None => (None, what),
    };
    let file = binary.rsplit(['/', '\\']).next()?;
    let (name, hash) = file.trim_end_matches(".exe").rsplit_once('-')?;
    let is_hash = hash.len() == 16 && hash.chars().all(|c| c.is_ascii_hexdigit());
    is_hash.then(|| Program { root, name: name.to_owned(), doctests: false, number: 1 })
}

impl Program {
    pub fn is_twin(&self, other: &Program) -> bool {
        (&self.root, &self.name, self.doctests) == (&other.root, &other.name, other.doctests)
    }

    pub fn numbered(self, number: usize) -> Self {
        Self { number, ..self }
    }

    /// Label such as `src/lib.rs (calc)`.
    pub fn label(&self) -> String {
        let what = match &self.root {
            Some(root) => root,
            None if self.doctests => "doctests",
            None => "tests",
        };
        match self.number {
            1 => format!("{what} ({})", self.name),
            number => format!("{what} ({} {number})", self.name),
        }
    }

    /// Common prefix of the ids of the program's tests.
    pub fn prefix(&self) -> String {
        format!("{} ", self.label())
    }

    pub fn root_file(&self, find: &FindFile) -> Option<String> {
        find(self.root.as_ref()?, self.hint())
    }

    /// Finds a test's file: `a::b::tests::works` of `src/lib.rs` is in the deepest existing file of `src/a/b/tests.rs`,
    /// `src/a/b.rs`, `src/a.rs`, `src/lib.rs`.
    pub fn file_of(&self, test: &str, find: &FindFile) -> Option<String> {
        if self.doctests {
            return find(test.split_once(" - ")?.0, self.hint());
        }
        let directory = self.root.as_ref()?.rsplit_once('/').map_or("", |(directory, _)| directory);
        let mut modules: Vec<&str> = test.split("::").collect();
        modules.pop();
        while !modules.is_empty() {
            let stem = format!("{directory}/{}", modules.join("/"));
            let candidates = [format!("{stem}.rs"), format!("{stem}/mod.rs")];
            if let Some(file) = candidates.iter().find_map(|path| find(path, self.hint())) {
                return Some(file);
            }
            modules.pop();
        }
        self.root_file(find)
    }

    /// The crate name, if known: integration tests do not tell their package.
    fn hint(&self) -> Option<&str> {
        let of_crate =
            self.doctests || self.root.as_ref().is_some_and(|root| root.starts_with("src/"));
        of_crate.then_some(self.name.as_str())
    }
}

/// Returns tests by id: `(id, name, test)`. Doctests lose their line number, which changes with any edit above; several
/// doctests of the same item are numbered in order.
pub fn assign_ids(
    program: &Program,
    tests: BTreeMap<String, TestCase>,
) -> Vec<(String, String, TestCase)> {
    let mut tests: Vec<(String, u32, TestCase)> = tests
        .into_iter()
        .map(|(name, case)| {
            let (name, line) =
                if program.doctests { without_line(&name) } else { (plain(&name), 0) };
            (name, line, case)
        })
        .collect();
    tests.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut named = Vec::new();
    for (name, _, case) in tests {
        let number = seen.entry(name.clone()).or_default();
        *number += 1;
        let suffix = if *number > 1 { format!(" #{number}") } else { String::new() };
        named.push((format!("{}{name}{suffix}", program.prefix()), name, case));
    }
    named
}

/// Returns libtest's filter for the test with this id; `None` if the id is not a single test.
pub fn filter(id: &str) -> Option<&str> {
    let (_, name) = id.split_once(") ")?;
    Some(name.rsplit_once(" #").map_or(name, |(name, _)| name))
}

fn plain(name: &str) -> String {
    name.strip_suffix(" - should panic").unwrap_or(name).to_owned()
}

/// `src/lib.rs - add (line 4) - compile` -> (`src/lib.rs - add`, 4)
fn without_line(name: &str) -> (String, u32) {
    let Some((item, rest)) = name.rsplit_once(" (line ") else { return (plain(name), 0) };
    let digits = rest.split(')').next().unwrap_or_default();
    (item.to_owned(), digits.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_recognized() {
        let line = "     Running unittests src/lib.rs (target/debug/deps/calc-735160b19cd407a9)";
        assert_eq!(program(line).unwrap().label(), "src/lib.rs (calc)");
        let line = "     Running tests/my api.rs (/t arget/deps/my-api-735160b19cd407a9)";
        assert_eq!(program(line).unwrap().label(), "tests/my api.rs (my-api)");
        let line = "     Running target/debug/deps/calc-735160b19cd407a9";
        assert_eq!(program(line).unwrap().label(), "tests (calc)");
        assert_eq!(program("   Doc-tests calc").unwrap().label(), "doctests (calc)");
        for line in
            ["     Running `target/debug/autopack`", "  Running late", "Running x (y-0)", ""]
        {
            assert_eq!(program(line), None, "{line}");
        }
    }

    #[test]
    fn a_test_is_in_the_deepest_module_that_has_a_file() {
        let line = "     Running unittests src/lib.rs (target/debug/deps/calc-735160b19cd407a9)";
        let program = program(line).unwrap();
        let find = |path: &str, hint: Option<&str>| {
            assert_eq!(hint, Some("calc"));
            ["src/lib.rs", "src/a.rs", "src/b/mod.rs"]
                .contains(&path)
                .then(|| format!("core/{path}"))
        };
        assert_eq!(program.file_of("a::x::tests::t", &find).as_deref(), Some("core/src/a.rs"));
        assert_eq!(program.file_of("b::tests::t", &find).as_deref(), Some("core/src/b/mod.rs"));
        assert_eq!(program.file_of("t", &find).as_deref(), Some("core/src/lib.rs"));
    }

    #[test]
    fn a_filter_is_the_name_without_its_program() {
        assert_eq!(filter("src/lib.rs (calc) tests::fails"), Some("tests::fails"));
        assert_eq!(filter("doctests (calc) src/lib.rs - sub #2"), Some("src/lib.rs - sub"));
        assert_eq!(filter("tests/crash.rs (crash)"), None);
    }
}
