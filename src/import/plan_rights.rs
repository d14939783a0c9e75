//! Content forbidden in a plan by an agent: finished work, unknown agents and, for an issue of other people, more rights
//! for the phases.

use serde_json::{Map, Value};

use super::standing::{self, SourceStatus, plain_key};
use crate::phase::plan::PlanPhase;
use crate::phase::proposal::check::MOST_TRACKER_FILES;
use crate::phase::proposal::restricted::restriction;
use crate::phase::proposal::tree_files::TreeFiles;
use crate::phase::words::{first_few, quoted};
use crate::phase::{FixedSpec, PathPattern, PhaseState};

/// Files named in a problem; the rest are counted.
const NAMED: usize = 5;
/// Fields with more rights for a phase, in the plain form of keys.
const RIGHTS: [(&str, &str); 6] = [
    ("allowprotected", "allow_protected"),
    ("testcmd", "test_cmd"),
    ("ci", "ci"),
    ("ciargs", "ci_args"),
    ("agent", "agent"),
    ("maxattempts", "max_attempts"),
];

/// Lists content forbidden in any plan, in words for the agent.
pub(super) fn forbidden_words(
    phase: &PlanPhase,
    fixed: &FixedSpec,
    agents: &[&str],
) -> Vec<String> {
    let mut problems = Vec::new();
    let status = phase.spec.0.as_object().map_or(SourceStatus::Open, standing::of);
    if phase.state != PhaseState::Queued || status != SourceStatus::Open {
        problems.push("a status is not yours to give: list only work to do".to_owned());
    }
    if let Some(agent) = fixed.agent().filter(|agent| !agents.contains(agent)) {
        problems.push(format!("agent {} is not configured", quoted(agent)));
    }
    problems
}

/// Lists content forbidden in the plan of an issue, in words for the agent.
pub(super) fn widened_rights(
    phase: &PlanPhase,
    fixed: &FixedSpec,
    tree: &TreeFiles,
) -> Vec<String> {
    let mut problems: Vec<String> = RIGHTS
        .iter()
        .filter(|(plain, _)| match *plain {
            // The auto-fixer gives each phase a `ci` with time limits.
            "ci" => has_key(&phase.spec.0, plain) || fixed.ci().command.is_some(),
            plain => has_key(&phase.spec.0, plain) || has_key(fixed.json(), plain),
        })
        .map(|(_, name)| format!("`{name}` is not allowed in the plan of an issue"))
        .collect();
    let files = fixed.scope_paths();
    if files.len() > MOST_TRACKER_FILES {
        problems.push(format!(
            "{} paths in `scope` are too many, at most {MOST_TRACKER_FILES}: split the phase",
            files.len()
        ));
    }
    let mut paths: Vec<&PathPattern> = fixed.deliverables().iter().chain(files).collect();
    paths.sort_unstable();
    paths.dedup();
    problems.extend(paths.into_iter().filter_map(|path| {
        let name = path.as_str();
        let what = match () {
            () if path.is_glob() => "a pattern",
            () if name.trim_matches(['.', '/']).is_empty() => "the whole repository",
            () => match restriction(name) {
                Some(what) => what,
                None => return restricted_below(name, tree),
            },
        };
        Some(format!("{name:?} is {what}, and not allowed in the plan of an issue"))
    }));
    problems
}

/// Describes a directory with files closed to issues.
fn restricted_below(directory: &str, tree: &TreeFiles) -> Option<String> {
    let below = tree.below(directory).filter(|file| restriction(file).is_some());
    let below: Vec<&str> = below.collect();
    (!below.is_empty()).then(|| {
        format!(
            "{directory:?} has files that the plan of an issue never opens: {}; name the files to change in `scope.paths`, \
             not the directory",
            first_few(&below, NAMED)
        )
    })
}

/// Checks for a key of the spec or of its scope, in any spelling.
fn has_key(spec: &Value, plain: &str) -> bool {
    let within = |fields: &Map<String, Value>| fields.keys().any(|key| plain_key(key) == plain);
    let Some(fields) = spec.as_object() else { return false };
    let scope = fields.iter().filter(|(key, _)| plain_key(key) == "scope");
    within(fields)
        || scope.filter_map(|(_, scope)| scope.as_object()).any(within)
        || fields.keys().any(|key| plain_key(key) == format!("scope.{plain}"))
}
