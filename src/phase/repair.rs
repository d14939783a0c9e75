//! Result of the auto-fixer.

use std::sync::Arc;

use serde_json::Value;

use super::spec::FixedSpec;

/// A repaired spec, the list of changes, and whether the spec can be executed.
#[derive(Clone, Debug, PartialEq)]
pub struct Repair {
    /// Spec as JSON, repaired as far as possible even if unfixable. Shared with the result.
    pub spec: Arc<Value>,
    /// A readable line for each change; empty if none.
    pub fixes: Vec<String>,
    /// The executable spec, or why there is none.
    pub result: Result<FixedSpec, Unfixable>,
}

/// Reason why a spec cannot be executed, with the action to take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfixable(pub String);

/// Checks whether a fix is shown as a repair: defaults that are filled in are not.
pub fn is_shown_repair(fix: &str) -> bool {
    const DEFAULTS: [&str; 3] = [
        "scope: marked as repaired",
        "scope.ci.pytest.timeout_seconds: ",
        "scope.ci.pytest.per_test_timeout: ",
    ];
    let is_derived = fix.starts_with("scope.paths: ") && fix.ends_with(" from the deliverables");
    !is_derived && !DEFAULTS.iter().any(|default| fix.starts_with(default))
}

/// Checks whether a fix reports a setting without effect, probably a misspelled key.
pub fn is_ignored_setting(fix: &str) -> bool {
    fix.contains("has no effect")
}

/// Returns the kind of a fix: the repaired field.
pub fn repair_kind(fix: &str) -> &str {
    fix.split_once(':').map_or(fix, |(field, _)| field).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_no_repairs() {
        for fix in [
            "scope.ci.pytest.timeout_seconds: 900",
            "scope: marked as repaired",
            "scope.paths: src from the deliverables",
        ] {
            assert!(!is_shown_repair(fix), "{fix}");
        }
        let fix = "deliverables: rewrote \"./a.py (new)\"";
        assert!(is_shown_repair(fix));
        assert_eq!(repair_kind(fix), "deliverables");
    }
}
