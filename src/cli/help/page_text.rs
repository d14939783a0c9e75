//! A page as text for a terminal.

use super::book::{Book, Page};
use super::inline_text::{heading_style, links, words, wrap_words};
use super::page_blocks::{Block, blocks};
use super::table_text::table;
use crate::progress::{width, wrap};

/// Indentation of code and quotations.
const INDENT: usize = 4;

/// Renders a page. The end names the pages to which it links.
pub(super) fn render(book: &Book, page: &Page, columns: usize) -> String {
    let mut text = String::new();
    let mut last_is_item = false;
    for block in blocks(&page.text) {
        let is_item = matches!(block, Block::Item(..));
        // The items of a list stay together.
        let goes_on = is_item && last_is_item;
        if !text.is_empty() && !goes_on {
            text.push('\n');
        }
        text += &render_block(&block, columns);
        last_is_item = is_item;
    }
    let mut topics: Vec<&str> = Vec::new();
    let linked = links(&page.text).into_iter().filter_map(|link| book.linked(page, link));
    for other in linked.filter(|other| other.path != page.path) {
        if !topics.contains(&other.topic.as_str()) {
            topics.push(&other.topic);
        }
    }
    if !topics.is_empty() {
        let list = format!("See also: autopack help TOPIC, with {}", topics.join(", "));
        text += &format!("\n{}\n", wrap(&list, columns).join("\n"));
    }
    text
}

fn render_block(block: &Block, columns: usize) -> String {
    match block {
        Block::Heading(depth, title) => heading(*depth, title, columns),
        Block::Paragraph(text) => paragraph(text, 0, "", columns),
        Block::Item(indent, mark, text) => paragraph(text, *indent, mark, columns),
        Block::Quote(text) => paragraph(text, INDENT - 2, ">", columns),
        Block::Code(language, lines) => code(language, lines, columns),
        Block::Table(rows) => table(rows, columns),
    }
}

fn heading(depth: usize, title: &str, columns: usize) -> String {
    let title = words(title).iter().flatten().map(|(text, _)| text.clone()).collect::<Vec<_>>();
    let title = title.join(" ");
    let title = if depth == 1 { title.to_uppercase() } else { title };
    let mark = if depth > 2 { "  " } else { "" };
    let lines = wrap(&title, columns - mark.len());
    lines.iter().map(|line| format!("{mark}{}\n", heading_style().apply_to(line))).collect()
}

/// Renders text after an indentation and a mark; further lines begin below the text.
fn paragraph(text: &str, indent: usize, mark: &str, columns: usize) -> String {
    let begin = if mark.is_empty() { String::new() } else { format!("{mark} ") };
    let hang = indent + begin.len();
    let lines = wrap_words(&words(text), columns.saturating_sub(hang).max(20));
    let mut shown = String::new();
    for (index, (line, _)) in lines.iter().enumerate() {
        match index {
            0 => shown += &format!("{:indent$}{begin}{line}\n", ""),
            _ => shown += &format!("{:hang$}{line}\n", ""),
        }
    }
    shown
}

/// Renders code. A comment behind a long command stands above it; other long lines are wrapped.
fn code(language: &str, lines: &[String], columns: usize) -> String {
    let room = columns - INDENT;
    let mut shown = Vec::new();
    for line in lines {
        let has_comments = matches!(language, "sh" | "yaml");
        match line.split_once(" # ").filter(|_| has_comments && width(line) > room) {
            Some((before, comment)) => {
                let indent = " ".repeat(before.len() - before.trim_start().len());
                shown.extend(folded(&format!("{indent}# {}", comment.trim()), room, "# "));
                shown.extend(folded(before.trim_end(), room, "  "));
            }
            None => shown.extend(folded(line, room, "  ")),
        }
    }
    shown.iter().map(|line| format!("{:INDENT$}{line}", "").trim_end().to_owned() + "\n").collect()
}

/// Folds a line of code; the rest is indented further.
fn folded(line: &str, room: usize, mark: &str) -> Vec<String> {
    if width(line) <= room {
        return vec![line.to_owned()];
    }
    let indent = line.len() - line.trim_start().len();
    let parts = wrap(line, room.saturating_sub(indent + mark.len()).max(20));
    let start = " ".repeat(indent);
    let begin = |index: usize| if index == 0 { "" } else { mark };
    parts.iter().enumerate().map(|(index, part)| format!("{start}{}{part}", begin(index))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every page fits the width of a terminal, and none is empty.
    #[test]
    fn every_page_fits_its_columns() {
        let book = Book::open().unwrap();
        for columns in [80, 60] {
            for page in book.pages() {
                let text = render(&book, page, columns);
                let wide =
                    text.lines().find(|line| width(&console::strip_ansi_codes(line)) > columns);
                assert_eq!(wide, None, "{}", page.path);
                assert!(text.lines().count() > 5, "{}: {text}", page.path);
            }
        }
    }

    #[test]
    fn a_comment_behind_a_long_command_stands_above_it() {
        let line = format!("autopack drain {} # runs it", "x".repeat(40));
        let shown = code("sh", &[line], 60);
        assert_eq!(shown, format!("    # runs it\n    autopack drain {}\n", "x".repeat(40)));
    }
}
