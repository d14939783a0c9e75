//! Splitting of text into terms suited to code: identifiers split at case, underscore and digits, words reduced to
//! stems.
//!
//! Used by the full-text index and the builtin embedder.

/// A word of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordTerms {
    /// The whole word in lower case: `parseurl2`, `test_login`.
    pub whole: String,
    /// Stemmed parts; a single stem for a word without parts.
    pub parts: Vec<String>,
}

impl WordTerms {
    /// Checks whether the word has several parts.
    pub fn is_compound(&self) -> bool {
        self.parts.len() > 1
    }
}

/// Longer runs of letters and digits are data (hashes, base64), not words.
const LONGEST_WORD: usize = 64;

/// Returns the words of a text, in order.
pub fn words(text: &str) -> impl Iterator<Item = WordTerms> + '_ {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .map(|word| word.trim_matches('_'))
        .filter(|word| !word.is_empty() && word.len() <= LONGEST_WORD)
        .map(|word| WordTerms { whole: word.to_lowercase(), parts: parts(word) })
}

/// Returns the terms of a text for the full-text index: parts, and compounds whole too.
pub fn terms(text: &str) -> Vec<String> {
    let mut terms = Vec::new();
    for word in words(text) {
        let compound = word.is_compound();
        terms.extend(word.parts);
        if compound {
            terms.push(word.whole);
        }
    }
    terms
}

fn parts(word: &str) -> Vec<String> {
    let chars: Vec<char> = word.chars().collect();
    let mut parts = Vec::new();
    let mut current = String::new();
    for (at, &c) in chars.iter().enumerate() {
        if c == '_' || at > 0 && starts_part(chars[at - 1], c, chars.get(at + 1).copied()) {
            push_part(&mut parts, &mut current);
        }
        if c != '_' {
            current.extend(c.to_lowercase());
        }
    }
    push_part(&mut parts, &mut current);
    parts
}

/// Checks for the start of a part: `aB`, `a1`, `1a`, and the last capital of a run before a small letter: `HTTPServer`
/// is http, server.
fn starts_part(before: char, c: char, after: Option<char>) -> bool {
    let lower_to_upper = before.is_lowercase() && c.is_uppercase();
    let acronym_ends =
        before.is_uppercase() && c.is_uppercase() && after.is_some_and(char::is_lowercase);
    let digit_edge = before.is_numeric() != c.is_numeric() && before != '_';
    lower_to_upper || acronym_ends || digit_edge
}

fn push_part(parts: &mut Vec<String>, current: &mut String) {
    if !current.is_empty() {
        parts.push(stem(&std::mem::take(current)));
    }
}

/// Returns a light stem: removes English endings common in code. Sometimes wrong, but the same for all texts.
pub fn stem(word: &str) -> String {
    const ENDINGS: [(&str, &str); 14] = [
        ("ization", "ize"),
        ("isation", "ize"),
        ("ations", "ate"),
        ("ation", "ate"),
        ("ingly", ""),
        ("ments", "ment"),
        ("ness", ""),
        ("sses", "ss"),
        ("ies", "y"),
        ("ing", ""),
        ("ers", "er"),
        ("ed", ""),
        ("ly", ""),
        ("s", ""),
    ];
    if !word.is_ascii() || word.len() < 5 && !word.ends_with('s') || word.ends_with("ss") {
        return word.to_owned();
    }
    for (ending, instead) in ENDINGS {
        if let Some(rest) = word.strip_suffix(ending)
            && rest.len() >= 3
        {
            let rest = if matches!(ending, "ing" | "ed") { undouble(rest) } else { rest };
            return without_silent_e(&format!("{rest}{instead}"));
        }
    }
    without_silent_e(word)
}

/// Removes a doubled consonant: `stopp` of `stopped` becomes `stop`.
fn undouble(word: &str) -> &str {
    let bytes = word.as_bytes();
    let n = bytes.len();
    let doubled = n > 3 && bytes[n - 1] == bytes[n - 2] && !b"lsz".contains(&bytes[n - 1]);
    if doubled { &word[..n - 1] } else { word }
}

/// Removes a silent e: `cache` becomes `cach`, like `caching`.
fn without_silent_e(word: &str) -> String {
    let silent = word.len() > 4 && word.ends_with('e') && !word.ends_with("ee");
    if silent { word[..word.len() - 1].to_owned() } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(word: &str) -> Vec<String> {
        words(word).flat_map(|word| word.parts).collect()
    }

    #[test]
    fn identifiers_are_split() {
        assert_eq!(split("parseHTTPServerUrl2"), ["parse", "http", "server", "url", "2"].map(stem));
        assert_eq!(split("test_user_login"), ["test", "user", "login"]);
        assert_eq!(
            split("src/app/AuthService.tsx"),
            ["src", "app", "auth", "service", "tsx"].map(stem)
        );
        assert_eq!(split("__init__"), ["init"]);
    }

    #[test]
    fn forms_of_a_word_have_the_same_stem() {
        for (a, b) in [
            ("caching", "cache"),
            ("caches", "cache"),
            ("stopped", "stop"),
            ("retries", "retry"),
            ("imports", "importing"),
            ("parsed", "parse"),
            ("tests", "test"),
            ("running", "run"),
            ("classes", "class"),
        ] {
            assert_eq!(stem(a), stem(b), "{a} {b}");
        }
        assert_ne!(stem("test"), stem("text"));
    }

    #[test]
    fn compounds_are_terms_too() {
        assert_eq!(terms("user_id"), ["user", "id", "user_id"]);
        assert_eq!(terms("user"), ["user"]);
        assert!(terms(&"a".repeat(300)).is_empty());
    }

    #[test]
    fn any_text_has_terms_without_panic() {
        for text in ["", "é_É", "日本語テスト", "_", "__", "ß9ẞ", "a\u{301}b", "\u{0}"] {
            let _ = terms(text);
        }
    }
}
