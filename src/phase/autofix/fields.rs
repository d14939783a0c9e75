//! Fields of a spec with a meaning for autopack, printed in `docs/plan-format.md`.

use super::aliases::ALIASES;
use super::ci_keys;

/// All fields. A dot separates the object from the key.
pub const FIELDS: [&str; 20] = [
    "phase_id",
    "name",
    "description",
    "category",
    "complexity",
    "deliverables",
    "scope.paths",
    "scope.read_only_context",
    "scope.protected_paths",
    "acceptance_criteria",
    "depends_on",
    "ci",
    "scope.ci",
    "test_cmd",
    "ci_args",
    "max_attempts",
    "agent",
    "machine_labels",
    "allow_no_change",
    "allow_protected",
];

/// Returns the field with this name or alternative name; keys of `ci` are fields, too.
pub fn find_field(name: &str) -> Option<&str> {
    let in_ci = |key: &str| ci_keys::KNOWN.contains(&key);
    let is_ci_key = ["ci.", "scope.ci."].iter().any(|ci| name.strip_prefix(ci).is_some_and(in_ci));
    if FIELDS.contains(&name) || is_ci_key {
        return Some(name);
    }
    ALIASES.iter().find(|alias| alias.name == name).map(|alias| alias.field)
}

/// Returns the keys of `ci`, also other names of keys.
pub fn ci_keys() -> impl Iterator<Item = &'static str> {
    ci_keys::KNOWN.into_iter().chain(ci_keys::OTHER_NAMES.iter().map(|(name, _)| *name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_under_all_their_names() {
        assert_eq!(find_field("max_attempts"), Some("max_attempts"));
        assert_eq!(find_field("title"), Some("name"));
        assert_eq!(find_field("paths"), Some("scope.paths"));
        assert_eq!(find_field("ci.timeout_seconds"), Some("ci.timeout_seconds"));
        assert_eq!(find_field("ci.nonsense"), None);
        assert_eq!(find_field("scope"), None);
        assert_eq!(find_field("status"), None);
    }

    #[test]
    fn every_alias_names_a_field() {
        for alias in &ALIASES {
            assert!(FIELDS.contains(&alias.field), "{alias:?}");
        }
    }
}
