//! No import circle spans two files of `src/`, except a registry (`mod.rs`) and its entries. Checked against the source
//! itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

#[test]
fn no_import_circle_spans_two_files() {
    let circles = Tree::read().circles();
    assert!(circles.is_empty(), "import circles: {circles:#?}");
}

/// Tests this test: a circle is found through a re-export, and a registry with its entries does not count.
#[test]
fn a_circle_through_a_re_export_is_detected() {
    let files = [
        ("a/mod.rs", "mod x;\nmod y;\npub use x::X;\npub use y::Y;\n"),
        ("a/x.rs", "use super::Y;\npub struct X(Y);\n"),
        ("a/y.rs", "use crate::a::X;\npub struct Y(X);\n"),
        ("a/z.rs", "use super::{X, y};\nfn f() -> y::Y {}\n"),
        ("b/mod.rs", "pub mod one;\npub struct Kind;\nfn all() { one::kind(); }\n"),
        ("b/one.rs", "use super::Kind;\n"),
    ];
    let circles = Tree::of(files.map(|(file, text)| (file.to_owned(), text.to_owned()))).circles();
    let expected = BTreeSet::from(["a/x.rs".to_owned(), "a/y.rs".to_owned()]);
    assert_eq!(circles, [expected]);
}

/// A path as segments, from the crate's root.
type Segments = Vec<String>;

/// The files of `src/` and their imports.
struct Tree {
    /// Text by file, without comments and unit tests.
    texts: BTreeMap<String, String>,
    files: BTreeMap<Segments, String>,
    /// Meaning of a `use`, by module and name.
    names: BTreeMap<(Segments, String), Segments>,
}

impl Tree {
    fn read() -> Self {
        let src = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut texts = Vec::new();
        collect(&src, &src, &mut texts);
        Self::of(texts)
    }

    fn of(texts: impl IntoIterator<Item = (String, String)>) -> Self {
        let texts: BTreeMap<String, String> = texts
            .into_iter()
            .filter(|(file, _)| !is_test(file) && !matches!(&**file, "lib.rs" | "main.rs"))
            .map(|(file, text)| (file, without_comments_and_tests(&text)))
            .collect();
        let files = texts.keys().map(|file| (module(file), file.clone())).collect();
        let mut tree = Self { texts, files, names: BTreeMap::new() };
        for (file, text) in &tree.texts {
            let here = module(file);
            for (mut path, alias) in uses(text) {
                if path.last().is_some_and(|last| last == "self") {
                    path.pop();
                }
                if let (Some(name), Some(meant)) =
                    (alias.or_else(|| path.last().cloned()), tree.absolute(&here, &path))
                {
                    tree.names.insert((here.clone(), name), meant);
                }
            }
        }
        tree
    }

    fn absolute(&self, here: &[String], path: &[String]) -> Option<Segments> {
        let first = path.first()?;
        match first.as_str() {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([here, &path[1..]].concat()),
            "super" => {
                let up = path.iter().take_while(|part| *part == "super").count();
                Some([here.get(..here.len().checked_sub(up)?)?, &path[up..]].concat())
            }
            _ => {
                let child = [here, std::slice::from_ref(first)].concat();
                self.files.contains_key(&child).then(|| [here, path].concat())
            }
        }
    }

    /// The file that defines an item, through re-exports.
    fn file_of(&self, path: &[String], depth: usize) -> Option<String> {
        let known = (1..=path.len()).rev().find(|end| self.files.contains_key(&path[..*end]))?;
        let (module, item) = path.split_at(known);
        if let Some((name, rest)) = item.split_first()
            && let Some(meant) = self.names.get(&(module.to_vec(), name.clone()))
            && meant != path
            && depth < 6
        {
            return self.file_of(&[meant, rest].concat(), depth + 1);
        }
        self.files.get(module).cloned()
    }

