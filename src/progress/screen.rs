//! The live lines at the bottom of the terminal, and how other text gets above them.
//!
//! There is one terminal, so there is one screen. The cursor rests at the start of the first live line: whatever a
//! resize makes of the lines behind it, erasing from there to the end of the screen takes exactly them.
//! Nothing is hidden or switched for longer than one write, so that there is nothing to restore, however we end.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use console::Term;

/// The live lines as they were last drawn; none while nothing is live.
static LIVE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Nothing from the first column on. The first cell on its own: erasing all of a screen at once makes tmux keep what stood
/// there in its history.
const ERASE: &str = "\r\x1b[K\x1b[C\x1b[J\r";

/// How much room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub rows: usize,
    pub columns: usize,
}

impl Size {
    /// Of the terminal that stderr is.
    pub fn of_terminal() -> Self {
        let (rows, columns) = Term::stderr().size_checked().unwrap_or((24, 80));
        Self { rows: rows.into(), columns: columns.into() }
    }
}

/// Whether stdout is a terminal, and how wide it is then.
pub fn output_columns() -> Option<usize> {
    let term = Term::stdout();
    let (_, columns) = term.size_checked().filter(|_| io::stdout().is_terminal())?;
    Some(columns.into())
}

/// Draws these lines over the last ones. They have to fit: less than a terminal high and wide.
pub fn paint(lines: Vec<String>) {
    let mut live = lock();
    if lines.is_empty() {
        return erase(&mut live);
    }
    send(&drawing(&lines));
    *live = lines;
}

/// Takes the live lines away.
pub fn close() {
    erase(&mut lock());
}

/// Leaves the live lines where they are, as text, with the cursor behind them.
pub fn leave() {
    let mut live = lock();
    if !live.is_empty() {
        send(&format!("{}{}\n", drawing(&live), "\n".repeat(live.len() - 1)));
        live.clear();
    }
}

/// Lets something write whole lines where the live ones are, and draws those again beneath.
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

/// Over what stands there, so that nothing flickers. Wrapping is off meanwhile: a terminal that takes a character for
/// wider than we do cuts the line.
fn drawing(lines: &[String]) -> String {
    let mut text = String::from("\r\x1b[?7l");
    text += &lines.join("\x1b[K\r\n");
    text += "\x1b[K\x1b[J\x1b[?7h\r";
    if lines.len() > 1 {
        text += &format!("\x1b[{}A", lines.len() - 1);
    }
    text
}

/// A terminal that has gone away is no reason to stop working.
fn send(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

fn lock() -> MutexGuard<'static, Vec<String>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}
