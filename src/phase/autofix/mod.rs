//! The phase auto-fixer: turns a spec as written into an executable spec, or returns the reason why not.
//!
//! Pure, total (no input causes a panic), idempotent and lossless: text that is not a path goes to the
//! acceptance criteria. Each step below owns a part of the spec. `docs/plan-format.md` describes the accepted
//! plans for readers.

pub mod aliases;
mod ci;
mod ci_keys;
mod commands;
mod criteria;
mod deliverables;
mod draft;
mod field;
pub mod fields;
mod fixed;
#[cfg(any(test, fuzzing))]
pub mod invariants;
mod lists;
mod scope;
pub mod spec_fields;
#[cfg(any(test, fuzzing))]
mod spelled;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json::{count, kind};
use super::repair::{Repair, Unfixable};
use super::spec::RawSpec;
use super::verdict::Failure;
use draft::{SpecDraft, is_blank, words};

const MAX_ATTEMPTS: &str = "max_attempts";

/// Limits that apply to every phase of a workspace.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    /// Absolute path of the user's repository; paths inside are made relative. Compared as text only.
    pub workspace: Option<&'a str>,
    /// Maximum for CI timeouts, in seconds.
    pub max_timeout_seconds: u64,
    /// Handling of phases without any path.
    pub unscoped: Unscoped,
}

/// Handling of phases without any path: `executor.unscoped`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unscoped {
    /// A scope is proposed before the phase runs.
    Propose,
    /// The phase is refused.
    Refuse,
    /// The phase runs, limited by the protected paths only.
    Allow,
}

pub use scope::authors_scope;
pub(in crate::phase) use scope::scope_of;

/// Repairs a spec. `last_failure` is the result of the last attempt: if CI timed out, its timeout is raised.
pub fn autofix(raw: &RawSpec, last_failure: Option<&Failure>, limits: &Limits) -> Repair {
    let Value::Object(object) = &raw.0 else {
        let why = format!("the phase is {}, not an object with fields", kind(&raw.0));
        let spec = Arc::new(raw.0.clone());
        let (fixes, defaults) = (Vec::new(), Vec::new());
        return Repair { spec, fixes, defaults, result: Err(Unfixable(why)) };
    };
    let mut draft = SpecDraft::new(object, limits);
    let scope_text = scope::open(&mut draft);
    aliases::apply(&mut draft);
    scope::place_text(&mut draft, scope_text);
    scope::normalize(&mut draft);
    deliverables::normalize(&mut draft);
    ci_keys::settle(&mut draft);
    ci::normalize(&mut draft);
    commands::normalize(&mut draft);
    drop_bad_max_attempts(&mut draft);
    scope::derive(&mut draft);
    ci::fill(&mut draft);
    ci::escalate(&mut draft, last_failure);
    criteria::append(&mut draft);
    fixed::finish(draft)
}

/// Removes a `max_attempts` that is not a number of attempts; its text is kept. Without one, the configured number
/// applies.
fn drop_bad_max_attempts(draft: &mut SpecDraft) {
    let given = field::get(&draft.json, MAX_ATTEMPTS);
    if given.is_none_or(|value| is_blank(value) || count(value).is_some()) {
        return;
    }
    let Some(given) = draft.json.shift_remove(MAX_ATTEMPTS) else { return };
    let shown = match &given {
        Value::Number(number) => number.to_string(),
        other => {
            draft.prose.push(format!("{MAX_ATTEMPTS}: {}", words(other)));
            kind(other).to_owned()
        }
    };
    draft.fixed(format!(
        "{MAX_ATTEMPTS}: {shown} is not a number of attempts; using executor.{MAX_ATTEMPTS}"
    ));
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
