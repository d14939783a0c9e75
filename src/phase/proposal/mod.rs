//! Scope proposals: the paths that a phase without any path will probably change, suggested by an agent or by the
//! memory's index of the repository.
//!
//! [`answer`] reads the text of an agent, [`check`] applies the rules to each path, [`tree_files`] has the files of the
//! commit, `restricted` names the files that issues of other people never open. All of it is pure. An accepted
//! proposal becomes `scope.paths` of the phase; it never adds deliverables, so that a good change that leaves a
//! proposed file alone still lands.

pub mod answer;
pub mod check;
#[cfg(test)]
pub(in crate::phase) mod path_strategies;
pub(in crate::phase) mod placement;
#[cfg(test)]
mod properties;
pub mod restricted;
pub mod tree_files;

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::spec::{FixedSpec, PathPattern, RawSpec};

/// Key of `scope` with the origin of a proposed scope.
const PROPOSED_BY: &str = "proposed_by";
/// Key of `scope` with the files granted on request.
pub(in crate::phase) const REQUESTED: &str = "requested";

/// A commit of the history: the files of a similar task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PastChange {
    /// Title and body.
    pub message: String,
    /// Changed files.
    pub files: Vec<String>,
}

/// A checked proposal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// Author of the proposal.
    pub origin: Origin,
    /// How certain the author is.
    pub confidence: Confidence,
    /// Paths that the phase may change, each once.
    pub paths: Vec<ProposedPath>,
    /// Paths left out until a person accepts them.
    #[serde(default)]
    pub withheld: Vec<WithheldPath>,
    /// Refused paths, each with the reason.
    #[serde(default)]
    pub refused: Vec<String>,
}

/// Author of a proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The agent of this name.
    Agent(String),
    /// The memory's index of the repository.
    Memory,
}

/// How certain an author is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// A guess.
    Low,
    /// Likely.
    Medium,
    /// Nearly certain.
    High,
}

/// Part of a path in the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PathRole {
    /// Changed or created by the task itself.
    Deliverable,
    /// May have to change, too.
    Scope,
    /// Tests of the change.
    Test,
}

/// A path of a proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposedPath {
    /// Path relative to the repository root; a directory ends with `/`.
    pub path: String,
    /// Part in the change.
    pub role: PathRole,
    /// Why the author named the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether the path existed in the commit.
    pub exists: bool,
}

/// A path left out of the scope until a person accepts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithheldPath {
    /// The path.
    #[serde(flatten)]
    pub path: ProposedPath,
    /// Why the path was left out.
    pub why: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(name) => write!(f, "agent {name}"),
            Self::Memory => f.write_str("memory"),
        }
    }
}

impl Confidence {
    /// Returns the name used in JSON and texts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl Proposal {
    /// Returns the paths with this part, in order.
    pub fn with_role(&self, role: PathRole) -> impl Iterator<Item = &str> {
        self.paths.iter().filter(move |path| path.role == role).map(|path| path.path.as_str())
    }

    /// Returns the existing files and directories: the proposal holds while a tree has all of them.
    pub fn existing(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().filter(|path| path.exists).map(|path| path.path.as_str())
    }

    /// Whether every path waits for a person.
    pub fn is_withheld(&self) -> bool {
        self.paths.is_empty() && !self.withheld.is_empty()
    }

    /// Moves the withheld paths into the scope: a person accepts them.
    pub fn accept_withheld(&mut self) {
        self.paths.extend(self.withheld.drain(..).map(|withheld| withheld.path));
    }

    /// Returns the spec with the proposal as its scope. Other values than objects stay unchanged.
    #[must_use]
    pub fn applied_to(&self, spec: &RawSpec) -> RawSpec {
        let mut json = spec.0.clone();
        if let Value::Object(fields) = &mut json {
            let scope = fields.entry("scope").or_insert_with(|| json!({}));
            if !scope.is_object() {
                *scope = Value::Object(Map::new());
            }
            scope["paths"] = self.paths.iter().map(|path| path.path.clone()).collect();
            scope[PROPOSED_BY] = Value::from(self.origin.to_string());
        }
        RawSpec(json)
    }

    /// Returns the proposal as scripts see it.
    pub fn as_json(&self) -> Value {
        let reasons: Map<String, Value> = self
            .paths
            .iter()
            .filter_map(|path| Some((path.path.clone(), Value::from(path.reason.clone()?))))
            .collect();
        let roles = |role| self.with_role(role).map(Value::from).collect::<Value>();
        let withheld = self.withheld.iter();
        let withheld: Value =
            withheld.map(|held| json!({"path": held.path.path, "why": held.why})).collect();
        json!({
            "origin": self.origin.to_string(),
            "confidence": self.confidence.as_str(),
            "deliverables": roles(PathRole::Deliverable),
            "scope": roles(PathRole::Scope),
            "tests": roles(PathRole::Test),
            "reasons": reasons,
            "withheld": withheld,
            "refused": self.refused,
        })
    }
}

