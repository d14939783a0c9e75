//! The T0 checks: whether a drain could start here and now, and what to do where it could not.
//!
//! Each check is a small function over what it looks at. None makes or repairs anything, and only the memory's Qdrant is
//! started, as a drain would start it.

use std::time::Instant;

use serde::Serialize;

pub mod agent_checks;
pub mod ci_check;
pub mod database_checks;
pub mod machine_checks;
pub mod memory_checks;
pub mod settings_checks;

/// What all checks came to; the JSON of `health --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub status: Overall,
    pub checks: Vec<Check>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Overall {
    Ok,
    /// Something warns; a drain would start.
    Degraded,
    Failed,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    pub name: &'static str,
    #[serde(flatten)]
    pub finding: Finding,
    pub elapsed_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub status: Status,
    pub detail: String,
    /// What fixes it.
    pub hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    Warn,
    Fail,
    /// Could not be looked at, for what another check says.
    Skip,
}

impl Report {
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
    /// Looks, and takes the time.
    pub async fn of(name: &'static str, look: impl Future<Output = Finding>) -> Self {
        let start = Instant::now();
        let finding = look.await;
        let elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Self { name, finding, elapsed_ms }
    }
}

impl Finding {
    pub fn ok(detail: impl Into<String>) -> Self {
        Self { status: Status::Ok, detail: detail.into(), hint: None }
    }

    pub fn warn(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status: Status::Warn, detail: detail.into(), hint: Some(hint.into()) }
    }

    pub fn fail(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status: Status::Fail, detail: detail.into(), hint: Some(hint.into()) }
    }

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
        Report::new(findings.iter().map(check).collect()).status
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
