//! Private keys in text: they span lines, so a single line is not enough to recognize them.

/// Position within a stream of lines.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pem {
    /// After a BEGIN line, until the END line or the first line without key material.
    inside: bool,
}

/// Base64 runs of this length are key material; words and paths are shorter.
const MATERIAL: usize = 40;
const END: &[u8] = b"-----END";

impl Pem {
    pub fn inside(self) -> bool {
        self.inside
    }

    /// Starts a key at `header` (a BEGIN line, perhaps with the whole key). Returns the length of the key
    /// part of `rest`, the remainder of the line.
    pub fn begin(&mut self, header: &[u8], rest: &[u8]) -> usize {
        self.inside = !contains(header, END);
        let rest = trim_line_end(rest);
        if self.inside && longest_material(rest) >= MATERIAL { rest.len() } else { 0 }
    }

    /// Returns the length of the part of `line` inside the current key, line end included.
    pub fn swallow(&mut self, line: &[u8]) -> usize {
        if !self.inside {
            return 0;
        }
        if let Some(at) = find(line, END) {
            self.inside = false;
            // `-----END ...-----`: the text after the second run of dashes is no key material.
            let label = at + END.len();
            let dashes = find(&line[label..], b"-----").map_or(line.len(), |d| label + d + 5);
            let only_line_end = trim_line_end(&line[dashes..]).is_empty();
            return if only_line_end { line.len() } else { dashes };
        }
        let text = without_decoration(line);
        let key = text.iter().all(|byte| is_base64(*byte))
            || longest_material(text) >= MATERIAL
            || [&b"Proc-Type:"[..], b"DEK-Info:", b"Version:", b"Comment:"]
                .iter()
                .any(|header| contains(text, header));
        self.inside = key;
        if key { line.len() } else { 0 }
    }
}

/// Checks whether a key follows a BEGIN line, as opposed to code or prose that mentions such a line.
pub(super) fn holds_key(header: &[u8], rest: &[u8]) -> bool {
    let near = &rest[..rest.len().min(400)];
    longest_material(near) >= MATERIAL
        || find(header, END).is_some_and(|end| longest_material(&header[..end]) >= MATERIAL)
}

/// Strips line numbers, quotes and other decoration of printed lines.
fn without_decoration(line: &[u8]) -> &[u8] {
    let numbered = line.trim_ascii_start();
    let digits = numbered.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = match numbered.get(digits) {
        Some(b' ' | b'\t' | b':' | b'|') => &numbered[digits..],
        _ => numbered,
    };
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"|:>-\"',".contains(byte);
    let Some(first) = text.iter().position(|byte| !ends(byte)) else { return &[] };
    let last = text.iter().rposition(|byte| !ends(byte)).unwrap_or(first);
    &text[first..=last]
}

fn longest_material(text: &[u8]) -> usize {
    text.split(|byte| !is_base64(*byte)).map(<[u8]>::len).max().unwrap_or(0)
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

fn trim_line_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1);
    &text[..end]
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    find(text, part).is_some()
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
