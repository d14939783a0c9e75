//! What the auto-fixer hands back.

use std::sync::Arc;

use serde_json::Value;

use super::spec::FixedSpec;

/// A repaired spec, what was done to it, and whether it can be executed now.
#[derive(Clone, Debug, PartialEq)]
pub struct Repair {
    /// The spec as JSON, repaired as far as it goes, also where it is unfixable. The result shares it.
    pub spec: Arc<Value>,
    /// One readable line for each thing that was changed; empty where nothing was.
    pub fixes: Vec<String>,
    pub result: Result<FixedSpec, Unfixable>,
}

/// Why a spec cannot be executed, for a person to act on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfixable(pub String);
