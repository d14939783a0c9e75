//! Finds tests that passed on the base and do not pass now, by the names printed by their runner. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use super::declared_tests::{DeclaredTest, declared};
use super::results::PrintedTests;
use super::test_source::Sources;

/// Printed tests by stream, such as a package of a workspace.
type Streams = BTreeMap<String, PrintedTests>;

/// A name that is no longer printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrintedLoss {
    /// The stream on the base.
    label: String,
    /// The name as printed on the base.
    name: String,
    /// Files that declare a test with this name on the base.
    pub files: BTreeSet<String>,
}

impl fmt::Display for PrintedLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.label.as_str() {
            "" => f.write_str(&self.name),
            label => write!(f, "{label}: {}", self.name),
        }
    }
}

/// Returns the lost names. A name printed by another stream for the first time has moved there; a name whose test has
/// the text of a newly printed test was renamed. If a stream with more passed tests prints no names, tests may have
/// moved to this stream: then only the counts decide.
pub fn find_lost_names(now: &Streams, base: &Streams, sources: &Sources) -> Vec<PrintedLoss> {
    let mut lost = no_longer_printed(now, base);
    if lost.is_empty() {
        return lost;
    }
    let (before, after) = (SourceTests::of(&sources.before), SourceTests::of(&sources.now));
    let mut left: HashMap<&str, usize> = HashMap::new();
    for name in names(now).difference(&names(base)) {
        if let Some(body) = after.only_body(name) {
            *left.entry(body).or_default() += 1;
        }
    }
    for loss in &mut lost {
        loss.files = before.named(&loss.name).map(|(file, _)| (*file).to_owned()).collect();
    }
    lost.retain(|loss| {
        let mut bodies = before.named(&loss.name).filter_map(|(_, test)| test.body.as_deref());
        let body = bodies.find(|body| left.get(body).is_some_and(|left| *left > 0));
        match body.and_then(|body| left.get_mut(body)) {
            Some(left) => {
                *left -= 1;
                false
            }
            None => true,
        }
    });
    lost
}

/// Returns texts by which git finds the files of the lost tests.
pub fn search_words(now: &Streams, base: &Streams) -> BTreeSet<String> {
    let lost = no_longer_printed(now, base);
    let places = lost.iter().flat_map(|loss| places(&loss.name));
    // Of a method, the name alone stands in the file.
    let word = |place: DeclaredName| place.name.rsplit("::").next().unwrap_or_default().to_owned();
    places.map(word).filter(|word| !word.is_empty() && !word.contains('\n')).collect()
}

fn no_longer_printed(now: &Streams, base: &Streams) -> Vec<PrintedLoss> {
    let passed_before = |label: &String| base.get(label).map_or(0, |stream| stream.passed);
    let took_in = |(label, stream): (&String, &PrintedTests)| {
        stream.names.is_none() && stream.passed > passed_before(label)
    };
    if now.iter().any(took_in) {
        return Vec::new();
    }
    let mut lost = Vec::new();
    for (label, before) in base {
        let Some(names) = &before.names else { continue };
        let is_there = |name: &String| match now.get(label).map(|stream| &stream.names) {
            Some(Some(names)) => names.contains(name),
            Some(None) => true,
            None => false,
        };
        let gone = names.iter().filter(|name| !is_there(name) && !has_moved(name, now, base));
        lost.extend(gone.map(|name| PrintedLoss {
            label: label.clone(),
            name: name.clone(),
            files: BTreeSet::new(),
        }));
    }
    lost
}

/// Whether another stream prints this name now and did not on the base.
fn has_moved(name: &str, now: &Streams, base: &Streams) -> bool {
    let prints = |streams: &Streams, label: &String| {
        let names = streams.get(label).and_then(|stream| stream.names.as_ref());
        names.is_some_and(|names| names.contains(name))
    };
    now.keys().any(|label| prints(now, label) && !prints(base, label))
}

fn names(streams: &Streams) -> BTreeSet<&str> {
    streams
        .values()
        .filter_map(|stream| stream.names.as_ref())
        .flatten()
        .map(String::as_str)
        .collect()
}

/// All declared tests, by file.
struct SourceTests<'a>(Vec<(&'a str, DeclaredTest)>);

