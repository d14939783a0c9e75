//! What the text of an issue says in a common form: issues that block this one, and acceptance criteria.

use std::sync::LazyLock;

use regex::Regex;

/// A line such as `Blocked by: #12, #13 and #14` or `- **Depends on** #12`.
static BLOCKED: LazyLock<Regex> = LazyLock::new(|| {
    let line = r"(?i)^[\s>*+-]*(?:\[[ x]\]\s*)?[*_]*(?:is\s+)?(?:blocked\s+by|depends\s+on)[*_]*\s*:?[*_]*\s*((?:(?:,|&|and|or|\+)?\s*#\d+\s*)+)";
    Regex::new(line).expect("a valid pattern")
});
static NUMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"#(\d+)").expect("a valid pattern"));
/// A heading, as `## Acceptance criteria` or `**Acceptance criteria:**`.
static HEADING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\s{0,3}(?:#{1,6}\s+(.+?)\s*#*|\*\*(.+?)\*\*:?|__(.+?)__:?)\s*$")
        .expect("a valid pattern")
});
static ITEM: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\s*(?:[-*+]|\d+[.)])\s+(?:\[[ xX]\]\s*)?(.+?)\s*$").expect("a valid pattern")
});
const CRITERIA: [&str; 6] = [
    "acceptance criteria",
    "acceptance",
    "definition of done",
    "done when",
    "success criteria",
    "it is done when",
];

/// Returns the numbers of issues that the text waits for, in order, each once.
pub(super) fn blockers(text: &str) -> Vec<u64> {
    let mut numbers = Vec::new();
    for line in lines_outside_code(text) {
        let Some(list) = BLOCKED.captures(line).and_then(|found| found.get(1)) else { continue };
        let found = NUMBER.captures_iter(list.as_str());
        for number in found.filter_map(|number| number[1].parse().ok()) {
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
    }
    numbers
}

/// Returns the items of lists below a heading such as `Acceptance criteria`.
pub(super) fn acceptance_criteria(text: &str) -> Vec<String> {
    let mut criteria = Vec::new();
    let mut is_below = false;
    for line in lines_outside_code(text) {
        if let Some(heading) = HEADING.captures(line) {
            let words = heading.iter().skip(1).flatten().next().map_or("", |found| found.as_str());
            let words = words.trim_end_matches(':').trim().to_lowercase();
            is_below = CRITERIA.contains(&words.as_str());
        } else if is_below && let Some(item) = ITEM.captures(line) {
            criteria.push(item[1].to_owned());
        }
    }
    criteria
}

/// Returns the lines that are not in a fenced block.
fn lines_outside_code(text: &str) -> impl Iterator<Item = &str> {
    let mut fence = None;
    text.lines().filter(move |line| {
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => {
                fence = Some(mark);
                false
            }
            (Some(open), Some(mark)) if open == mark => {
                fence = None;
                false
            }
            (open, _) => open.is_none(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blockers_are_read_from_their_lines() {
        let text =
            "Blocked by #12\n- depends on: #3, #4 and #12\n**Blocked by:** #7\n> Depends on #8";
        assert_eq!(blockers(text), [12, 3, 4, 7, 8]);
    }

    #[test]
    fn other_mentions_are_no_blockers() {
        let text = "See #1.\nThis is not blocked by #2 any more\nBlocked by other/repo#3\n\
                    Blocks #4\n```\nDepends on #5\n```\nBlocked by nothing, see #6\nDepends on C# 7";
        assert_eq!(blockers(text), [0; 0]);
    }

    #[test]
    fn criteria_are_the_lists_below_their_heading() {
        let text = "Text\n- no\n\n## Acceptance Criteria\n\n- [ ] one `a`\n- [x] two\n* three\nprose\n\n\
                    ### Notes\n- no\n\n**Definition of done:**\n1. four\n```\n- no\n```\n";
        assert_eq!(acceptance_criteria(text), ["one `a`", "two", "three", "four"]);
        assert!(acceptance_criteria("- [ ] a task").is_empty());
    }
}
