//! The rules for a scope request: exact files of the repository, none protected, near the scope unless the
//! configuration allows more; never what runs commands for issues of other people.

use super::request_file::{RequestedPath, ScopeRequest};
use super::{DecidedPath, RequestDecision, ScopeRequests};
use crate::phase::path::{file_name, parent};
use crate::phase::proposal::placement::Placement;
use crate::phase::proposal::restricted::restriction;
use crate::phase::proposal::tree_files::TreeFiles;
use crate::phase::protected::ProtectedPaths;
use crate::phase::scope::{BreachReason, Change, ChangeKind, breaches};
use crate::phase::spec::{FixedSpec, PathPattern};

/// What a request is decided by.
#[derive(Clone, Copy, Debug)]
pub struct RequestRules<'a> {
    /// The phase.
    pub spec: &'a FixedSpec,
    /// Files of the commit that the attempt started from.
    pub tree: &'a TreeFiles,
    /// Protected paths of the workspace.
    pub protected: &'a [String],
    /// Absolute path of the repository; paths inside are made relative. Compared as text only.
    pub workspace: Option<&'a str>,
    /// Handling of requests.
    pub policy: ScopeRequests,
    /// Attempts of the phase whose requests were granted.
    pub granted_before: u32,
    /// Most attempts of the phase whose requests are granted.
    pub most: u32,
}

