//! The text of a pull request. The part of autopack stands between two hidden marks, and each publication replaces this
//! part. The text of people around the marks stays.

use crate::git::harmless_text::harmless;

const START: &str = "<!-- autopack: replaced by each `autopack publish`; text outside stays -->";
const END: &str = "<!-- autopack: end -->";
/// Most characters of a text: GitHub's limit. Others allow more.
const LONGEST: usize = 65_536;
/// Most characters of a title: 255, less the longest mark of a draft.
const LONGEST_TITLE: usize = 248;
/// Characters kept free for additions by forges.
const RESERVE: usize = 500;
const CUT: &str =
    "\n\n*The end is cut off: forges limit the length. `autopack report` has all of it.*\n";

/// A text, and whether the end was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PullRequestText {
    pub text: String,
    pub is_cut: bool,
}

/// Returns a line for each issue closed by a merge, or only partly resolved by the merge.
pub(super) fn issue_lines(closes: &[String], part_of: &[String]) -> String {
    let closes = closes.iter().map(|issue| format!("Closes {issue}\n"));
    closes.chain(part_of.iter().map(|issue| format!("Part of {issue}\n"))).collect()
}

/// Returns a title accepted by every forge: not too long even as a draft, and without a special meaning.
pub(super) fn title_for_forge(title: &str) -> String {
    let title = harmless(title);
    if title.chars().count() <= LONGEST_TITLE {
        return title;
    }
    let kept: String = title.chars().take(LONGEST_TITLE - 1).collect();
    format!("{}…", kept.trim_end())
}

/// Returns the text of a pull request: `report` below lines about issues, in place of autopack's part of `existing`.
pub(super) fn pull_request_text(
    existing: Option<&str>,
    lines: &str,
    report: &str,
) -> PullRequestText {
    let (before, after) = match existing {
        Some(existing) => surroundings(existing),
        None => (String::new(), String::new()),
    };
    let head = if lines.is_empty() { String::new() } else { format!("{lines}\n") };
    let frame = [&before, &after, START, END, &head].map(|part| part.chars().count());
    let room = LONGEST.saturating_sub(frame.iter().sum::<usize>() + RESERVE);
    let (report, is_cut) = cut(&harmless(report.trim_end()), room);
    PullRequestText { text: format!("{before}{START}\n{head}{report}\n{END}{after}"), is_cut }
}

/// Shortens Markdown at the end of a line to this number of characters, and closes open constructs there.
pub(super) fn cut(text: &str, room: usize) -> (String, bool) {
    if text.chars().count() <= room {
        return (text.to_owned(), false);
    }
    let room = room.saturating_sub(CUT.chars().count() + 100);
    let (mut kept, mut count) = (String::new(), 0);
    let (mut fence, mut is_folded) = (None::<String>, false);
    for line in text.split_inclusive('\n') {
        count += line.chars().count();
        if count > room {
            break;
        }
        kept.push_str(line);
        let ticks: String = line.trim_start().chars().take_while(|c| *c == '`').collect();
        match &fence {
            Some(open) if ticks.len() >= open.len() => fence = None,
            None if ticks.len() >= 3 => fence = Some(ticks),
            _ => {}
        }
        if fence.is_none() {
            is_folded = (is_folded || line.contains("<details>")) && !line.contains("</details>");
        }
    }
    if let Some(fence) = fence {
        kept.push_str(&format!("{fence}\n"));
    }
    if is_folded {
        kept.push_str("\n</details>\n");
    }
    (format!("{}{CUT}", kept.trim_end()), true)
}

/// Returns the text of people before and after autopack's part. Without such a part, the whole text comes before.
fn surroundings(existing: &str) -> (String, String) {
    let own = existing.find(START).and_then(|start| {
        let end = existing[start..].find(END)? + start;
        Some((start, end + END.len()))
    });
    match own {
        Some((start, end)) => (existing[..start].to_owned(), existing[end..].to_owned()),
        None if existing.trim().is_empty() => (String::new(), String::new()),
        None => (format!("{}\n\n", existing.trim_end()), String::new()),
    }
}

/// Whether two texts are the same except for line ends. Forges change line ends.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.replace("\r\n", "\n").trim().to_owned();
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_people_stays_around_the_replaced_part() {
        let closes = ["#1".to_owned(), "o/r#2".to_owned()];
        let lines = issue_lines(&closes, &["#3".to_owned()]);
        let first = pull_request_text(None, &lines, "## Run\n").text;
        let head = "Closes #1\nCloses o/r#2\nPart of #3";
        assert_eq!(first, format!("{START}\n{head}\n\n## Run\n{END}"));
        let edited = format!("Please look.\r\n\r\n{first}\r\n- [ ] mine");
        let next = pull_request_text(Some(&edited), "", "new").text;
        assert_eq!(next, format!("Please look.\r\n\r\n{START}\nnew\n{END}\r\n- [ ] mine"));
        let removed = pull_request_text(Some("Only mine"), "", "new").text;
        assert_eq!(removed, format!("Only mine\n\n{START}\nnew\n{END}"));
        assert!(is_same("a\r\nb\n", "a\nb") && !is_same("a", "b"));
    }

    #[test]
    fn quoted_text_closes_nothing_and_ends_no_part() {
        let text = pull_request_text(None, "", &format!("```\nCloses #3 {END} http://x\n```")).text;
        assert!(!text.contains("#3") && !text.contains("://"), "{text}");
        assert_eq!(text.matches(END).count(), 1);
    }

    #[test]
    fn a_long_text_is_cut_at_a_line_and_closes_its_fence() {
        let report = format!("<details>\n\n````\n{}````\n\n</details>\n", "x\n".repeat(60_000));
        let existing = "mine ".repeat(1_000);
        let PullRequestText { text, is_cut } = pull_request_text(Some(&existing), "", &report);
        assert!(is_cut && text.chars().count() < LONGEST, "{}", text.len());
        assert!(
            text.contains("x\n````\n\n</details>\n\n*The end is cut off"),
            "{}",
            &text[60_000..]
        );
        assert!(text.starts_with("mine mine") && text.ends_with(END));
        assert_eq!(cut("short", 10), ("short".to_owned(), false));
    }
}
