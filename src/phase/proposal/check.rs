//! The rules for a proposal: exact paths of the repository, few of them, none protected; for issues of other people
//! fewer, and none that runs commands.

use super::answer::{AnsweredPath, ProposedAnswer};
use super::placement::{PlaceError, Placement};
use super::restricted::restriction;
use super::tree_files::TreeFiles;
use super::{Confidence, Origin, Proposal, ProposedPath, WithheldPath};
use crate::phase::matching::Matcher;
use crate::phase::protected::ProtectedPaths;
use crate::phase::spec::PathPattern;

/// Most paths of a proposal.
pub const MOST_PATHS: usize = 40;
/// Most files of a proposal for an issue of other people.
pub const MOST_TRACKER_FILES: usize = 12;

/// What a proposal is checked against.
#[derive(Clone, Copy, Debug)]
pub struct ProposalRules<'a> {
    /// Files of the commit that the phase would start from.
    pub tree: &'a TreeFiles,
    /// Protected paths of the workspace.
    pub protected: &'a ProtectedPaths,
    /// Absolute path of the repository; paths inside are made relative. Compared as text only.
    pub workspace: Option<&'a str>,
    /// Whether the phase is an issue of a tracker: text of other people.
    pub is_from_tracker: bool,
    /// Existing paths that the author of the phase closed: `scope.protected_paths`.
    pub own_protected: &'a [PathPattern],
    /// Paths that the author of the phase only shows: `scope.read_only_context`.
    pub read_only: &'a [PathPattern],
}

impl ProposalRules<'_> {
    /// Checks an answer. Refused paths are left out and named.
    ///
    /// # Errors
    /// Returns the reasons if no path is left, one line each.
    pub fn check(&self, answer: &ProposedAnswer, origin: Origin) -> Result<Proposal, Vec<String>> {
        let mut proposal = Proposal {
            origin,
            confidence: answer.confidence.unwrap_or(Confidence::Medium),
            paths: Vec::new(),
            withheld: Vec::new(),
            refused: Vec::new(),
        };
        for answered in &answer.paths {
            if let Err(why) = self.add(answered, &mut proposal) {
                proposal.refused.push(why);
            }
        }
        if proposal.paths.is_empty() && proposal.withheld.is_empty() {
            return Err(proposal.refused);
        }
        Ok(proposal)
    }

    /// Adds a path to the scope, or to the paths left out.
    fn add(&self, answered: &AnsweredPath, proposal: &mut Proposal) -> Result<(), String> {
        let written = &answered.path;
        let Placement { path, exists } = Placement::of(written, self.tree, self.workspace)
            .map_err(|error| describe(written, &error))?;
        if let Some(by) = self.protected.by(&path) {
            return Err(format!("{path:?} is protected by {by:?} (workspace.protected_paths)"));
        }
        if let Some(by) = self.closed_by(path.trim_end_matches('/'), exists) {
            return Err(format!("{path:?} is closed by the phase itself ({by:?})"));
        }
        let withheld = proposal.withheld.iter().map(|withheld| &withheld.path);
        let mut known = proposal.paths.iter().chain(withheld);
        if known.any(|known| covers(&known.path, &path)) {
            return Ok(());
        }
        let is_directory = path.ends_with('/');
        if is_directory && self.is_from_tracker {
            return Err(format!("{path:?} is a directory: name its files"));
        }
        let most = if self.is_from_tracker { MOST_TRACKER_FILES } else { MOST_PATHS };
        if proposal.paths.len() + proposal.withheld.len() >= most {
            return Err(format!("{path:?} is more than the {most} paths of a proposal"));
        }
        let (role, reason) = (answered.role, answered.reason.clone());
        let path = ProposedPath { path, role, reason, exists };
        match restriction(&path.path).filter(|_| self.is_from_tracker) {
            Some(what) => {
                let why = format!("{what}; a person must accept it for an issue of a tracker");
                proposal.withheld.push(WithheldPath { path, why });
            }
            None => proposal.paths.push(path),
        }
        Ok(())
    }
}

impl ProposalRules<'_> {
    /// Returns the pattern with which the author of the phase closed a path. New files beside protected ones are open.
    fn closed_by(&self, path: &str, exists: bool) -> Option<&str> {
        let protects = |by: &&PathPattern| exists && Matcher::protecting(by.as_str()).covers(path);
        let shows = |by: &&PathPattern| Matcher::new(by.as_str()).covers(path);
        let protected = self.own_protected.iter().find(protects);
        protected.or_else(|| self.read_only.iter().find(shows)).map(PathPattern::as_str)
    }
}

/// Checks whether a proposed path has another path: the same one, or a directory above it.
fn covers(known: &str, path: &str) -> bool {
    known == path || known.ends_with('/') && path.starts_with(known)
}

fn describe(written: &str, error: &PlaceError) -> String {
    format!("{written:?} {error}")
}

#[cfg(test)]
mod tests {
    use super::super::PathRole;
    use super::super::answer::read_answer;
    use super::*;

