//! Encoded secrets: base64 (also base64url, wrapped over lines, or nested twice), hex and percent encoding.
//!
//! Two directions. [`forms`] encodes a known value, as a pattern for a search in a stream. [`decoded`]
//! decodes a whole text: every run of letters that looks encoded is decoded at each alignment, and the caller
//! searches the bytes. Hashes and images decode to noise, without known values or key formats.

use crate::phase::words::hex;

/// Shorter runs are words: 12 bytes, the shortest secret, are 16 letters of base64 and 24 of hex.
const RUN: usize = 16;
/// Bytes decoded at once, and the overlap decoded again with the next piece, so that a cut hides nothing.
const PIECE: usize = 1 << 20;
const OVERLAP: usize = 16 << 10;
/// Base64 within base64 (a Docker login within a Kubernetes secret), and no deeper.
const DEPTH: u8 = 2;

/// Returns the first bytes of private keys in base64, at each alignment.
pub(super) fn private_key_headers() -> Vec<String> {
    let labels = ["", "RSA ", "EC ", "DSA ", "OPENSSH ", "ENCRYPTED ", "PGP ", "ANY "];
    let header = |label: &&str| cores(format!("-----BEGIN {label}PRIVATE KEY").as_bytes());
    labels.iter().flat_map(header).map(|core| String::from_utf8_lossy(&core).into_owned()).collect()
}

/// Returns a value in base64 (both alphabets, each alignment), hex and percent encoding, without the letters
/// that depend on surrounding bytes.
pub(super) fn forms(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = cores(value);
    let url = |form: &Vec<u8>| {
        form.iter()
            .map(|byte| match byte {
                b'+' => b'-',
                b'/' => b'_',
                byte => *byte,
            })
            .collect()
    };
    forms.extend(forms.clone().iter().map(url));
    let hex = hex(value);
    forms.extend([hex.to_ascii_uppercase().into_bytes(), hex.into_bytes()]);
    for upper in [true, false] {
        forms.push(percent(value, upper));
    }
    forms.sort();
    forms.dedup();
    forms.retain(|form| form != value);
    forms
}

/// Encodes like `encodeURIComponent`.
fn percent(value: &[u8], upper: bool) -> Vec<u8> {
    let mut text = Vec::new();
    for byte in value {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(*byte),
            byte if upper => text.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            byte => text.extend_from_slice(format!("%{byte:02x}").as_bytes()),
        }
    }
    text
}

