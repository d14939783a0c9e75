//! Finds manifests and lock files of a checkout that ask for other dependencies than the user's
//! checkout.

use std::fs;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::phase::dependency_inputs::is_requirements;
use crate::phase::words::hex;

/// Sections of a `package.json` that determine the installed packages.
const NODE_SECTIONS: &[&str] = &[
    "dependencies",
    "devDependencies",
    "optionalDependencies",
    "peerDependencies",
    "peerDependenciesMeta",
    "dependenciesMeta",
    "bundleDependencies",
    "bundledDependencies",
    "overrides",
    "resolutions",
    "pnpm",
    "workspaces",
];

/// Tables of a `pyproject.toml` that determine the installed packages, each including its subtables.
const PYTHON_TABLES: &[&str] = &[
    "project",
    "build-system",
    "dependency-groups",
    "tool.uv",
    "tool.poetry",
    "tool.pdm",
    "tool.setuptools",
    "tool.hatch",
];
/// Keys of these tables without effect on dependencies.
const ABOUT: &[&str] = &["version", "description", "authors", "keywords", "classifiers"];

/// Whether an install depends on files with this name.
fn is_of_an_install(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    matches!(
        name,
        "package-lock.json"
            | "npm-shrinkwrap.json"
            | "pnpm-lock.yaml"
            | "yarn.lock"
            | "bun.lock"
            | "bun.lockb"
            | "uv.lock"
            | "poetry.lock"
            | "pdm.lock"
            | "pylock.toml"
            | "Pipfile.lock"
            | "Pipfile"
            | "composer.lock"
            | "composer.json"
            | "Gemfile.lock"
            | "Gemfile"
            | "gems.locked"
            | "gems.rb"
            | "go.mod"
            | "Cargo.lock"
            | "package.json"
            | "pnpm-workspace.yaml"
            | "pyproject.toml"
            | "setup.py"
            | "setup.cfg"
    ) || is_requirements(path)
}

/// Returns the `inputs` whose dependencies differ between the user's checkout and a copy. `is_same` answers for files
/// compared before.
pub fn find_changed_inputs<'a>(
    inputs: impl Iterator<Item = &'a str>,
    users: &Path,
    copy: &Path,
    mut is_same: impl FnMut(&str) -> bool,
    mut found_same: impl FnMut(&str),
) -> Vec<String> {
    let mut changed = Vec::new();
    for path in inputs.filter(|path| is_of_an_install(path)) {
        if is_same(path) {
            continue;
        }
        let (before, now) = (read(&users.join(path)), read(&copy.join(path)));
        match before == now || demands(path, &before) == demands(path, &now) {
            true => found_same(path),
            false => changed.push(path.to_owned()),
        }
    }
    changed
}

/// Returns a key of these files in a copy; the key changes when an install would give another result.
pub fn hash_inputs(paths: &[String], copy: &Path) -> String {
    let mut key = Sha256::new();
    for path in paths {
        for part in [path.as_bytes(), &read(&copy.join(path))] {
            key.update((part.len() as u64).to_le_bytes());
            key.update(part);
        }
    }
    hex(&key.finalize())
}

/// Returns the content; empty if the path is no file.
fn read(path: &Path) -> Vec<u8> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => fs::read(path).unwrap_or_default(),
        _ => Vec::new(),
    }
}

#[derive(PartialEq)]
enum DemandedDependencies {
    Sections(Vec<Option<Value>>),
    Lines(Vec<String>),
    All(Vec<u8>),
}

fn demands(path: &str, text: &[u8]) -> DemandedDependencies {
    match path.rsplit('/').next() {
        Some("package.json") => {
            let manifest = match text {
                [] => Ok(Value::Null),
                text => serde_json::from_slice::<Value>(text),
            };
            match manifest {
                Ok(manifest) => DemandedDependencies::Sections(
                    NODE_SECTIONS.iter().map(|name| manifest.get(name).cloned()).collect(),
                ),
                Err(_) => DemandedDependencies::All(text.to_vec()),
            }
        }
        Some("pyproject.toml") => {
            DemandedDependencies::Lines(python_lines(&String::from_utf8_lossy(text)))
        }
        _ => DemandedDependencies::All(text.to_vec()),
    }
}

