//! Escaping of untrusted text for JSON within HTML, and Markdown. The page's templates escape by themselves.

/// Escapes JSON for a `<script>` element: no text ends the element, begins a comment or breaks a line. The
/// value is unchanged.
pub fn json_in_script(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            // In JSON, these occur in strings only, each as a single UTF-16 unit.
            '<'
            | '>'
            | '&'
            | '\u{7f}'..='\u{9f}'
            | '\u{200e}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// Separates characters that would have a meaning together; not shown.
const APART: char = '\u{200b}';

/// Escapes a text for the middle of a paragraph, list item or table cell of GitHub Markdown: no markup,
/// mention, link or line break, and no HTML entities.
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // An amount: formulas do not begin with a digit after an escaped dollar sign.
            '$' if chars.peek().is_some_and(char::is_ascii_digit) => out.push_str("\\$"),
            // A mention would notify a user, and a number would link an issue. `<` and `&` begin HTML, and text
            // between dollar signs is a formula.
            '@' | '#' | '<' | '&' | '$' => out.extend(['\\', c, APART]),
            // GitHub links bare addresses by the colon or by `www.`.
            ':' if chars.peek() == Some(&'/') => out.extend([APART, c]),
            '.' if ends_with_www(&out) => out.extend([APART, c]),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '>' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// Formats a text as code in a table cell.
pub fn code(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let fence = fence(&text, 1);
    // Without the spaces, a backtick at the end would belong to the fence.
    let space = if text.contains('`') { " " } else { "" };
    format!("{fence}{space}{}{space}{fence}", text.replace('|', "\\|"))
}

/// Returns a fence around a text: more backticks than any in the text.
pub fn fence(text: &str, least: usize) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(least.max(longest + 1))
}

fn ends_with_www(text: &str) -> bool {
    let end = text.len().checked_sub(3).and_then(|at| text.get(at..));
    end.is_some_and(|end| end.eq_ignore_ascii_case("www"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn json_does_not_end_the_script() {
        assert_eq!(json_in_script("\"</script><!--\""), "\"\\u003c/script\\u003e\\u003c!--\"");
    }

    #[test]
    fn markdown_has_no_mentions_and_no_links() {
        let shown = |text: &str| markdown(text).replace(APART, "^");
        assert_eq!(shown("@all see #1"), "\\@^all see \\#^1");
        assert_eq!(shown("[a](https://x.y)\n# b"), "\\[a\\](https^://x.y) \\#^ b");
        assert_eq!(shown("a | <b> &amp;: c"), "a \\| \\<^b\\> \\&^amp;: c");
        assert_eq!(shown("see WWW.x.y, $5"), "see WWW^.x.y, \\$5");
    }

    #[test]
    fn code_keeps_backticks_and_bars() {
        assert_eq!(code("make test"), "`make test`");
        assert_eq!(code("echo `a` | b"), "`` echo `a` \\| b ``");
        assert_eq!(fence("a ``` b", 3), "````");
    }

    proptest! {
        #[test]
        fn json_stays_the_same_value(text in "\\PC*") {
            let json = serde_json::to_string(&text).unwrap();
            let embedded = json_in_script(&json);
            prop_assert!(!embedded.contains(['<', '>', '&']));
            prop_assert_eq!(serde_json::from_str::<String>(&embedded).unwrap(), text);
        }
    }
}
