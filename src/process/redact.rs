//! Taking secrets out of what is kept or shown, and finding them where they must not be.
//!
//! What counts as one is `secrets`' business. A stream is redacted by whole lines, so that a secret
//! that two reads split is still found.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, LazyLock};

use regex::bytes::{Match, Regex, RegexBuilder};

use super::pem::{self, Pem};
use super::secrets::{FORMATS, PRIVATE_KEY, SHORTEST, format_of, is_example, is_secret_name};

/// A line longer than this is redacted in pieces.
const LONGEST_LINE: usize = 64 * 1024;
/// What is held back of a piece, so that a key that begins in it is not cut.
const HELD_BACK: usize = 8 * 1024;

/// Every job begins with it, and compiling the pattern takes milliseconds.
static FORMATS_ONLY: LazyLock<Redactor> = LazyLock::new(|| Redactor::new(std::iter::empty()));

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Redactor(Arc<Secrets>);

#[derive(Debug)]
struct Secrets {
    /// Name of the variable and value, the longest value first.
    values: Vec<(String, Vec<u8>)>,
    pattern: Regex,
    held_back: usize,
}

impl Redactor {
    /// From a whole environment: those of its values count whose names say so.
    pub fn new(env: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self::knowing(env, &[])
    }

    /// The same, and the values of these variables, whatever they are called.
    pub fn knowing(env: impl IntoIterator<Item = (OsString, OsString)>, keys: &[&str]) -> Self {
        let mut values: Vec<(String, Vec<u8>)> = env
            .into_iter()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
            .filter(|(name, _)| is_secret_name(name) || keys.contains(&name.as_str()))
            .flat_map(|(name, value)| forms_of(&value).map(move |form| (name.clone(), form)))
            .collect();
        values.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.cmp(b)));
        values.dedup_by(|a, b| a.1 == b.1);
        let longest = values.first().map_or(0, |(_, value)| value.len());
        let pattern = pattern(&values);
        Self(Arc::new(Secrets { values, pattern, held_back: HELD_BACK.max(2 * longest) }))
    }

    /// Knows the formats only.
    pub fn formats_only() -> Self {
        FORMATS_ONLY.clone()
    }

    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.redact_bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    pub fn redact_bytes<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        if !self.0.pattern.is_match(text) {
            return Cow::Borrowed(text);
        }
        let mut out = Vec::with_capacity(text.len());
        self.scrub(text, &mut Pem::default(), &mut out);
        Cow::Owned(out)
    }

    pub fn stream(&self) -> RedactedStream {
        RedactedStream { redactor: self.clone(), pending: Vec::new(), pem: Pem::default() }
    }

    /// What the first secret in a text is: the variable's name, or the kind of key.
    pub fn find(&self, text: &str) -> Option<String> {
        self.find_bytes(text.as_bytes())
    }

    /// The same for a unified diff: only what it adds counts.
    pub fn find_in_patch(&self, patch: &[u8]) -> Option<String> {
        let mut added = Vec::new();
        for line in patch.split_inclusive(|byte| *byte == b'\n') {
            match line.strip_prefix(b"+") {
                Some(text) if !line.starts_with(b"+++ ") => added.extend_from_slice(text),
                _ => {}
            }
        }
        self.find_bytes(&added)
    }

    fn find_bytes(&self, text: &[u8]) -> Option<String> {
        let real = |found: &Match<'_>| {
            !is_example(found.as_bytes())
                && (self.name(found.as_bytes()) != PRIVATE_KEY
                    || pem::holds_key(found.as_bytes(), &text[found.end()..]))
        };
        self.0
            .pattern
            .find_iter(text)
            .find(real)
            .map(|found| self.name(found.as_bytes()).to_owned())
    }

    fn name(&self, secret: &[u8]) -> &str {
        let variable = self.0.values.iter().find(|(_, value)| value == secret);
        match variable {
            Some((name, _)) => name,
            None => format_of(secret).unwrap_or("a secret"),
        }
    }

    /// `text` are whole lines, or pieces cut where no secret is.
    fn scrub(&self, text: &[u8], pem: &mut Pem, out: &mut Vec<u8>) {
        if !pem.inside() && !self.0.pattern.is_match(text) {
            out.extend_from_slice(text);
            return;
        }
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let swallowed = pem.swallow(line);
            self.scrub_line(&line[swallowed..], pem, out);
        }
    }

    fn scrub_line(&self, line: &[u8], pem: &mut Pem, out: &mut Vec<u8>) {
        let mut at = 0;
        for found in self.0.pattern.find_iter(line) {
            if found.start() < at {
                continue;
            }
            out.extend_from_slice(&line[at..found.start()]);
            let name = self.name(found.as_bytes());
            out.extend_from_slice(format!("[redacted: {name}]").as_bytes());
            at = found.end();
            if name == PRIVATE_KEY {
                at += pem.begin(found.as_bytes(), &line[at..]);
            }
        }
        out.extend_from_slice(&line[at..]);
    }
}

