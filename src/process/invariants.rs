//! Invariants of redaction, for property tests and the fuzzer.

use super::Redactor;
use super::patch;
use super::redact_stream::RedactedStream;

/// Also in the fuzzer's dictionary (`tests/fuzz/redaction.dict`).
const VALUES: [(&str, &str); 3] = [
    ("MY_TOKEN", "correct-horse-battery"),
    ("LONG_TOKEN", "correct-horse-battery-staple"),
    ("QUOTED_SECRET", "say \"friend\" and enter"),
];

/// Checks that no known value remains, that cuts of a stream do not change the result, and that text without
/// secrets stays unchanged.
pub fn redaction(input: &[u8]) {
    let redactor = Redactor::new(VALUES.map(|(name, value)| (name.into(), value.into())));
    let whole = redactor.redact_bytes(input).into_owned();
    for (name, value) in VALUES {
        assert!(!contains(&whole, value.as_bytes()), "{name} is left");
    }
    let text = String::from_utf8_lossy(input);
    if redactor.find(&text).is_none()
        && !contains(input, b"-----BEGIN")
        && !contains(input, b"EXAMPLE")
        // The first bytes of a key in base64, at each alignment.
        && ![b"0tLS1CRUdJ".as_slice(), b"0tLS0tQkVH", b"S0tLS1CRUdJ"].iter().any(|part| contains(input, part))
    {
        assert_eq!(redactor.redact(&text), text);
    }
    patches(&redactor, input, &text);
    // Piece sizes from 1 byte, chosen by the input.
    let size = 1 + input.first().map_or(0, |byte| usize::from(*byte) % 64);
    let mut stream = RedactedStream::new(redactor.clone());
    let mut out = Vec::new();
    input.chunks(size).for_each(|piece| stream.push(piece, &mut out));
    stream.finish(&mut out);
    assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&whole), "cut by {size}");
}

/// A patch contains the secrets of its added lines and no others; a redacted patch adds none.
fn patches(redactor: &Redactor, input: &[u8], text: &str) {
    let found = redactor.find(text);
    assert_eq!(redactor.find_in_patch(&whole_file('+', text)), found, "added");
    assert_eq!(redactor.find_in_patch(&whole_file('-', text)), None, "removed");
    assert_eq!(redactor.find_in_patch(&whole_file(' ', text)), None, "unchanged");
    let clean = redactor.redact_patch(&whole_file('+', text)).into_owned();
    assert_eq!(redactor.find_in_patch(&clean), None, "left in a redacted patch");
    // The input itself may be a patch, with wrong counts too.
    let added = String::from_utf8_lossy(&patch::added(input)).into_owned();
    assert_eq!(redactor.find_in_patch(input).is_some(), redactor.find(&added).is_some());
}

/// The patch of a file whose lines all have this sign.
fn whole_file(sign: char, text: &str) -> Vec<u8> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let (old, new) = match sign {
        '+' => (0, lines.len()),
        '-' => (lines.len(), 0),
        _ => (lines.len(), lines.len()),
    };
    let head = format!("diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1,{old} +1,{new} @@\n");
    let body = lines.iter().map(|line| format!("{sign}{line}")).collect::<String>();
    (head + &body).into_bytes()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
