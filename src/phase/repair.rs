//! Result of the auto-fixer.

use std::sync::Arc;

use serde_json::Value;

use super::spec::FixedSpec;

/// A repaired spec, the list of changes, and whether the spec can be executed.
#[derive(Clone, Debug, PartialEq)]
pub struct Repair {
    /// Spec as JSON, repaired as far as possible even if unfixable. Shared with the result.
    pub spec: Arc<Value>,
    /// A readable line for each repair of what the author wrote; empty if none.
    pub fixes: Vec<String>,
    /// A readable line for each value that the author left to its default, such as the timeouts of CI. No repair: a
    /// perfect spec has such values, too.
    pub defaults: Vec<String>,
    /// The executable spec, or why there is none.
    pub result: Result<FixedSpec, Unfixable>,
}

/// Reason why a spec cannot be executed, with the action to take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfixable(pub String);
