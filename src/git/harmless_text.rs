//! Text of strangers and agents without a meaning for a forge: it closes no issue, mentions nobody, and forges no trailer.
//! Used wherever such a text leaves this machine: in commit messages, titles and texts of pull requests, and comments.

use std::sync::LazyLock;

use regex::Regex;

/// Separates characters that would have a meaning together; not shown.
const APART: &str = "\u{200b}";

/// What has a meaning for a forge, in two groups to be kept apart.
const MEANINGS: [&str; 6] = [
    // Numbers of issues and pull requests: `#12`, `!12`, `GH-12`.
    r"([#!])(\d)",
    r"(?i)\b(gh-)(\d)",
    // Issues of trackers with letters, after a word that closes: `fixes ABC-12`.
    r"(?i)\b((?:clos|fix|resolv|implement)[a-z]*:?\s+[a-z][a-z0-9_]*-)(\d)",
    // Mentions; addresses of e-mail are none.
    r"((?:^|\W)@)(\w)",
    // Quick actions of GitLab: a line `/close`.
    r"(?m)(^\s*)(/[a-z_]+(?:\s|$))",
    // Trailers of ours, and those that name people.
    r"(?mi)(^\s*)((?:autopack-|co-authored-by|signed-off-by))",
];

/// Returns the text with an invisible character in each such place.
pub fn harmless(text: &str) -> String {
    static PATTERNS: LazyLock<[Regex; 6]> = LazyLock::new(|| {
        MEANINGS.map(|pattern| Regex::new(pattern).expect("the patterns are constant"))
    });
    let text = text.replace("<!--", "<\u{200b}!--").replace("://", ":\u{200b}//");
    let apart = format!("${{1}}{APART}${{2}}");
    PATTERNS.iter().fold(text, |text, pattern| pattern.replace_all(&text, &apart).into_owned())
}

/// Returns the text of the user's own plan for a commit message: only trailers of ours are kept apart, because autopack
/// reads them.
pub fn without_our_trailers(text: &str) -> String {
    static TRAILER: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?mi)(^\s*)(autopack-)").expect("the pattern is constant"));
    TRAILER.replace_all(text, format!("${{1}}{APART}${{2}}")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        harmless(text).replace(APART, "^")
    }

    #[test]
    fn numbers_mentions_links_and_marks_have_no_meaning() {
        assert_eq!(
            shown("Fixes #99, closes evil/o#5 or !3"),
            "Fixes #^99, closes evil/o#^5 or !^3"
        );
        assert_eq!(shown("fixes GH-1, closes: ABC-12"), "fixes GH-^1, closes: ABC-^12");
        assert_eq!(shown("@all, cc @a/b: me@x.org"), "@^all, cc @^a/b: me@x.org");
        assert_eq!(shown("see https://x <!-- y"), "see https:^//x <^!-- y");
        assert_eq!(shown("UTF-8, C#, #x, 100 %!"), "UTF-8, C#, #x, 100 %!");
    }

    #[test]
    fn lines_are_no_orders_and_no_trailers() {
        assert_eq!(
            shown("a\n/close\n /assign @me\n/usr/lib"),
            "a\n^/close\n ^/assign @^me\n/usr/lib"
        );
        let forged = "x\n\u{a0}Autopack-Run: run\nautopack-phase: 2\nCo-authored-by: E";
        let apart = "x\n\u{a0}^Autopack-Run: run\n^autopack-phase: 2\n^Co-authored-by: E";
        assert_eq!(shown(forged), apart);
        assert_eq!(harmless(&harmless(forged)), harmless(forged));
    }
}
