//! GitLab issues in JSON: lists as `glab issue list --output json` and the REST API print them.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::backlog_item::BacklogItem;
use super::drafting::PlanDraftBuilder;
use super::error::ImportError;
use super::format::{Description, Format, Input, Recognition};
use super::github_issues::tracker;
use super::issue_text;
use super::item_fields::ItemFields;
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
        let known: HashSet<u64> = items.iter().filter_map(number).collect();
        let mut places = input.item_places(&[]);
        if items.is_empty() {
            draft.begin_run(None);
        }
        for value in items {
            let place = places.next();
            match item(value, &known) {
                Ok(item) => draft.item(place, item, None),
                Err(why) => draft.fail(ImportError::malformed(place, why)),
            }
        }
        Ok(())
    }
}

fn number(value: &Value) -> Option<u64> {
    value.get("iid")?.as_u64()
}

fn item(value: &Value, known: &HashSet<u64>) -> Result<BacklogItem, String> {
    let fields = ItemFields::of(value)?;
    let number = number(value)
        .ok_or_else(|| format!("the issue has no `iid`; list the issues with `{COMMAND}`"))?;
    let title = match fields.line("title") {
        title if title.is_empty() => format!("#{number}"),
        title => title,
    };
    let mut item = BacklogItem::new(number.to_string(), title);
    item.url = fields.text("web_url");
    item.body = fields.text("description");
    let own = match fields.text("state").as_str() {
        "closed" => SourceStatus::Done,
        "" | "opened" | "open" | "reopened" => SourceStatus::Open,
        other => SourceStatus::Unknown(other.to_owned()),
    };
    item.status = standing::completed(own, fields.0);
    item.labels = fields.texts("labels");
    item.rank = issue_text::rank_of_labels(&item.labels).unwrap_or(2);
    item.acceptance_criteria = issue_text::acceptance_criteria(&item.body);
    let waits_for = issue_text::dependencies(&item.body, &item.url);
    let waits_for = waits_for.into_iter().filter(|other| *other != number && known.contains(other));
    item.depends_on = waits_for.map(|other| other.to_string()).collect();
    if let Some(milestone) = fields.object("milestone") {
        item.extra.insert("milestone".to_owned(), json!(milestone.text("title")));
    }
    let author = fields.object("author").map(|author| author.text("username"));
    let author = author.unwrap_or_default();
    item.extra.insert("tracker".to_owned(), tracker("gitlab", number, &item.url, &author));
    Ok(item)
}
