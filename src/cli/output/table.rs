//! Text tables, readable by people and by `grep` and `awk`: a line per row, no frames.

pub use crate::phase::words::counted;
use crate::progress::{fill, fit, screen, shown_id, width};

/// Minimum terminal width; smaller reported widths are ignored.
const NARROWEST: usize = 40;
/// Minimum width of the first column.
const LEAST_FIRST: usize = 12;
/// Minimum width of the last column.
const LEAST_LAST: usize = 16;
const GAP: usize = 2;

/// Formats a table. The columns in `numbers` are aligned to the right; the first column has ids.
///
/// On a terminal, the last column and then the first are cut to fit. Elsewhere, only extremely long ids are cut.
pub fn table(headers: &[&str], numbers: &[usize], rows: Vec<Vec<String>>) -> String {
    render(headers, numbers, rows, screen::output_columns().map(|columns| columns.max(NARROWEST)))
}

fn render(
    headers: &[&str],
    numbers: &[usize],
    rows: Vec<Vec<String>>,
    columns: Option<usize>,
) -> String {
    let mut lines = vec![headers.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()];
    lines.extend(rows.into_iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()));
    for line in &mut lines {
        if let Some(first) = line.first_mut() {
            *first = shown_id(first);
        }
    }
    let mut widths: Vec<usize> = (0..headers.len())
        .map(|column| lines.iter().map(|line| width(&line[column])).max().unwrap_or(0))
        .collect();
    if let Some(columns) = columns {
        squeeze(&mut widths, numbers, columns);
    }
    lines.iter().map(|line| format!("{}\n", row(line, &widths, numbers).trim_end())).collect()
}

/// Shrinks the last column if it has text, then the first column, until the row fits.
fn squeeze(widths: &mut [usize], numbers: &[usize], columns: usize) {
    let Some(last) = widths.len().checked_sub(1) else { return };
    let mut over = (widths.iter().sum::<usize>() + GAP * last).saturating_sub(columns);
    if !numbers.contains(&last) {
        let given = over.min(widths[last].saturating_sub(LEAST_LAST));
        widths[last] -= given;
        over -= given;
    }
    widths[0] -= over.min(widths[0].saturating_sub(LEAST_FIRST));
}

fn row(cells: &[String], widths: &[usize], numbers: &[usize]) -> String {
    let cells = cells.iter().zip(widths).enumerate().map(|(column, (cell, columns))| {
        if numbers.contains(&column) {
            let cell = fit(cell, *columns);
            return format!("{}{cell}", " ".repeat(columns - width(&cell)));
        }
        fill(cell, *columns)
    });
    cells.collect::<Vec<_>>().join(&" ".repeat(GAP))
}

/// Removes line breaks and control sequences from a cell.
pub fn one_line(text: &str) -> String {
    let clean = crate::progress::printable(text);
    clean.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
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

    #[test]
    fn names_as_long_as_books_leave_room_for_the_rest() {
        let rows =
            || vec![vec!["漢\x1b[2J\u{202e}".repeat(1000), "7".to_owned(), "why".repeat(99)]];
        for columns in [40, 80] {
            let text = render(&["PHASE", "TRIES", "WHY"], &[1], rows(), Some(columns));
            assert!(text.lines().all(|line| width(line) <= columns), "{text}");
            assert!(!text.contains(['\x1b', '\u{202e}']));
        }
        let text =
            render(&["PHASE", "TRIES"], &[1], vec![vec!["x".repeat(4000), "7".into()]], None);
        assert!(text.lines().all(|line| width(line) < 110), "{text}");
    }
}
