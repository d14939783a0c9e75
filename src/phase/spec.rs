//! A phase's specification: as somebody wrote it, and as the auto-fixer left it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::PhaseId;
use super::path::shape::has_wildcard;

/// A phase as somebody wrote it: any JSON shape, nothing assumed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawSpec(pub Value);

/// A phase that can be executed. Only the auto-fixer makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedSpec {
    pub(in crate::phase) phase_id: PhaseId,
    pub(in crate::phase) name: String,
    pub(in crate::phase) description: String,
    pub(in crate::phase) category: String,
    pub(in crate::phase) complexity: Complexity,
    pub(in crate::phase) deliverables: Vec<PathPattern>,
    pub(in crate::phase) scope_paths: Vec<PathPattern>,
    pub(in crate::phase) read_only: Vec<PathPattern>,
    pub(in crate::phase) protected: Vec<PathPattern>,
    pub(in crate::phase) acceptance_criteria: Vec<String>,
    pub(in crate::phase) depends_on: Vec<PhaseId>,
    pub(in crate::phase) ci: PhaseCi,
    pub(in crate::phase) max_attempts: Option<u32>,
    pub(in crate::phase) agent: Option<String>,
    pub(in crate::phase) allow_no_change: bool,
    pub(in crate::phase) allow_protected: bool,
    /// The whole spec, normalised, unknown fields and all, in the author's order: an object.
    pub(in crate::phase) json: Arc<Value>,
}

/// A path relative to the repository's root: `/` between components, none of them `.`, `..` or empty.
/// A directory keeps a trailing `/`; a glob keeps its wildcards.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PathPattern(pub(in crate::phase) String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Complexity {
    Low,
    Medium,
    High,
}

/// The CI settings of one phase: `ci` over `scope.ci`, merged key by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PhaseCi {
    pub timeout_seconds: u64,
    pub per_test_timeout: u64,
    /// Instead of `ci.command`.
    pub command: Option<Vec<String>>,
    /// The phase's own check, a shell line, after CI.
    pub test_cmd: Option<String>,
    /// Appended to a detected runner.
    pub args: Vec<String>,
}

impl FixedSpec {
    pub fn phase_id(&self) -> &PhaseId {
        &self.phase_id
    }
    pub fn name(&self) -> &str {
        &self.name
    }
    pub fn description(&self) -> &str {
        &self.description
    }
    pub fn category(&self) -> &str {
        &self.category
    }
    pub fn complexity(&self) -> Complexity {
        self.complexity
    }
    pub fn deliverables(&self) -> &[PathPattern] {
        &self.deliverables
    }
    pub fn scope_paths(&self) -> &[PathPattern] {
        &self.scope_paths
    }
    pub fn read_only(&self) -> &[PathPattern] {
        &self.read_only
    }
    pub fn protected(&self) -> &[PathPattern] {
        &self.protected
    }
    pub fn acceptance_criteria(&self) -> &[String] {
        &self.acceptance_criteria
    }
    pub fn depends_on(&self) -> &[PhaseId] {
        &self.depends_on
    }
    pub fn ci(&self) -> &PhaseCi {
        &self.ci
    }
    pub fn max_attempts(&self) -> Option<u32> {
        self.max_attempts
    }
    pub fn agent(&self) -> Option<&str> {
        self.agent.as_deref()
    }
    pub fn allow_no_change(&self) -> bool {
        self.allow_no_change
    }
    /// Whether it may change those of the workspace's protected paths that it names.
    pub fn allow_protected(&self) -> bool {
        self.allow_protected
    }
    /// An object: the spec as a whole.
    pub fn json(&self) -> &Value {
        &self.json
    }
}

impl PathPattern {
    pub fn as_str(&self) -> &str {
        &self.0
    }
    pub fn is_dir(&self) -> bool {
        self.0.ends_with('/')
    }
    pub fn is_glob(&self) -> bool {
        has_wildcard(&self.0)
    }
}

#[cfg(test)]
impl FixedSpec {
    /// A spec for tests of other parts: one deliverable, everything else at its simplest.
    pub fn sample(phase_id: &str, deliverable: &str) -> Self {
        let json = serde_json::json!({"phase_id": phase_id, "deliverables": [deliverable],
            "scope": {"paths": [deliverable]}});
        Self {
            phase_id: PhaseId::new(phase_id),
            name: phase_id.to_owned(),
            description: String::new(),
            category: "implementation".to_owned(),
            complexity: Complexity::Medium,
            deliverables: vec![PathPattern(deliverable.to_owned())],
            scope_paths: vec![PathPattern(deliverable.to_owned())],
            read_only: Vec::new(),
            protected: Vec::new(),
            acceptance_criteria: Vec::new(),
            depends_on: Vec::new(),
            ci: PhaseCi { timeout_seconds: 900, per_test_timeout: 60, ..PhaseCi::default() },
            max_attempts: None,
            agent: None,
            allow_no_change: false,
            allow_protected: false,
            json: Arc::new(json),
        }
    }
}