/// Returns the lines of the relevant tables, without comments.
fn python_lines(text: &str) -> Vec<String> {
    let mut decides = false;
    let mut lines = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[')
            && line.contains(']')
            && !line.contains('=')
            && !line.ends_with(',')
        {
            let name = header.trim_start_matches('[').split(']').next().unwrap_or_default().trim();
            decides = PYTHON_TABLES.iter().any(|table| {
                name.strip_prefix(table)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            });
        }
        let key = line.split('=').next().unwrap_or_default().trim();
        if decides && !line.is_empty() && !line.starts_with('#') && !ABOUT.contains(&key) {
            lines.push(line.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_changed(path: &str, before: Option<&str>, now: &str) -> bool {
        let temp = tempfile::tempdir().unwrap();
        let (users, copy) = (temp.path().join("users"), temp.path().join("copy"));
        for (dir, text) in [(&users, before), (&copy, Some(now))] {
            fs::create_dir(dir).unwrap();
            if let Some(text) = text {
                fs::write(dir.join(path), text).unwrap();
            }
        }
        !find_changed_inputs([path].into_iter(), &users, &copy, |_| false, |_| {}).is_empty()
    }

    #[test]
    fn a_script_is_no_dependency() {
        let package = |dependencies: &str, script: &str| {
            format!(r#"{{"version": "1", "scripts": {{"test": "{script}"}}, {dependencies}}}"#)
        };
        let old = package(r#""dependencies": {"a": "1"}"#, "x");
        let name = "package.json";
        assert!(!is_changed(name, Some(&old), &package(r#""dependencies": {"a": "1"}"#, "y")));
        assert!(is_changed(name, Some(&old), &package(r#""dependencies": {"a": "2"}"#, "x")));
        assert!(is_changed(name, None, &old));
        assert!(!is_changed(name, None, r#"{"scripts": {"test": "x"}}"#));
        assert!(is_changed(name, Some(&old), "{broken"));
    }

    #[test]
    fn only_tables_about_dependencies_count_in_a_python_project() {
        let old =
            "[project]\nversion = \"1\"\ndependencies = [\n  \"a\",\n]\n[tool.pytest]\nx = 1\n";
        let name = "pyproject.toml";
        assert!(!is_changed(name, Some(old), &old.replace("x = 1", "x = 2")));
        assert!(!is_changed(name, Some(old), &old.replace("\"1\"", "\"2\"")));
        assert!(is_changed(name, Some(old), &old.replace("\"a\"", "\"b\"")));
        assert!(is_changed(name, Some(old), &format!("{old}[tool.uv.sources]\na = 1\n")));
    }

    #[test]
    fn a_lock_file_counts_as_a_whole_and_a_compilers_settings_do_not() {
        assert!(is_changed("uv.lock", Some("1"), "2") && !is_changed("uv.lock", Some("1"), "1"));
        assert!(is_changed("yarn.lock", None, "1"));
        assert!(!is_changed("Cargo.toml", Some("1"), "2") && !is_changed(".nvmrc", Some("1"), "2"));
    }

    #[test]
    fn the_key_follows_the_content() {
        let temp = tempfile::tempdir().unwrap();
        let paths = ["uv.lock".to_owned()];
        fs::write(temp.path().join("uv.lock"), "1").unwrap();
        let first = hash_inputs(&paths, temp.path());
        assert_eq!(hash_inputs(&paths, temp.path()), first);
        fs::write(temp.path().join("uv.lock"), "2").unwrap();
        assert_ne!(hash_inputs(&paths, temp.path()), first);
    }
}
