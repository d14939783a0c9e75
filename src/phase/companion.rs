//! Recognition of test files that belong to another file, by name and directory.

use super::path::{file_name, parent};

/// Names of directories for tests.
const TEST_DIRS: [&str; 6] = ["__tests__", "spec", "specs", "test", "testing", "tests"];
/// Names of source directories that mirrored test directories leave out.
const SOURCE_DIRS: [&str; 3] = ["src", "lib", "main"];

/// Checks whether `path` is a test file for `file`: in the same directory, in a test directory beside it, or
/// in the test directory that mirrors its own.
pub fn is_test_for(path: &str, file: &str) -> bool {
    let (name, of) = (file_name(path), file_name(file));
    let dirs = parts(parent(path));
    let in_test_dir = dirs.iter().any(|dir| TEST_DIRS.contains(dir));
    // In a test directory, a test may have the same name as its subject: `src/a.rs`, `tests/a.rs`.
    let namesake = in_test_dir && name == of && path != file;
    if !namesake && !is_test_name(name, of) {
        return false;
    }
    let home = parts(parent(file));
    dirs == home || in_test_dir && mirrors(&dirs, &home)
}

/// Checks for names like `test_a.py`, `a_test.go`, `a.test.tsx`, `a-spec.js`, `ATest.java`: the subject's
/// stem with a test marker.
fn is_test_name(name: &str, of: &str) -> bool {
    let (Some((stem, extension)), Some((of_stem, of_extension))) = (of_two(name), of_two(of))
    else {
        return false;
    };
    if !same_language(extension, of_extension) {
        return false;
    }
    let mark = |mark: &str| {
        let mark = mark.trim_matches(['_', '-', '.']).to_ascii_lowercase();
        matches!(mark.as_str(), "test" | "tests" | "spec")
    };
    let before = |stem: &str| {
        stem.strip_suffix(of_stem).is_some_and(|rest| mark(rest) && rest.ends_with(['_', '-', '.']))
    };
    let behind = |stem: &str| {
        stem.strip_prefix(of_stem).is_some_and(|rest| {
            mark(rest)
                && rest
                    .starts_with(|c: char| matches!(c, '_' | '-' | '.') || c.is_ascii_uppercase())
        })
    };
    before(stem) || behind(stem)
}

/// Returns the stem of the file that a test file may be for, by the name of the test file and its directory; `None` for
/// other files. Every file of which this is a test has the stem.
pub fn tested_stem(path: &str) -> Option<&str> {
    let (stem, _) = of_two(file_name(path))?;
    let marks = ["test", "tests", "spec"];
    let starts_with_mark = stem.split_once(['_', '-', '.']);
    if let Some((_, of)) = starts_with_mark.filter(|(mark, _)| is_one_of(mark, &marks)) {
        return Some(of);
    }
    let ends_with_mark = stem.rsplit_once(['_', '-', '.']);
    if let Some((of, _)) = ends_with_mark.filter(|(_, mark)| is_one_of(mark, &marks)) {
        return Some(of);
    }
    if let Some(of) = ["Test", "Tests", "Spec"].iter().find_map(|mark| stem.strip_suffix(mark)) {
        return Some(of);
    }
    parts(parent(path)).iter().any(|dir| TEST_DIRS.contains(dir)).then_some(stem)
}

fn is_one_of(word: &str, words: &[&str]) -> bool {
    words.contains(&word.to_ascii_lowercase().as_str())
}

/// Returns the name of a file without its ending.
pub fn stem(path: &str) -> Option<&str> {
    of_two(file_name(path)).map(|(stem, _)| stem)
}

/// Returns the last directory of a path that is neither for tests nor for sources: a test and its subject have the same,
/// unless the test has none.
pub fn shared_directory(path: &str) -> Option<&str> {
    let is_bare = |dir: &&str| !TEST_DIRS.contains(dir) && !SOURCE_DIRS.contains(dir);
    parts(parent(path)).into_iter().rfind(is_bare)
}

fn of_two(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty())
}

fn same_language(one: &str, other: &str) -> bool {
    const FAMILIES: [&[&str]; 3] = [
        &["ts", "tsx", "js", "jsx", "mjs", "cjs", "mts", "cts", "vue", "svelte"],
        &["py", "pyi", "pyx"],
        &["java", "kt", "groovy", "scala"],
    ];
    one == other || FAMILIES.iter().any(|family| family.contains(&one) && family.contains(&other))
}

/// Checks for mirrored directories: `tests/foo` and `tests` mirror `src/foo`; `pkg/tests` mirrors `pkg/src`;
/// `src/test/java/x` mirrors `src/main/java/x`.
fn mirrors(dirs: &[&str], home: &[&str]) -> bool {
    let place: Vec<&str> = dirs.iter().filter(|dir| !TEST_DIRS.contains(dir)).copied().collect();
    if place == home || bare(&place) == bare(home) {
        return true;
    }
    // A test directory at the root may omit the leading part of the package's path.
    TEST_DIRS.contains(&dirs[0]) && bare(home).ends_with(&bare(&place))
}

fn bare<'a>(dirs: &[&'a str]) -> Vec<&'a str> {
    dirs.iter().filter(|dir| !SOURCE_DIRS.contains(dir)).copied().collect()
}

fn parts(dir: Option<&str>) -> Vec<&str> {
    dir.map(|dir| dir.split('/').collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::is_test_for;

    #[test]
    fn tests_beside_and_mirrored_are_found() {
        for (test, file) in [
            ("src/foo/test_a.py", "src/foo/a.py"),
            ("src/foo/tests/test_a.py", "src/foo/a.py"),
            ("tests/foo/test_a.py", "src/foo/a.py"),
            ("tests/src/foo/test_a.py", "src/foo/a.py"),
            ("tests/test_a.py", "src/foo/a.py"),
            ("tests/autopack/x/test_a.py", "src/autopack/x/a.py"),
            ("test/a_test.go", "a.go"),
            ("pkg/a_test.go", "pkg/a.go"),
            ("src/ui/App.test.tsx", "src/ui/App.tsx"),
            ("src/ui/__tests__/App.test.tsx", "src/ui/App.tsx"),
            ("src/ui/__tests__/App.tsx", "src/ui/App.tsx"),
            ("packages/x/tests/a.spec.ts", "packages/x/src/a.ts"),
            ("src/test/java/x/FooTest.java", "src/main/java/x/Foo.java"),
            ("tests/a.rs", "src/a.rs"),
        ] {
            assert!(is_test_for(test, file), "{test} {file}");
        }
    }

    #[test]
    fn other_files_are_not() {
        for (other, file) in [
            ("src/foo/b.py", "src/foo/a.py"),
            ("src/foo/a.py", "src/foo/a.py"),
            ("tests/foo/test_b.py", "src/foo/a.py"),
            ("tests/bar/test_a.py", "src/foo/a.py"),
            ("src/other/test_a.py", "src/foo/a.py"),
            ("other/tests/test_a.py", "src/foo/a.py"),
            ("tests/test_a.sh", "src/foo/a.py"),
            ("src/foo/latest_a.py", "src/foo/a.py"),
            ("src/foo/atest.py", "src/foo/a.py"),
            ("tests/test_aa.py", "src/a.py"),
        ] {
            assert!(!is_test_for(other, file), "{other} {file}");
        }
    }
}
