//! Whether granted files explain a failure: then the attempt is repeated with the wider scope, and not counted.

use std::collections::BTreeSet;

use super::DecidedPath;
use crate::phase::failure_kind::FailureKind;

/// Checks whether granted files explain a failure. `out_of_scope` has the changed paths, if the scope forbids all
/// of them and nothing else does.
pub fn is_explained(
    kind: FailureKind,
    out_of_scope: Option<&BTreeSet<String>>,
    decided: &[DecidedPath],
) -> bool {
    let is_granted = |path: &str| decided.iter().any(|one| one.is_granted() && one.path == path);
    match kind {
        FailureKind::ScopeBreach => out_of_scope
            .is_some_and(|paths| !paths.is_empty() && paths.iter().all(|path| is_granted(path))),
        // The agent stopped in order to ask, or its work needs the file.
        FailureKind::MissingDeliverable
        | FailureKind::NoChange
        | FailureKind::AgentFailed
        | FailureKind::GaveUp
        | FailureKind::CiFailed
        | FailureKind::CiNoTests
        | FailureKind::CiCollectionError
        | FailureKind::CiCannotStart => decided.iter().any(DecidedPath::is_granted),
        FailureKind::ProtectedPath
        | FailureKind::SecretInDiff
        | FailureKind::CiTimeout
        | FailureKind::AgentTimeout
        | FailureKind::AgentStalled
        | FailureKind::AgentLooped
        | FailureKind::OverBudget
        | FailureKind::Unfixable
        | FailureKind::Imported => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::RequestDecision;
    use super::*;

    #[test]
    fn only_granted_files_explain_a_breach() {
        let granted = |path: &str| DecidedPath {
            path: path.to_owned(),
            reason: None,
            decision: RequestDecision::Granted,
            why: String::new(),
        };
        let refused = DecidedPath { decision: RequestDecision::Refused, ..granted("src/c.rs") };
        let paths = |list: &[&str]| list.iter().map(|path| (*path).to_owned()).collect();
        let decided = [granted("src/b.rs"), refused];
        let explains = |kind, changed: &[&str]| is_explained(kind, Some(&paths(changed)), &decided);
        assert!(explains(FailureKind::ScopeBreach, &["src/b.rs"]));
        assert!(!explains(FailureKind::ScopeBreach, &["src/b.rs", "src/c.rs"]));
        assert!(!explains(FailureKind::ScopeBreach, &[]));
        assert!(!is_explained(FailureKind::ScopeBreach, None, &decided));
        assert!(!explains(FailureKind::ProtectedPath, &["src/b.rs"]));
        assert!(!explains(FailureKind::SecretInDiff, &["src/b.rs"]));
        assert!(is_explained(FailureKind::NoChange, None, &decided));
        assert!(is_explained(FailureKind::CiFailed, None, &decided));
        assert!(!is_explained(FailureKind::CiFailed, None, &decided[1..]));
    }
}