/// A value as it may stand in output: as it is, each of its lines, and as JSON writes it.
fn forms_of(value: &OsStr) -> impl Iterator<Item = Vec<u8>> + use<> {
    let value = value.as_bytes().trim_ascii();
    let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut forms: Vec<Vec<u8>> = lines.map(<[u8]>::to_vec).collect();
    if let Ok(json) = serde_json::to_string(&String::from_utf8_lossy(value)) {
        forms.push(json.trim_matches('"').as_bytes().to_vec());
    }
    forms.into_iter().filter(|form| form.len() >= SHORTEST)
}

/// Longer values first: of two that begin alike, the whole longer one goes.
fn pattern(values: &[(String, Vec<u8>)]) -> Regex {
    let literals =
        values.iter().map(|(_, value)| value.iter().map(|b| format!(r"\x{b:02x}")).collect());
    let formats = FORMATS.iter().map(|(_, pattern)| (*pattern).to_owned());
    let all: Vec<String> = literals.chain(formats).collect();
    RegexBuilder::new(&all.join("|"))
        .unicode(false)
        .size_limit(usize::MAX)
        .build()
        .expect("escaped bytes and constant patterns are a valid expression of unlimited size")
}

/// One stream of output on its way.
#[derive(Debug)]
pub struct RedactedStream {
    redactor: Redactor,
    pending: Vec<u8>,
    pem: Pem,
}

