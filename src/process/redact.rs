//! Removes secrets from kept or displayed output, and finds secrets in forbidden places.
//!
//! The module `secrets` defines what a secret is. A stream is redacted line by line, so that a secret split
//! between two reads is found.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, LazyLock};

use regex::bytes::{Match, Regex, RegexBuilder};

use super::pem::{self, Pem};
use super::secrets::{FORMATS, PRIVATE_KEY, SHORTEST, format_of, is_example, is_secret_name};
use super::{encoded, patch};

/// Minimum number of bytes held back from a piece of a stream, so that a key at its end is not cut.
pub(super) const HELD_BACK: usize = 8 * 1024;

/// Name of a match that may begin a private key in base64: the first bytes and the rest of the line. Only
/// decoding can confirm the key.
const ENCODED_KEY: &str = "a private key in base64";

/// Shared redactor of known key formats: every job needs it, and compiling the pattern takes milliseconds.
static FORMATS_ONLY: LazyLock<Redactor> = LazyLock::new(|| Redactor::new(std::iter::empty()));

/// Replaces secrets with `[redacted: NAME]`, and finds them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Redactor(pub(super) Arc<Secrets>);

/// The secrets to search for, and their common pattern.
#[derive(Debug)]
pub(super) struct Secrets {
    /// Variable name and value, the longest value first.
    values: Vec<(String, Vec<u8>)>,
    /// Matches every value and every known key format.
    pub(super) pattern: Regex,
    /// Number of bytes that a stream holds back from an incomplete line.
    pub(super) held_back: usize,
}

impl Redactor {
    /// Creates a redactor from an environment. A value is a secret if the variable's name suggests one.
    pub fn new(env: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self::with_key_variables(env, &[])
    }

    /// Like `new`, but the values of the variables in `keys` are also secrets, whatever their names.
    pub fn with_key_variables(
        env: impl IntoIterator<Item = (OsString, OsString)>,
        keys: &[&str],
    ) -> Self {
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

    /// Creates a redactor of known key formats only.
    pub fn formats_only() -> Self {
        FORMATS_ONLY.clone()
    }

    /// Replaces secrets in a text.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.redact_bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// Replaces secrets in bytes.
    pub fn redact_bytes<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        if !self.0.pattern.is_match(text) {
            return Cow::Borrowed(text);
        }
        let mut out = Vec::with_capacity(text.len());
        self.scrub(text, &mut Pem::default(), &mut out);
        Cow::Owned(out)
    }

    /// Returns a description of the first secret in a text: the variable's name, or the kind of key.
    pub fn find(&self, text: &str) -> Option<String> {
        self.find_bytes(text.as_bytes())
    }

    /// Like `find` for a unified diff: only added lines count.
    pub fn find_in_patch(&self, diff: &[u8]) -> Option<String> {
        self.find_bytes(&patch::added(diff))
    }

