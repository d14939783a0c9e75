//! Files outside of the scope, in the prompt: how to ask for them, and what was decided before.

use crate::phase::scope_request::request_file::MOST_PATHS;
use crate::phase::scope_request::{DecidedPath, RequestDecision, ScopeRequests};

/// How an agent may ask for files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestOffer {
    /// Files that are granted.
    pub policy: ScopeRequests,
    /// Whether the agent has a tool; others write a file.
    pub has_tool: bool,
}

impl RequestOffer {
    /// Returns the paragraph of the prompt.
    pub(super) fn text(self) -> String {
        let ask = match self.has_tool {
            true => "call `request_scope` and finish".to_owned(),
            false => format!(
                "write `{{\"scope\": [{{\"path\": \"dir/file\", \"reason\": \"why\"}}]}}` to the file \
                 $AUTOPACK_REQUEST_FILE (at most {MOST_PATHS} paths) and finish"
            ),
        };
        let granted = match self.policy {
            ScopeRequests::Allow => "Files that are not protected",
            ScopeRequests::Siblings | ScopeRequests::Refuse => {
                "Files in the same directory as a file in scope"
            }
        };
        format!(
            "If the task cannot be done without another file, {ask}. {granted} are granted: the next attempt may change them."
        )
    }
}

/// Returns the decisions on earlier requests, each path once.
pub(super) fn earlier_requests(requests: &[DecidedPath]) -> Option<String> {
    let lines = |decision: RequestDecision, what: &str| {
        let mut lines: Vec<String> = Vec::new();
        for one in requests.iter().filter(|one| one.decision == decision) {
            let line = format!("- `{}`: {what} ({})", one.path.replace('`', "'"), one.why);
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        lines
    };
    let mut all = lines(RequestDecision::Granted, "granted, in scope now");
    all.extend(lines(RequestDecision::Refused, "refused, do without"));
    let list = all.join("\n");
    (!all.is_empty()).then(|| format!("Earlier attempts asked for more files:\n\n{list}"))
}
