//! What holds for everything that is redacted: for property tests and the fuzzer.

use super::Redactor;

/// In the fuzzer's dictionary too (`tests/fuzz/redaction.dict`).
const VALUES: [(&str, &str); 3] = [
    ("MY_TOKEN", "correct-horse-battery"),
    ("LONG_TOKEN", "correct-horse-battery-staple"),
    ("QUOTED_SECRET", "say \"friend\" and enter"),
];

/// No known value is left, wherever a stream is cut the result is the same, and what has no secret stays.
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
        // The beginning of a key in base64, at each alignment.
        && ![b"0tLS1CRUdJ".as_slice(), b"0tLS0tQkVH", b"S0tLS1CRUdJ"].iter().any(|part| contains(input, part))
    {
        assert_eq!(redactor.redact(&text), text);
    }
    redactor.find_in_patch(input);
    // Sizes that differ with the input, from one byte on.
    let size = 1 + input.first().map_or(0, |byte| usize::from(*byte) % 64);
    let mut stream = redactor.stream();
    let mut out = Vec::new();
    input.chunks(size).for_each(|piece| stream.push(piece, &mut out));
    stream.finish(&mut out);
    assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&whole), "cut by {size}");
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
