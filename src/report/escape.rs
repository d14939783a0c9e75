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

/// Escapes a text for the middle of a paragraph, list item or table cell of GitHub Markdown: no markup,
/// mention, link or line break.
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // A mention would notify a user and a number would link an issue; a zero-width space prevents
            // both.
            '@' | '#' => {
                out.push('\\');
                out.push(c);
                out.push_str("&#8203;");
            }
            // GitHub links bare addresses by the colon or by `www.`, and renders text between dollar signs as
            // formulas.
            ':' => out.push_str("&#58;"),
            '$' => out.push_str("&#36;"),
            '.' if ends_with_www(&out) => out.push_str("&#8203;."),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
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
        assert_eq!(markdown("@all see #1"), "\\@&#8203;all see \\#&#8203;1");
        assert_eq!(markdown("[a](https://x.y)\n# b"), "\\[a\\](https&#58;//x.y) \\#&#8203; b");
        assert_eq!(markdown("a | <b>"), "a \\| &lt;b&gt;");
        assert_eq!(markdown("see WWW.x.y, $5"), "see WWW&#8203;.x.y, &#36;5");
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