    /// Removes the added secrets from a diff, including encoded secrets.
    pub fn redact_patch<'a>(&self, diff: &'a [u8]) -> Cow<'a, [u8]> {
        let clean = self.redact_bytes(diff);
        if self.find_in_patch(&clean).is_none() {
            return clean;
        }
        let without_encoded = encoded::mask_encoded(&clean);
        match self.find_in_patch(&without_encoded) {
            None => without_encoded.into(),
            Some(secret) => {
                format!("[redacted: a change that contains {secret}]\n").into_bytes().into()
            }
        }
    }

    /// Searches the text as written, then decoded.
    fn find_bytes(&self, text: &[u8]) -> Option<String> {
        let hidden = || encoded::decoded(text, &|bytes| self.find_plain(bytes));
        self.find_plain(text).or_else(|| hidden().map(|what| format!("{what}, encoded")))
    }

    /// Searches the text as written. Examples and mentions of keys do not count.
    fn find_plain(&self, text: &[u8]) -> Option<String> {
        let is_real = |found: &Match<'_>| {
            let name = self.name(found.as_bytes());
            // For keys in base64, decoding shows whether a key follows.
            !is_example(found.as_bytes())
                && name != ENCODED_KEY
                && (name != PRIVATE_KEY || pem::holds_key(found.as_bytes(), &text[found.end()..]))
        };
        self.0
            .pattern
            .find_iter(text)
            .find(is_real)
            .map(|found| self.name(found.as_bytes()).to_owned())
    }

    /// Returns the name shown for a match: of the variable, or of the key format.
    fn name(&self, secret: &[u8]) -> &str {
        let variable = self.0.values.iter().find(|(_, value)| value == secret);
        match variable {
            Some((name, _)) => name,
            None => format_of(secret).unwrap_or(ENCODED_KEY),
        }
    }

    /// Appends `text` to `out` with secrets replaced. `text` must not end inside a secret.
    pub(super) fn scrub(&self, text: &[u8], pem: &mut Pem, out: &mut Vec<u8>) {
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
            if name == PRIVATE_KEY || name == ENCODED_KEY {
                at += pem.begin(found.as_bytes(), &line[at..]);
            }
        }
        out.extend_from_slice(&line[at..]);
    }
}

/// Returns the possible forms of a value in output: unchanged, line by line, as JSON, and encoded.
fn forms_of(value: &OsStr) -> impl Iterator<Item = Vec<u8>> + use<> {
    let value = value.as_bytes().trim_ascii();
    let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut forms: Vec<Vec<u8>> = lines.map(<[u8]>::to_vec).collect();
    if let Ok(json) = serde_json::to_string(&String::from_utf8_lossy(value)) {
        forms.push(json.trim_matches('"').as_bytes().to_vec());
    }
    forms.retain(|form| form.len() >= SHORTEST);
    let encoded: Vec<Vec<u8>> = forms.iter().flat_map(|form| encoded::forms(form)).collect();
    forms.into_iter().chain(encoded)
}

