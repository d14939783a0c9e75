//! T0 health checks: whether a drain can start now, with hints for problems.
//!
//! Each check is a function that returns a [`Finding`]. Checks change nothing, except that Qdrant may be started as a
//! drain would start it.

use std::time::Instant;

use serde::Serialize;

pub mod agent_checks;
pub mod base_files_check;
pub mod ci_check;
pub mod database_checks;
pub mod environment_checks;
pub mod machine_checks;
pub mod memory_checks;
pub mod remote_check;
pub mod sandbox_check;
pub mod settings_checks;

/// Result of all checks; the JSON of `health --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HealthReport {
    /// Overall result.
    pub status: Overall,
    /// Checks in order.
    pub checks: Vec<Check>,
}

/// Overall result of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Overall {
    /// No warnings or failures.
    Ok,
    /// Warnings only; a drain can start.
    Degraded,
    /// Some check failed; a drain cannot start.
    Failed,
}

/// Check with its finding and duration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// Name of the check.
    pub name: &'static str,
    /// Finding of the check.
    #[serde(flatten)]
    pub finding: Finding,
    /// Duration in milliseconds.
    pub elapsed_ms: u64,
}

/// Finding of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Severity.
    pub status: Status,
    /// Description of the state or problem.
    pub detail: String,
    /// How to fix the problem.
    pub hint: Option<String>,
}

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Works.
    Ok,
    /// A problem that does not prevent a drain.
    Warn,
    /// A problem that prevents a drain.
    Fail,
    /// Not checked: disabled, or another check failed.
    Skip,
}

impl HealthReport {
    /// Combines checks; the worst finding decides the overall status.
    pub fn new(checks: Vec<Check>) -> Self {
        let any = |status| checks.iter().any(|check| check.finding.status == status);
        let status = match (any(Status::Fail), any(Status::Warn)) {
            (true, _) => Overall::Failed,
            (false, true) => Overall::Degraded,
            (false, false) => Overall::Ok,
        };
        Self { status, checks }
    }
}

impl Check {
    /// Runs a check and measures its duration.
    pub async fn of(name: &'static str, look: impl Future<Output = Finding>) -> Self {
        let start = Instant::now();
        let finding = look.await;
        let elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Self { name, finding, elapsed_ms }
    }
}

impl Finding {
    /// Returns a finding without problems.
    pub fn ok(detail: impl Into<String>) -> Self {
        Self { status: Status::Ok, detail: detail.into(), hint: None }
    }

    /// Returns a warning.
    pub fn warn(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status: Status::Warn, detail: detail.into(), hint: Some(hint.into()) }
    }

    /// Returns a warning, with a hint if there is one.
    pub fn warn_with(detail: impl Into<String>, hint: Option<String>) -> Self {
        Self { status: Status::Warn, detail: detail.into(), hint }
    }

    /// Returns a failure.
    pub fn fail(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status: Status::Fail, detail: detail.into(), hint: Some(hint.into()) }
    }

    /// Returns a failure, with a hint if there is one.
    pub fn fail_with(detail: impl Into<String>, hint: Option<String>) -> Self {
        Self { status: Status::Fail, detail: detail.into(), hint }
    }

    /// Returns a skipped check.
    pub fn skip(detail: impl Into<String>) -> Self {
        Self { status: Status::Skip, detail: detail.into(), hint: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_of(findings: &[Finding]) -> Overall {
        let check =
            |finding: &Finding| Check { name: "x", finding: finding.clone(), elapsed_ms: 0 };
        HealthReport::new(findings.iter().map(check).collect()).status
    }

    #[test]
    fn the_worst_check_decides() {
        let (ok, warn, fail) = (Finding::ok(""), Finding::warn("", ""), Finding::fail("", ""));
        assert_eq!(status_of(&[ok.clone(), Finding::skip("")]), Overall::Ok);
        assert_eq!(status_of(&[ok.clone(), warn.clone()]), Overall::Degraded);
        assert_eq!(status_of(&[warn, fail, ok]), Overall::Failed);
    }

    #[test]
    fn the_json_of_a_check_is_flat() {
        let check = Check { name: "disk", finding: Finding::ok("1 GB"), elapsed_ms: 2 };
        assert_eq!(
            serde_json::to_string(&check).unwrap(),
            r#"{"name":"disk","status":"ok","detail":"1 GB","hint":null,"elapsed_ms":2}"#
        );
    }
}
