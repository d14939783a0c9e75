//! The blocks of a page: headings, paragraphs, items of lists, code, tables.

/// A block of Markdown, with the text as written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// A heading: depth, counted from 1, and text.
    Heading(usize, String),
    /// A paragraph.
    Paragraph(String),
    /// An item of a list: indentation, mark, text.
    Item(usize, String, String),
    /// A quotation.
    Quote(String),
    /// Code: language and lines.
    Code(String, Vec<String>),
    /// A table: the header, then the rows.
    Table(Vec<Vec<String>>),
}

/// Splits a page into blocks.
pub(super) fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = markdown.lines().peekable();
    // Whether the next line may continue the last block.
    let mut is_open = false;
    while let Some(line) = lines.next() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if text.is_empty() || text.starts_with("<!--") {
            is_open = false;
        } else if let Some(language) = text.strip_prefix("```") {
            let code = lines.by_ref().take_while(|line| line.trim_start() != "```");
            let code = code.map(|line| line.get(indent..).unwrap_or_default().to_owned());
            blocks.push(Block::Code(language.trim().to_owned(), code.collect()));
            is_open = false;
        } else if indent >= 4 && !is_open && !matches!(blocks.last(), Some(Block::Item(..))) {
            let more = std::iter::from_fn(|| lines.next_if(|line| line.starts_with("    ")));
            let code = std::iter::once(line).chain(more).map(|line| line[4..].to_owned());
            blocks.push(Block::Code(String::new(), code.collect()));
        } else if text.starts_with('|') {
            let more = std::iter::from_fn(|| lines.next_if(|line| line.starts_with('|')));
            let rows = std::iter::once(text).chain(more).map(cells);
            let rows = rows.filter(|row| row.iter().any(|cell| !is_rule(cell)));
            blocks.push(Block::Table(rows.collect()));
            is_open = false;
        } else if let Some((depth, title)) = heading(text) {
            blocks.push(Block::Heading(depth, title.to_owned()));
            is_open = false;
        } else if let Some((mark, item)) = item(text) {
            blocks.push(Block::Item(indent, mark.to_owned(), item.to_owned()));
            is_open = true;
        } else if let Some(quoted) = text.strip_prefix("> ") {
            match blocks.last_mut() {
                Some(Block::Quote(quote)) if is_open => add_line(quote, quoted),
                _ => blocks.push(Block::Quote(quoted.to_owned())),
            }
            is_open = true;
        } else {
            match blocks.last_mut() {
                Some(Block::Paragraph(open) | Block::Item(_, _, open)) if is_open => {
                    add_line(open, text);
                }
                _ => blocks.push(Block::Paragraph(text.to_owned())),
            }
            is_open = true;
        }
    }
    blocks
}

fn add_line(text: &mut String, line: &str) {
    text.push('\n');
    text.push_str(line);
}

fn heading(text: &str) -> Option<(usize, &str)> {
    let title = text.trim_start_matches('#');
    let depth = text.len() - title.len();
    (depth > 0).then(|| Some((depth, title.strip_prefix(' ')?))).flatten()
}

/// Splits the mark of an item from its text.
fn item(text: &str) -> Option<(&str, &str)> {
    let (mark, rest) = text.split_once(' ')?;
    let number = mark.strip_suffix('.').is_some_and(|number| number.parse::<u8>().is_ok());
    (mark == "-" || number).then_some((mark, rest))
}

/// Splits a row at its bars; a bar after a backslash belongs to a cell.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_start_matches('|');
    let row = row.strip_suffix('|').unwrap_or(row).replace("\\|", "\u{1}");
    row.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
}

/// Checks whether a cell is part of the line below the header.
fn is_rule(cell: &str) -> bool {
    !cell.is_empty() && cell.chars().all(|c| matches!(c, '-' | ':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_split_into_blocks() {
        let page = "# Title\n\nOne\ntwo.\n\n- a\n  more\n- b\n\n1. c\n\n> q\n> r\n\n    code\n\n```sh\nx\n\ny\n```\n\n\
                    | a | b |\n|---|---|\n| `x\\|y` | |\n<!-- note -->\nEnd.\n";
        let text = str::to_owned;
        let item = |mark: &str, words: &str| Block::Item(0, text(mark), text(words));
        let row = |a: &str, b: &str| vec![text(a), text(b)];
        assert_eq!(
            blocks(page),
            [
                Block::Heading(1, text("Title")),
                Block::Paragraph(text("One\ntwo.")),
                item("-", "a\nmore"),
                item("-", "b"),
                item("1.", "c"),
                Block::Quote(text("q\nr")),
                Block::Code(String::new(), vec![text("code")]),
                Block::Code(text("sh"), vec![text("x"), String::new(), text("y")]),
                Block::Table(vec![row("a", "b"), row("`x|y`", "")]),
                Block::Paragraph(text("End.")),
            ]
        );
    }
}