impl RedactedStream {
    /// Takes what was read, appends to `out` what can be told to be harmless by now.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.pending.extend_from_slice(bytes);
        if let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') {
            let end = self.pending.len() - bytes.len() + end + 1;
            self.emit(end, out);
        }
        if self.pending.len() > LONGEST_LINE + self.redactor.0.held_back {
            self.emit(self.cut(), out);
        }
    }

    /// The stream is over.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.emit(self.pending.len(), out);
    }

    fn emit(&mut self, end: usize, out: &mut Vec<u8>) {
        self.redactor.scrub(&self.pending[..end], &mut self.pem, out);
        self.pending.drain(..end);
    }

    /// Where a line that is too long may be cut: not within a secret, nor within what may become one.
    fn cut(&self) -> usize {
        let len = self.pending.len();
        let cut = len - self.redactor.0.held_back;
        // The header of a private key whose end has not come yet.
        let open = |text: &[u8]| {
            text.starts_with(b"-----BEGIN") && !text.windows(8).any(|part| part == b"-----END")
        };
        let pattern = &self.redactor.0.pattern;
        let across = pattern
            .find_iter(&self.pending)
            .find(|found| found.start() < cut && (found.end() > cut || open(found.as_bytes())));
        match across {
            // It may go on: let it begin the next piece, unless it has begun this one already.
            Some(found) if found.start() > 0 => found.start(),
            Some(found) => found.end().max(cut),
            None => cut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor() -> Redactor {
        let env = [
            ("MY_TOKEN", "correct-horse-battery"),
            ("LONG_TOKEN", "correct-horse-battery-staple"),
            ("SHORT_TOKEN", "swordfish"),
            ("HOME", "/home/somebody/long"),
            ("QUOTED_SECRET", "say \"friend\" and enter"),
            ("TWO_LINES_SECRET", "first-line-of-it\nsecond-line-of-it"),
        ];
        Redactor::new(env.map(|(name, value)| (name.into(), value.into())))
    }

    const KEY: &str = "-----BEGIN RSA PRIVATE KEY-----
MIIEowIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MhgwMbRvI0MBZhpI
c2VjcmV0
-----END RSA PRIVATE KEY-----
";

    fn streamed(redactor: &Redactor, text: &[u8], size: usize) -> String {
        let mut stream = redactor.stream();
        let mut out = Vec::new();
        for chunk in text.chunks(size) {
            stream.push(chunk, &mut out);
        }
        stream.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_of_telling_variables_go_and_others_stay() {
        let redact = |text: &str| redactor().redact(text).into_owned();
        assert_eq!(redact("a correct-horse-battery b"), "a [redacted: MY_TOKEN] b");
        assert_eq!(redact("correct-horse-battery-staple!"), "[redacted: LONG_TOKEN]!");
        let harmless = "swordfish in /home/somebody/long";
        assert!(matches!(redactor().redact(harmless), Cow::Borrowed(text) if text == harmless));
        assert_eq!(
            redact(r#"{"x":"say \"friend\" and enter"}"#),
            r#"{"x":"[redacted: QUOTED_SECRET]"}"#
        );
        assert_eq!(redact("only second-line-of-it"), "only [redacted: TWO_LINES_SECRET]");
        let key = format!("sk-ant-api03-{}", "x1Y_".repeat(10));
        assert_eq!(redact(&format!("key={key}.")), "key=[redacted: an Anthropic key].");
        let twice = redact("correct-horse-battery");
        assert_eq!(redact(&twice), twice);
    }

    #[test]
    fn private_keys_go_whole_and_talk_of_them_stays() {
        let redact = |text: &str| redactor().redact(text).into_owned();
        let gone = "[redacted: a private key]";
        assert_eq!(redact(&format!("a\n{KEY}b\n")), format!("a\n{gone}\nb\n"));
        let json = serde_json::to_string(&KEY).unwrap();
        assert_eq!(redact(&json), format!("\"{gone}\\n\""));
        let numbered: String =
            KEY.lines().enumerate().map(|(n, line)| format!("  {n}\t{line}\n")).collect();
        assert!(!redact(&numbered).contains("MIIE"), "{}", redact(&numbered));
        let talk = "if text.startswith('-----BEGIN PRIVATE KEY-----'):\n    return True\n";
        assert_eq!(redact(talk), format!("if text.startswith('{gone}'):\n    return True\n"));
    }

    #[test]
    fn wherever_a_stream_is_cut_the_result_is_the_same() {
        let text = format!("a correct-horse-battery\n{KEY}no end: correct-horse-battery-staple");
        let redactor = redactor();
        let whole = redactor.redact(&text).into_owned();
        assert!(!whole.contains("horse") && !whole.contains("MIIE"));
        for size in 1..text.len() {
            assert_eq!(streamed(&redactor, text.as_bytes(), size), whole, "{size}");
        }
    }

    #[test]
    fn a_line_without_end_is_bounded_and_still_redacted() {
        // Secrets everywhere, in one line, so that some lie across every cut.
        let unit = format!("{}correct-horse-battery ", "x".repeat(1000));
        let json = KEY.replace('\n', "\\n");
        let text = format!("{}{json}{}", unit.repeat(100), unit.repeat(100));
        for size in [1000, 65_536, 300_000] {
            let out = streamed(&redactor(), text.as_bytes(), size);
            assert_eq!(out.matches("[redacted: MY_TOKEN]").count(), 200);
            assert!(!out.contains("horse") && !out.contains("MIIE"));
        }
        let mut stream = redactor().stream();
        let mut out = Vec::new();
        for chunk in text.as_bytes().chunks(4096) {
            stream.push(chunk, &mut out);
            assert!(stream.pending.len() < 2 * (LONGEST_LINE + HELD_BACK));
        }
    }

    #[test]
    fn a_diff_is_searched_for_what_it_adds() {
        let find = |patch: &str| redactor().find_in_patch(patch.as_bytes());
        assert_eq!(find("+x = 'correct-horse-battery'\n").as_deref(), Some("MY_TOKEN"));
        assert_eq!(find("-x = 'correct-horse-battery'\n correct-horse-battery\n"), None);
        assert_eq!(find("+aws = 'AKIAIOSFODNN7EXAMPLE'\n"), None);
        assert_eq!(find("+aws = 'AKIAIOSFODNN7REALONE'\n").as_deref(), Some("an AWS access key"));
        let added: String = KEY.lines().map(|line| format!("+{line}\n")).collect();
        assert_eq!(find(&added).as_deref(), Some("a private key"));
        assert_eq!(find("+if '-----BEGIN PRIVATE KEY-----' in text:\n+    pass\n"), None);
        assert_eq!(redactor().find("nothing here"), None);
    }
}