    fn imports(&self, file: &str) -> BTreeSet<String> {
        static PATH: LazyLock<Regex> =
            LazyLock::new(|| pattern(r"(?-u:\b)[a-z_][0-9A-Za-z_]*(?:::[0-9A-Za-z_]+)+"));
        let (text, here) = (&self.texts[file], module(file));
        let mut found = BTreeSet::new();
        for (path, _) in uses(text) {
            // An imported module counts where it is used.
            let meant = self.absolute(&here, &path).filter(|path| !self.files.contains_key(path));
            found.extend(meant.and_then(|path| self.file_of(&path, 0)));
        }
        for path in PATH.captures_iter(&USE.replace_all(text, "")) {
            let path: Segments = path[0].split("::").map(str::to_owned).collect();
            let meant = match self.names.get(&(here.clone(), path[0].clone())) {
                Some(module) if self.files.contains_key(module) => {
                    Some([module, &path[1..]].concat())
                }
                _ => self.absolute(&here, &path),
            };
            found.extend(meant.and_then(|path| self.file_of(&path, 0)));
        }
        found.retain(|other| {
            other != file && !is_registry(other, file) && !is_registry(file, other)
        });
        found
    }

    /// Files that import one another: each circle with all its files.
    fn circles(&self) -> Vec<BTreeSet<String>> {
        let imports: BTreeMap<&String, BTreeSet<String>> =
            self.texts.keys().map(|file| (file, self.imports(file))).collect();
        let reached: BTreeMap<&String, BTreeSet<String>> =
            imports.keys().map(|file| (*file, reach(file, &imports))).collect();
        let mut circles = Vec::new();
        for (file, from_here) in &reached {
            let circle: BTreeSet<String> =
                from_here.iter().filter(|other| reached[other].contains(*file)).cloned().collect();
            if circle.len() > 1 && !circles.contains(&circle) {
                circles.push(circle);
            }
        }
        circles
    }
}

fn reach(file: &str, imports: &BTreeMap<&String, BTreeSet<String>>) -> BTreeSet<String> {
    let (mut found, mut open) = (BTreeSet::new(), vec![file.to_owned()]);
    while let Some(next) = open.pop() {
        for other in imports.get(&next).into_iter().flatten() {
            if found.insert(other.clone()) {
                open.push(other.clone());
            }
        }
    }
    found
}

/// Whether `entry` is in the directory of the `mod.rs` `registry`.
fn is_registry(registry: &str, entry: &str) -> bool {
    registry.strip_suffix("mod.rs").is_some_and(|directory| entry.starts_with(directory))
}

fn module(file: &str) -> Segments {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
}

static USE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)^[ \t]*(?:pub(?:\([^)]*\))? )?use ([^;]+);").expect("a pattern")
});

/// The paths of all `use` declarations, each with its `as`.
fn uses(text: &str) -> Vec<(Segments, Option<String>)> {
    let mut found = Vec::new();
    USE.captures_iter(text).for_each(|declaration| spread(&[], &declaration[1], &mut found));
    found
}

fn spread(prefix: &[String], tree: &str, found: &mut Vec<(Segments, Option<String>)>) {
    let tree = tree.trim();
    let words = |text: &str| {
        let parts = text.split("::").map(|part| part.trim().to_owned());
        [prefix, &parts.filter(|part| !part.is_empty()).collect::<Vec<_>>()].concat()
    };
    let Some((head, group)) = tree.split_once('{') else {
        if !tree.is_empty() {
            let (path, alias) = tree
                .split_once(" as ")
                .map_or((tree, None), |(path, alias)| (path, Some(alias.trim().to_owned())));
            found.push((words(path), alias));
        }
        return;
    };
    let (prefix, mut depth, mut start) = (words(head), 0, 0);
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    for (index, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                spread(&prefix, &group[start..index], found);
                start = index + 1;
            }
            _ => {}
        }
    }
    spread(&prefix, &group[start..], found);
}

fn is_test(file: &str) -> bool {
    let mut stems = file.trim_end_matches(".rs").split('/');
    stems.any(|stem| matches!(stem, "tests" | "properties") || stem.ends_with("_tests"))
}

fn without_comments_and_tests(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let text = lines.collect::<Vec<_>>().join("\n");
    text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned()
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern")
}

fn collect(src: &Path, directory: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(src, &path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let file = path.strip_prefix(src).expect("found there").display().to_string();
            found.push((file, fs::read_to_string(&path).expect("UTF-8")));
        }
    }
}
