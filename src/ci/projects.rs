//! Finds the project to test in the repository: at the top, else in the only project below.

use std::fs;
use std::path::Path;

use super::detect::{self, FOREIGN, Found};
use super::node_project::NodeTests;

/// Search depth for projects.
const DEPTH: usize = 3;
/// Directories whose projects are third-party code, examples or test data.
pub const NOT_OURS: [&str; 8] =
    ["examples", "example", "docs", "fixtures", "testdata", "templates", "third_party", "dist"];
/// Most projects named in a message.
const NAMED: usize = 5;

/// Result of the search for a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Project {
    /// A project in this directory, relative to the top; empty for the top itself.
    In(String, Found),
    /// `make` with this target, at the top.
    Make(&'static str),
    /// No command can be derived, with the reason.
    None { why: String, hint: String },
}

/// Searches the top of a checkout; if nothing is found there, the only project below; if there is none or more than
/// one, a Makefile target.
pub fn find(top: &Path) -> Project {
    let here = detect::find(top);
    let is_placeholder = matches!(here, Found::Node { tests: NodeTests::Placeholder, .. });
    if here != Found::Nothing && !is_placeholder {
        return Project::In(String::new(), here);
    }
    let mut below = Vec::new();
    collect(top, "", DEPTH, &mut below);
    below.sort_by(|(one, _), (other, _)| one.cmp(other));
    if below.len() == 1
        && let Some((dir, found)) = below.pop()
    {
        return Project::In(dir, found);
    }
    if let Some(target) = detect::make_target(top) {
        return Project::Make(target);
    }
    if !below.is_empty() {
        return several(&below);
    }
    match is_placeholder {
        true => Project::None {
            why: "no ci yet: package.json has only the test script written by npm init".to_owned(),
            hint: "CI starts with the first phase that writes a test script; or set ci.command in autopack.yaml"
                .to_owned(),
        },
        false => Project::None {
            why: "no ci: found no test runner".to_owned(),
            hint: "set ci.command in autopack.yaml".to_owned(),
        },
    }
}

fn several(found: &[(String, Found)]) -> Project {
    let named: Vec<String> = found
        .iter()
        .take(NAMED)
        .map(|(dir, found)| format!("{dir} ({})", in_words(found)))
        .collect();
    let more = match found.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let commands: Vec<String> = found
        .iter()
        .take(NAMED)
        .map(|(dir, found)| format!("(cd {dir} && {})", in_words(found)))
        .collect();
    Project::None {
        why: format!(
            "no ci: found no test runner at the top, but in {} directories: {}{more}",
            found.len(),
            named.join(", ")
        ),
        hint: format!("set ci.command in autopack.yaml, for example \"{}\"", commands.join(" && ")),
    }
}

/// The command as people would type it.
fn in_words(found: &Found) -> String {
    match found {
        Found::Pytest { .. } => "python -m pytest".to_owned(),
        Found::Django => "python manage.py test".to_owned(),
        Found::Cargo { .. } => "cargo test".to_owned(),
        Found::Go { .. } => "go test ./...".to_owned(),
        Found::Node { manager, .. } => format!("{manager} test"),
        Found::Deno { .. } => "deno test".to_owned(),
        Found::Nothing => "nothing".to_owned(),
    }
}

/// Collects the projects below `dir`. A project inside another belongs to the outer project.
fn collect(top: &Path, dir: &str, depth: usize, found: &mut Vec<(String, Found)>) {
    for entry in fs::read_dir(top.join(dir)).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_dir
            || name.starts_with('.')
            || FOREIGN.contains(&name.as_str())
            || NOT_OURS.contains(&name.as_str())
        {
            continue;
        }
        let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
        match is_project(&top.join(&path)).then(|| detect::find(&top.join(&path))) {
            Some(Found::Nothing | Found::Node { tests: NodeTests::Placeholder, .. }) | None => {
                if depth > 1 {
                    collect(top, &path, depth - 1, found);
                }
            }
            Some(here) => found.push((path, here)),
        }
    }
}

const MANIFESTS: [&str; 12] = [
    "Cargo.toml",
    "Pipfile",
    "deno.json",
    "deno.jsonc",
    "go.mod",
    "go.work",
    "manage.py",
    "package.json",
    "pyproject.toml",
    "pytest.ini",
    "requirements.txt",
    "setup.py",
];

/// Whether this is a project. Tests alone are not: a test directory belongs to the code beside it.
fn is_project(dir: &Path) -> bool {
    MANIFESTS.iter().any(|name| dir.join(name).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Project {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        find(dir.path())
    }

    const API: [(&str, &str); 2] =
        [("services/api/pyproject.toml", ""), ("services/api/tests/test_a.py", "")];
    const WEB: (&str, &str) = ("web/package.json", r#"{"scripts":{"test":"node --test"}}"#);
    const PLACEHOLDER: (&str, &str) =
        ("package.json", r#"{"scripts":{"test":"echo \"Error: no test specified\" && exit 1"}}"#);

    #[test]
    fn the_only_project_below_is_found() {
        let expected = Project::In("services/api".to_owned(), Found::Pytest { certain: false });
        assert_eq!(found(&API), expected);
        let with = |more: (&str, &str)| found(&[API[0], API[1], more]);
        assert_eq!(with(PLACEHOLDER), expected);
        assert_eq!(with(("Makefile", "test:\n\ttrue\n")), expected);
        assert_eq!(with(("examples/x/go.mod", "")), expected);
        assert_eq!(with(("services/api/sdk/go.mod", "")), expected);
    }

    #[test]
    fn several_projects_are_named_unless_a_makefile_tests_them() {
        let Project::None { why, hint } = found(&[API[0], API[1], WEB]) else { panic!() };
        assert_eq!(
            why,
            "no ci: found no test runner at the top, but in 2 directories: services/api (python -m pytest), \
             web (npm test)"
        );
        assert!(
            hint.ends_with("\"(cd services/api && python -m pytest) && (cd web && npm test)\""),
            "{hint}"
        );
        let made = found(&[API[0], API[1], WEB, ("Makefile", "test:\n\ttrue\n")]);
        assert_eq!(made, Project::Make("test"));
    }

    #[test]
    fn a_placeholder_is_no_ci_yet() {
        let Project::None { why, .. } = found(&[PLACEHOLDER]) else { panic!() };
        assert!(why.starts_with("no ci yet:"), "{why}");
        let Project::None { why, .. } = found(&[("README.md", "")]) else { panic!() };
        assert!(why.starts_with("no ci: found no"), "{why}");
        assert_eq!(found(&[("Makefile", "check:\n")]), Project::Make("check"));
    }
}
