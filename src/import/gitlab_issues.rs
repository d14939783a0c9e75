//! GitLab issues in JSON: lists as `glab issue list --output json` and the REST API print them.

use serde_json::Value;

use super::drafting::PlanDraftBuilder;
use super::error::ImportError;
use super::format::{Description, Format, Input, Recognition};
use super::item_fields::ItemFields;
use super::listed_issues::{ListedIssue, add_issues, project_of};
use super::source_place::SourcePosition;
use super::standing::{self, SourceStatus};

const COMMAND: &str = "glab issue list --all --output json --per-page 100";

/// The format: recognized by a list of objects with an `iid`.
pub(crate) struct GitLabIssues;

impl Format for GitLabIssues {
    fn name(&self) -> &'static str {
        "gitlab-json"
    }

    fn description(&self) -> Description {
        Description {
            files: "issues.json from `glab issue list --output json`",
            content: "a list of objects with `iid` and `title`",
            words: &["\"iid\"", "\"title\"", "\"state\""],
        }
    }

    fn recognize(&self, input: &Input) -> Recognition {
        let is_issue = |item: &Value| {
            ItemFields::of(item).is_ok_and(|fields| fields.has("iid") && fields.has("title"))
        };
        match input.has_items(is_issue, is_issue) {
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
            match issue(value, place.clone()) {
                Ok(issue) => issues.push(issue),
                Err(why) => draft.fail(ImportError::malformed(place, why)),
            }
        }
        add_issues(issues, draft);
        Ok(())
    }
}

fn issue(value: &Value, place: SourcePosition) -> Result<ListedIssue, String> {
    let fields = ItemFields::of(value)?;
    let number = fields.0.get("iid").and_then(Value::as_u64);
    let number = number
        .ok_or_else(|| format!("the issue has no `iid`; list the issues with `{COMMAND}`"))?;
    let own = match fields.text("state").as_str() {
        "closed" => SourceStatus::Done,
        "" | "opened" | "open" | "reopened" => SourceStatus::Open,
        other => SourceStatus::Unknown(other.to_owned()),
    };
    let url = fields.text("web_url");
    let reference =
        || Some(fields.object("references")?.text("full").rsplit_once('#')?.0.to_owned());
    let author = fields.object("author").map(|author| author.text("username"));
    Ok(ListedIssue {
        place,
        forge: "gitlab",
        number,
        project: project_of(&url, "/-/").or_else(reference).unwrap_or_default(),
        title: fields.line("title"),
        body: fields.text("description"),
        status: standing::completed(own, fields.0),
        labels: fields.texts("labels"),
        milestone: fields.object("milestone").map(|milestone| milestone.text("title")),
        author: author.unwrap_or_default(),
        url,
    })
}
