//! The live lines at the bottom of the terminal, and output above them.
//!
//! There is one terminal, so there is one screen. The cursor rests at the start of the first live line: after
//! any resize, erasing from there to the end of the screen removes exactly the live lines. No terminal mode
//! outlasts a single write, so nothing needs to be restored, even after a kill.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use console::Term;

/// The live lines as last drawn; empty if nothing is live.
static LIVE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Erases from the first column on. The first cell is erased separately, since tmux adds the screen to its
/// history if all of the screen is erased at once.
const ERASE: &str = "\r\x1b[K\x1b[C\x1b[J\r";

/// Size of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
}

impl Size {
    /// Returns the size of the terminal on stderr.
    pub fn of_terminal() -> Self {
        let (rows, columns) = Term::stderr().size_checked().unwrap_or((24, 80));
        Self { rows: rows.into(), columns: columns.into() }
    }
}

/// Returns the width of stdout if stdout is a terminal.
pub fn output_columns() -> Option<usize> {
    let term = Term::stdout();
    let (_, columns) = term.size_checked().filter(|_| io::stdout().is_terminal())?;
    Some(columns.into())
}

/// Returns the width of stderr if stderr is a terminal.
pub fn error_columns() -> Option<usize> {
    let (_, columns) = Term::stderr().size_checked().filter(|_| io::stderr().is_terminal())?;
    Some(columns.into())
}

/// Draws these lines over the previous ones. The lines must be shorter than the terminal is wide, and fewer
/// than its rows.
pub fn paint(lines: Vec<String>) {
    let mut live = lock();
    if lines.is_empty() {
        return erase(&mut live);
    }
    send(&drawing(&lines));
    *live = lines;
}

/// Removes the live lines.
pub fn close() {
    erase(&mut lock());
}

/// Leaves the live lines in place as text, with the cursor behind them.
pub fn leave() {
    let mut live = lock();
    if !live.is_empty() {
        send(&format!("{}{}\n", drawing(&live), "\n".repeat(live.len() - 1)));
        live.clear();
    }
}

/// Writes whole lines above the live lines, which are redrawn below.
pub fn above(write: impl FnOnce()) {
    let live = lock();
    if !live.is_empty() {
        send(ERASE);
    }
    write();
    if !live.is_empty() {
        send(&drawing(&live));
    }
}

fn erase(live: &mut Vec<String>) {
    if !live.is_empty() {
        send(ERASE);
        live.clear();
    }
}

/// Draws over existing text to avoid flicker. Wrapping is off meanwhile, so that a terminal with a wider idea
/// of a character cuts the line.
fn drawing(lines: &[String]) -> String {
    let mut text = String::from("\r\x1b[?7l");
    text += &lines.join("\x1b[K\r\n");
    text += "\x1b[K\x1b[J\x1b[?7h\r";
    if lines.len() > 1 {
        text += &format!("\x1b[{}A", lines.len() - 1);
    }
    text
}

/// Errors are ignored: a terminal that went away does not stop the drain.
fn send(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

fn lock() -> MutexGuard<'static, Vec<String>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}
