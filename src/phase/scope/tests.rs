//! Scope checks for paths and patterns of all shapes.

use super::*;
use crate::phase::autofix::{Limits, Unscoped, autofix};
use crate::phase::spec::RawSpec;
use serde_json::{Value, json};

fn spec(value: Value) -> FixedSpec {
    let limits = Limits { workspace: None, max_timeout_seconds: 3600, unscoped: Unscoped::Allow };
    autofix(&RawSpec(value), None, &limits).result.unwrap()
}

fn change(path: &str) -> Change {
    Change {
        path: path.to_owned(),
        kind: ChangeKind::Modified,
        symlink_target: None,
        lets_out: None,
    }
}

const PROTECTED: [&str; 4] = [".git*", ".github/", ".autopack/", "config/autopack.yaml"];

/// Returns the breach caused by a change of an existing file, if any.
fn breach(spec: &FixedSpec, path: &str) -> Option<BreachReason> {
    breach_where(spec, change(path), true)
}

fn breach_where(spec: &FixedSpec, change: Change, existed: bool) -> Option<BreachReason> {
    let protected = PROTECTED.map(str::to_owned);
    breaches(spec, &[change], &protected, &|_| existed).pop().map(|breach| breach.reason)
}

fn protected(by: &str) -> Option<BreachReason> {
    Some(BreachReason::Protected(by.to_owned()))
}

#[test]
fn paths_outside_the_scope_are_breaches() {
    let spec = spec(json!({"scope": {"paths": ["src/foo/", "README.md"]}}));
    for path in ["src/foo/a.py", "src/foo/x/y.py", "README.md"] {
        assert_eq!(breach(&spec, path), None, "{path}");
    }
    for path in ["src/foobar.py", "README.md.bak", "src/bar/a.py"] {
        assert_eq!(breach(&spec, path), Some(BreachReason::OutOfScope), "{path}");
    }
}

#[test]
fn deliverables_are_always_in_scope() {
    let spec = spec(json!({"deliverables": ["src/foo/a.py", "docs/new/"],
        "scope": {"paths": ["lib"], "read_only_context": ["src/"], "protected_paths": ["src/foo/"]}}));
    assert_eq!(breach(&spec, "src/foo/a.py"), None);
    assert_eq!(breach(&spec, "docs/new/x.md"), None);
    assert_eq!(breach(&spec, "src/foo/b.py"), protected("src/foo/"));
}

#[test]
fn the_longest_match_wins() {
    let spec = spec(json!({"scope": {"paths": ["src", "src/core/plugins"],
        "read_only_context": [{"path": "src/core", "reason": "look only"}]}}));
    assert_eq!(breach(&spec, "src/a.py"), None);
    assert_eq!(breach(&spec, "src/core/a.py"), Some(BreachReason::ReadOnly("src/core".into())));
    assert_eq!(breach(&spec, "src/core/plugins/a.py"), None);
}

#[test]
fn read_only_beats_a_scope_that_matches_as_closely() {
    let spec = spec(json!({"scope": {"paths": ["src"], "read_only_context": ["src/"]}}));
    assert_eq!(breach(&spec, "src/a.py"), Some(BreachReason::ReadOnly("src/".into())));
}

#[test]
fn the_workspaces_protected_paths_hold_at_any_depth() {
    let spec = spec(json!({"scope": {"paths": ["src", ".github/workflows", "config"]}}));
    assert_eq!(breach(&spec, "src/x/.gitattributes"), protected(".git*"));
    assert!(breach(&spec, ".github/workflows/ci.yml").is_some());
    assert_eq!(breach(&spec, "config/autopack.yaml"), protected("config/autopack.yaml"));
    assert_eq!(breach_where(&spec, change("src/.gitignore"), false), protected(".git*"));
    assert_eq!(breach(&spec, "src/vendor/.git/config"), protected(".git"));
    assert_eq!(breach(&spec, ".autopack/autopack.db"), protected(".autopack"));
}

#[test]
fn paths_named_in_full_by_a_phase_are_open_to_it() {
    let spec = spec(
        json!({"deliverables": [".gitignore"], "scope": {"paths": [".github/workflows/ci.yml"]}, "allow_protected": true}),
    );
    assert_eq!(breach(&spec, ".gitignore"), None);
    assert_eq!(breach(&spec, ".github/workflows/ci.yml"), None);
    assert!(breach(&spec, ".github/workflows/other.yml").is_some());
    assert!(breach(&spec, "src/.gitignore").is_some());
}

