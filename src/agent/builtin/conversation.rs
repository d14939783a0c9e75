//! The conversation sent to the model, kept within the context limit.
//!
//! The prompt and the last exchanges stay; old tool results are dropped first, each replaced by a note.

use genai::chat::{ChatMessage, ChatRole, ContentPart, MessageContent, ToolResponse};
use serde_json::Value;

/// Number of messages at the end that stay whole as long as older ones can be shortened.
const RECENT: usize = 4;
/// Texts of fewer characters are not replaced by notes.
const SHORT: usize = 300;
/// Minimum characters left of the last results after a cut.
const LEAST: usize = 2_000;

pub(super) struct Conversation {
    messages: Vec<ChatMessage>,
    /// Characters sent besides the messages: the system prompt and the tools.
    fixed: usize,
    limit_tokens: usize,
    /// Measured from the provider's counts, once available.
    chars_per_token: f64,
}

impl Conversation {
    pub(super) fn new(prompt: String, fixed: usize, limit_tokens: usize) -> Self {
        let messages = vec![ChatMessage::user(prompt)];
        Self { messages, fixed, limit_tokens, chars_per_token: 4.0 }
    }

    pub(super) fn assistant(&mut self, content: MessageContent) {
        if !content.is_empty() {
            self.messages.push(ChatMessage::assistant(sendable(content)));
        }
    }

    pub(super) fn user(&mut self, text: String) {
        self.messages.push(ChatMessage::user(text));
    }

    pub(super) fn results(&mut self, results: Vec<ToolResponse>) {
        self.messages.push(ChatMessage::from(results));
    }

    /// Returns the messages to send, and the number of results dropped.
    pub(super) fn fit_to_context(&mut self) -> (Vec<ChatMessage>, usize) {
        let room = (self.limit_tokens as f64 * self.chars_per_token) as usize;
        let mut dropped = 0;
        let old = self.messages.len().saturating_sub(RECENT).max(1);
        for index in 1..old {
            if self.chars() <= room {
                break;
            }
            dropped += drop_results(&mut self.messages[index]);
        }
        for index in 1..old {
            if self.chars() <= room {
                break;
            }
            shorten_calls(&mut self.messages[index]);
        }
        let mut longest = room / 2;
        while self.chars() > room && longest >= LEAST {
            self.messages.iter_mut().skip(1).for_each(|message| cut_results(message, longest));
            longest /= 2;
        }
        (self.messages.clone(), dropped)
    }

    /// Learns the number of characters per token in this conversation.
    pub(super) fn was_counted(&mut self, prompt_tokens: u64) {
        if prompt_tokens > 100 {
            let measured = self.chars() as f64 / prompt_tokens as f64;
            self.chars_per_token = measured.clamp(1.0, 6.0);
        }
    }

    pub(super) fn estimated_tokens(&self) -> u64 {
        (self.chars() as f64 / self.chars_per_token) as u64
    }

    fn chars(&self) -> usize {
        self.fixed + self.messages.iter().map(|message| chars(&message.content)).sum::<usize>()
    }
}

fn chars(content: &MessageContent) -> usize {
    let part = |part: &ContentPart| match part {
        ContentPart::Text(text)
        | ContentPart::ThoughtSignature(text)
        | ContentPart::ReasoningContent(text) => text.len(),
        ContentPart::ToolCall(call) => call.fn_name.len() + call.fn_arguments.to_string().len(),
        ContentPart::ToolResponse(response) => response.content.len(),
        _ => 0,
    };
    content.iter().map(part).sum()
}

/// Makes calls acceptable to providers, which require well-formed names and arguments even of malformed
/// calls.
fn sendable(content: MessageContent) -> MessageContent {
    let part = |part| match part {
        ContentPart::ToolCall(mut call) => {
            if !call.fn_arguments.is_object() {
                call.fn_arguments = serde_json::json!({});
            }
            let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            call.fn_name = call.fn_name.chars().filter(fits).take(64).collect();
            if call.fn_name.is_empty() {
                call.fn_name = "unknown".to_owned();
            }
            ContentPart::ToolCall(call)
        }
        part => part,
    };
    content.into_parts().into_iter().map(part).collect()
}

