//! The goal of a plan: words, a file, or standard input.

use std::io::Read as _;
use std::path::Path;

use crate::cli::Context;
use crate::failure::{Exit, Failure};
use crate::import::STDIN;

/// Longest goal in bytes; a longer text would leave no room for the answer.
const LONGEST: usize = 100_000;

/// A goal in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Goal {
    pub text: String,
    /// Whether other people wrote the text, so that its orders do not count.
    pub is_of_others: bool,
}

/// Reads the goal. A file of this name wins over words.
///
/// # Errors
/// The file cannot be read, or the goal is empty or too long.
pub(super) async fn read(given: &str, _context: &Context) -> Result<Goal, Failure> {
    let path = Path::new(given);
    let text = match () {
        () if given == STDIN => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| Failure::new(format!("cannot read standard input: {error}")))?;
            text
        }
        () if path.is_file() => std::fs::read_to_string(path)
            .map_err(|error| Failure::new(format!("cannot read {given}: {error}")))?,
        // A path with a typo is no goal.
        () if !given.contains(char::is_whitespace) && given.contains(['/', '.']) => {
            return Err(Failure::new(format!("{given:?} is no file"))
                .hint("write the goal in words, as in `autopack plan 'Add a REST API'`")
                .exit(Exit::Usage));
        }
        () => given.to_owned(),
    };
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
    Ok(Goal { text, is_of_others: false })
}
