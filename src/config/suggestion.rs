//! Suggestions for misspelled names.

/// Returns `did you mean "x"?`, or all known names if none is similar.
pub fn suggestion(given: &str, known: &[&str]) -> String {
    match nearest(given, known) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("known: {}", known.join(", ")),
    }
}

/// Returns the known name with the smallest edit distance, ignoring case, if it is similar.
pub fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    let given = given.to_lowercase();
    let distance = |word: &str| strsim::damerau_levenshtein(&given, &word.to_lowercase());
    let near = known.iter().min_by_key(|word| distance(word))?;
    let length = given.chars().count().max(near.chars().count());
    (distance(near) <= length.div_ceil(3)).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_near_and_else_everything() {
        let known = ["autostart", "autostart_timeout_seconds", "port"];
        assert_eq!(suggestion("autostrt", &known), r#"did you mean "autostart"?"#);
        assert_eq!(suggestion("Prot", &known), r#"did you mean "port"?"#);
        assert_eq!(suggestion("zzz", &["a", "b"]), "known: a, b");
    }
}
