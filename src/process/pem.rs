//! Private keys in text: they span lines, so that a line alone does not tell.

/// Where a stream of lines stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pem {
    /// After a BEGIN line, until its END or until something that is no key.
    inside: bool,
}

/// A run of base64 of this length is key material; a word or a path is not.
const MATERIAL: usize = 40;
const END: &[u8] = b"-----END";

impl Pem {
    pub fn inside(self) -> bool {
        self.inside
    }

    /// After `header` (a BEGIN line, perhaps with all that belongs to it): how much of `rest`, what
    /// follows it in its line, is key too.
    pub fn begin(&mut self, header: &[u8], rest: &[u8]) -> usize {
        self.inside = !contains(header, END);
        let rest = trim_line_end(rest);
        if self.inside && longest_material(rest) >= MATERIAL { rest.len() } else { 0 }
    }

    /// How much of `line` belongs to the key that we are in, its line end included.
    pub fn swallow(&mut self, line: &[u8]) -> usize {
        if !self.inside {
            return 0;
        }
        if let Some(at) = find(line, END) {
            self.inside = false;
            // `-----END ...-----`: from the second run of dashes on, the text is free again.
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

/// Whether a key follows a BEGIN line, rather than code or prose that only speaks of such a line.
pub(super) fn holds_key(header: &[u8], rest: &[u8]) -> bool {
    let near = &rest[..rest.len().min(400)];
    longest_material(near) >= MATERIAL
        || find(header, END).is_some_and(|end| longest_material(&header[..end]) >= MATERIAL)
}

/// Without line numbers, quotes and what else stands around a line that some tool prints.
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
