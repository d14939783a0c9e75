//! Translation of YAML parser messages for people without knowledge of Rust.
//!
//! The key and line are added by the caller.

/// Phrase used by the parser for a choice of words; the list of words appears only in errors about other
/// text.
pub(super) const ONE_OF_SEVERAL: &str = "a Value::Tagged enum";

/// Translates a message about a value.
pub(super) fn plain(message: &str) -> String {
    let mut text = message.to_owned();
    for (rust, plain) in [
        ("invalid type: unit value", "has no value"),
        ("invalid type: map", "has keys under it"),
        ("invalid type: sequence", "is a list"),
        ("invalid type: ", "is "),
        ("invalid value: ", "is "),
        ("unknown variant ", "is "),
        ("is string ", "is the text "),
        // Numbers and booleans are in backticks.
        ("is integer `", "is "),
        ("is floating point `", "is "),
        ("is boolean `", "is "),
        ("`, expected", ", expected"),
        ("is `", "is "),
        ("expected f64", "expected a number"),
        ("expected u16", "expected a whole number up to 65535"),
        ("expected a boolean", "expected true or false"),
        ("expected a string", "expected a text"),
        ("expected a sequence", "expected a list"),
    ] {
        text = text.replace(rust, plain);
    }
    for (rust, most) in [("u32", u64::from(u32::MAX)), ("u64", u64::MAX)] {
        text = whole_number(text, rust, most);
    }
    text.replace('`', "\"")
}

/// Names the upper limit if the value exceeds it.
fn whole_number(text: String, rust: &str, most: u64) -> String {
    let Some(before) = text.strip_suffix(&format!(", expected {rust}")) else { return text };
    let given = before.strip_prefix("is ").and_then(|given| given.parse::<f64>().ok());
    match given.is_some_and(|given| given > most as f64) {
        true => format!("{before}, expected a whole number up to {most}"),
        false => format!("{before}, expected a whole number, not negative"),
    }
}

/// Translates a message about unreadable text.
pub(super) fn plain_syntax(message: &str) -> String {
    // No YAML number is longer.
    message
        .replace("invalid type: integer `", "the number ")
        .replace("` as u128, expected any YAML value", " is too large")
        .replace("` as i128, expected any YAML value", " is too small")
}