fn drop_results(message: &mut ChatMessage) -> usize {
    let mut dropped = 0;
    if message.role != ChatRole::Tool {
        return dropped;
    }
    for part in message.content.iter_mut() {
        if let ContentPart::ToolResponse(response) = part
            && response.content.len() > SHORT
        {
            let what = response.fn_name.as_deref().unwrap_or("the call");
            response.content = format!(
                "[dropped to stay within the context: {} characters from `{what}`; repeat the call if you need them]",
                response.content.len()
            );
            dropped += 1;
        }
    }
    dropped
}

/// Shortens file texts in old calls.
fn shorten_calls(message: &mut ChatMessage) {
    for part in message.content.iter_mut() {
        let ContentPart::ToolCall(call) = part else { continue };
        let Value::Object(arguments) = &mut call.fn_arguments else { continue };
        for value in arguments.values_mut() {
            if let Value::String(text) = value
                && text.len() > SHORT
            {
                *text = format!("[dropped to stay within the context: {} characters]", text.len());
            }
        }
    }
}

fn cut_results(message: &mut ChatMessage, longest: usize) {
    for part in message.content.iter_mut() {
        if let ContentPart::ToolResponse(response) = part
            && response.content.len() > longest
        {
            response.content = cut(&response.content, longest);
        }
    }
}

/// Returns head and tail of a text, with a note in between.
pub(super) fn cut(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let head = text.floor_char_boundary(longest / 2);
    let tail = text.ceil_char_boundary(text.len() - longest / 2);
    format!(
        "{}\n[{} characters left out to stay within the context]\n{}",
        &text[..head],
        tail - head,
        &text[tail..]
    )
}

#[cfg(test)]
mod tests {
    use genai::chat::ToolCall;

    use super::*;

    fn exchange(conversation: &mut Conversation, id: usize, result: &str) {
        let call = ToolCall {
            call_id: id.to_string(),
            fn_name: "read".to_owned(),
            fn_arguments: serde_json::json!({"path": "a", "content": "y".repeat(400)}),
            thought_signatures: None,
        };
        conversation.results(vec![ToolResponse::from_tool_call(&call, result)]);
        let results = conversation.messages.pop();
        conversation.assistant(MessageContent::from_tool_calls(vec![call]));
        conversation.messages.extend(results);
    }

    #[test]
    fn old_results_are_dropped_first_and_the_prompt_and_last_results_are_kept() {
        let mut conversation = Conversation::new("the prompt".to_owned(), 0, 2_000);
        for id in 0..6 {
            exchange(&mut conversation, id, &format!("{id}{}", "x".repeat(1_500)));
        }
        let (sent, dropped) = conversation.fit_to_context();
        assert!(dropped > 0 && conversation.chars() <= 8_000, "{dropped} {}", conversation.chars());
        assert_eq!(sent[0].content.first_text(), Some("the prompt"));
        let result = |index: usize| sent[index].content.tool_responses()[0].content.clone();
        assert!(result(2).starts_with("[dropped to stay within the context: 1501 characters"));
        assert!(result(10).starts_with("4x") && result(12).starts_with("5x"));
    }

    #[test]
    fn the_last_results_are_cut_if_no_others_are_left() {
        let mut conversation = Conversation::new("p".to_owned(), 0, 2_500);
        exchange(&mut conversation, 0, &"é".repeat(50_000));
        conversation.fit_to_context();
        assert!(conversation.chars() <= 10_000, "{}", conversation.chars());
    }

    #[test]
    fn the_providers_counts_win_over_the_estimate() {
        let mut conversation = Conversation::new("x".repeat(4_000), 0, 10_000);
        assert_eq!(conversation.estimated_tokens(), 1_000);
        conversation.was_counted(2_000);
        assert_eq!(conversation.estimated_tokens(), 2_000);
    }

    #[test]
    fn malformed_calls_are_made_sendable() {
        let call = ToolCall {
            call_id: "1".to_owned(),
            fn_name: "re ad\u{1}".to_owned(),
            fn_arguments: Value::String("{\"pa".to_owned()),
            thought_signatures: None,
        };
        let sent = sendable(MessageContent::from_tool_calls(vec![call]));
        let call = sent.tool_calls()[0];
        assert_eq!((call.fn_name.as_str(), &call.fn_arguments), ("read", &serde_json::json!({})));
    }
}
