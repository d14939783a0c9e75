//! Scope requests: files outside of its scope that an agent asks for during an attempt.
//!
//! [`request_file`] reads the agent's file, [`decide`] applies the rules to each path, [`explained`] tells whether
//! granted files explain a failure. All of it is pure. The next attempt may change granted files.

pub mod decide;
pub mod explained;
pub mod request_file;
#[cfg(test)]
mod request_properties;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::outcome::AttemptOutcome;
use super::proposal::REQUESTED;
use super::spec::{FixedSpec, RawSpec};

/// Handling of scope requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScopeRequests {
    /// Files in the directory of a file in scope are granted.
    Siblings,
    /// Every unprotected file of the repository is granted.
    Allow,
    /// Agents cannot ask.
    Refuse,
}

impl ScopeRequests {
    /// Returns the handling for a phase: issues of other people get the files beside their scope at most.
    #[must_use]
    pub fn for_phase(self, spec: &FixedSpec) -> Self {
        match self {
            Self::Allow if spec.is_from_tracker() => Self::Siblings,
            policy => policy,
        }
    }
}

/// A requested path with the decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DecidedPath {
    /// Path relative to the repository root; of a refused path without a place there, the path as written.
    pub path: String,
    /// The agent's reason.
    pub reason: Option<String>,
    /// The decision.
    pub decision: RequestDecision,
    /// Why it was decided so.
    pub why: String,
}

/// Decision on a requested path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestDecision {
    /// The next attempt may change the file.
    Granted,
    /// The scope stays as it is.
    Refused,
    /// The file was not needed, or is in scope already.
    Unused,
}

impl RequestDecision {
    /// All decisions.
    pub const ALL: [Self; 3] = [Self::Granted, Self::Refused, Self::Unused];

    /// Returns the stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Refused => "refused",
            Self::Unused => "unused",
        }
    }
}

impl DecidedPath {
    /// Checks for a granted path.
    pub fn is_granted(&self) -> bool {
        self.decision == RequestDecision::Granted
    }
}

/// Returns the path and the reason of each path with this decision.
fn described(decided: &[DecidedPath], decision: RequestDecision) -> Vec<String> {
    let chosen = decided.iter().filter(|one| one.decision == decision);
    chosen.map(|one| format!("{} ({})", one.path, one.why)).collect()
}

/// Describes granted paths in a line, for people.
pub fn describe_granted(decided: &[DecidedPath]) -> Option<String> {
    let granted = described(decided, RequestDecision::Granted);
    (!granted.is_empty()).then(|| format!("wider scope: {}", granted.join(", ")))
}

/// Describes refused paths in a line, for people and for the next attempt.
pub fn describe_refused(decided: &[DecidedPath]) -> Option<String> {
    let refused = described(decided, RequestDecision::Refused);
    (!refused.is_empty()).then(|| format!("scope request refused: {}", refused.join(", ")))
}

/// Returns the decisions as kept after an attempt with this outcome: only an attempt that failed needs the files.
#[must_use]
pub fn settle(decided: Vec<DecidedPath>, outcome: AttemptOutcome) -> Vec<DecidedPath> {
    let why = match outcome {
        AttemptOutcome::Failed | AttemptOutcome::ScopeGranted => return decided,
        outcome if outcome.passed() => "not needed: the attempt passed".to_owned(),
        outcome => format!("the attempt ended as {outcome}"),
    };
    let settle = |one: DecidedPath| match one.decision {
        RequestDecision::Granted => {
            DecidedPath { decision: RequestDecision::Unused, why: why.clone(), ..one }
        }
        RequestDecision::Refused | RequestDecision::Unused => one,
    };
    decided.into_iter().map(settle).collect()
}

/// Returns the spec with the granted paths in its scope. A spec that is not an object stays as it is.
#[must_use]
pub fn widen(spec: &RawSpec, decided: &[DecidedPath]) -> RawSpec {
    let mut json = spec.0.clone();
    let Value::Object(fields) = &mut json else { return RawSpec(json) };
    let scope = fields.entry("scope").or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(scope) = scope {
        for key in ["paths", REQUESTED] {
            let Value::Array(paths) = scope.entry(key).or_insert_with(|| json!([])) else {
                continue;
            };
            for path in decided.iter().filter(|one| one.is_granted()) {
                let path = Value::from(path.path.as_str());
                if !paths.contains(&path) {
                    paths.push(path);
                }
            }
        }
    }
    RawSpec(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(path: &str, decision: RequestDecision) -> DecidedPath {
        DecidedPath { path: path.to_owned(), reason: None, decision, why: "why".to_owned() }
    }

    #[test]
    fn granted_paths_join_the_scope_once() {
        let spec = RawSpec(json!({"name": "x", "scope": {"paths": ["src/a.rs"], "ci": {}}}));
        let decided = [
            decided("src/b.rs", RequestDecision::Granted),
            decided("src/a.rs", RequestDecision::Granted),
            decided("docs/c.md", RequestDecision::Refused),
        ];
        let wider = widen(&spec, &decided);
        assert_eq!(
            wider.0,
            json!({"name": "x", "scope": {"paths": ["src/a.rs", "src/b.rs"], "ci": {},
                                          "requested": ["src/b.rs", "src/a.rs"]}})
        );
        assert_eq!(widen(&wider, &decided), wider);
        assert_eq!(widen(&RawSpec(json!("text")), &decided).0, json!("text"));
    }

    #[test]
    fn an_attempt_that_passed_grants_nothing() {
        let both =
            vec![decided("a", RequestDecision::Granted), decided("b", RequestDecision::Refused)];
        let settled = settle(both.clone(), AttemptOutcome::Landed);
        assert_eq!(settled[0].decision, RequestDecision::Unused);
        assert_eq!(settled[0].why, "not needed: the attempt passed");
        assert_eq!(settled[1], both[1]);
        assert_eq!(settle(both.clone(), AttemptOutcome::Failed), both);
        let interrupted = settle(both, AttemptOutcome::Interrupted);
        assert_eq!(interrupted[0].why, "the attempt ended as interrupted");
    }

    #[test]
    fn decisions_are_described_with_their_reasons() {
        let both = [
            decided("a", RequestDecision::Granted),
            decided("b", RequestDecision::Refused),
            decided("c", RequestDecision::Unused),
        ];
        assert_eq!(describe_granted(&both).as_deref(), Some("wider scope: a (why)"));
        assert_eq!(describe_refused(&both).as_deref(), Some("scope request refused: b (why)"));
        assert_eq!((describe_granted(&both[2..]), describe_refused(&both[2..])), (None, None));
    }
}
