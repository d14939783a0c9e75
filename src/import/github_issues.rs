//! GitHub issues in JSON: lists as `gh issue list --json` and the REST API print them.

use serde_json::Value;

use super::drafting::PlanDraftBuilder;
use super::error::ImportError;
use super::format::{Description, Format, Input, Recognition};
use super::item_fields::ItemFields;
use super::listed_issues::{ListedIssue, add_issues, project_of};
use super::source_place::SourcePosition;
use super::standing::{self, SourceStatus};

const COMMAND: &str = "gh issue list --state all --limit 1000 --json number,title,body,state,stateReason,labels,url,author";
/// Keys of phases, which issues do not have.
const PHASE_KEYS: [&str; 4] = ["phase_id", "deliverables", "depends_on", "scope"];

/// The format: recognized by a list of objects with a `number` and a `title`.
pub(crate) struct GitHubIssues;

impl Format for GitHubIssues {
    fn name(&self) -> &'static str {
        "github-json"
    }

    fn description(&self) -> Description {
        Description {
            files: "issues.json from `gh issue list --json`",
            content: "a list of objects with `number` (or `url`) and `title`",
            words: &["\"number\"", "\"title\"", "\"state\""],
        }
    }

    fn recognize(&self, input: &Input) -> Recognition {
        // Objects outside of a list may be phases.
        let has_state =
            |item: &Value| ["url", "html_url", "state"].iter().any(|key| item.get(key).is_some());
        match input.has_items(is_issue, |item| is_issue(item) && has_state(item)) {
            true => Recognition::Certain,
            false => Recognition::No,
        }
    }

    fn read(&self, input: &Input, draft: &mut PlanDraftBuilder) -> Result<(), ImportError> {
        let items = input.json_items().ok_or_else(|| {
            let message = format!("is not a list of issues; make one with `{COMMAND}`");
            ImportError::malformed(input.name(), message)
        })?;
        let mut places = input.item_places(&[]);
        let mut issues = Vec::new();
        for value in items {
            let place = places.next();
            if is_pull_request(value) {
                let id = number(value).map(|number| number.to_string()).unwrap_or_default();
                draft.leave_out(None, &id, "pull requests");
                continue;
            }
            match issue(value, place.clone()) {
                Ok(issue) => issues.push(issue),
                Err(why) => draft.fail(ImportError::malformed(place, why)),
            }
        }
        add_issues(issues, draft);
        Ok(())
    }
}

fn is_issue(value: &Value) -> bool {
    let Ok(fields) = ItemFields::of(value) else { return false };
    if !fields.has("title") || fields.has("iid") || PHASE_KEYS.iter().any(|key| fields.has(key)) {
        return false;
    }
    // Ids of GitHub are long and opaque; an id that people wrote is a phase of a plan.
    let is_foreign = fields.has("id") && !fields.has("node_id") && !is_node_id(&fields.text("id"));
    let is_state = |state: &str| state == "OPEN" || state == "CLOSED";
    !is_foreign && (number(value).is_some() || is_state(&fields.text("state")))
}

/// Keys of pull requests, which issues do not have.
const PULL_KEYS: [&str; 4] = ["headRefName", "baseRefName", "isDraft", "mergedAt"];

fn is_pull_request(value: &Value) -> bool {
    let Ok(fields) = ItemFields::of(value) else { return false };
    value.get("pull_request").is_some_and(|request| !request.is_null())
        || PULL_KEYS.iter().any(|key| fields.0.contains_key(*key))
        || fields.text("state").eq_ignore_ascii_case("merged")
        || url(fields).contains("/pull/")
}

fn is_node_id(id: &str) -> bool {
    id.starts_with("I_") || id.starts_with("MDU6SXNzdWU")
}

/// The number of an issue, or the end of its address.
fn number(value: &Value) -> Option<u64> {
    let fields = ItemFields::of(value).ok()?;
    if let Some(number) = fields.0.get("number") {
        return number.as_u64();
    }
    let url = url(fields);
    let (_, number) = url.rsplit_once("/issues/")?;
    number.parse().ok()
}

fn url(fields: ItemFields<'_>) -> String {
    fields.first_text(&["html_url", "url"])
}

fn issue(value: &Value, place: SourcePosition) -> Result<ListedIssue, String> {
    let fields = ItemFields::of(value)?;
    let number = number(value).ok_or_else(|| {
        format!("the issue has neither a `number` nor a `url`; list the issues with `{COMMAND}`")
    })?;
    let url = url(fields);
    let repository =
        || Some(fields.object("repository")?.first_text(&["nameWithOwner", "full_name"]));
    let author = ["author", "user"].iter().find_map(|key| fields.object(key));
    Ok(ListedIssue {
        place,
        forge: "github",
        number,
        project: project_of(&url, "/issues/").or_else(repository).unwrap_or_default(),
        title: fields.line("title"),
        body: fields.text("body"),
        status: status(fields),
        labels: fields.texts("labels"),
        milestone: fields.object("milestone").map(|milestone| milestone.text("title")),
        author: author.map(|author| author.text("login")).unwrap_or_default(),
        url,
    })
}

fn status(fields: ItemFields<'_>) -> SourceStatus {
    let reason = fields.first_text(&["stateReason", "state_reason"]).to_lowercase();
    let is_closed = fields.0.get("closed").and_then(Value::as_bool).unwrap_or_default();
    let own = match fields.text("state").to_lowercase().as_str() {
        "closed" | "" if reason == "not_planned" => SourceStatus::Dropped("not planned".to_owned()),
        "closed" | "" if reason == "duplicate" => SourceStatus::Dropped(reason),
        "closed" => SourceStatus::Done,
        "" if is_closed || has_end(fields) => SourceStatus::Done,
        "" | "open" => SourceStatus::Open,
        other => SourceStatus::Unknown(other.to_owned()),
    };
    standing::completed(own, fields.0)
}

/// Whether an issue without a state was closed.
fn has_end(fields: ItemFields<'_>) -> bool {
    !fields.first_text(&["closedAt", "closed_at"]).is_empty()
}
