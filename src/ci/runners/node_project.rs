//! Reads tests from a `package.json`: the package manager, and the workspace members with test scripts.

use std::fmt;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// Search depth for workspace members.
const DEPTH: usize = 3;
/// Above this number of members, the command runs all of them.
const MOST_MEMBERS: usize = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageManager {
    Npm,
    Pnpm,
    Yarn,
    Bun,
}

/// The tests of a Node project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeTests {
    /// The project has a test script.
    Script,
    /// Workspace members with test scripts, by relative path; the top has no script.
    Members(Vec<String>),
    /// Only the always failing script written by `npm init`.
    Placeholder,
    None,
}

impl PackageManager {
    /// Chooses the package manager by the manifest and the lock file.
    pub fn of(dir: &Path) -> Self {
        let manifest = manifest(dir);
        let named = manifest["packageManager"].as_str().unwrap_or_default();
        let has = |name: &str| dir.join(name).is_file();
        match named.split('@').next().unwrap_or_default() {
            "npm" => Self::Npm,
            "pnpm" => Self::Pnpm,
            "yarn" => Self::Yarn,
            "bun" => Self::Bun,
            _ if has("package-lock.json") || has("npm-shrinkwrap.json") => Self::Npm,
            _ if has("pnpm-lock.yaml") || has("pnpm-workspace.yaml") => Self::Pnpm,
            _ if has("yarn.lock") => Self::Yarn,
            _ if has("bun.lock") || has("bun.lockb") => Self::Bun,
            _ => Self::Npm,
        }
    }

    pub fn program(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pnpm => "pnpm",
            Self::Yarn => "yarn",
            Self::Bun => "bun",
        }
    }

    /// Returns the command for these tests; `args` go to the test runner.
    pub fn command(self, tests: &NodeTests, args: &[String]) -> Vec<String> {
        let mut words: Vec<String> = match (self, tests) {
            (Self::Bun, _) => vec!["bun".into(), "run".into(), "test".into()],
            (manager, NodeTests::Members(members)) => manager.of_members(members),
            (manager, _) => vec![manager.program().into(), "test".into()],
        };
        if !args.is_empty() {
            // Only npm consumes arguments without a separator itself.
            words.extend((words[0] == "npm").then(|| "--".to_owned()));
            words.extend(args.iter().cloned());
        }
        words
    }

    fn of_members(self, members: &[String]) -> Vec<String> {
        let is_pnpm = self == Self::Pnpm;
        let mut words: Vec<String> = vec![if is_pnpm { "pnpm".into() } else { "npm".into() }];
        if members.len() > MOST_MEMBERS {
            words.extend(match is_pnpm {
                true => ["-r", "test"].map(str::to_owned).to_vec(),
                false => ["test", "--workspaces", "--if-present"].map(str::to_owned).to_vec(),
            });
            return words;
        }
        for member in members {
            match is_pnpm {
                true => words.extend(["--filter".to_owned(), format!("./{member}")]),
                false => words.extend(["-w".to_owned(), member.clone()]),
            }
        }
        words.push("test".into());
        words
    }
}

impl fmt::Display for PackageManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program())
    }
}

/// Returns the tests of the project in a directory.
pub fn tests(dir: &Path) -> NodeTests {
    let manifest = manifest(dir);
    let script = script(&manifest, "test");
    if is_real(script) {
        return NodeTests::Script;
    }
    if !manifest["workspaces"].is_null() || dir.join("pnpm-workspace.yaml").is_file() {
        let mut members = Vec::new();
        collect(dir, "", DEPTH, &mut members);
        members.sort();
        if !members.is_empty() {
            return NodeTests::Members(members);
        }
    }
    if script.trim().is_empty() { NodeTests::None } else { NodeTests::Placeholder }
}

fn collect(top: &Path, below: &str, depth: usize, members: &mut Vec<String>) {
    for entry in fs::read_dir(top.join(below)).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_dir || name.starts_with('.') || name == "node_modules" {
            continue;
        }
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if is_real(script(&self::manifest(&top.join(&path)), "test")) {
            members.push(path.clone());
        }
        if depth > 1 {
            collect(top, &path, depth - 1, members);
        }
    }
}

/// Whether this is more than the error message written by `npm init`.
fn is_real(script: &str) -> bool {
    !script.trim().is_empty() && !script.contains("no test specified")
}

fn script<'a>(manifest: &'a Value, name: &str) -> &'a str {
    manifest["scripts"][name].as_str().unwrap_or_default()
}

pub(super) fn manifest(dir: &Path) -> Value {
    let bytes = fs::read(dir.join("package.json")).unwrap_or_default();
    let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    serde_json::from_slice(text).unwrap_or_default()
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use crate::ci::project_files::project;

    const REAL: &str = r#"{"scripts":{"test":"vitest run"}}"#;
    const PLACEHOLDER: &str =
        r#"{"scripts":{"test":"echo \"Error: no test specified\" && exit 1"}}"#;

    #[test]
    fn the_package_manager_is_the_one_of_the_lock_file() {
        for (file, manager) in [
            ("package-lock.json", PackageManager::Npm),
            ("pnpm-lock.yaml", PackageManager::Pnpm),
            ("yarn.lock", PackageManager::Yarn),
            ("bun.lock", PackageManager::Bun),
            ("x", PackageManager::Npm),
        ] {
            let dir = project(&[("package.json", REAL), (file, "")]);
            assert_eq!(PackageManager::of(dir.path()), manager, "{file}");
        }
        let dir =
            project(&[("package.json", r#"{"packageManager":"pnpm@9.1.0"}"#), ("yarn.lock", "")]);
        assert_eq!(PackageManager::of(dir.path()), PackageManager::Pnpm);
    }

    #[test]
    fn members_of_a_workspace_are_tested_where_the_top_has_no_script() {
        let dir = project(&[
            ("package.json", r#"{"workspaces":["packages/*"]}"#),
            ("packages/a/package.json", REAL),
            ("packages/b/package.json", PLACEHOLDER),
            ("packages/c/package.json", REAL),
            ("packages/c/node_modules/d/package.json", REAL),
        ]);
        let found = tests(dir.path());
        let words = PackageManager::Npm.command(&found, &[]).join(" ");
        assert_eq!(words, "npm -w packages/a -w packages/c test");
        let words = PackageManager::Pnpm.command(&found, &["--bail".to_owned()]).join(" ");
        assert_eq!(words, "pnpm --filter ./packages/a --filter ./packages/c test --bail");
    }

    #[test]
    fn a_placeholder_is_no_script() {
        let found = |text: &str| tests(project(&[("package.json", text)]).path());
        assert_eq!(found(PLACEHOLDER), NodeTests::Placeholder);
        assert_eq!(found("{broken"), NodeTests::None);
        assert_eq!(found("{}"), NodeTests::None);
        assert_eq!(found(&format!("\u{feff}{REAL}")), NodeTests::Script);
        let args = ["--ci".to_owned()];
        assert_eq!(
            PackageManager::Npm.command(&NodeTests::Script, &args).join(" "),
            "npm test -- --ci"
        );
        assert_eq!(
            PackageManager::Yarn.command(&NodeTests::Script, &args).join(" "),
            "yarn test --ci"
        );
    }
}
