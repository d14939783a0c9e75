//! Counts identical tool calls with identical results in a row.

use genai::chat::ToolCall;
use serde_json::Value;

/// Limit of identical calls with identical results in a row.
pub(super) const SAME: u32 = 5;

/// The last call, and the number of repetitions with the same result.
#[derive(Default)]
pub(super) struct Repeats {
    last: Option<(String, Value, String)>,
    times: u32,
}

impl Repeats {
    /// Counts a call; returns the number of identical calls in a row.
    pub fn add(&mut self, call: &ToolCall, result: &str) -> u32 {
        let this = (call.fn_name.clone(), call.fn_arguments.clone(), result.to_owned());
        self.times = if self.last.as_ref() == Some(&this) { self.times + 1 } else { 1 };
        self.last = Some(this);
        self.times
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_same_call_with_the_same_result_in_a_row_counts() {
        let call = |path: &str| ToolCall {
            call_id: "x".to_owned(),
            fn_name: "read".to_owned(),
            fn_arguments: json!({ "path": path }),
            thought_signatures: None,
        };
        let mut repeats = Repeats::default();
        assert_eq!(repeats.add(&call("a"), "1"), 1);
        assert_eq!(repeats.add(&call("a"), "1"), 2);
        assert_eq!(repeats.add(&call("a"), "2"), 1);
        assert_eq!(repeats.add(&call("b"), "2"), 1);
        assert_eq!(repeats.add(&call("b"), "2"), 2);
    }
}
