//! Decodes bytes to text: byte-order marks, UTF-16 as written by some shells, line ends of old Macs, and the position of invalid UTF-8.

use std::borrow::Cow;

use super::ImportError;

/// Bytes examined to find UTF-16 without a byte-order mark.
const SAMPLE: usize = 1024;

pub(super) fn decode<'a>(name: &str, bytes: &'a [u8]) -> Result<Cow<'a, str>, ImportError> {
    let text = match bytes {
        [0xFF, 0xFE, rest @ ..] => utf16(name, rest, u16::from_le_bytes).map(Cow::Owned),
        [0xFE, 0xFF, rest @ ..] => utf16(name, rest, u16::from_be_bytes).map(Cow::Owned),
        [0xEF, 0xBB, 0xBF, rest @ ..] => utf8(name, rest).map(Cow::Borrowed),
        bytes => match unmarked_utf16(bytes) {
            Some(unit) => utf16(name, bytes, unit).map(Cow::Owned),
            None => utf8(name, bytes)
                .map(Cow::Borrowed)
                .or_else(|error| plausible_utf16(bytes).map(Cow::Owned).ok_or(error)),
        },
    }?;
    // Line ends of an old Mac.
    match text.contains('\r') && !text.contains('\n') {
        true => Ok(Cow::Owned(text.replace('\r', "\n"))),
        false => Ok(text),
    }
}

/// Returns the byte order of UTF-16 without a mark, as written by some shells: half of the bytes of mostly Latin text
/// are zero, all at odd or all at even positions.
fn unmarked_utf16(bytes: &[u8]) -> Option<fn([u8; 2]) -> u16> {
    let (pairs, _) = bytes[..bytes.len().min(SAMPLE)].as_chunks::<2>();
    // A few bytes with a zero may be anything.
    if bytes.len() % 2 == 1 && pairs.len() < 8 {
        return None;
    }
    let zeros = |at: usize| pairs.iter().filter(|pair| pair[at] == 0).count();
    let is_mostly = |zeros: usize| zeros > 0 && zeros * 4 >= pairs.len() * 3;
    match (zeros(0), zeros(1)) {
        (0, low) if is_mostly(low) => Some(u16::from_le_bytes),
        (high, 0) if is_mostly(high) => Some(u16::from_be_bytes),
        _ => None,
    }
}

/// Decodes UTF-16 without a mark whose text is mostly not Latin: only one byte order gives a text with the signs of
/// tables and JSON.
fn plausible_utf16(bytes: &[u8]) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let plausible = |unit: fn([u8; 2]) -> u16| {
        let units = pairs.iter().map(|pair| unit(*pair));
        let text = char::decode_utf16(units).collect::<Result<String, _>>().ok()?;
        let is_text = !text.contains(|c: char| c.is_control() && !c.is_ascii_whitespace());
        (is_text && text.contains(['\n', '\r', '"', ',', '{', '['])).then_some(text)
    };
    match (plausible(u16::from_le_bytes), plausible(u16::from_be_bytes)) {
        (Some(text), None) | (None, Some(text)) => Some(text),
        _ => None,
    }
}

fn utf8<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, ImportError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let good = &bytes[..error.valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        ImportError::malformed(
            format!("{name}:{line}"),
            format!("byte {} is not UTF-8; save the file as UTF-8", good.len() + 1),
        )
    })
}

fn utf16(name: &str, bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, ImportError> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| unit(*pair));
    let text: Result<String, _> = char::decode_utf16(units).collect();
    match text {
        Ok(text) if rest.is_empty() => Ok(text),
        _ => Err(ImportError::malformed(
            name,
            "starts like UTF-16 but is not valid; save the file as UTF-8",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_order_marks_go_and_utf_16_is_read() {
        assert_eq!(decode("f", b"\xEF\xBB\xBFa").unwrap(), "a");
        assert_eq!(decode("f", b"\xFF\xFEa\0\xE9\0").unwrap(), "aé");
        assert_eq!(decode("f", b"\xFE\xFF\0a").unwrap(), "a");
    }

    #[test]
    fn utf_16_without_a_mark_and_old_line_ends_are_read() {
        let le: Vec<u8> = "[{\"ä\"}]".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = "[{\"ä\"}]".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(decode("f", &le).unwrap(), "[{\"ä\"}]");
        assert_eq!(decode("f", &be).unwrap(), "[{\"ä\"}]");
        assert_eq!(decode("f", b"a\0b").unwrap(), "a\0b", "a lone zero is no UTF-16");
        assert_eq!(decode("f", b"a\rb\r").unwrap(), "a\nb\n");
        assert_eq!(decode("f", b"a\r\nb\r").unwrap(), "a\r\nb\r");
    }

    #[test]
    fn utf_16_of_other_scripts_is_read_without_a_mark() {
        let text = "キー,概要\n一,入力を検証する\n二,空の行を無視する\n";
        let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(decode("f.csv", &le).unwrap(), text);
        assert_eq!(decode("f.csv", &be).unwrap(), text);
        assert!(decode("f.csv", &le[1..]).is_err());
    }

    #[test]
    fn binary_input_is_refused_with_its_line() {
        let error = decode("f.yaml", b"a\nb\xFF").unwrap_err();
        assert_eq!(error.to_string(), "f.yaml:2: byte 4 is not UTF-8; save the file as UTF-8");
        assert!(decode("f", b"\xFF\xFEa").is_err());
    }
}
