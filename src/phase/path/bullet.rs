//! List markers at the beginning of a line.

/// Returns the line without list markers: `- `, `* `, `1. `, `[x] `.
pub fn strip_bullet(line: &str) -> &str {
    let mut line = line.trim();
    while let Some(rest) = without_bullet(line) {
        line = rest.trim_start();
    }
    line
}

/// Checks whether the line begins with a list marker.
pub fn has_bullet(line: &str) -> bool {
    without_bullet(line.trim()).is_some()
}

fn without_bullet(line: &str) -> Option<&str> {
    if line.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let spaced = |rest: &str| rest.starts_with(char::is_whitespace);
    for bullet in ["-", "*", "+", "•", "‣", "◦", "–", "—", "[ ]", "[x]", "[X]", "☐", "☑"]
    {
        if let Some(rest) = line.strip_prefix(bullet).filter(|rest| spaced(rest)) {
            return Some(rest);
        }
    }
    let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let numbered = (1..=3).contains(&digits);
    line[digits..].strip_prefix(['.', ')']).filter(|rest| numbered && spaced(rest))
}
