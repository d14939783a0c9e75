//! Finds the project to test in the repository: at the top, else in the only project below.

use std::fs;
use std::path::Path;

use super::detect::{self, Candidate, detect_runners};
use super::plan_note::PlanNote;
use super::project_files::{FOREIGN, FOREIGN_PROJECTS};
use super::runners::{Evidence, TestRunner};

/// Search depth for projects.
const DEPTH: usize = 3;
/// Most projects named in a message.
const NAMED: usize = 5;

/// Result of the search for a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProjectSearch {
    /// A project in this directory, relative to the top; empty for the top itself. With at least one candidate.
    Project(String, Vec<Candidate>),
    /// `make` with this target, at the top.
    Make(&'static str),
    /// No command can be derived, with the reason.
    Nothing(PlanNote),
}

/// Searches the top of a checkout; if nothing is found there, the only project below; if there is none or more than
/// one, a Makefile target.
pub fn find_project(runners: &[&'static dyn TestRunner], top: &Path) -> ProjectSearch {
    let here = detect_runners(runners, top);
    if is_project(&here) {
        return ProjectSearch::Project(String::new(), here);
    }
    let mut below = Vec::new();
    collect(runners, top, "", DEPTH, &mut below);
    below.sort_by(|(one, _), (other, _)| one.cmp(other));
    if below.len() == 1
        && let Some((dir, found)) = below.pop()
    {
        return ProjectSearch::Project(dir, found);
    }
    if let Some(target) = detect::make_target(top) {
        return ProjectSearch::Make(target);
    }
    if !below.is_empty() {
        return ProjectSearch::Nothing(several_projects(top, &below));
    }
    let placeholder = here.first().and_then(|first| first.runner.explain_placeholder());
    ProjectSearch::Nothing(placeholder.unwrap_or_else(no_runner))
}

/// Explains that nothing was found.
pub fn no_runner() -> PlanNote {
    PlanNote {
        why: "no ci: found no test runner".to_owned(),
        hint: "set ci.command in autopack.yaml".to_owned(),
    }
}

/// Whether any candidate has more than a placeholder.
fn is_project(candidates: &[Candidate]) -> bool {
    candidates.first().is_some_and(|first| first.evidence > Evidence::Placeholder)
}

fn several_projects(top: &Path, found: &[(String, Vec<Candidate>)]) -> PlanNote {
    let typed = |(dir, candidates): &(String, Vec<Candidate>)| {
        Some((dir.clone(), candidates.first()?.runner.typed(&top.join(dir))))
    };
    let commands: Vec<(String, String)> = found.iter().take(NAMED).filter_map(typed).collect();
    let named: Vec<String> =
        commands.iter().map(|(dir, command)| format!("{dir} ({command})")).collect();
    let more = match found.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let lines: Vec<String> =
        commands.iter().map(|(dir, command)| format!("(cd {dir} && {command})")).collect();
    PlanNote {
        why: format!(
            "no ci: found no test runner at the top, but in {} directories: {}{more}",
            found.len(),
            named.join(", ")
        ),
        hint: format!("set ci.command in autopack.yaml, for example \"{}\"", lines.join(" && ")),
    }
}

/// Collects the projects below `dir`. A project inside another belongs to the outer project.
fn collect(
    runners: &[&'static dyn TestRunner],
    top: &Path,
    dir: &str,
    depth: usize,
    found: &mut Vec<(String, Vec<Candidate>)>,
) {
    for entry in fs::read_dir(top.join(dir)).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_dir
            || name.starts_with('.')
            || FOREIGN.contains(&name.as_str())
            || FOREIGN_PROJECTS.contains(&name.as_str())
        {
            continue;
        }
        let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
        let inside = top.join(&path);
        let candidates = match has_manifest(runners, &inside) {
            true => detect_runners(runners, &inside),
            false => Vec::new(),
        };
        if is_project(&candidates) {
            found.push((path, candidates));
        } else if depth > 1 {
            collect(runners, top, &path, depth - 1, found);
        }
    }
}

/// Whether a directory below the top is a project. Tests alone are not: a test directory belongs to the code beside it.
fn has_manifest(runners: &[&'static dyn TestRunner], dir: &Path) -> bool {
    let mut manifests = runners.iter().flat_map(|runner| runner.manifests());
    manifests.any(|name| dir.join(name).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ci::project_files::project;
    use crate::ci::runners::RUNNERS;

    fn found(files: &[(&str, &str)]) -> ProjectSearch {
        find_project(RUNNERS, project(files).path())
    }

    const API: [(&str, &str); 2] =
        [("services/api/pyproject.toml", ""), ("services/api/tests/test_a.py", "")];
    const WEB: (&str, &str) = ("web/package.json", r#"{"scripts":{"test":"node --test"}}"#);
    const PLACEHOLDER: (&str, &str) =
        ("package.json", r#"{"scripts":{"test":"echo \"Error: no test specified\" && exit 1"}}"#);

    #[test]
    fn the_only_project_below_is_found() {
        let expected = found(&API);
        let ProjectSearch::Project(dir, candidates) = &expected else { panic!("{expected:?}") };
        let first = (candidates[0].runner.name(), candidates[0].evidence);
        assert_eq!((dir.as_str(), first), ("services/api", ("pytest", Evidence::TestFiles)));
        let with = |more: (&str, &str)| found(&[API[0], API[1], more]);
        assert_eq!(with(PLACEHOLDER), expected);
        assert_eq!(with(("Makefile", "test:\n\ttrue\n")), expected);
        assert_eq!(with(("examples/x/go.mod", "")), expected);
        assert_eq!(with(("services/api/sdk/go.mod", "")), expected);
    }

    #[test]
    fn several_projects_are_named_unless_a_makefile_tests_them() {
        let ProjectSearch::Nothing(PlanNote { why, hint }) = found(&[API[0], API[1], WEB]) else {
            panic!()
        };
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
        assert_eq!(made, ProjectSearch::Make("test"));
    }

    #[test]
    fn a_placeholder_is_no_ci_yet() {
        let ProjectSearch::Nothing(PlanNote { why, .. }) = found(&[PLACEHOLDER]) else { panic!() };
        assert!(why.starts_with("no ci yet:"), "{why}");
        let ProjectSearch::Nothing(PlanNote { why, .. }) = found(&[("README.md", "")]) else {
            panic!()
        };
        assert!(why.starts_with("no ci: found no"), "{why}");
        assert_eq!(found(&[("Makefile", "check:\n")]), ProjectSearch::Make("check"));
    }
}