#[test]
fn protected_paths_need_the_key_and_their_name() {
    let phase = |more: Value| {
        let mut phase =
            json!({"deliverables": [".github/workflows/ci.yml", "src/"], "allow_protected": true});
        phase.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        spec(phase)
    };
    let open = phase(json!({}));
    assert_eq!(breach(&open, ".github/workflows/ci.yml"), None);
    for closed in [
        ".github/workflows/release.yml",
        ".github/CODEOWNERS",
        "src/.gitattributes",
        ".GitHub/workflows/x.yml",
    ] {
        assert!(
            breach(&open, closed)
                .is_some_and(|reason| matches!(reason, BreachReason::Protected(_))),
            "{closed}"
        );
    }
    let directory = phase(json!({"deliverables": [".github/**"]}));
    assert_eq!(breach(&directory, ".github/workflows/release.yml"), None);
    assert!(breach(&directory, ".gitignore").is_some());
    assert!(breach(&phase(json!({"allow_protected": "no"})), ".github/workflows/ci.yml").is_some());
    assert!(
        breach(&phase(json!({"deliverables": ["config/autopack.yaml"]})), "config/autopack.yaml")
            .is_some()
    );
    // A directory around protected files does not name any of them.
    assert!(breach(&phase(json!({"deliverables": ["config/"]})), "config/autopack.yaml").is_some());
}

#[test]
fn a_phases_own_protection_is_for_what_exists() {
    let spec =
        spec(json!({"scope": {"paths": ["alembic/"], "protected_paths": ["alembic/versions/*"]}}));
    let path = "alembic/versions/1_init.py";
    assert_eq!(breach_where(&spec, change(path), true), protected("alembic/versions/*"));
    assert_eq!(breach_where(&spec, change(path), false), None);
}

#[test]
fn tests_of_a_deliverable_are_in_scope_unless_protected() {
    let value = json!({"deliverables": ["src/foo/a.py"], "scope": {"paths": ["src/foo/a.py"]}});
    let open = spec(value.clone());
    for path in ["tests/foo/test_a.py", "tests/test_a.py", "src/foo/test_a.py"] {
        assert_eq!(breach(&open, path), None, "{path}");
    }
    assert_eq!(breach(&open, "tests/foo/test_b.py"), Some(BreachReason::OutOfScope));
    let mut closed = value;
    closed["scope"]["protected_paths"] = json!(["tests/"]);
    assert_eq!(breach(&spec(closed), "tests/foo/test_a.py"), protected("tests/"));
}

#[test]
fn links_that_leave_the_repository_are_breaches() {
    let spec = spec(json!({"scope": {"paths": ["src"]}}));
    let link = |target: &str| Change {
        path: "src/x/link".to_owned(),
        kind: ChangeKind::Added,
        symlink_target: Some(target.to_owned()),
        lets_out: None,
    };
    for target in ["/etc/passwd", "../../../x", "../../.git/hooks", "../../x/../.."] {
        let outside = Some(BreachReason::SymlinkOutside(target.to_owned()));
        assert_eq!(breach_where(&spec, link(target), false), outside);
    }
    for target in ["../a.py", "../../README.md", "."] {
        assert_eq!(breach_where(&spec, link(target), false), None, "{target}");
    }
    let by_way_of = |by: &str| Change { lets_out: Some(by.to_owned()), ..link("../a.py") };
    let itself = Some(BreachReason::SymlinkOutside("../a.py".to_owned()));
    assert_eq!(breach_where(&spec, by_way_of("src/x/link"), false), itself);
    let other = Some(BreachReason::LetsOut("src/old".to_owned()));
    assert_eq!(breach_where(&spec, by_way_of("src/old"), false), other);
}

#[test]
fn an_unscoped_phase_is_held_by_protection_alone() {
    let spec = spec(json!({"description": "tidy up"}));
    assert_eq!(breach(&spec, "anything/at/all.py"), None);
    assert_eq!(breach(&spec, ".gitmodules"), protected(".git*"));
}

#[test]
fn breaches_are_described() {
    let breach = Breach { path: "a.py".into(), reason: BreachReason::Protected(".git*".into()) };
    assert_eq!(breach.to_string(), "a.py: protected by `.git*`");
}