/// Returns the base64 of a value behind 0, 1 and 2 bytes, without the letters shared with neighboring bytes.
fn cores(value: &[u8]) -> Vec<Vec<u8>> {
    let core = |shift: usize| {
        let mut bytes = vec![0; shift];
        bytes.extend_from_slice(value);
        let letters = encode(&bytes);
        letters[(shift * 8).div_ceil(6)..bytes.len() * 8 / 6].to_vec()
    };
    (0..3).map(core).collect()
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes without padding.
fn encode(bytes: &[u8]) -> Vec<u8> {
    let mut letters = Vec::with_capacity(bytes.len() * 4 / 3 + 4);
    for three in bytes.chunks(3) {
        let bits = three
            .iter()
            .enumerate()
            .fold(0_u32, |bits, (at, byte)| bits | u32::from(*byte) << (16 - 8 * at));
        letters.extend((0..=three.len()).map(|at| ALPHABET[(bits >> (18 - 6 * at) & 63) as usize]));
    }
    letters
}

/// An encoding of bytes as letters.
#[derive(Clone, Copy)]
enum Code {
    Base64,
    Hex,
}

impl Code {
    fn value(self, letter: u8) -> Option<u32> {
        let value = match (self, letter) {
            (Self::Hex, letter) => return char::from(letter).to_digit(16),
            (_, b'A'..=b'Z') => letter - b'A',
            (_, b'a'..=b'z') => letter - b'a' + 26,
            (_, b'0'..=b'9') => letter - b'0' + 52,
            (_, b'+' | b'-') => 62,
            (_, b'/' | b'_') => 63,
            _ => return None,
        };
        Some(u32::from(value))
    }

    /// Returns the bits of a letter, and the number of letters up to a byte boundary.
    fn size(self) -> (u32, usize) {
        match self {
            Self::Base64 => (6, 4),
            Self::Hex => (4, 2),
        }
    }

    fn decode(self, letters: &[u8]) -> Vec<u8> {
        let (bits, _) = self.size();
        let mut bytes = Vec::with_capacity(letters.len());
        let (mut held, mut count) = (0_u32, 0);
        for value in letters.iter().filter_map(|letter| self.value(*letter)) {
            held = held << bits | value;
            count += bits;
            if count >= 8 {
                count -= 8;
                // The mask keeps eight bits.
                bytes.push((held >> count & 0xff) as u8);
                held &= (1 << count) - 1;
            }
        }
        bytes
    }

    /// Returns the encoded runs of a text, joined: line breaks, quotes and other separators between wrapped
    /// lines are dropped. `rests` includes the short run after a long run, possibly the last line.
    fn runs(self, text: &[u8], rests: bool) -> Vec<u8> {
        let mut letters = Vec::new();
        let (mut at, mut after_long) = (0, false);
        while at < text.len() {
            let length = text[at..].iter().take_while(|byte| self.value(**byte).is_some()).count();
            let run = &text[at..at + length];
            let speaks = run.iter().any(u8::is_ascii_alphanumeric);
            if length >= RUN || rests && after_long && speaks {
                letters.extend_from_slice(run);
            }
            // A sign between two lines of a literal (`+`) is no run.
            if speaks {
                after_long = length >= RUN;
            }
            at += length;
            // A spelled-out line break in a string literal is no letter of the next run.
            at += match &text[at..] {
                [b'\\', b'n' | b'r' | b'x', ..] => 2,
                _ => 1,
            };
        }
        letters
    }
}

/// Returns the first result of `inspect` for the possible decodings of a text.
pub(super) fn decoded<T>(text: &[u8], inspect: &dyn Fn(&[u8]) -> Option<T>) -> Option<T> {
    within(text, inspect, DEPTH)
}

fn within<T>(text: &[u8], inspect: &dyn Fn(&[u8]) -> Option<T>, depth: u8) -> Option<T> {
    percent_decoded(text).iter().find_map(|bytes| inspect(bytes)).or_else(|| {
        [Code::Base64, Code::Hex].into_iter().find_map(|code| {
            let runs = [false, true].map(|rests| code.runs(text, rests));
            let [whole, with_rests] = &runs;
            let second = (with_rests != whole).then_some(with_rests);
            [whole]
                .into_iter()
                .chain(second)
                .find_map(|letters| in_letters(code, letters, inspect, depth))
        })
    })
}

fn in_letters<T>(
    code: Code,
    letters: &[u8],
    inspect: &dyn Fn(&[u8]) -> Option<T>,
    depth: u8,
) -> Option<T> {
    let (_, alignments) = code.size();
    let mut start = 0;
    while start < letters.len() {
        let end = letters.len().min(start + PIECE + OVERLAP);
        for shift in 0..alignments.min(end - start) {
            let bytes = code.decode(&letters[start + shift..end]);
            let plain = bytes
                .contains(&0)
                .then(|| bytes.iter().copied().filter(|byte| *byte != 0).collect::<Vec<u8>>());
            for bytes in [Some(&bytes), plain.as_ref()].into_iter().flatten() {
                let deeper = || (depth > 1).then(|| within(bytes, inspect, depth - 1)).flatten();
                if let Some(found) = inspect(bytes).or_else(deeper) {
                    return Some(found);
                }
            }
        }
        start += PIECE;
    }
    None
}

/// Returns the text with `%41` decoded, and a second variant with `+` as a space (form encoding); empty
/// without encoded letters.
fn percent_decoded(text: &[u8]) -> Vec<Vec<u8>> {
    let escape = |at: usize| {
        let [b'%', high, low] = *text.get(at..at + 3)? else { return None };
        let digit = |letter: u8| char::from(letter).to_digit(16);
        u8::try_from(digit(high)? * 16 + digit(low)?).ok()
    };
    let mut bytes = Vec::new();
    let (mut at, mut copied) = (0, 0);
    while let Some(next) = text[at..].iter().position(|byte| *byte == b'%').map(|next| at + next) {
        at = next + 1;
        if let Some(byte) = escape(next) {
            bytes.extend_from_slice(&text[copied..next]);
            bytes.push(byte);
            (at, copied) = (next + 3, next + 3);
        }
    }
    if copied == 0 {
        return Vec::new();
    }
    bytes.extend_from_slice(&text[copied..]);
    let spaced = bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    vec![bytes, spaced]
}

/// Replaces every encoded run in the text.
pub(super) fn mask_encoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let is_letter = |byte: &&u8| Code::Base64.value(**byte).is_some() || **byte == b'%';
        let length = text[at..].iter().take_while(is_letter).count();
        match length {
            0 => out.push(text[at]),
            RUN.. => out.extend_from_slice(b"[redacted: encoded]"),
            length => out.extend_from_slice(&text[at..at + length]),
        }
        at += length.max(1);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn finds(text: &[u8], secret: &[u8]) -> bool {
        let has =
            |bytes: &[u8]| bytes.windows(secret.len()).any(|part| part == secret).then_some(());
        decoded(text, &has).is_some()
    }

    #[test]
    fn base64_is_written_as_everybody_writes_it() {
        assert_eq!(encode(b"any carnal pleas"), b"YW55IGNhcm5hbCBwbGVhcw");
        assert_eq!(Code::Base64.decode(b"YW55IGNhcm5hbCBwbGVhcw=="), b"any carnal pleas");
        assert!(
            private_key_headers()
                .iter()
                .any(|core| core.starts_with("LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLR"))
        );
    }

    proptest! {
        /// Holds for any position of a value, any wrapping and any neighboring bytes.
        #[test]
        fn an_encoded_value_is_found(
            before in prop::collection::vec(any::<u8>(), 0..40), after in prop::collection::vec(any::<u8>(), 0..40),
            value in "[ -~]{12,30}", width in 16..90_usize, form in 0..5_usize,
        ) {
            let mut bytes = before;
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend(&after);
            let (letters, wrapped) = match form {
                0 => (encode(&bytes), false),
                1 | 2 => (encode(&bytes), true),
                3 => (bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect(), false),
                _ => (encode(&encode(&bytes)), false),
            };
            let text = match (wrapped, form) {
                (false, _) => [b"key: ".as_slice(), &letters, b"==\n"].concat(),
                (true, 1) => letters.chunks(width).map(|line| [b"  ", line].concat()).collect::<Vec<_>>().join(&b'\n'),
                _ => letters.chunks(width).map(|line| [b"    \"", line, b"\\n\" +\n"].concat()).collect::<Vec<_>>().concat(),
            };
            prop_assert!(finds(&text, value.as_bytes()), "{}", String::from_utf8_lossy(&text));
        }

        #[test]
        fn every_encoded_text_contains_a_searched_form(before in "[a-z]{0,4}", value in "[ -~]{12,30}", after in "[a-z]{0,4}") {
            let letters = encode(format!("{before}{value}{after}").as_bytes());
            let there = |form: &Vec<u8>| letters.windows(form.len()).any(|part| part == form);
            prop_assert!(forms(value.as_bytes()).iter().any(there));
        }

        #[test]
        fn percent_encoding_is_undone(value in "[ -~é]{12,30}", upper in any::<bool>()) {
            let text = [b"https://x/?q=".as_slice(), &percent(value.as_bytes(), upper), b"&r=%zz%"].concat();
            prop_assert!(!percent(value.as_bytes(), upper).contains(&b'%') || finds(&text, value.as_bytes()));
        }

        #[test]
        fn any_bytes_can_be_searched(text in prop::collection::vec(any::<u8>(), 0..300)) {
            decoded(&text, &|_: &[u8]| None::<()>);
            mask_encoded(&text);
        }
    }

    #[test]
    fn a_long_text_is_searched_in_pieces() {
        let mut letters = encode(&vec![7; 900 * 1024]);
        letters.truncate(PIECE - 5);
        letters.extend(encode(b"correct-horse-battery"));
        letters.extend(encode(&vec![9; 900 * 1024]));
        assert!(finds(&letters, b"correct-horse-battery"));
    }
}
