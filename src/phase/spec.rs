//! Specification of a phase, before and after the auto-fixer.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ids::PhaseId;
use super::path::shape::has_wildcard;

/// A phase as written: any JSON shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawSpec(pub Value);

/// An executable phase. Only the auto-fixer creates values of this type.
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
    /// No path is named, and a proposal has to come first.
    pub(in crate::phase) needs_scope: bool,
    /// The whole normalized spec including unknown fields, in the author's order: an object.
    pub(in crate::phase) json: Arc<Value>,
}

/// A path relative to the repository root, with `/` between components and none of them `.`, `..` or empty. A
/// directory keeps a trailing `/`; a glob keeps its wildcards.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PathPattern(pub(in crate::phase) String);

/// Complexity of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Complexity {
    /// Small task.
    Low,
    /// Default.
    Medium,
    /// Large task.
    High,
}

/// CI settings of a phase: `ci` over `scope.ci`, merged key by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PhaseCi {
    /// Timeout for all of CI, in seconds.
    pub timeout_seconds: u64,
    /// Timeout for each test, in seconds.
    pub per_test_timeout: u64,
    /// Command used instead of `ci.command`.
    pub command: Option<Vec<String>>,
    /// The phase's own check, a shell line run after CI.
    pub test_cmd: Option<String>,
    /// Arguments appended to a detected runner.
    pub args: Vec<String>,
}

impl FixedSpec {
    /// Returns the id.
    pub fn phase_id(&self) -> &PhaseId {
        &self.phase_id
    }
    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Returns the description.
    pub fn description(&self) -> &str {
        &self.description
    }
    /// Returns the category.
    pub fn category(&self) -> &str {
        &self.category
    }
    /// Returns the complexity.
    pub fn complexity(&self) -> Complexity {
        self.complexity
    }
    /// Returns the deliverables.
    pub fn deliverables(&self) -> &[PathPattern] {
        &self.deliverables
    }
    /// Returns the paths the phase may change.
    pub fn scope_paths(&self) -> &[PathPattern] {
        &self.scope_paths
    }
    /// Returns the read-only paths.
    pub fn read_only(&self) -> &[PathPattern] {
        &self.read_only
    }
    /// Returns the paths protected by the phase.
    pub fn protected(&self) -> &[PathPattern] {
        &self.protected
    }
    /// Returns the acceptance criteria.
    pub fn acceptance_criteria(&self) -> &[String] {
        &self.acceptance_criteria
    }
    /// Returns the ids of required phases.
    pub fn depends_on(&self) -> &[PhaseId] {
        &self.depends_on
    }
    /// Returns the CI settings.
    pub fn ci(&self) -> &PhaseCi {
        &self.ci
    }
    /// Returns the maximum number of counted attempts, if set.
    pub fn max_attempts(&self) -> Option<u32> {
        self.max_attempts
    }
    /// Returns the first label that a machine with these labels lacks to work on the phase.
    pub fn missing_label(&self, machine: &[String]) -> Option<String> {
        let wanted = match self.json.get("machine_labels") {
            Some(Value::Array(labels)) => labels.as_slice(),
            Some(label) => std::slice::from_ref(label),
            None => &[],
        };
        // A label such as 3 is a number in a plan.
        let text = |label: &Value| match label {
            Value::String(label) => Some(label.trim().to_owned()),
            Value::Number(_) | Value::Bool(_) => Some(label.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        wanted.iter().filter_map(text).find(|label| !machine.contains(label))
    }
    /// Returns the name of the agent, if set.
    pub fn agent(&self) -> Option<&str> {
        self.agent.as_deref()
    }
    /// Checks whether an attempt without changes may pass.
    pub fn allow_no_change(&self) -> bool {
        self.allow_no_change
    }
    /// Checks whether the phase may change protected paths of the workspace if it names them.
    pub fn allow_protected(&self) -> bool {
        self.allow_protected
    }
    /// Checks whether the phase is an issue of a tracker: its text is other people's.
    pub fn is_from_tracker(&self) -> bool {
        self.json.as_object().is_some_and(is_from_tracker)
    }
    /// Checks whether the phase needs a scope proposal before it can be worked on.
    pub fn needs_scope(&self) -> bool {
        self.needs_scope
    }
    /// Returns the whole spec as an object.
    pub fn json(&self) -> &Value {
        &self.json
    }
}

/// Checks whether a spec is an issue of a tracker, as its importer marked it.
pub(in crate::phase) fn is_from_tracker(spec: &Map<String, Value>) -> bool {
    spec.get("tracker").is_some_and(|tracker| !tracker.is_null())
}

impl PathPattern {
    /// Returns the pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Checks whether the pattern is a directory with a trailing slash.
    pub fn is_dir(&self) -> bool {
        self.0.ends_with('/')
    }
    /// Checks whether the pattern has wildcards.
    pub fn is_glob(&self) -> bool {
        has_wildcard(&self.0)
    }
}

impl FixedSpec {
    /// Builds a spec without paths and text, for work not written in a plan.
    pub fn without_paths(phase_id: PhaseId, name: String, ci: PhaseCi) -> Self {
        let json = serde_json::json!({"phase_id": phase_id.as_str(), "name": name});
        Self {
            phase_id,
            name,
            description: String::new(),
            category: "implementation".to_owned(),
            complexity: Complexity::Medium,
            deliverables: Vec::new(),
            scope_paths: Vec::new(),
            read_only: Vec::new(),
            protected: Vec::new(),
            acceptance_criteria: Vec::new(),
            depends_on: Vec::new(),
            ci,
            max_attempts: None,
            agent: None,
            allow_no_change: false,
            allow_protected: false,
            needs_scope: false,
            json: Arc::new(json),
        }
    }
}

#[cfg(test)]
impl FixedSpec {
    /// Builds a minimal spec with a single deliverable, for tests of other modules.
    pub fn sample(phase_id: &str, deliverable: &str) -> Self {
        let json = serde_json::json!({"phase_id": phase_id, "deliverables": [deliverable],
            "scope": {"paths": [deliverable]}});
        let ci = PhaseCi { timeout_seconds: 900, per_test_timeout: 60, ..PhaseCi::default() };
        Self {
            deliverables: vec![PathPattern(deliverable.to_owned())],
            scope_paths: vec![PathPattern(deliverable.to_owned())],
            json: Arc::new(json),
            ..Self::without_paths(PhaseId::new(phase_id), phase_id.to_owned(), ci)
        }
    }
}
