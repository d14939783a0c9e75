//! Text helpers shared by messages of all modules.

use std::borrow::Cow;

/// Formats a count with its noun: `1 phase`, `2 phases`.
pub fn counted(count: u64, what: &str) -> String {
    // `entry`, `dependency`, but not `day`.
    let stem = what.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u']));
    match stem {
        _ if count == 1 => format!("{count} {what}"),
        Some(stem) => format!("{count} {stem}ies"),
        None => format!("{count} {what}s"),
    }
}

/// Formats the first few items and the number of further items: `a, b and 3 more`.
pub fn first_few(all: &[impl AsRef<str>], few: usize) -> String {
    let shown: Vec<&str> = all.iter().take(few).map(AsRef::as_ref).collect();
    let shown = shown.join(", ");
    match all.len().saturating_sub(few) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Returns the known word that was probably meant, if the given word is a typo.
pub fn find_similar<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known.iter().find(|known| strsim::osa_distance(known, word) <= 2).copied()
}

/// Shortens a commit id for people.
pub fn short_commit(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

/// Writes bytes, such as a digest, in lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Quotes a word for the shell.
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
    fn long_lists_are_shortened_with_a_count() {
        assert_eq!(first_few(&["a", "b"], 2), "a, b");
        assert_eq!(first_few(&["a", "b", "c"], 2), "a, b and 1 more");
        assert_eq!(first_few(&[""; 0], 2), "");
        assert_eq!(
            (counted(1, "phase"), counted(0, "phase")),
            ("1 phase".into(), "0 phases".into())
        );
        assert_eq!(counted(2, "dependency") + &counted(3, "day"), "2 dependencies3 days");
        assert_eq!((short_commit("0123456789abcdef"), short_commit("012")), ("0123456789", "012"));
    }
    #[test]
    fn words_are_quoted_only_where_they_have_to_be() {
        assert_eq!(quoted("tests/a.py::b"), "tests/a.py::b");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
