//! Ralph and ralph-tui: `prd.json`, a list of user stories.

use serde_json::{Value, json};

use super::backlog_item::BacklogItem;
use super::drafting::PlanDraftBuilder;
use super::error::ImportError;
use super::format::{Description, Format, Input, Recognition};
use super::item_fields::{ItemFields, rank_of_word, scalar, with_sections};
use super::standing::{self, SourceStatus};

const STORIES: &str = "userStories";
/// Keys for the ids of stories that come first.
const DEPENDENCIES: [&str; 4] = ["dependsOn", "depends_on", "dependencies", "blockedBy"];

/// The format: recognized by a list `userStories`.
pub(crate) struct PrdStories;

impl Format for PrdStories {
    fn name(&self) -> &'static str {
        "prd"
    }

    fn description(&self) -> Description {
        Description {
            files: "prd.json",
            content: "a list `userStories`",
            words: &["\"userStories\"", "\"passes\""],
        }
    }

    fn recognize(&self, input: &Input) -> Recognition {
        match input.json().and_then(stories) {
            Some(_) => Recognition::Certain,
            None => Recognition::No,
        }
    }

    fn read(&self, input: &Input, draft: &mut PlanDraftBuilder) -> Result<(), ImportError> {
        let document = input.json();
        let stories = document
            .and_then(stories)
            .ok_or_else(|| ImportError::malformed(input.name(), "has no list `userStories`"))?;
        let branch = document.and_then(|document| document.get("branchName")).and_then(scalar);
        let mut places = input.item_places(&[STORIES]);
        if stories.is_empty() {
            draft.begin_run(None);
        }
        for (number, story) in (1..).zip(stories) {
            let place = places.next();
            match item(story, number) {
                Ok(mut item) => {
                    if let Some(branch) = &branch {
                        item.extra.insert("branchName".to_owned(), json!(branch));
                    }
                    draft.item(place, item, None);
                }
                Err(why) => draft.fail(ImportError::malformed(place, why)),
            }
        }
        Ok(())
    }
}

fn stories(document: &Value) -> Option<&[Value]> {
    let has_phases = document.get("phases").is_some();
    document.get(STORIES).filter(|_| !has_phases)?.as_array().map(Vec::as_slice)
}

fn item(story: &Value, number: usize) -> Result<BacklogItem, String> {
    let fields = ItemFields::of(story)?;
    let id = match fields.text("id") {
        id if id.is_empty() => format!("US-{number:03}"),
        id => id,
    };
    let title = match fields.line("title") {
        title if title.is_empty() => id.clone(),
        title => title,
    };
    let mut item = BacklogItem::new(id, title);
    let description = fields.first_text(&["description", "story"]);
    item.body = with_sections(&description, &[("Notes", fields.texts("notes").join("\n"))]);
    item.status = status(fields);
    item.priority = fields.text("priority");
    // The first story has priority 1; stories without a priority come last.
    item.rank = match item.priority.parse::<f64>() {
        Ok(priority) => (priority * 1000.0) as i64,
        Err(_) if item.priority.is_empty() => i64::MAX,
        Err(_) => rank_of_word(&item.priority) * 1000,
    };
    item.labels = [fields.texts("labels"), fields.texts("tags")].concat();
    item.acceptance_criteria =
        [fields.texts("acceptanceCriteria"), fields.texts("acceptance_criteria")].concat();
    item.depends_on = DEPENDENCIES.iter().flat_map(|key| fields.texts(key)).collect();
    item.url = fields.text("url");
    Ok(item)
}

/// `passes` decides; newer files have a `status` beside.
fn status(fields: ItemFields<'_>) -> SourceStatus {
    match fields.0.get("passes") {
        Some(Value::Bool(true)) => SourceStatus::Done,
        _ => standing::of(fields.0),
    }
}
