//! Text of issues: dependencies written as sentences, acceptance criteria as a checklist, priorities as labels.
//!
//! The text is other people's. Nothing but numbers of issues and criteria is read from it.

/// Beginnings of lines that name issues to wait for.
const WAITS: [&str; 4] = ["blocked by", "depends on", "depends upon", "waits for"];
/// Headings of acceptance criteria.
const CRITERIA: [&str; 3] = ["acceptance criteria", "definition of done", "acceptance"];

/// Rank of issues without a priority.
pub(super) const MEDIUM: i64 = 2;
/// Words of priorities, with their rank.
const WORDS: [(&str, i64); 12] = [
    ("critical", 0),
    ("urgent", 0),
    ("blocker", 0),
    ("highest", 0),
    ("high", 1),
    ("important", 1),
    ("medium", MEDIUM),
    ("normal", MEDIUM),
    ("low", 3),
    ("minor", 3),
    ("lowest", 4),
    ("trivial", 4),
];

/// Returns the numbers of issues that the text says to wait for: `Blocked by #12`, `Depends on: #3, #4`. Issues of other
/// repositories are ignored; `own_url` is the address of the issue itself.
pub(super) fn dependencies(text: &str, own_url: &str) -> Vec<u64> {
    let prefix = own_url.rsplit_once('/').map_or("", |(prefix, _)| prefix);
    let mut numbers = Vec::new();
    for line in lines_outside_fences(text) {
        let plain = line.trim().trim_start_matches(['-', '*', '+', '>', '_', ' ']);
        let plain =
            plain.strip_prefix("[ ] ").or_else(|| plain.strip_prefix("[x] ")).unwrap_or(plain);
        let plain = plain.trim_start_matches(['*', '_']);
        let begins = |start: &&&str| {
            plain.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
        };
        let Some(start) = WAITS.iter().find(begins) else { continue };
        let is_between = |c: char| c.is_whitespace() || matches!(c, ',' | ';');
        let words = plain[start.len()..].split(is_between);
        let words = words.map(|word| word.trim_matches(['(', ')', '*', '_', ':', '.']));
        for word in words.filter(|word| !word.is_empty()) {
            let number = match word.strip_prefix('#') {
                Some(number) => Some(number),
                None if prefix.is_empty() => None,
                None => word.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')),
            };
            let number = number.and_then(|number| number.parse().ok());
            match number {
                Some(number) if !numbers.contains(&number) => numbers.push(number),
                Some(_) => {}
                None if word.eq_ignore_ascii_case("and") || word == "&" => {}
                None if ["issue", "issues"].iter().any(|it| word.eq_ignore_ascii_case(it)) => {}
                // `Blocked by #12 until the parser is done`, `Blocked by nothing, see #6`: the sentence goes on.
                None => break,
            }
        }
    }
    numbers
}

/// Returns the list items below a heading such as `## Acceptance criteria`, up to the next heading.
pub(super) fn acceptance_criteria(text: &str) -> Vec<String> {
    let mut criteria = Vec::new();
    let mut is_within = false;
    for line in lines_outside_fences(text) {
        match heading(line) {
            Some(title) => is_within = CRITERIA.contains(&title.as_str()),
            None if is_within => criteria.extend(list_item(line).map(str::to_owned)),
            None => {}
        }
    }
    criteria
}

/// Returns the entries of a text with a criterion on each line; bullets, boxes and numbers are removed.
pub(super) fn criteria_lines(text: &str) -> Vec<String> {
    let items: Vec<String> = text.lines().filter_map(list_item).map(str::to_owned).collect();
    let is_list = text.lines().filter(|line| !line.trim().is_empty()).count() == items.len();
    match text.trim() {
        "" => Vec::new(),
        _ if is_list => items,
        whole => vec![whole.to_owned()],
    }
}

/// Returns the rank of the most urgent label: `P1`, `priority: high`, `priority::1`.
pub(super) fn rank_of_labels(labels: &[String]) -> Option<i64> {
    labels.iter().filter_map(|label| rank_of_label(label)).min()
}

