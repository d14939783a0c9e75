//! Answers in each protocol's wire format. Every complete answer reports the same usage: 10 input tokens, besides 5
//! from the cache (and 2 written to it, where the protocol reports this), and 7 output tokens.

use serde_json::{Value, json};

use super::Turn;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Anthropic,
    OpenAi,
    Responses,
    Gemini,
    Ollama,
}

/// A call's name and its arguments as text, complete or not.
type WireCall = (String, String);

pub fn events(protocol: Protocol, turn: &Turn) -> Vec<String> {
    let call = |(name, arguments): &(String, Value)| (name.clone(), arguments.to_string());
    let (text, calls, cut): (&str, Vec<WireCall>, bool) = match turn {
        Turn::Calls(calls) => ("Let me see.\n", calls.iter().map(call).collect(), false),
        Turn::Say(text) => (text, Vec::new(), false),
        Turn::Malformed(arguments) => ("", vec![("read".into(), arguments.clone())], false),
        Turn::CutCall(arguments) => ("", vec![("write".into(), arguments.clone())], true),
        Turn::CutText(text) => (text, Vec::new(), true),
        Turn::BreakOff => ("Let me", Vec::new(), false),
        Turn::Hang | Turn::Status(..) => return Vec::new(),
    };
    let mut events = match protocol {
        Protocol::Anthropic => anthropic(text, &calls, cut),
        Protocol::OpenAi => openai(text, &calls, cut),
        Protocol::Responses => responses(text, &calls, cut),
        Protocol::Gemini => gemini(text, &calls, cut),
        Protocol::Ollama => ollama(text, &calls, cut),
    };
    if matches!(turn, Turn::BreakOff) {
        events.truncate(1);
    }
    events
}

fn named(data: Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap())
}

fn anthropic(text: &str, calls: &[WireCall], cut: bool) -> Vec<String> {
    let usage = json!({"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2,
        "output_tokens": 1});
    let mut events = vec![named(
        json!({"type": "message_start", "message": {"id": "m", "role": "assistant", "usage": usage}}),
    )];
    let mut index = 0;
    let mut block = |start: Value, deltas: Vec<Value>, whole: bool| {
        events.push(named(
            json!({"type": "content_block_start", "index": index, "content_block": start}),
        ));
        for delta in deltas {
            events.push(named(
                json!({"type": "content_block_delta", "index": index, "delta": delta}),
            ));
        }
        if whole {
            events.push(named(json!({"type": "content_block_stop", "index": index})));
        }
        index += 1;
    };
    if !text.is_empty() {
        let delta = json!({"type": "text_delta", "text": text});
        block(json!({"type": "text", "text": ""}), vec![delta], true);
    }
    for (number, (name, arguments)) in calls.iter().enumerate() {
        let start =
            json!({"type": "tool_use", "id": format!("toolu_{number}"), "name": name, "input": {}});
        let delta = |part: &str| json!({"type": "input_json_delta", "partial_json": part});
        let (head, tail) = halves(arguments);
        block(start, vec![delta(head), delta(tail)], !cut);
    }
    let reason = match (cut, calls.is_empty()) {
        (true, _) => "max_tokens",
        (_, true) => "end_turn",
        _ => "tool_use",
    };
    events.push(named(json!({"type": "ping"})));
    events.push(named(json!({"type": "message_delta", "delta": {"stop_reason": reason},
        "usage": {"output_tokens": 7}})));
    events.push(named(json!({"type": "message_stop"})));
    events
}

fn openai(text: &str, calls: &[WireCall], cut: bool) -> Vec<String> {
    let data = |value: Value| format!("data: {value}\n\n");
    let choice = |delta: Value, reason: Value| {
        data(json!({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}))
    };
    let mut events = vec![choice(json!({"role": "assistant", "content": text}), Value::Null)];
    for (index, (name, arguments)) in calls.iter().enumerate() {
        let (head, tail) = halves(arguments);
        let first = json!({"index": index, "id": format!("call_{index}"), "type": "function",
            "function": {"name": name, "arguments": head}});
        let more = json!({"index": index, "function": {"arguments": tail}});
        events.push(choice(json!({"tool_calls": [first]}), Value::Null));
        events.push(choice(json!({"tool_calls": [more]}), Value::Null));
    }
    let reason = match (cut, calls.is_empty()) {
        (true, _) => "length",
        (_, true) => "stop",
        _ => "tool_calls",
    };
    events.push(choice(json!({}), reason.into()));
    events.push(data(json!({"choices": [], "usage": {"prompt_tokens": 15, "completion_tokens": 7,
        "total_tokens": 22, "prompt_tokens_details": {"cached_tokens": 5}}})));
    events.push("data: [DONE]\n\n".to_owned());
    events
}