/// Returns the origin of a proposed scope; `None` for the author's own scope.
pub fn proposed_by(spec: &FixedSpec) -> Option<&str> {
    spec.json()["scope"][PROPOSED_BY].as_str()
}

/// Returns the paths of a scope known as files: an agent proposed or requested them.
pub(in crate::phase) fn exact_paths(spec: &FixedSpec) -> HashSet<&str> {
    let scope = &spec.json()["scope"];
    let requested = scope[REQUESTED].as_array().into_iter().flatten().filter_map(Value::as_str);
    let proposed = spec.scope_paths().iter().filter(|_| proposed_by(spec).is_some());
    let proposed = proposed.map(PathPattern::as_str).filter(|path| !path.ends_with('/'));
    requested.chain(proposed).collect()
}

/// Returns the text behind the proposals of a phase: two specs with the same text get the same proposal.
pub fn proposal_text(spec: &FixedSpec) -> String {
    let mut parts = vec![spec.name(), spec.description()];
    parts.extend(spec.acceptance_criteria().iter().map(String::as_str));
    parts.push(if spec.is_from_tracker() { "tracker" } else { "" });
    parts.join("\n")
}

/// Returns the digest under which the proposals of a phase are kept.
pub fn text_digest(spec: &FixedSpec) -> String {
    let hash = Sha256::digest(proposal_text(spec).as_bytes());
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::autofix::{Limits, Unscoped, autofix};

    fn proposal() -> Proposal {
        let path = |path: &str, role| ProposedPath {
            path: path.to_owned(),
            role,
            reason: Some("the parser".to_owned()),
            exists: path != "src/new.rs",
        };
        Proposal {
            origin: Origin::Agent("fake".to_owned()),
            confidence: Confidence::High,
            paths: vec![
                path("src/a.rs", PathRole::Deliverable),
                path("src/new.rs", PathRole::Scope),
                path("tests/a.rs", PathRole::Test),
            ],
            withheld: vec![WithheldPath {
                path: path("Cargo.toml", PathRole::Scope),
                why: "a manifest".to_owned(),
            }],
            refused: Vec::new(),
        }
    }

    #[test]
    fn a_proposal_becomes_the_scope_and_no_deliverable() {
        let spec = RawSpec(json!({"name": "x", "scope": {"read_only_context": ["docs"]}}));
        assert_eq!(
            proposal().applied_to(&spec).0,
            json!({"name": "x", "scope": {"read_only_context": ["docs"],
                "paths": ["src/a.rs", "src/new.rs", "tests/a.rs"], "proposed_by": "agent fake"}})
        );
        assert_eq!(proposal().applied_to(&RawSpec(json!("text"))).0, json!("text"));
    }

    #[test]
    fn proposals_are_kept_by_the_text_of_the_phase() {
        let spec = |name: &str, paths: Value| {
            let limits =
                Limits { workspace: None, max_timeout_seconds: 3600, unscoped: Unscoped::Propose };
            let raw = RawSpec(json!({"phase_id": "p", "name": name, "scope": {"paths": paths}}));
            text_digest(&autofix(&raw, None, &limits).result.unwrap())
        };
        assert_eq!(spec("a", json!([])), spec("a", json!(["src/a.rs"])));
        assert_ne!(spec("a", json!([])), spec("b", json!([])));
        assert_eq!(spec("a", json!([])).len(), 32);
    }

    #[test]
    fn withheld_paths_are_added_when_a_person_accepts_them() {
        let mut accepted = proposal();
        accepted.accept_withheld();
        assert_eq!(accepted.paths.last().unwrap().path, "Cargo.toml");
        assert!(accepted.withheld.is_empty());
        assert_eq!(
            accepted.existing().collect::<Vec<_>>(),
            ["src/a.rs", "tests/a.rs", "Cargo.toml"]
        );
    }

    #[test]
    fn json_lists_paths_by_role_and_is_stored_without_loss() {
        let shown = proposal().as_json();
        assert_eq!(shown["deliverables"], json!(["src/a.rs"]));
        assert_eq!(shown["withheld"], json!([{"path": "Cargo.toml", "why": "a manifest"}]));
        assert_eq!(shown["origin"], "agent fake");
        let text = serde_json::to_string(&proposal()).unwrap();
        assert_eq!(serde_json::from_str::<Proposal>(&text).unwrap(), proposal());
    }
}
