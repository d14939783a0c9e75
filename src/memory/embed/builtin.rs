//! Builtin embedder: offline, deterministic, no model. Features of words in code, hashed into 384 dimensions.
//!
//! Finds the same error again, the same file, the same identifiers in another order or case, and synonyms in code. Not
//! a language model.

use std::collections::HashMap;

use super::tokens::{WordTerms, words};
use super::{concepts, normalise, rarity};

/// Part of every vector's identity. Increase after any change to the result of `embed`.
pub const ID: &str = "builtin-384-v1";
/// Length of the vectors.
pub const DIMENSIONS: usize = 384;

/// Cosine reached by unrelated texts through hashing alone: two standard deviations, 2/√384.
pub const FLOOR: f32 = 0.1;

/// Places per feature: a collision then disturbs only a part of the feature.
const PLACES: usize = 4;
/// Words beyond this number are ignored.
const MOST_WORDS: usize = 4_000;

const PART: f32 = 1.0;
const COMPOUND: f32 = 0.9;
const CONCEPT: f32 = 0.45;
const PAIR: f32 = 0.35;
/// Total weight of the trigrams of a word.
const GRAMS: f32 = 0.55;
const ERROR_TYPE: f32 = 1.2;

/// Returns the vector of a text, of length 1; all zeros for a text without words.
pub fn embed(text: &str) -> Vec<f32> {
    let mut features = Features::default();
    let mut before: Option<String> = None;
    for word in words(text).take(MOST_WORDS) {
        add_word(&mut features, &word, &mut before);
    }
    features.into_vector()
}

fn add_word(features: &mut Features, word: &WordTerms, before: &mut Option<String>) {
    if word.is_compound() {
        features.add("c", &word.whole, COMPOUND);
        if is_error_type(&word.whole) {
            features.add("e", &word.whole, ERROR_TYPE);
        }
        add_concepts(features, &word.whole);
    }
    for part in &word.parts {
        let weight = weight(part);
        features.add("w", part, PART * weight);
        add_concepts(features, part);
        add_grams(features, part, weight);
        if let Some(before) = before.as_deref() {
            let pair = format!("{before} {part}");
            features.add("p", &pair, PAIR * weight.min(self::weight(before)));
        }
        *before = Some(part.clone());
    }
}

fn add_concepts(features: &mut Features, word: &str) {
    let of_word = concepts::of(word);
    for concept in of_word {
        // A word with many concepts is less specific for each.
        features.add("k", &concept.to_string(), CONCEPT / (of_word.len() as f32).sqrt());
    }
}

fn add_grams(features: &mut Features, part: &str, weight: f32) {
    let chars: Vec<char> = format!("^{part}$").chars().collect();
    if chars.len() < 6 {
        return;
    }
    let each = GRAMS * weight / ((chars.len() - 2) as f32).sqrt();
    for gram in chars.windows(3) {
        features.add("g", &gram.iter().collect::<String>(), each);
    }
}

/// Recognizes names of error types: `modulenotfounderror`, `nullpointerexception`.
fn is_error_type(whole: &str) -> bool {
    ["error", "exception", "panic", "warning"].iter().any(|end| whole.ends_with(end))
}

/// Returns the weight of a word, an approximation of rarity from a single text.
fn weight(part: &str) -> f32 {
    if part.bytes().all(|byte| byte.is_ascii_digit()) {
        // Status codes and versions carry meaning; line numbers and counts do not.
        return if part.len() == 3 { 0.4 } else { 0.15 };
    }
    if part.chars().count() == 1 {
        return 0.15;
    }
    rarity::weight(part)
}

/// Sums of weights by feature; repeated features grow less than linearly.
#[derive(Default)]
struct Features {
    counted: HashMap<u64, (f32, u32)>,
}

impl Features {
    fn add(&mut self, kind: &str, name: &str, weight: f32) {
        let feature = self.counted.entry(hash(kind, name)).or_insert((weight, 0));
        feature.1 += 1;
    }

    fn into_vector(self) -> Vec<f32> {
        // Sort first: sums of floats depend on the order, and the order of a map on the seed.
        let mut counted: Vec<(u64, (f32, u32))> = self.counted.into_iter().collect();
        counted.sort_unstable_by_key(|(hash, _)| *hash);
        let mut vector = vec![0.0; DIMENSIONS];
        for (hash, (weight, count)) in counted {
            let amount = weight * (1.0 + (count as f32).ln());
            scatter(&mut vector, hash, amount);
        }
        normalise(&mut vector);
        vector
    }
}

fn scatter(vector: &mut [f32], hash: u64, amount: f32) {
    let mut state = hash;
    for _ in 0..PLACES {
        state = mix(state);
        let place = (state >> 1) as usize % DIMENSIONS;
        let signed = if state & 1 == 0 { amount } else { -amount };
        vector[place] += signed / (PLACES as f32).sqrt();
    }
}

/// FNV-1a: the same on every machine and in every version; the standard hashers do not guarantee this.
fn hash(kind: &str, name: &str) -> u64 {
    let bytes = kind.bytes().chain([b':']).chain(name.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// splitmix64.
fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::super::cosine;
    use super::*;

    fn similarity(a: &str, b: &str) -> f32 {
        cosine(&embed(a), &embed(b))
    }

    #[test]
    fn vectors_have_length_one_and_are_stable() {
        let vector = embed("ModuleNotFoundError: No module named 'yaml'");
        assert_eq!(vector.len(), DIMENSIONS);
        assert!((cosine(&vector, &vector) - 1.0).abs() < 1e-5);
        assert_eq!(vector, embed("ModuleNotFoundError: No module named 'yaml'"));
        // After a change here, change `ID` too.
        let sum: f32 = vector.iter().enumerate().map(|(i, x)| x * (i as f32 + 1.0)).sum();
        insta::assert_snapshot!(format!("{sum:.3}"));
    }

    #[test]
    fn empty_text_has_a_zero_vector() {
        for text in ["", "   ", "!!! ---"] {
            assert!(embed(text).iter().all(|x| *x == 0.0));
        }
    }

    #[test]
    fn similar_texts_are_near_and_others_far() {
        let error = "KeyError: 'user_id' in get_session (src/auth/session.py)";
        let again = "src/auth/session.py: get_session raised KeyError 'user_id'";
        let other = "docker compose: port is already allocated on 0.0.0.0";
        assert!(similarity(error, again) > 0.75, "{}", similarity(error, again));
        assert!(similarity(error, other) < 0.2, "{}", similarity(error, other));
    }

    #[test]
    fn same_meaning_is_nearer_than_other_meaning() {
        let query = "fix the login of users";
        let meant = similarity(query, "authentication with session tokens");
        let other = similarity(query, "plot a histogram of rainfall");
        assert!(meant > other + 0.05, "{meant} {other}");
    }
}