impl<'a> SourceTests<'a> {
    fn of(texts: &'a BTreeMap<String, String>) -> Self {
        let tests = texts.iter().flat_map(|(file, text)| {
            declared(file, text).into_iter().map(|test| (file.as_str(), test))
        });
        Self(tests.collect())
    }

    fn named<'s>(&'s self, name: &str) -> impl Iterator<Item = &'s (&'a str, DeclaredTest)> {
        let places = places(name);
        self.0.iter().filter(move |(file, test)| {
            places.iter().any(|place| place.is_in(file) && test.is_named(&place.name))
        })
    }

    /// Returns the text of the test with this name, if all tests with this name have the same.
    fn only_body(&self, name: &str) -> Option<&str> {
        let mut bodies = self.named(name).map(|(_, test)| test.body.as_deref());
        let first = bodies.next()??;
        bodies.all(|body| body == Some(first)).then_some(first)
    }
}

/// A possible reading of a printed name.
struct DeclaredName {
    /// The end of the file's path, with or without its extension, if printed.
    file: Option<String>,
    /// The name as declared.
    name: String,
}

impl DeclaredName {
    fn is_in(&self, file: &str) -> bool {
        let Some(end) = &self.file else { return true };
        let ends = |path: &str| {
            path.strip_suffix(end.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
        };
        ends(file) || file.rsplit_once('.').is_some_and(|(path, _)| ends(path))
    }
}

/// Returns the possible readings of a name, in the notations of all runners.
fn places(name: &str) -> Vec<DeclaredName> {
    let place = |file: Option<&str>, name: &str| DeclaredName {
        file: file.map(|file| file.trim_start_matches("./").to_owned()),
        name: name.to_owned(),
    };
    // Added to the name of a test whose name is taken.
    let name = match name.strip_suffix(')').and_then(|name| name.rsplit_once(" (")) {
        Some((name, number)) if number.parse::<u32>().is_ok() => name,
        _ => name,
    };
    // `tests/test_a.py::TestA::test_x[1]`
    if let Some((file, test)) = name.split_once("::").filter(|(file, _)| file.ends_with(".py")) {
        return vec![place(Some(file), test.split('[').next().unwrap_or(test))];
    }
    // `src/a.test.ts > group > adds`, `a › adds`
    for separator in [" > ", " › "] {
        if let Some((before, title)) = name.rsplit_once(separator) {
            let first = before.split(separator).next().unwrap_or(before);
            let is_file = first.contains('.') && !first.contains(' ');
            return vec![place(is_file.then_some(first), title), place(None, name)];
        }
    }
    let mut places = vec![place(None, name)];
    // `tests.test_a.T.test_x` of unittest
    let is_dotted = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
    let mut parts = name.rsplitn(3, '.');
    if let (true, Some(test), Some(class), Some(module)) =
        (is_dotted, parts.next(), parts.next(), parts.next())
    {
        places.push(place(Some(&module.replace('.', "/")), &format!("{class}::{test}")));
    }
    // `tests::adds` of Rust, `TestX/sub` of Go
    if let Some((_, test)) = name.rsplit_once("::") {
        places.push(place(None, test));
    }
    if let Some((test, _)) = name.split_once('/').filter(|(test, _)| test.starts_with("Test")) {
        places.push(place(None, test));
    }
    places
}

/// Keeps only names printed in a second run of the same tree too.
pub fn keep_stable_names(first: &mut Streams, again: &Streams) {
    for (label, stream) in first {
        let names = again.get(label).and_then(|again| again.names.as_ref());
        stream.passed = stream.passed.min(again.get(label).map_or(0, |again| again.passed));
        stream.names = match (stream.names.take(), names) {
            (Some(first), Some(again)) => Some(&first & again),
            _ => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams(all: &[(&str, u64, Option<&str>)]) -> Streams {
        let stream = |names: Option<&str>, passed| {
            let names = names.map(|names| names.split_whitespace().map(str::to_owned).collect());
            PrintedTests { passed, names }
        };
        all.iter()
            .map(|(label, passed, names)| ((*label).to_owned(), stream(*names, *passed)))
            .collect()
    }

    fn lost(base: &[(&str, u64, Option<&str>)], now: &[(&str, u64, Option<&str>)]) -> Vec<String> {
        let lost = find_lost_names(&streams(now), &streams(base), &Sources::default());
        lost.iter().map(ToString::to_string).collect()
    }

    fn texts(files: &[(&str, &str)]) -> BTreeMap<String, String> {
        files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn more_tests_elsewhere_do_not_make_up_for_those_that_are_gone() {
        let base = [("app", 2, Some("add zero")), ("core", 0, Some(""))];
        assert_eq!(
            lost(&base, &[("app", 1, Some("add")), ("core", 3, Some("a b c"))]),
            ["app: zero"]
        );
        assert_eq!(lost(&base, &[("core", 3, Some("a b c"))]), ["app: add", "app: zero"]);
        assert_eq!(lost(&[("", 2, Some("a b"))], &[("", 2, Some("a c"))]), ["b"]);
    }

    #[test]
    fn moved_tests_and_quieter_runners_are_no_loss() {
        let base = [("app", 2, Some("add zero")), ("core", 1, Some("mul"))];
        for now in [
            &[("app", 2, Some("add zero")), ("core", 2, Some("mul div"))][..],
            &[("app", 1, Some("add")), ("core", 2, Some("mul zero"))],
            &[("@calc/app", 2, Some("add zero")), ("core", 1, Some("mul"))],
            &[("app", 2, None), ("core", 1, None)],
            &[("app", 1, Some("add")), ("core", 2, None)],
            &[("all", 3, None)],
        ] {
            assert_eq!(lost(&base, now), [""; 0], "{now:?}");
        }
        assert_eq!(lost(&[("app", 2, None)], &[]), [""; 0]);
    }

    #[test]
    fn a_name_with_the_text_of_a_new_name_was_renamed() {
        let base = streams(&[("", 2, Some("adds zero"))]);
        let now = streams(&[("", 2, Some("sums zero"))]);
        let find = |body: &str| {
            let before = texts(&[("a.test.js", "test('adds', () => f(1, 2));\n")]);
            let now_text = format!("test('sums', () => {body});\n");
            let sources = Sources { before, now: texts(&[("b.test.js", now_text.as_str())]) };
            find_lost_names(&now, &base, &sources).len()
        };
        assert_eq!((find("f(1,2)"), find("f(1, 3)"), find("{}")), (0, 1, 1));
    }

    #[test]
    fn names_of_every_runner_lead_to_their_files() {
        let sources = Sources {
            before: texts(&[
                ("tests/test_a.py", "class T:\n    def test_x(self): f()\n"),
                ("tests/test_b.py", "class T:\n    def test_x(self): f()\n"),
                ("src/a.test.ts", "it('adds', f);\n"),
                ("src/b.test.ts", "it('adds', f);\n"),
                ("a_test.go", "func TestX(t *testing.T) {\n}\n"),
                ("src/lib.rs", "#[test]\nfn adds() {}\n"),
            ]),
            now: BTreeMap::new(),
        };
        for (name, files) in [
            ("tests/test_a.py::T::test_x[1]", &["tests/test_a.py"][..]),
            ("tests.test_b.T.test_x", &["tests/test_b.py"][..]),
            ("test_b.T.test_x", &["tests/test_b.py"][..]),
            ("test_c.T.test_x", &[][..]),
            ("src/a.test.ts > group > adds", &["src/a.test.ts"][..]),
            ("adds (2)", &["src/a.test.ts", "src/b.test.ts", "src/lib.rs"][..]),
            ("group › adds", &["src/a.test.ts", "src/b.test.ts", "src/lib.rs"][..]),
            ("calc tests::adds", &["src/a.test.ts", "src/b.test.ts", "src/lib.rs"][..]),
            ("TestX/sub", &["a_test.go"][..]),
            ("nothing", &[][..]),
        ] {
            let tests = SourceTests::of(&sources.before);
            let found: BTreeSet<&str> = tests.named(name).map(|(file, _)| *file).collect();
            assert_eq!(found.into_iter().collect::<Vec<_>>(), files, "{name}");
        }
    }

    #[test]
    fn names_that_come_and_go_by_themselves_are_dropped() {
        let mut base = streams(&[("app", 2, Some("add at-1712")), ("core", 1, Some("x"))]);
        keep_stable_names(&mut base, &streams(&[("app", 2, Some("add at-1713"))]));
        assert_eq!(base, streams(&[("app", 2, Some("add")), ("core", 0, None)]));
    }
}
