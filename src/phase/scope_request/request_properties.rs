//! Properties of the rules: whatever an agent asks for, granted files are near the scope, exact and unprotected.

use proptest::prelude::*;
use serde_json::json;

use super::decide::RequestRules;
use super::request_file::{MOST_PATHS, read_request};
use super::{DecidedPath, RequestDecision, ScopeRequests, widen};
use crate::phase::autofix::{Limits, Unscoped, autofix};
use crate::phase::path::{NormalizedPath, normalize, parent};
use crate::phase::proposal::path_strategies::{path, tree};
use crate::phase::scope::{Change, ChangeKind, breaches};
use crate::phase::{FixedSpec, RawSpec};

fn fixed(spec: RawSpec) -> FixedSpec {
    let limits = Limits { workspace: None, max_timeout_seconds: 3600, unscoped: Unscoped::Refuse };
    autofix(&spec, None, &limits).result.unwrap()
}

fn spec(is_from_tracker: bool) -> FixedSpec {
    let mut spec =
        json!({"name": "x", "scope": {"paths": ["a/a.rs", "b"], "read_only_context": ["a/b"]}});
    if is_from_tracker {
        spec["tracker"] = json!("github:o/r#1");
    }
    fixed(RawSpec(spec))
}

fn is_inside(path: &str) -> bool {
    normalize(path, None) == Ok(NormalizedPath::Inside(path.to_owned()))
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC{0,80}") {
        let _ = read_request(&text);
    }

    #[test]
    fn granted_files_are_exact_near_and_unprotected(
        paths in prop::collection::vec(path(), 0..9), tree in tree(), policy in 0..2_u8, is_from_tracker in any::<bool>(),
    ) {
        let policy = if policy == 0 { ScopeRequests::Siblings } else { ScopeRequests::Allow };
        let spec = spec(is_from_tracker);
        let protected = ["b/b".to_owned(), "a/bb".to_owned()];
        let rules = RequestRules {
            spec: &spec, tree: &tree, protected: &protected, workspace: None, policy, granted_before: 0, most: 1,
        };
        let request = read_request(&json!({ "scope": paths }).to_string()).unwrap();
        prop_assert!(request.paths.len() <= MOST_PATHS);
        let decided = rules.decide(&request);
        prop_assert_eq!(decided.len(), request.paths.len());
        let wider = fixed(widen(&RawSpec(spec.json().clone()), &decided));
        for one in decided.iter().filter(|one| one.is_granted()) {
            let name = one.path.as_str();
            prop_assert!(is_inside(name) && !name.ends_with('/') && !name.contains('*'), "{}", name);
            prop_assert!(!name.split('/').any(|part| part == ".git"));
            prop_assert!(tree.link_above(name).is_none());
            prop_assert!(name != "a/b" && !name.starts_with("a/b/") && name != "a/bb" && !name.starts_with("a/bb/"));
            if policy == ScopeRequests::Siblings || is_from_tracker {
                let directory = parent(name).unwrap_or_default();
                let is_beside_a_file = directory.is_empty() && tree.has_file("b");
                prop_assert!(["a", "b"].contains(&directory) || is_beside_a_file, "{}", name);
            }
            let change = |path: &str| Change {
                path: path.to_owned(), kind: ChangeKind::Modified, symlink_target: None, lets_out: None,
            };
            prop_assert!(!breaches(&spec, &[change(name)], &protected, &|_| true).is_empty());
            prop_assert!(breaches(&wider, &[change(name)], &protected, &|_| true).is_empty(), "{}", name);
        }
        // After the grant, the same request asks for nothing new.
        let again = RequestRules { spec: &wider, granted_before: 1, ..rules };
        for one in again.decide(&request) {
            prop_assert!(!one.is_granted());
            let was = decided.iter().find(|was| was.path == one.path).map(DecidedPath::is_granted);
            if was == Some(true) {
                prop_assert_eq!(one.decision, RequestDecision::Unused);
            }
        }
    }
}
