//! Property tests: any agent output is read without a panic and in bounded memory.

use proptest::prelude::*;

use super::invariants::stream;
use crate::fuzz::tests::cases;

const RECORDED: [&str; 12] = [
    include_str!("../../tests/fixtures/agents/claude/success.jsonl"),
    include_str!("../../tests/fixtures/agents/claude/limit.jsonl"),
    include_str!("../../tests/fixtures/agents/codex/success.jsonl"),
    include_str!("../../tests/fixtures/agents/codex/no_access.jsonl"),
    include_str!("../../tests/fixtures/agents/opencode/success.jsonl"),
    include_str!("../../tests/fixtures/agents/opencode/refused.jsonl"),
    include_str!("../../tests/fixtures/agents/gemini/success.jsonl"),
    include_str!("../../tests/fixtures/agents/gemini/no_access.jsonl"),
    include_str!("../../tests/fixtures/agents/goose/success.jsonl"),
    include_str!("../../tests/fixtures/agents/goose/no_credit.jsonl"),
    include_str!("../../tests/fixtures/agents/aider/limit.txt"),
    include_str!("../../tests/fixtures/agents/mini/success.account"),
];

/// A recording with a changed piece.
fn spoiled() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<String>(),
        Just("null".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("-1".to_owned()),
        Just("18446744073709551615".to_owned()),
        Just("1e999".to_owned()),
        Just("\"\"".to_owned()),
    ];
    (0..RECORDED.len(), any::<prop::sample::Index>(), 0..40usize, piece).prop_map(
        |(which, at, len, piece)| {
            let all: Vec<char> = RECORDED[which].chars().collect();
            let at = at.index(all.len());
            let end = (at + len).min(all.len());
            let text = |chars: &[char]| chars.iter().collect::<String>();
            format!("{}{piece}{}", text(&all[..at]), text(&all[end..]))
        },
    )
}

/// A recording with a value replaced by a value of another type.
fn retyped() -> impl Strategy<Value = String> {
    let values = [
        "null",
        "7",
        "-1",
        "18446744073709551615",
        "\"é\"",
        "[]",
        "[1,\"x\",{}]",
        "{\"a\":1}",
        "true",
    ];
    (0..RECORDED.len(), any::<prop::sample::Index>(), prop::sample::select(values.to_vec()))
        .prop_map(|(which, at, value)| {
            let parts: Vec<&str> = RECORDED[which].split(':').collect();
            let at = at.index(parts.len().max(2) - 1) + 1;
            let rest = parts.get(at).and_then(|part| part.find([',', '}']).map(|end| &part[end..]));
            let changed = format!("{value}{}", rest.unwrap_or_default());
            let all = parts
                .iter()
                .enumerate()
                .map(|(n, part)| if n == at { changed.as_str() } else { part });
            all.collect::<Vec<_>>().join(":")
        })
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn any_text_is_read(text in any::<String>()) {
        stream(text.as_bytes());
    }

    #[test]
    fn a_spoiled_stream_is_read(text in spoiled()) {
        stream(text.as_bytes());
    }

    #[test]
    fn a_stream_of_other_types_is_read(text in retyped()) {
        stream(text.as_bytes());
    }
}
