//! Tables for people, which `grep` and `awk` can read too: one line a row, no frames.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};
use console::Term;

/// Narrower than this, a terminal is not taken at its word.
const NARROWEST: u16 = 40;

/// `numbers` are the columns that are aligned to the right. On a terminal the last column is cut to fit; elsewhere
/// nothing is.
pub fn table(headers: &[&str], numbers: &[usize], rows: Vec<Vec<String>>) -> String {
    render(headers, numbers, rows, terminal_width())
}

fn terminal_width() -> Option<u16> {
    let term = Term::stdout();
    let (_, columns) = term.size_checked().filter(|_| term.is_term())?;
    Some(columns.max(NARROWEST))
}

fn render(
    headers: &[&str],
    numbers: &[usize],
    rows: Vec<Vec<String>>,
    width: Option<u16>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(headers);
    for row in rows {
        let mut cells = comfy_table::Row::from(row.iter().map(|cell| one_line(cell)));
        cells.max_height(1);
        table.add_row(cells);
    }
    match width {
        None => table.set_content_arrangement(ContentArrangement::Disabled),
        Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
    };
    let last = headers.len().saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index == last { 0 } else { 2 }));
        if index < last {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        if numbers.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// `1 phase`, `2 phases`.
pub fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// What a cell may hold: no line breaks, nothing that moves the cursor.
pub fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_control() || c == ' ').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        vec![
            row([
                "setup",
                "1/3",
                "ci_failed: 2 tests\nfailed, and this goes on for a good while longer",
            ]),
            row(["a-phase-with-a-long-name", "10/10", ""]),
        ]
    }

    #[test]
    fn a_terminal_cuts_the_last_column() {
        let text = render(&["PHASE", "TRIES", "WHY"], &[1], rows(), Some(60));
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_pipe_gets_everything_on_one_line_each() {
        let text = render(&["PHASE", "TRIES", "WHY"], &[1], rows(), None);
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("2 tests failed, and this goes on for a good while longer"));
    }
}
