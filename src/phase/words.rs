//! Small turns of phrase that messages of all parts share.

use std::borrow::Cow;

/// `1 phase`, `2 phases`.
pub fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The first few, and how many more there are: `a, b and 3 more`.
pub fn first_few(all: &[impl AsRef<str>], few: usize) -> String {
    let shown: Vec<&str> = all.iter().take(few).map(AsRef::as_ref).collect();
    let shown = shown.join(", ");
    match all.len().saturating_sub(few) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The word that somebody meant, where this one is a slip of the pen.
pub fn meant<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known.iter().find(|known| strsim::osa_distance(known, word) <= 2).copied()
}

/// A commit's id as people write it.
pub fn short_commit(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

/// A word as a shell would have to read it.
pub fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_few_and_a_number() {
        assert_eq!(first_few(&["a", "b"], 2), "a, b");
        assert_eq!(first_few(&["a", "b", "c"], 2), "a, b and 1 more");
        assert_eq!(first_few(&[""; 0], 2), "");
        assert_eq!(
            (counted(1, "phase"), counted(0, "phase")),
            ("1 phase".into(), "0 phases".into())
        );
        assert_eq!((short_commit("0123456789abcdef"), short_commit("012")), ("0123456789", "012"));
    }
    #[test]
    fn words_are_quoted_only_where_they_have_to_be() {
        assert_eq!(quoted("tests/a.py::b"), "tests/a.py::b");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
