//! Property tests: any agent output is read without a panic and in bounded memory.

use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::invariants::stream;
use super::program_kinds;
use crate::fuzz::tests::cases;

/// Recordings of every adapter's streams.
static RECORDED: LazyLock<Vec<String>> = LazyLock::new(|| {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/agents");
    let of_kind = |kind: &'static str| {
        let entries = std::fs::read_dir(directory.join(kind)).expect(kind);
        let mut files: Vec<_> = entries.map(|entry| entry.expect(kind).path()).collect();
        files.retain(|file| !file.ends_with("expected.json"));
        files.sort();
        files.into_iter().map(move |file| std::fs::read_to_string(file).expect(kind))
    };
    let all: Vec<String> = program_kinds().into_iter().flat_map(of_kind).collect();
    all.into_iter().filter(|text| !text.is_empty()).collect()
});

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