/// Returns the rank of a label, if it is a priority: `P1`, `priority: high`, `priority::2`, `urgent`.
pub(super) fn rank_of_label(label: &str) -> Option<i64> {
    let lower = label.to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let named = |word: &str| WORDS.iter().find(|(name, _)| *name == word).map(|(_, rank)| *rank);
    let numbered = |word: &str| word.parse::<i64>().ok().filter(|number| (0..10).contains(number));
    match words.as_slice() {
        [word] => {
            let number = word.strip_prefix("prio").or_else(|| word.strip_prefix('p'));
            number.and_then(numbered).or_else(|| named(word).filter(|_| is_clear(word)))
        }
        ["priority" | "prio" | "severity", word] => {
            let number = word.strip_prefix('p').unwrap_or(word);
            named(word).or_else(|| numbered(number))
        }
        [word, "priority" | "prio"] => named(word),
        _ => None,
    }
}

/// Words that mean a priority without the word "priority" beside them.
fn is_clear(word: &str) -> bool {
    matches!(word, "critical" | "urgent" | "blocker")
}

/// The title of a heading in lower case: `## Title`, `**Title:**`.
fn heading(line: &str) -> Option<String> {
    let line = line.trim();
    let is_bold = line.starts_with("**") && line.trim_end_matches(':').ends_with("**");
    if !line.starts_with('#') && !is_bold {
        return None;
    }
    let title = line.trim_matches(['#', '*', ':', ' ']);
    Some(title.to_lowercase())
}

/// The text of `- [ ] text`, `* text`, `1. text`.
fn list_item(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let numbered = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = match numbered.len() < line.len() {
        true => numbered.strip_prefix(". ").or_else(|| numbered.strip_prefix(") "))?,
        false => ["- ", "* ", "+ "].iter().find_map(|bullet| line.strip_prefix(bullet))?,
    };
    let boxes = ["[ ] ", "[x] ", "[X] "];
    let text = boxes.iter().find_map(|mark| rest.strip_prefix(mark)).unwrap_or(rest).trim();
    (!text.is_empty()).then_some(text)
}

fn lines_outside_fences(text: &str) -> impl Iterator<Item = &str> {
    let mut is_fenced = false;
    text.lines().filter(move |line| {
        let is_fence = ["```", "~~~"].iter().any(|fence| line.trim_start().starts_with(fence));
        is_fenced ^= is_fence;
        !is_fenced && !is_fence
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_name_the_issues_to_wait_for() {
        let text = "See #1.\n- Blocked by #12, #13 and #14.\n**Depends on:** #15 (parser)\n\
            blocked by other/repo#16\nDepends on https://github.com/o/r/issues/17\n\
            depends on https://github.com/x/y/issues/18\n```\nBlocked by #19\n```\nunblocked by #20";
        let url = "https://github.com/o/r/issues/2";
        assert_eq!(dependencies(text, url), [12, 13, 14, 15, 17]);
        let others = "This is not blocked by #2 any more\nBlocks #4\nBlocked by nothing, see #6\nDepends on C# 7";
        assert_eq!(dependencies(others, url), [0; 0]);
        assert_eq!(dependencies("Blocked by #3 until #4 is merged", ""), [3]);
    }

    #[test]
    fn criteria_stand_below_their_heading() {
        let text =
            "- no\n## Acceptance Criteria\n- [ ] one\n* [x] two\n\n1. three\ntext\n### Notes\n- no";
        assert_eq!(acceptance_criteria(text), ["one", "two", "three"]);
        assert_eq!(acceptance_criteria("**Acceptance criteria:**\n- a"), ["a"]);
        assert_eq!(criteria_lines("- [ ] a\n- b\n"), ["a", "b"]);
        assert_eq!(criteria_lines("It works.\nFast."), ["It works.\nFast."]);
    }

    #[test]
    fn labels_give_a_rank() {
        let rank = |label: &str| rank_of_labels(&["bug".to_owned(), label.to_owned()]);
        assert_eq!(rank("P1"), Some(1));
        assert_eq!(rank("priority: high"), Some(1));
        assert_eq!(rank("priority::3"), Some(3));
        assert_eq!(rank("priority/p0"), Some(0));
        assert_eq!(rank("php"), None);
        let ranks = [
            ("P0", Some(0)),
            ("priority/critical", Some(0)),
            ("Priority-P2", Some(2)),
            ("low priority", Some(3)),
            ("urgent", Some(0)),
            ("high", None),
            ("good first issue", None),
            ("python3", None),
            ("p2p", None),
            ("area: priority queue", None),
        ];
        for (label, expected) in ranks {
            assert_eq!(rank(label), expected, "{label}");
        }
    }
}
