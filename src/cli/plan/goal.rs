//! The goal of a plan: words, a file, standard input, or an issue of a tracker.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::Context;
use crate::cli::tracker_access::{forge_failure, open_forge, tracker_of};
use crate::failure::{Exit, Failure};
use crate::forge::TrackerName;
use crate::import::{STDIN, read_text};

/// Longest goal in bytes; a longer text would leave no room for the answer.
const LONGEST: usize = 100_000;

/// A goal in words.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Goal {
    pub text: String,
    /// The issue that the text comes from, as `tracker` of a spec. Other people wrote it, so its orders do not count.
    pub issue: Option<Value>,
}

/// Reads the goal. A file of this name wins over words.
///
/// # Errors
/// The file cannot be read, or the goal is empty or too long.
pub(super) async fn read(given: &str, context: &Context) -> Result<Goal, Failure> {
    if let Some(tracker) = tracker_of(given) {
        return of_issue(&tracker?, context).await;
    }
    let path = Path::new(given);
    let text = match () {
        () if given == STDIN || path.is_file() => read_text(path)?,
        () if path.is_dir() => {
            return Err(Failure::new(format!("{given} is a directory, and no goal"))
                .hint("name a file with the goal, or write it in words, as in `autopack plan 'Add a REST API'`")
                .exit(Exit::Usage));
        }
        // A path with a typo is no goal.
        () if !given.contains(char::is_whitespace) && given.contains(['/', '.']) => {
            return Err(Failure::new(format!("{given:?} is no file"))
                .hint("write the goal in words, as in `autopack plan 'Add a REST API'`")
                .exit(Exit::Usage));
        }
        () => given.to_owned(),
    };
    check(text, None)
}

/// Reads an issue: title and text, which other people wrote.
async fn of_issue(tracker: &TrackerName, context: &Context) -> Result<Goal, Failure> {
    let Some(number) = tracker.issue else {
        return Err(Failure::new(format!("{tracker} is a repository, and a goal is one issue"))
            .hint(format!("name the issue, as in {tracker}#12"))
            .exit(Exit::Usage));
    };
    let forge = open_forge(tracker, context).await?;
    let Some(issue) = forge.issue(number).await.map_err(forge_failure)? else {
        return Err(Failure::new(format!("{tracker} is no issue"))
            .hint("check the number; pull requests are no goals"));
    };
    let own = json!({
        "name": tracker.repository().to_string(),
        "issue": issue.number,
        "url": issue.url,
        "author": issue.author,
    });
    check(format!("{}\n\n{}", issue.title, issue.body), Some(own))
}

/// Refuses an empty goal, and one that is too long.
fn check(text: String, issue: Option<Value>) -> Result<Goal, Failure> {
    if text.trim().is_empty() {
        return Err(Failure::new("the goal is empty")
            .hint("write it in words, as in `autopack plan 'Add a REST API'`")
            .exit(Exit::Usage));
    }
    if text.len() > LONGEST {
        return Err(Failure::new(format!(
            "the goal has {} bytes, and at most {LONGEST} fit a question",
            text.len()
        ))
        .hint("shorten it, or plan its parts one by one"));
    }
    Ok(Goal { text, issue })
}