    pub(super) fn tree() -> TreeFiles {
        let modules = (0..60).map(|n| format!("src/module_{n:02}.rs"));
        let files = ["src/cli/a.rs", "src/cli/b.rs", "Cargo.toml", ".github/workflows/ci.yml"];
        let other = ["app/[slug]/page.tsx", "docs/guide.md", "vendor", "Makefile"];
        let files = files.into_iter().chain(other).map(str::to_owned);
        TreeFiles::new(modules.chain(files), ["vendor".to_owned()])
    }

    fn check(text: &str, is_from_tracker: bool) -> Result<Proposal, Vec<String>> {
        let protected = ProtectedPaths::new(&[".github/".to_owned(), ".git*".to_owned()]);
        let (tree, workspace) = (tree(), Some("/home/u/project"));
        let rules = ProposalRules {
            tree: &tree,
            protected: &protected,
            workspace,
            is_from_tracker,
            own_protected: &[],
            read_only: &[],
        };
        rules.check(&read_answer(text).unwrap(), Origin::Memory)
    }

    fn paths(proposal: &Proposal) -> Vec<&str> {
        proposal.paths.iter().map(|path| path.path.as_str()).collect()
    }

    #[test]
    fn existing_and_new_paths_are_proposed() {
        let proposal = check(
            r#"{"files": ["src/cli/a.rs", "./src/cli/new.rs", "/home/u/project/docs/guide.md", "src/cli",
                "app/[slug]/page.tsx"], "tests": ["tests/cli.rs"], "confidence": 0.2}"#,
            false,
        )
        .unwrap();
        assert_eq!(
            paths(&proposal),
            [
                "src/cli/a.rs",
                "src/cli/new.rs",
                "docs/guide.md",
                "src/cli/",
                "app/[slug]/page.tsx",
                "tests/cli.rs"
            ]
        );
        let new: Vec<&str> = proposal
            .paths
            .iter()
            .filter(|path| !path.exists)
            .map(|path| path.path.as_str())
            .collect();
        assert_eq!(new, ["src/cli/new.rs", "tests/cli.rs"]);
        assert_eq!(proposal.paths[5].role, PathRole::Test);
        assert_eq!(proposal.confidence, Confidence::Low);
    }

    #[test]
    fn refused_paths_are_named_with_the_reason() {
        for (path, why) in [
            (".", "is the whole repository"),
            ("/home/u/project", "is the whole repository"),
            ("src/**/*.rs", "is a pattern"),
            ("src/module_*.rs", "is a pattern"),
            ("src/", "has 62 of the 68 files"),
            ("../other/a.rs", "leaves the repository"),
            ("/etc/passwd", "is an absolute path"),
            ("~/notes.md", "is in a home directory"),
            (".git/config", "is under .git"),
            (".github/workflows/ci.yml", "is protected by"),
            ("vendor/lib.rs", "is a symbolic link"),
            ("src/cli/a.rs/x", "is a file"),
            ("no/such/place/at/all.rs", "is in a directory that does not exist"),
            ("src/cli/the parser of plans", "is no path"),
        ] {
            let refused = check(&format!(r#"{{"scope": [{path:?}]}}"#), false).unwrap_err();
            assert!(refused.len() == 1 && refused[0].contains(why), "{path}: {refused:?}");
            let kept = check(&format!(r#"{{"scope": [{path:?}, "docs/guide.md"]}}"#), false);
            let kept = kept.unwrap();
            assert_eq!((paths(&kept), kept.refused.len()), (vec!["docs/guide.md"], 1), "{path}");
        }
    }

    #[test]
    fn issues_of_other_people_open_few_files_and_none_that_runs_commands() {
        let text = r#"{"scope": ["src/cli/a.rs", "Cargo.toml", "Makefile", "src/cli/"]}"#;
        let proposal = check(text, true).unwrap();
        assert_eq!(paths(&proposal), ["src/cli/a.rs"]);
        let withheld: Vec<&str> =
            proposal.withheld.iter().map(|withheld| withheld.path.path.as_str()).collect();
        assert_eq!(withheld, ["Cargo.toml", "Makefile"]);
        assert!(proposal.refused[0].contains("is a directory"), "{:?}", proposal.refused);
        let own = check(text, false).unwrap();
        assert_eq!(paths(&own), ["src/cli/a.rs", "Cargo.toml", "Makefile", "src/cli/"]);

        let many: Vec<String> = (0..20).map(|n| format!("src/module_{n:02}.rs")).collect();
        let text = serde_json::json!({ "files": many }).to_string();
        assert_eq!(check(&text, true).unwrap().paths.len(), MOST_TRACKER_FILES);
        assert_eq!(check(&text, true).unwrap().refused.len(), 8);
        assert_eq!(check(&text, false).unwrap().paths.len(), 20);
    }

    #[test]
    fn a_path_below_a_proposed_directory_is_listed_once() {
        let proposal = check(r#"{"scope": ["src/cli/", "src/cli/a.rs", "src/cli/"]}"#, false);
        assert_eq!(paths(&proposal.unwrap()), ["src/cli/"]);
    }
}