impl RequestRules<'_> {
    /// Checks whether no further request is granted, whatever the paths.
    pub fn is_limit_reached(&self) -> bool {
        self.granted_before >= self.most
    }

    /// Decides on each path of a request, in order.
    pub fn decide(&self, request: &ScopeRequest) -> Vec<DecidedPath> {
        request.paths.iter().map(|requested| self.decide_path(requested)).collect()
    }

    /// Decides on one path.
    pub fn decide_path(&self, requested: &RequestedPath) -> DecidedPath {
        let of = |path: String, (decision, why): (RequestDecision, String)| DecidedPath {
            path,
            reason: requested.reason.clone(),
            decision,
            why,
        };
        let refuse = |why: String| (RequestDecision::Refused, why);
        let written = &requested.path;
        match Placement::of(written, self.tree, self.workspace) {
            Err(error) => of(written.clone(), refuse(error.to_string())),
            Ok(Placement { path, .. }) if path.ends_with('/') => {
                of(path, refuse("is a directory: name files".to_owned()))
            }
            Ok(Placement { path, exists }) => {
                let decided = match self.place_in_scope(&path, exists) {
                    None => (RequestDecision::Unused, "in scope already".to_owned()),
                    Some(reason) => match self.grant(&path, &reason) {
                        Ok(why) => (RequestDecision::Granted, why),
                        Err(why) => refuse(why),
                    },
                };
                of(path, decided)
            }
        }
    }

    /// Returns the rule that forbids a change of the file now.
    fn place_in_scope(&self, path: &str, exists: bool) -> Option<BreachReason> {
        let kind = if exists { ChangeKind::Modified } else { ChangeKind::Added };
        let change = Change { path: path.to_owned(), kind, symlink_target: None, lets_out: None };
        let reason = |existed: bool| {
            let found =
                breaches(self.spec, std::slice::from_ref(&change), self.protected, &|_| existed);
            found.into_iter().next().map(|breach| breach.reason)
        };
        // A new file may be in scope where existing ones are protected. A request opens neither.
        reason(exists).and_then(|_| reason(true))
    }

    /// Returns why the file is granted.
    ///
    /// # Errors
    /// Returns why the file is refused.
    fn grant(&self, path: &str, reason: &BreachReason) -> Result<String, String> {
        if let Some(by) = ProtectedPaths::new(self.protected).by(path) {
            return Err(format!("is protected by {by:?}"));
        }
        match reason {
            BreachReason::OutOfScope => {}
            BreachReason::Protected(by) => return Err(format!("is protected by {by:?}")),
            BreachReason::ReadOnly(by) => return Err(format!("is read-only context by {by:?}")),
            BreachReason::SymlinkOutside(_) | BreachReason::LetsOut(_) => {
                return Err("is a symbolic link".to_owned());
            }
        }
        if let Some(what) = restriction(path).filter(|_| self.spec.is_from_tracker()) {
            return Err(format!("{what}, closed to issues of a tracker"));
        }
        let policy = self.policy.for_phase(self.spec);
        if policy == ScopeRequests::Refuse {
            return Err("executor.scope_requests: refuse".to_owned());
        }
        if self.is_limit_reached() {
            return Err(format!("limit of {} granted requests reached", self.most));
        }
        match self.sibling_of(path) {
            Some(sibling) => Ok(format!("same directory as {sibling}")),
            None if policy == ScopeRequests::Allow => {
                Ok("executor.scope_requests: allow".to_owned())
            }
            None => Err("in no directory of a file in scope".to_owned()),
        }
    }

    /// Returns the file or pattern of the scope whose directory has the path.
    fn sibling_of(&self, path: &str) -> Option<&str> {
        let directory = parent(path).unwrap_or_default();
        let named = self.spec.deliverables().iter().chain(self.spec.scope_paths());
        named.filter(|named| self.directory_of(named) == directory).map(PathPattern::as_str).next()
    }

    /// Checks for a directory, existing or new: with a deliverable in it, or named without an extension.
    fn is_directory(&self, bare: &str) -> bool {
        let is_below = |path: &PathPattern| {
            path.as_str().strip_prefix(bare).is_some_and(|rest| rest.starts_with('/'))
        };
        self.tree.has_directory(bare)
            || !self.tree.has_file(bare)
                && (!file_name(bare).contains('.') || self.spec.deliverables().iter().any(is_below))
    }

    /// Returns the directory that a pattern opens to requests: around a file, before the first wildcard, or the
    /// directory itself. A directory in scope opens nothing beside it.
    fn directory_of<'p>(&self, pattern: &'p PathPattern) -> &'p str {
        let bare = pattern.as_str().trim_end_matches('/');
        if pattern.is_glob() {
            let fixed = &bare[..bare.find(['*', '?', '{', '[']).unwrap_or(bare.len())];
            return fixed.rsplit_once('/').map_or("", |(directory, _)| directory);
        }
        if pattern.is_dir() || self.is_directory(bare) {
            return bare;
        }
        parent(bare).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::phase::RawSpec;
    use crate::phase::autofix::{Limits, Unscoped, autofix};

    fn spec(json: Value) -> FixedSpec {
        let limits =
            Limits { workspace: None, max_timeout_seconds: 3600, unscoped: Unscoped::Refuse };
        autofix(&RawSpec(json), None, &limits).result.unwrap()
    }

    fn decide(
        spec: &FixedSpec,
        policy: ScopeRequests,
        granted_before: u32,
        path: &str,
    ) -> DecidedPath {
        let files =
            ["src/a.rs", "src/b.rs", "src/deep/c.rs", "lib/d.rs", "docs/guide.md", "setup.cfg"];
        let more =
            [".github/ci.yml", "vendor", "src/legacy.rs", "src/users.rs", "src/package.json"];
        let files = files.into_iter().chain(more).map(str::to_owned);
        let tree = TreeFiles::new(files, ["vendor".to_owned()]);
        let protected = [".git*".to_owned(), ".github/".to_owned()];
        let rules = RequestRules {
            spec,
            tree: &tree,
            protected: &protected,
            workspace: Some("/home/u/project"),
            policy,
            granted_before,
            most: 2,
        };
        rules.decide_path(&RequestedPath { path: path.to_owned(), reason: None })
    }

    fn phase() -> FixedSpec {
        spec(json!({"name": "x", "scope": {"paths": ["src/a.rs", "docs"],
            "read_only_context": ["src/users.rs"], "protected_paths": ["src/legacy.rs"]}}))
    }

    #[test]
    fn files_beside_a_file_in_scope_are_granted() {
        for (path, granted) in [
            ("src/b.rs", "src/b.rs"),
            ("./src//b.rs", "src/b.rs"),
            ("src/new.rs", "src/new.rs"),
            ("/home/u/project/src/b.rs", "src/b.rs"),
        ] {
            let decided = decide(&phase(), ScopeRequests::Siblings, 0, path);
            assert_eq!(
                (decided.path.as_str(), decided.is_granted()),
                (granted, true),
                "{decided:?}"
            );
            assert_eq!(decided.why, "same directory as src/a.rs");
        }
        let globs = spec(json!({"name": "x", "scope": {"paths": ["src/*.py", "lib/**/*.rs"]}}));
        assert!(decide(&globs, ScopeRequests::Siblings, 0, "src/b.rs").is_granted());
        assert!(decide(&globs, ScopeRequests::Siblings, 0, "lib/x.py").is_granted());
        assert!(!decide(&globs, ScopeRequests::Siblings, 0, "setup.cfg").is_granted());
        let new = spec(json!({"name": "x", "deliverables": ["src/fresh/x.rs"]}));
        assert!(!decide(&new, ScopeRequests::Siblings, 0, "src/b.rs").is_granted());
    }

    #[test]
    fn other_files_need_the_setting() {
        for path in ["lib/d.rs", "src/deep/c.rs", "setup.cfg"] {
            let refused = decide(&phase(), ScopeRequests::Siblings, 0, path);
            assert_eq!(refused.why, "in no directory of a file in scope", "{path}");
            let granted = decide(&phase(), ScopeRequests::Allow, 0, path);
            assert_eq!(granted.why, "executor.scope_requests: allow", "{path}");
            assert!(granted.is_granted());
        }
    }

    #[test]
    fn no_setting_opens_these_paths() {
        for (path, why) in [
            (".github/ci.yml", "is protected by"),
            (".git/config", "is under .git"),
            (".autopack/autopack.db", "is under .autopack"),
            ("src/.gitattributes", "is protected by"),
            ("src/legacy.rs", "is protected by \"src/legacy.rs\""),
            ("src/users.rs", "is read-only context by"),
            ("vendor/x.rs", "is a symbolic link"),
            ("../other/x.rs", "leaves the repository"),
            ("/etc/passwd", "is an absolute path"),
            ("~/.ssh/config", "is in a home directory"),
            ("src/*.rs", "is a pattern"),
            ("src/deep", "is a directory"),
            ("src/fresh/", "is a directory"),
            (".", "is the whole repository"),
            ("the parser", "is no path"),
        ] {
            for policy in [ScopeRequests::Siblings, ScopeRequests::Allow] {
                let decided = decide(&phase(), policy, 0, path);
                assert_eq!(decided.decision, RequestDecision::Refused, "{path}");
                assert!(decided.why.contains(why), "{path}: {}", decided.why);
            }
        }
    }

    #[test]
    fn files_in_scope_need_no_request() {
        for path in ["src/a.rs", "docs/guide.md", "docs/new.md"] {
            let decided = decide(&phase(), ScopeRequests::Siblings, 0, path);
            assert_eq!(decided.decision, RequestDecision::Unused, "{path}");
        }
    }

    #[test]
    fn issues_of_other_people_get_siblings_at_most_and_nothing_that_runs_commands() {
        let issue =
            spec(json!({"name": "x", "tracker": "github:o/r#1", "scope": {"paths": ["src/a.rs"]}}));
        for policy in [ScopeRequests::Siblings, ScopeRequests::Allow] {
            assert!(decide(&issue, policy, 0, "src/b.rs").is_granted());
            assert!(!decide(&issue, policy, 0, "lib/d.rs").is_granted());
            let manifest = decide(&issue, policy, 0, "src/package.json");
            assert!(manifest.why.contains("closed to issues"), "{}", manifest.why);
        }
        assert!(decide(&phase(), ScopeRequests::Siblings, 0, "src/package.json").is_granted());
    }

    #[test]
    fn requests_after_the_limit_are_refused() {
        assert!(decide(&phase(), ScopeRequests::Siblings, 1, "src/b.rs").is_granted());
        let refused = decide(&phase(), ScopeRequests::Allow, 2, "src/b.rs");
        assert_eq!(refused.why, "limit of 2 granted requests reached");
        let refused = decide(&phase(), ScopeRequests::Refuse, 0, "src/b.rs");
        assert_eq!(refused.why, "executor.scope_requests: refuse");
    }
}
