//! Texts of others in commit messages: none can add a line or a trailer.

/// Returns a text on one line, without control characters.
pub(crate) fn one_line(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(clean).collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns an id as the value of a trailer: unchanged, or as a JSON string if ambiguous.
pub(crate) fn trailer(id: &str) -> String {
    let plain = !id.is_empty()
        && id.trim() == id
        && !id.starts_with('"')
        && !id.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'));
    if plain { id.to_owned() } else { serde_json::Value::from(id).to_string() }
}
