//! Issues in the answers of forges. Lists of issues hold pull requests as well.

use serde_json::Value;

use super::forge_error::ForgeError;
use super::gone_as_none;
use super::issue::{ForgeIssue, IssueFilter};
use super::rest_client::RestClient;

/// Asks for an issue; `None` for one that is missing or was moved to another repository, and for pull requests.
pub(super) async fn find_issue(
    client: &RestClient,
    path: &str,
    number: u64,
    read: impl Fn(&Value) -> Result<ForgeIssue, ForgeError>,
) -> Result<Option<ForgeIssue>, ForgeError> {
    let page = gone_as_none(client.get(path, &[]).await)?;
    let Some(page) = page.filter(|page| is_issue(&page.value)) else { return Ok(None) };
    // An issue moved to another repository has another number there.
    Ok(Some(read(&page.value)?).filter(|issue| issue.number == number))
}

/// Returns the issues of a list that the filter chooses.
pub(super) fn chosen_issues(
    values: &[Value],
    filter: &IssueFilter,
    read: impl Fn(&Value) -> Result<ForgeIssue, ForgeError>,
) -> Result<Vec<ForgeIssue>, ForgeError> {
    let mut issues = Vec::new();
    for value in values.iter().filter(|value| is_issue(value)) {
        issues.push(read(value)?);
    }
    issues.retain(|issue| filter.matches(issue));
    Ok(issues)
}

fn is_issue(value: &Value) -> bool {
    value["pull_request"].is_null()
}
