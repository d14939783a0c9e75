//! Definition of secrets: values of variables with suggestive names, and known key formats.

use std::sync::LazyLock;

use regex::bytes::Regex;

/// Shorter values have other meanings too often: `true`, `changeme`, `postgres`.
pub(super) const SHORTEST: usize = 12;

/// Known key formats: description, and a pattern over bytes.
pub(super) const FORMATS: [(&str, &str); 13] = [
    ("an Anthropic key", r"\bsk-ant-[A-Za-z0-9_-]{20,}"),
    ("an API key", r"\bsk-(?:proj|svcacct|admin|or-v1|live|test|None)-[A-Za-z0-9_-]{20,}"),
    ("an OpenAI key", r"\bsk-[A-Za-z0-9]{20,}"),
    ("a GitHub token", r"\bgh[pousr]_[A-Za-z0-9]{30,}"),
    ("a GitHub token", r"\bgithub_pat_[A-Za-z0-9_]{22,}"),
    ("a GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
    ("an AWS access key", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    // A secret key has no form of its own: base64 of 30 bytes, known by its name.
    (
        AWS_SECRET_KEY,
        r#"(?i:aws_?secret_?(?:access_?)?key|secret_?access_?key)["']?[ \t]*(?:[:=]=?|=>)[ \t]*["']?[A-Za-z0-9/+]{40}"#,
    ),
    ("a Google API key", r"\bAIza[A-Za-z0-9_-]{35}"),
    ("a Slack token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    ("a Stripe key", r"\b[sr]k_live_[A-Za-z0-9]{16,}"),
    ("a Hugging Face token", r"\bhf_[A-Za-z0-9]{30,}"),
    (
        PRIVATE_KEY,
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----(?:[^\n-]*-----END [A-Z0-9 ]*-----)?",
    ),
];

pub(super) const PRIVATE_KEY: &str = "a private key";
const AWS_SECRET_KEY: &str = "an AWS secret access key";

static COMPILED: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
    FORMATS
        .iter()
        .map(|(name, pattern)| (*name, Regex::new(pattern).expect("the patterns are constant")))
        .collect()
});

/// Returns the description of the known format of some bytes.
pub(super) fn format_of(secret: &[u8]) -> Option<&'static str> {
    COMPILED.iter().find(|(_, pattern)| pattern.is_match(secret)).map(|(name, _)| *name)
}

/// Checks for the example keys of AWS's documentation, common in tests, and for placeholders like `xxxx`.
pub(super) fn is_example(secret: &[u8]) -> bool {
    let last = &secret[secret.len().saturating_sub(40)..];
    let is_filler = last.len() == 40 && last.iter().all(|byte| *byte == last[0]);
    is_filler || secret.ends_with(b"EXAMPLE") || secret.ends_with(b"EXAMPLEKEY")
}

/// Checks whether a variable of this name contains a secret, as opposed to the path of a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    if ["PWD", "OLDPWD", "GOOGLE_APPLICATION_CREDENTIALS"].contains(&name.as_str()) {
        return false;
    }
    // Contains the name of a git setting; the value, `GIT_CONFIG_VALUE_n`, counts by format alone.
    if name.starts_with("GIT_CONFIG_KEY_") {
        return false;
    }
    let place = ["_FILE", "_PATH", "_DIR", "_SOCK", "_COMMAND", "_HELPER"];
    if place.iter().any(|ending| name.ends_with(ending)) {
        return false;
    }
    let within = ["SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL"];
    let ending = ["TOKEN", "APIKEY", "ACCESSKEY", "PRIVATEKEY"];
    let word = ["KEY", "KEYS", "TOKEN", "TOKENS", "PASS", "PWD"];
    within.iter().any(|part| name.contains(part))
        || ending.iter().any(|part| name.ends_with(part))
        || name.split(['_', '-', '.']).any(|part| word.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_variables_are_recognized_by_name() {
        let secret = [
            "OPENAI_API_KEY",
            "GITHUB_TOKEN",
            "MY_SECRET_VALUE",
            "PGPASSWORD",
            "MYSQL_PWD",
            "aws_secret_access_key",
            "SECRET_KEY_BASE",
            "NPMTOKEN",
            "MYAPIKEY",
        ];
        let other = [
            "PATH",
            "PWD",
            "OLDPWD",
            "SSH_AUTH_SOCK",
            "KEYBOARD",
            "TOKENIZERS_PARALLELISM",
            "SSH_KEY_PATH",
            "VAULT_TOKEN_FILE",
            "MONKEY_BUSINESS",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "GIT_CONFIG_COUNT",
            "GIT_CONFIG_KEY_0",
            "GIT_CONFIG_VALUE_0",
        ];
        assert_eq!(secret.iter().find(|name| !is_secret_name(name)), None);
        assert_eq!(other.iter().find(|name| is_secret_name(name)), None);
    }

    #[test]
    fn formats_are_known_and_lookalikes_are_not() {
        let x = |n: usize| "aB3".repeat(n);
        let keys = [
            format!("sk-ant-api03-{}", x(9)),
            format!("sk-{}", x(16)),
            format!("sk-proj-{}", x(9)),
            format!("ghp_{}", x(12)),
            format!("github_pat_{}", x(9)),
            "AKIAABCDEFGHIJKLMNOP".into(),
            format!("AIza{}", "x".repeat(35)),
            format!("xoxb-{}", x(5)),
            format!("glpat-{}", x(7)),
            format!("AWS_SECRET_ACCESS_KEY={}7", x(13)),
            format!("aws_secret_access_key = '{}/'", x(13)),
            format!("\"SecretAccessKey\": \"{}+\"", x(13)),
        ];
        assert_eq!(keys.iter().find(|key| format_of(key.as_bytes()).is_none()), None);
        let others = [
            "sk-toggleable__content-fitted",
            "task-0123456789012345678901234567890",
            "ghp_short",
            "disk-usage",
            "AKIA",
            "BEGIN PRIVATE KEY",
            "AWS_SECRET_ACCESS_KEY=${SECRET_FROM_THE_VAULT_OF_THE_TEAM_OPS}",
            "AWS_SECRET_ACCESS_KEY=os.environ[\"AWS_SECRET_ACCESS_KEY\"]",
        ];
        assert_eq!(others.iter().find(|text| format_of(text.as_bytes()).is_some()), None);
    }
}
