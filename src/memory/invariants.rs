//! Invariants of every text remembered or searched for: used by property tests and the fuzzer.

use super::embed::builtin::{DIMENSIONS, embed};
use super::normalise::normalise;

/// Checks a text, as is and normalized: the vector has length 1, or 0 for a text without words, and never changes.
pub fn text(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for text in [text.as_ref(), &normalise(&text)] {
        let vector = embed(text);
        let length: f32 = vector.iter().map(|part| part * part).sum();
        assert_eq!(vector.len(), DIMENSIONS);
        assert!(length == 0.0 || (length - 1.0).abs() < 1e-3, "{length}: {text:?}");
        assert_eq!(vector, embed(text));
    }
}
