//! What the parser says of a value that will not do, in words of people who do not write Rust.
//!
//! Which key it was, and its line, is not said here.

/// What the parser expects where one word of several may stand; it names them only to a word that is none.
pub(super) const ONE_OF_SEVERAL: &str = "a Value::Tagged enum";

/// What its types say.
pub(super) fn plain(message: &str) -> String {
    let mut text = message.to_owned();
    for (rust, plain) in [
        ("invalid type: unit value", "has no value"),
        ("invalid type: map", "has keys beneath it"),
        ("invalid type: sequence", "is a list"),
        ("invalid type: ", "is "),
        ("invalid value: ", "is "),
        ("unknown variant ", "is "),
        ("is string ", "is the text "),
        // Numbers and booleans stand in backticks.
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

/// The limit is named to whoever went over it.
fn whole_number(text: String, rust: &str, most: u64) -> String {
    let Some(before) = text.strip_suffix(&format!(", expected {rust}")) else { return text };
    let given = before.strip_prefix("is ").and_then(|given| given.parse::<f64>().ok());
    match given.is_some_and(|given| given > most as f64) {
        true => format!("{before}, expected a whole number up to {most}"),
        false => format!("{before}, expected a whole number, not negative"),
    }
}

/// What it says of a text that it cannot read at all.
pub(super) fn plain_syntax(message: &str) -> String {
    // No number of YAML's is longer.
    message
        .replace("invalid type: integer `", "the number ")
        .replace("` as u128, expected any YAML value", " is too large")
        .replace("` as i128, expected any YAML value", " is too small")
}
