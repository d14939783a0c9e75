//! Tables as text: columns side by side where they fit, else a paragraph for each row.

use super::inline_text::{Word, line_width, word_width, words, wrap_words};

/// Space between columns.
const GAP: usize = 2;

/// Narrowest last column that is worth wrapping.
const NARROWEST: usize = 28;

/// Renders a table: header first.
pub(super) fn table(rows: &[Vec<String>], columns: usize) -> String {
    let cells: Vec<Vec<Vec<Word>>> =
        rows.iter().map(|row| row.iter().map(|cell| words(cell)).collect()).collect();
    match column_widths(&cells, columns) {
        Some(widths) => side_by_side(&cells, &widths),
        None => one_by_one(&cells, columns),
    }
}

/// Returns the widths of all columns, or nothing if the table does not fit. The last column may be wrapped.
fn column_widths(rows: &[Vec<Vec<Word>>], columns: usize) -> Option<Vec<usize>> {
    let number = rows.iter().map(Vec::len).max()?;
    let widest = |index: usize| {
        let cells = rows.iter().filter_map(|row| row.get(index));
        cells.map(|cell| line_width(cell)).max().unwrap_or_default()
    };
    let mut widths: Vec<usize> = (0..number).map(widest).collect();
    let last = widths.pop()?;
    let used = widths.iter().map(|width| width + GAP).sum::<usize>();
    let room = columns.checked_sub(used)?;
    if last > room && room < NARROWEST {
        return None;
    }
    widths.push(last.min(room));
    Some(widths)
}

fn side_by_side(rows: &[Vec<Vec<Word>>], widths: &[usize]) -> String {
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(widths);
        let cells: Vec<Vec<(String, usize)>> =
            cells.map(|(cell, width)| wrap_words(cell, (*width).max(1))).collect();
        for line in 0..cells.iter().map(Vec::len).max().unwrap_or_default() {
            let mut written = String::new();
            for (cell, width) in cells.iter().zip(widths) {
                let (part, used) = cell.get(line).map_or(("", 0), |(part, used)| (part, *used));
                written += part;
                written += &" ".repeat(width + GAP - used);
            }
            text += written.trim_end();
            text.push('\n');
        }
        if index == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            text += &format!("{}\n", rules.join(&" ".repeat(GAP)));
        }
    }
    text
}

/// Renders each row as a paragraph: the first cell, and below it the others with their headers.
fn one_by_one(rows: &[Vec<Vec<Word>>], columns: usize) -> String {
    let Some((header, rows)) = rows.split_first() else { return String::new() };
    let mut text = String::new();
    for row in rows {
        for (index, cell) in row.iter().enumerate().filter(|(_, cell)| !cell.is_empty()) {
            let (indent, mut line) =
                if index == 0 { (0, Vec::new()) } else { (2, label(header, index)) };
            line.extend(cell.iter().cloned());
            let hang = if index == 0 { 0 } else { 4 };
            let lines = wrap_words(&line, columns - hang);
            for (number, (part, _)) in lines.iter().enumerate() {
                let indent = if number == 0 { indent } else { hang };
                text += &format!("{:indent$}{part}\n", "");
            }
        }
    }
    text
}

/// Returns the header of a column, with a colon.
fn label(header: &[Vec<Word>], index: usize) -> Vec<Word> {
    let mut label = header.get(index).cloned().unwrap_or_default();
    if let Some((text, _)) = label.last_mut().and_then(|word| word.last_mut()) {
        text.push(':');
    }
    debug_assert!(label.iter().all(|word| word_width(word) > 0));
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(|&cell| cell.to_owned()).collect()).collect()
    }

    #[test]
    fn a_last_column_is_wrapped() {
        let table =
            table(&rows(&[&["key", "meaning"], &["`a.b`", "one two three four five six"]]), 36);
        assert_eq!(
            table,
            "key    meaning\n-----  ---------------------------\n`a.b`  one two three four five six\n"
        );
    }

    #[test]
    fn wide_columns_become_paragraphs() {
        let long = "x".repeat(30);
        let table = table(&rows(&[&["key", "default", "meaning"], &["`a`", &long, &long]]), 60);
        assert_eq!(table, format!("`a`\n  default: {long}\n  meaning: {long}\n"));
    }
}
