//! House rules, checked against the source itself: which module may import which, and what may be done in one place
//! only.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

/// Imports go from a lower floor to a higher one, and never between neighbors on one floor.
const FLOORS: [&[&str]; 10] = [
    &["main"],
    &["cli", "fuzz"],
    &["drain", "health", "import", "publish", "report"],
    &["attempt"],
    &["merge_queue", "overview"],
    &[
        "agent",
        "ci",
        "forge",
        "memory",
        "notify",
        "progress",
        "prompt",
        "store",
        "telemetry",
        "workspace",
    ],
    &["git"],
    &["failure", "http", "process", "schema_version", "sqlite_pool"],
    &["clock", "config", "file_stamp", "parallel"],
    &["phase"],
];

/// One source file: its module, and its text without comments and unit tests.
struct Source {
    path: PathBuf,
    module: String,
    text: String,
}

#[test]
fn imports_run_one_way() {
    let mut breaches = Vec::new();
    for source in sources() {
        let from = floor(&source.module);
        for imported in imports(&source.text) {
            if imported != source.module && floor(&imported) <= from {
                breaches.push(format!("{} imports {imported}", source.path.display()));
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn the_core_imports_nothing_that_acts() {
    let acts = pattern(r"\b(tokio|sqlx|std::(fs|env|net|process|time::(SystemTime|Instant)))\b");
    let found = found_outside(&acts, |source| source.module != "phase");
    assert!(found.is_empty(), "phase/ is pure: {found:#?}");
}

#[test]
fn programs_are_started_in_one_place() {
    let start = pattern(r"\bCommand::new\b");
    let found = found_outside(&start, |source| source.module == "process");
    assert!(found.is_empty(), "only process/ starts programs: {found:#?}");
}

#[test]
fn the_environment_is_read_in_one_place() {
    let read = pattern(r"\benv::(var|var_os|vars|vars_os|set_var|remove_var)\b");
    let found = found_outside(&read, |source| source.path.ends_with("config/env.rs"));
    assert!(found.is_empty(), "only config/env.rs reads variables: {found:#?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<PathBuf> = ["src", "tests", "benches"]
        .into_iter()
        .flat_map(|directory| files(&root().join(directory)))
        .filter(|path| !read(path).starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "no //! at the top: {silent:#?}");
}

/// A module is `x.rs`, or `x/mod.rs` if it has a directory: two forms would be two places to look.
#[test]
fn a_module_with_a_directory_is_its_mod_rs() {
    let src = files(&root().join("src"));
    let beside: Vec<&PathBuf> =
        src.iter().filter(|path| path.with_extension("").is_dir()).collect();
    assert!(beside.is_empty(), "beside their directories: {beside:#?}");
}

/// A file that `main.rs` does not name would never be compiled.
#[test]
fn every_test_file_is_part_of_the_suite() {
    let suite = read(&root().join("tests/main.rs"));
    let entries = fs::read_dir(root().join("tests")).unwrap().map(|entry| entry.unwrap().path());
    let left_out: Vec<PathBuf> = entries
        .filter(|path| {
            path.extension().is_some_and(|ending| ending == "rs") || path.join("mod.rs").is_file()
        })
        .filter(|path| {
            let module = path.file_stem().unwrap().to_str().unwrap();
            module != "main" && !suite.contains(&format!("\nmod {module};"))
        })
        .collect();
    assert!(left_out.is_empty(), "not in tests/main.rs: {left_out:#?}");
}

/// Each reason for skipping a test can be turned into a failure (`AUTOPACK_TEST_REQUIRE`), which only `skip` does.
#[test]
fn tests_are_skipped_in_one_place() {
    let printed = pattern(r#"print(ln)?!\(\s*"skipped"#);
    let elsewhere: Vec<PathBuf> = files(&root().join("tests"))
        .into_iter()
        .filter(|path| !path.ends_with("support/skip.rs") && printed.is_match(&read(path)))
        .collect();
    assert!(elsewhere.is_empty(), "call support::skip in {elsewhere:#?}");
}

/// The test of this test: it sees imports however they are written.
#[test]
fn imports_are_seen_in_every_form() {
    let text = "use crate::store::Store;\nuse crate::{cli::{a, b}, phase};\nfn f(x: crate::ci::Run) {}\n\
                use super::x;\nuse autopack::drain;";
    let seen: Vec<String> = imports(text).into_iter().collect();
    assert_eq!(seen, ["ci", "cli", "drain", "phase", "store"]);
}

fn floor(module: &str) -> usize {
    FLOORS
        .iter()
        .position(|floor| floor.contains(&module))
        .unwrap_or_else(|| panic!("{module} has no floor yet: give it one in FLOORS"))
}

/// The top-level modules named in a text.
fn imports(text: &str) -> BTreeSet<String> {
    static START: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b(?:crate|autopack)::"));
    let mut found = BTreeSet::new();
    for start in START.find_iter(text) {
        let rest = &text[start.end()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group_names(group)),
            None => found.extend(first_word(rest)),
        }
    }
    found
}

/// The first names of the entries of `{a::b, c::{d, e}}`, after the opening brace.
fn group_names(text: &str) -> Vec<String> {
    let (mut depth, mut names, mut fresh) = (0, Vec::new(), true);
    for (index, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            _ if fresh && !character.is_whitespace() => {
                names.extend(first_word(&text[index..]));
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

fn first_word(text: &str) -> Option<String> {
    let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let word: String = text.chars().take_while(|c| in_word(*c)).collect();
    (!word.is_empty()).then_some(word)
}

/// ASCII only: Unicode classes are slow in a debug build.
fn pattern(text: &str) -> Regex {
    Regex::new(&format!("(?-u){text}")).expect("a pattern")
}

fn found_outside(pattern: &Regex, allowed: impl Fn(&Source) -> bool) -> Vec<String> {
    sources()
        .iter()
        .filter(|source| !allowed(source))
        .flat_map(|source| {
            pattern
                .find_iter(&source.text)
                .map(move |found| format!("{}: {}", source.path.display(), found.as_str()))
        })
        .collect()
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    files(&src)
        .into_iter()
        .filter_map(|path| {
            let inside = path.strip_prefix(&src).expect("found there");
            let first = inside.components().next()?.as_os_str().to_str()?;
            let module = first.trim_end_matches(".rs").to_owned();
            let text = without_tests(&without_comments(&read(&path)));
            (module != "lib" && !is_test(&path)).then(|| Source {
                path: path.clone(),
                module,
                text,
            })
        })
        .collect()
}

/// `tests.rs`, `x_tests.rs`, the `properties.rs` of a property test, and everything in a directory `tests`.
fn is_test(path: &Path) -> bool {
    let inside = path.strip_prefix(root()).unwrap_or(path);
    let names = inside.components().filter_map(|part| part.as_os_str().to_str());
    let mut stems = names.map(|name| name.trim_end_matches(".rs"));
    stems.any(|stem| matches!(stem, "tests" | "properties") || stem.ends_with("_tests"))
}

fn without_comments(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Unit tests are at the end of a file, and may set up anything.
fn without_tests(text: &str) -> String {
    text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Names replaced by the glossary's words.
#[test]
fn replaced_names_are_gone() {
    let names = "\
        Absent After Asked AttemptFolder Came Card Counts Crew Described Done Draft Drafting \
        Ended Exact Executed Fate Followed Foreseen Foresight Found Ground Halt Heard Hearing \
        Held Hitch Holding How Imported InForce InRun InVain Is Judgement Known Laid \
        LandingQueue LandingTurn Launched Look Looking Looks Loose Made Missing Named Of Opened \
        Outside Placed Planned Plans PromptBy Put Queued Ran Remains Removed Requeue Rescue \
        Running Said Scene Seen Shown Since Site Spent Standing Started Starting Steered \
        Steering Terms Told Trouble Turn Twins Until Waits Wanted Which Whose Why Words Written";
    let names = names.split_whitespace().collect::<Vec<_>>().join("|");
    let replaced = pattern(&format!(r"\b(?:struct|enum|trait|type) (?:{names})\b"));
    let left = found_outside(&replaced, |_| false);
    assert!(left.is_empty(), "{left:#?}");
}
