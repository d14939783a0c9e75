//! Questions with yes or no on a terminal.

use std::io::{IsTerminal, Write as _, stderr, stdin};

use anyhow::Context as _;

use crate::failure::Failure;

/// Asks on the terminal; everything except `y` and `yes` means no. Returns `None` without a terminal.
pub fn ask(question: &str) -> Result<Option<bool>, Failure> {
    if !stdin().is_terminal() || !stderr().is_terminal() {
        return Ok(None);
    }
    let mut terminal = stderr();
    write!(terminal, "{question} [y/N] ").and_then(|()| terminal.flush()).context("cannot ask")?;
    let mut answer = String::new();
    stdin().read_line(&mut answer).context("cannot read the answer")?;
    Ok(Some(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")))
}
