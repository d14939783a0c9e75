//! Overwrites a whole file, keeping the old file's BOM, line ends and final newline.

use super::file_lines::{BOM, Lines, split_bom};

/// Returns the new text. `before` is the present file, if any.
pub(super) fn whole(before: Option<&str>, content: &str) -> String {
    let Some(before) = before else { return content.to_owned() };
    let old = Lines::of(before);
    let (has_bom, body) = split_bom(content);
    let mut body = body.to_owned();
    if !old.lines.is_empty() && old.is_ended() && !body.is_empty() && !body.ends_with('\n') {
        body.push('\n');
    }
    if old.ending() == "\r\n" && !body.contains("\r\n") {
        body = body.replace('\n', "\r\n");
    }
    match old.bom || has_bom {
        true => format!("{BOM}{body}"),
        false => body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manners_of_the_old_file_stay() {
        assert_eq!(whole(None, "a\nb"), "a\nb");
        assert_eq!(whole(Some("x\n"), "a\nb"), "a\nb\n");
        assert_eq!(whole(Some("x"), "a\nb"), "a\nb");
        assert_eq!(whole(Some("\u{feff}x\r\ny\r\n"), "a\nb\n"), "\u{feff}a\r\nb\r\n");
        assert_eq!(whole(Some("x\n"), ""), "");
        assert_eq!(whole(Some(""), "a"), "a");
    }
}
