//! Properties of the rules: whatever an agent answers, a proposal stays inside the repository and within its limits.

use proptest::prelude::*;
use serde_json::json;

use super::answer::read_answer;
use super::check::{MOST_PATHS, MOST_TRACKER_FILES, ProposalRules};
use super::path_strategies::{path, tree};
use super::restricted::restriction;
use super::tree_files::TreeFiles;
use super::{Origin, Proposal};
use crate::phase::path::NormalizedPath;
use crate::phase::path::normalize;
use crate::phase::protected::ProtectedPaths;

fn check(paths: &[String], tree: &TreeFiles, is_from_tracker: bool) -> Option<Proposal> {
    let protected = ProtectedPaths::new(&["b/b".to_owned()]);
    let rules = ProposalRules {
        tree,
        protected: &protected,
        workspace: None,
        is_from_tracker,
        own_protected: &[],
        read_only: &[],
    };
    let answer = read_answer(&json!({ "scope": paths }).to_string()).ok()?;
    rules.check(&answer, Origin::Memory).ok()
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC{0,80}") {
        let _ = read_answer(&text);
    }

    #[test]
    fn nested_json_is_read_without_a_panic(paths in prop::collection::vec(path(), 0..5), prose in "[{}\\[\\]\" a]{0,20}") {
        let _ = read_answer(&format!("{prose}{}{prose}", json!({"scope": {"paths": paths}})));
    }

    #[test]
    fn a_proposal_stays_inside_and_within_its_limits(
        paths in prop::collection::vec(path(), 1..60), tree in tree(), is_from_tracker in any::<bool>(),
    ) {
        let Some(proposal) = check(&paths, &tree, is_from_tracker) else { return Ok(()) };
        let limit = if is_from_tracker { MOST_TRACKER_FILES } else { MOST_PATHS };
        prop_assert!(proposal.paths.len() + proposal.withheld.len() <= limit);
        for path in &proposal.paths {
            let name = path.path.as_str();
            prop_assert_eq!(normalize(name, None), Ok(NormalizedPath::Inside(name.to_owned())));
            prop_assert!(!name.contains('*') && !name.split('/').any(|part| part == ".git"));
            prop_assert_eq!(path.exists, tree.has(name));
            prop_assert!(tree.link_above(name).is_none());
            prop_assert!(!name.trim_end_matches('/').starts_with("b/b/") && name != "b/b");
            if is_from_tracker {
                prop_assert!(!name.ends_with('/') || !path.exists);
                prop_assert_eq!(restriction(name), None);
            }
        }
    }

    #[test]
    fn checking_an_accepted_proposal_again_changes_nothing(
        paths in prop::collection::vec(path(), 1..20), tree in tree(), is_from_tracker in any::<bool>(),
    ) {
        let Some(first) = check(&paths, &tree, is_from_tracker) else { return Ok(()) };
        let named: Vec<String> = first.paths.iter().map(|path| path.path.clone()).collect();
        if !named.is_empty() {
            let again = check(&named, &tree, is_from_tracker).unwrap();
            let again: Vec<String> = again.paths.iter().map(|path| path.path.clone()).collect();
            prop_assert_eq!(again, named);
        }
    }
}
