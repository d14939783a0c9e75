//! Detects an agent in a loop: the same tool calls with the same results, repeatedly.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::signal::{Purpose, ToolResult, ToolUse};

/// Repetitions of a call (or of two or three calls in turn) with the same results that make a loop.
pub(crate) const ROUNDS: usize = 5;
/// A, A-B, A-B-C.
const LONGEST_CYCLE: usize = 3;
/// Limit of calls without a result; older calls are forgotten.
const OPEN: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Loops {
    open: HashMap<String, ToolUse>,
    /// Call and result, as a single number; the newest last.
    done: VecDeque<u64>,
}

impl Loops {
    pub fn called(&mut self, tool: ToolUse) {
        if self.open.len() >= OPEN {
            self.open.clear();
        }
        self.open.insert(tool.id.clone(), tool);
    }

    /// Describes the loop, once there are enough repetitions.
    pub fn answered(&mut self, result: &ToolResult) -> Option<String> {
        let tool = self.open.remove(&result.id)?;
        if tool.purpose == Purpose::Wait {
            // Time has passed: later calls may have different answers.
            self.done.clear();
            return None;
        }
        let mut hasher = DefaultHasher::new();
        (&tool.key, &result.key).hash(&mut hasher);
        self.done.push_back(hasher.finish());
        if self.done.len() > LONGEST_CYCLE * ROUNDS {
            self.done.pop_front();
        }
        let cycle = (1..=LONGEST_CYCLE).find(|length| self.goes_round(*length))?;
        Some(match cycle {
            1 => format!("{}, {ROUNDS} times in a row with the same result", tool.words),
            _ => format!(
                "the same {cycle} tool calls in turn, {ROUNDS} times with the same results; last {}",
                tool.words
            ),
        })
    }

    fn goes_round(&self, length: usize) -> bool {
        let newest: Vec<u64> = self.done.iter().rev().take(length * ROUNDS).copied().collect();
        newest.len() == length * ROUNDS
            && (length..newest.len()).all(|at| newest[at] == newest[at - length])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the number of calls until the loop is noticed.
    fn noticed(calls: impl IntoIterator<Item = (&'static str, &'static str)>) -> Option<usize> {
        let mut loops = Loops::default();
        calls.into_iter().position(|(key, result)| {
            let id = "1".to_owned();
            let purpose = if key.starts_with("wait") { Purpose::Wait } else { Purpose::Work };
            let (key, words) = (key.to_owned(), key.to_owned());
            loops.called(ToolUse { id: id.clone(), key, words, purpose });
            loops.answered(&ToolResult::new(&id, result)).is_some()
        })
    }

    #[test]
    fn a_repeated_cycle_of_calls_is_a_loop() {
        assert_eq!(noticed([("a", "x"); 9]), Some(4));
        let two = [("a", "x"), ("b", "y")];
        assert_eq!(noticed(two.into_iter().cycle().take(20)), Some(9));
        let three = [("a", "x"), ("b", "y"), ("c", "z")];
        assert_eq!(noticed(three.into_iter().cycle().take(30)), Some(14));
    }

    #[test]
    fn waiting_with_checks_in_between_is_no_loop() {
        assert_eq!(noticed([("wait", "running"); 50]), None);
        assert_eq!(noticed([("wait", ""), ("a", "x")].into_iter().cycle().take(50)), None);
        let stuck = [("wait", ""); 3].into_iter().chain([("a", "x"); 9]);
        assert_eq!(noticed(stuck), Some(7));
    }

    #[test]
    fn other_results_or_other_calls_are_progress() {
        assert_eq!(noticed([("a", "1"), ("a", "2")].into_iter().cycle().take(9)), None);
        assert_eq!(noticed([("a", "x"), ("a", "x"), ("a", "x"), ("a", "x"), ("b", "x")]), None);
        let four = [("a", ""), ("b", ""), ("c", ""), ("d", "")];
        assert_eq!(noticed(four.into_iter().cycle().take(50)), None);
        assert_eq!(Loops::default().answered(&ToolResult::new("1", "")), None);
    }
}