/// Builds the pattern of all values and formats. Longer values come first: of two values with the same
/// beginning, the longer is redacted whole.
fn pattern(values: &[(String, Vec<u8>)]) -> Regex {
    let literals =
        values.iter().map(|(_, value)| value.iter().map(|b| format!(r"\x{b:02x}")).collect());
    let formats = FORMATS.iter().map(|(_, pattern)| (*pattern).to_owned());
    let headers = encoded::private_key_headers().join("|").replace('+', r"\+");
    let encoded_key = format!("(?:{headers})[A-Za-z0-9+/_=-]*");
    let all: Vec<String> = literals.chain(formats).chain([encoded_key]).collect();
    RegexBuilder::new(&all.join("|"))
        .unicode(false)
        .size_limit(usize::MAX)
        .build()
        .expect("escaped bytes and constant patterns are a valid expression of unlimited size")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn redactor() -> Redactor {
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

    pub const KEY: &str = "-----BEGIN RSA PRIVATE KEY-----
MIIEowIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MhgwMbRvI0MBZhpI
c2VjcmV0
-----END RSA PRIVATE KEY-----
";

    #[test]
    fn secret_variables_are_redacted_and_others_stay() {
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
    fn private_keys_are_redacted_whole_and_mentions_stay() {
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
    fn encoded_secrets_are_redacted() {
        let redactor = redactor();
        let found = |text: &str| redactor.find(text);
        for text in [
            "auth: Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5",
            "auth: eGNvcnJlY3QtaG9yc2UtYmF0dGVyeQ==",
            "636f72726563742d686f7273652d62617474657279",
            "https://u:say%20%22friend%22%20and%20enter@host/",
        ] {
            assert!(found(text).is_some(), "{text}");
            assert!(redactor.redact(text).contains("[redacted: "), "{text}");
        }
        let base64 = "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQpNSUlFb3dJQkFBS0NBUUVBMFozVlM1SkpjZHMz\n\
                      eGZuL3lnV3lGOFBibkd5MEFIQjdNaGd3TWJSdkkwTUJaaHBICmMyVmpjbVYwCi0tLS0tRU5EIFJTQSBQ\n\
                      UklWQVRFIEtFWS0tLS0tCg==\n";
        assert_eq!(found(base64).as_deref(), Some("a private key, encoded"));
        let clean = redactor.redact(base64);
        assert!(
            !clean.contains("eGZuL3ln") && clean.contains("[redacted: a private key in base64]"),
            "{clean}"
        );
        let token = "Z2hwX2FCM2FCM2FCM2FCM2FCM2FCM2FCM2FCM2FCM2FCM2FCM2FCMw==";
        assert_eq!(found(token).as_deref(), Some("a GitHub token, encoded"));
        let patch = format!("@@ -0,0 +1 @@\n+token: {token}\n");
        assert!(
            !String::from_utf8_lossy(&redactor.redact_patch(patch.as_bytes())).contains("Z2hwX2")
        );
    }

    #[test]
    fn lock_files_certificates_and_images_hold_no_secret() {
        let redactor = redactor();
        let lock = "\"integrity\": \"sha512-v2kDEe57lecTulaDIuNTPy3Ry4gLGJ6Z1O3vE1krgXZNrsQ+LFTGHVxVjcXPs17LhbZVGedAJv8XZ1tvj5FvSg==\",\n\
                    checksum = \"e3148f5046208a5d56bcfc03053e3ca6334e51da8dfb19b6cdc8b306fae3283e\"\n\
                    github.com/a/b v1.0.0 h1:Dge3x4m8qFZ3+Bx3cB1tJ0Yw1kq4x4uJc6Yt1yq0v1E=\n";
        assert_eq!(redactor.find(lock), None);
        let certificate = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUVvd0lCQUFLQ0FRRUEwWjNWUzVKSmNkczN4Zm4veWdXeUY4UGJuR3kwQUhCN01o\n";
        assert_eq!(redactor.find(certificate), None);
        assert_eq!(redactor.redact(certificate), certificate);
        // An image in a page: random bytes.
        let mut state = 1_u64;
        let mut noise = |_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            char::from(
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
                    [(state >> 58) as usize],
            )
        };
        let image: String = (0..400_000).map(&mut noise).collect();
        assert_eq!(redactor.find(&format!("src=\"data:image/png;base64,{image}\"")), None);
    }

    #[test]
    fn only_added_lines_of_a_diff_are_searched() {
        let find = |patch: &str| redactor().find_in_patch(patch.as_bytes());
        assert_eq!(find("+x = 'correct-horse-battery'\n").as_deref(), Some("MY_TOKEN"));
        assert_eq!(find("-x = 'correct-horse-battery'\n correct-horse-battery\n"), None);
        assert_eq!(find("+aws = 'AKIAIOSFODNN7EXAMPLE'\n"), None);
        assert_eq!(find("+aws = 'AKIAIOSFODNN7REALONE'\n").as_deref(), Some("an AWS access key"));
        let secret = |value: &str| find(&format!("+AWS_SECRET_ACCESS_KEY={value}\n"));
        let real = "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";
        assert_eq!(secret(real).as_deref(), Some("an AWS secret access key"));
        assert_eq!(secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), None);
        assert_eq!(secret(&"x".repeat(40)), None);
        let added: String = KEY.lines().map(|line| format!("+{line}\n")).collect();
        assert_eq!(find(&added).as_deref(), Some("a private key"));
        assert_eq!(find("+if '-----BEGIN PRIVATE KEY-----' in text:\n+    pass\n"), None);
        assert_eq!(redactor().find("nothing here"), None);
        // An added `++ x` looks like a header.
        assert_eq!(find("@@ -0,0 +1 @@\n+++ correct-horse-battery\n").as_deref(), Some("MY_TOKEN"));
        assert_eq!(find("@@ -1 +0,0 @@\n--- correct-horse-battery\n"), None);
    }
}