fn responses(text: &str, calls: &[WireCall], cut: bool) -> Vec<String> {
    let response = |status: &str| {
        json!({"id": "r", "object": "response", "created_at": 1, "model": "m", "status": status, "output": [],
            "usage": {"input_tokens": 15, "input_tokens_details": {"cached_tokens": 5}, "output_tokens": 7,
                "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 22}})
    };
    let mut events =
        vec![named(json!({"type": "response.created", "response": response("in_progress")}))];
    if !text.is_empty() {
        events.push(named(
            json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0,
            "delta": text}),
        ));
    }
    for (index, (name, arguments)) in calls.iter().enumerate() {
        let index = index + 1;
        let item = |arguments: &str| {
            json!({"type": "function_call", "id": format!("fc_{index}"), "call_id": format!("call_{index}"),
                "name": name, "arguments": arguments})
        };
        let (head, tail) = halves(arguments);
        events.push(named(
            json!({"type": "response.output_item.added", "output_index": index, "item": item("")}),
        ));
        for part in [head, tail] {
            events.push(named(
                json!({"type": "response.function_call_arguments.delta", "output_index": index,
                "delta": part}),
            ));
        }
        if !cut {
            events.push(named(json!({"type": "response.output_item.done", "output_index": index,
                "item": item(arguments)})));
        }
    }
    let (kind, status) = match cut {
        true => ("response.incomplete", "incomplete"),
        false => ("response.completed", "completed"),
    };
    events.push(named(json!({"type": kind, "response": response(status)})));
    events
}

/// Gemini's arguments are JSON already: a malformed or cut call has another finish reason and no part.
fn gemini(text: &str, calls: &[WireCall], cut: bool) -> Vec<String> {
    let parsed: Vec<Option<Value>> =
        calls.iter().map(|(_, arguments)| serde_json::from_str(arguments).ok()).collect();
    let malformed = parsed.contains(&None);
    let reason = match (cut, malformed) {
        (true, _) => "MAX_TOKENS",
        (_, true) => "MALFORMED_FUNCTION_CALL",
        _ => "STOP",
    };
    let chunk = |parts: Vec<Value>, reason: Value| {
        let usage = json!({"promptTokenCount": 15, "cachedContentTokenCount": 5, "candidatesTokenCount": 7,
            "totalTokenCount": 22});
        let candidate =
            json!({"content": {"role": "model", "parts": parts}, "finishReason": reason});
        format!("data: {}\r\n\r\n", json!({"candidates": [candidate], "usageMetadata": usage}))
    };
    let mut events = vec![chunk(vec![json!({ "text": text })], Value::Null)];
    let parts: Vec<Value> = calls
        .iter()
        .zip(parsed)
        .filter_map(|((name, _), args)| {
            Some(json!({"functionCall": {"name": name, "args": args?}}))
        })
        .collect();
    events.push(chunk(parts, reason.into()));
    events
}

/// One JSON object per line.
fn ollama(text: &str, calls: &[WireCall], cut: bool) -> Vec<String> {
    let line = |value: Value| format!("{value}\n");
    let message = |message: Value| line(json!({"model": "m", "message": message, "done": false}));
    let mut events = vec![message(json!({"role": "assistant", "content": text}))];
    for (name, arguments) in calls {
        let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
        let call = json!({"function": {"name": name, "arguments": arguments}});
        events.push(message(json!({"role": "assistant", "content": "", "tool_calls": [call]})));
    }
    let reason = if cut { "length" } else { "stop" };
    events.push(line(json!({"model": "m", "message": {"role": "assistant", "content": ""}, "done": true,
        "done_reason": reason, "prompt_eval_count": 15, "prompt_eval_cached_count": 5, "eval_count": 7})));
    events
}

fn halves(text: &str) -> (&str, &str) {
    text.split_at(text.floor_char_boundary(text.len() / 2))
}
