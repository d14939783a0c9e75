//! Reads an agent's report of usage and errors. The content may be anything: valid parts are used, the rest
//! is noted.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

use super::event::{Outcome, RateLimitReset};
use super::fault::shorten;
use crate::phase::json::kind;
use crate::phase::usage::MOST;
use crate::phase::{Tokens, Usage};
use crate::process::Redactor;

/// Maximum size of a result file, in bytes.
const LONGEST: u64 = 1024 * 1024;

#[derive(Debug, Default, PartialEq)]
pub(crate) struct ResultFile {
    pub usage: Usage,
    pub summary: Option<String>,
    /// Outcome of the attempt, if the report mentions an error outside of the phase.
    pub outcome: Option<Outcome>,
    pub notes: Vec<String>,
}

/// Reads a result file. A missing file is normal. Secrets are also removed from the file, since the file is
/// kept.
pub(crate) fn read(file: &Path, redact: &Redactor) -> ResultFile {
    match read_clean(file, redact) {
        Ok(None) => ResultFile::default(),
        Ok(Some(text)) if text.trim().is_empty() => ResultFile::default(),
        Ok(Some(text)) => parse(&text),
        Err(why) => ResultFile::noted(format!("the agent's result file was ignored: {why}")),
    }
}

/// Reads the file with the answer to a question; `None` without a readable text. Secrets are also removed from the file.
pub(crate) fn read_answer(file: &Path, redact: &Redactor) -> Option<String> {
    read_clean(file, redact).ok()?.filter(|text| !text.trim().is_empty())
}

/// Reads a file of the agent without following a link; `None` if there is none. Secrets are also removed from the file.
pub(crate) fn read_clean(file: &Path, redact: &Redactor) -> Result<Option<String>, String> {
    read_text(file).and_then(|text| text.map(|text| clean(file, text, redact)).transpose())
}

fn read_text(file: &Path) -> Result<Option<String>, String> {
    // Opened only if a plain file: a pipe would block forever.
    match file.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
        Ok(meta) if !meta.is_file() => return Err("it is not a regular file".to_owned()),
        Ok(meta) if meta.len() > LONGEST => return Err("it is larger than 1 MiB".to_owned()),
        Ok(_) => {}
    }
    let mut text = Vec::new();
    let read = File::open(file).and_then(|file| file.take(LONGEST).read_to_end(&mut text));
    read.map_err(|error| error.to_string())?;
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

fn clean(file: &Path, text: String, redact: &Redactor) -> Result<String, String> {
    if let Cow::Owned(clean) = redact.redact(&text) {
        std::fs::write(file, &clean)
            .map_err(|error| format!("cannot remove a secret from it: {error}"))?;
        return Ok(clean);
    }
    Ok(text)
}

pub(crate) fn parse(text: &str) -> ResultFile {
    match serde_json::from_str::<Value>(text.trim_start_matches('\u{feff}')) {
        Ok(Value::Object(fields)) => parse_fields(&fields),
        Ok(_) => ResultFile::noted(
            "the agent's result file was ignored: it is not a JSON object".to_owned(),
        ),
        Err(error) => ResultFile::noted(format!(
            "the agent's result file was ignored: it is not JSON ({error})"
        )),
    }
}

pub(crate) fn parse_fields(fields: &Map<String, Value>) -> ResultFile {
    let mut notes = Vec::new();
    let none = Map::new();
    let tokens = match fields.get("tokens") {
        None | Some(Value::Null) => &none,
        Some(Value::Object(tokens)) => tokens,
        Some(other) => {
            notes.push(format!(
                "the agent's result: `tokens` must be an object, not {}",
                describe_value(other)
            ));
            &none
        }
    };
    let mut take = Take { notes: &mut notes };
    let usage = Usage {
        tokens: Tokens {
            input: take.count(tokens, "input"),
            output: take.count(tokens, "output"),
            cache_read: take.count(tokens, "cache_read"),
            cache_write: take.count(tokens, "cache_write"),
        },
        cost_usd: take.cost(fields),
        model: take.text(fields, "model"),
        truncated: take.flag(fields, "truncated"),
        stop_reason: take.text(fields, "stop_reason"),
    };
    let summary = take.text(fields, "summary");
    let outcome = take.error(fields);
    ResultFile { usage, summary, outcome, notes }
}

/// Takes valid fields and notes the others.
struct Take<'a> {
    notes: &'a mut Vec<String>,
}

impl Take<'_> {
    fn count(&mut self, of: &Map<String, Value>, key: &str) -> Option<u64> {
        let count = |value: &Value| {
            // Some languages write every number as 12.0.
            let whole = value.as_f64().filter(|n| *n >= 0.0 && n.fract() == 0.0 && *n < 1e15);
            value.as_u64().or(whole.map(|n| n as u64)).filter(|n| *n <= MOST)
        };
        self.field(of, key, "a count", count)
    }

    fn cost(&mut self, of: &Map<String, Value>) -> Option<f64> {
        let cost = |value: &Value| value.as_f64().filter(|cost| (0.0..=MOST as f64).contains(cost));
        self.field(of, "cost_usd", "an amount", cost)
    }

    /// Reads `{"error": {"kind": "rate_limit", "retry_after_seconds": 30, "message": ".."}}`.
    fn error(&mut self, fields: &Map<String, Value>) -> Option<Outcome> {
        let error = match fields.get("error")? {
            Value::Null => return None,
            Value::Object(error) => error,
            other => {
                let what = describe_value(other);
                self.notes
                    .push(format!("the agent's result: `error` must be an object, not {what}"));
                let message = "the agent reported an error that is not an object".to_owned();
                return Some(Outcome::Failed { message });
            }
        };
        let message = self.text(error, "message").unwrap_or_default();
        let message = shorten(&message);
        let wait = |seconds: &Value| Duration::try_from_secs_f64(seconds.as_f64()?).ok();
        let after = self.field(error, "retry_after_seconds", "a number of seconds", wait);
        let until = after.map(RateLimitReset::After);
        let fix = "see the agent's log, and correct the cause there";
        let known = match self.text(error, "kind").as_deref() {
            Some("rate_limit") => Outcome::RateLimited { until, message },
            Some("unavailable") => Outcome::Unavailable { until, message },
            Some("authentication") => Outcome::Systemic {
                message: format!("the agent's provider refused the credentials: {message}; {fix}"),
            },
            Some("billing") => Outcome::Systemic {
                message: format!("the agent's account has no credit left: {message}; {fix}"),
            },
            other => {
                let kinds = "rate_limit, authentication, billing, unavailable";
                let found = match other {
                    Some(_) => "must be one of",
                    None => "is missing; it must be one of",
                };
                self.notes.push(format!("the agent's result: `error.kind` {found} {kinds}"));
                Outcome::Failed { message }
            }
        };
        Some(known)
    }

    fn text(&mut self, of: &Map<String, Value>, key: &str) -> Option<String> {
        self.field(of, key, "a text", |value| value.as_str().map(str::to_owned))
    }

    fn flag(&mut self, of: &Map<String, Value>, key: &str) -> bool {
        self.field(of, key, "true or false", Value::as_bool).unwrap_or(false)
    }

    fn field<T>(
        &mut self,
        of: &Map<String, Value>,
        key: &str,
        what: &str,
        take: impl Fn(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = of.get(key).filter(|value| !value.is_null())?;
        let taken = take(value);
        if taken.is_none() {
            self.notes.push(format!(
                "the agent's result: `{key}` must be {what}, not {}",
                describe_value(value)
            ));
        }
        taken
    }
}

/// Describes a value by type, since the value may be long or a secret; numbers are shown.
fn describe_value(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        other => kind(other).to_owned(),
    }
}

impl ResultFile {
    fn noted(note: String) -> Self {
        Self { notes: vec![note], ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_fields_are_used() {
        let result = parse(
            r#"{"tokens":{"input":1,"output":2.0,"cache_read":null},"cost_usd":0.5,
                "truncated":true,"model":"m","summary":"done","more":[1]}"#,
        );
        assert_eq!(result.notes, Vec::<String>::new());
        let tokens = Tokens { input: Some(1), output: Some(2), ..Tokens::default() };
        assert_eq!(result.usage.tokens, tokens);
        assert_eq!((result.usage.cost_usd, result.usage.truncated), (Some(0.5), true));
        assert_eq!(result.summary.as_deref(), Some("done"));
    }

    #[test]
    fn invalid_fields_are_unknown_and_noted() {
        let result = parse(r#"{"tokens":{"input":-1,"output":"7"},"cost_usd":"x","model":3}"#);
        assert_eq!(result.usage, Usage::default());
        assert_eq!(result.notes.len(), 4);
        let result = parse(r#"{"tokens":{"input":18446744073709551615},"cost_usd":1e300}"#);
        assert_eq!((result.usage, result.notes.len()), (Usage::default(), 2));
        for text in ["[]", "{", "7", r#"{"tokens":[]}"#, "{\"a\":1e999}"] {
            let result = parse(text);
            assert_eq!((result.usage, result.notes.len()), (Usage::default(), 1), "{text}");
        }
    }

    #[test]
    fn a_reported_error_determines_the_outcome() {
        let of = |error: &str| {
            let result = parse(&format!(r#"{{"error":{error}}}"#));
            (result.outcome, result.notes.len())
        };
        let limited = Outcome::RateLimited {
            until: Some(RateLimitReset::After(Duration::from_secs(30))),
            message: "slow down".to_owned(),
        };
        let result = r#"{"kind":"rate_limit","retry_after_seconds":30,"message":"slow\n down"}"#;
        assert_eq!(of(result), (Some(limited), 0));
        let message = "it gave no reason".to_owned();
        let unavailable = Outcome::Unavailable { until: None, message: message.clone() };
        assert_eq!(of(r#"{"kind":"unavailable"}"#), (Some(unavailable.clone()), 0));
        for wrong in [r#""soon""#, "-1", "1e300", "[]"] {
            let result = format!(r#"{{"kind":"unavailable","retry_after_seconds":{wrong}}}"#);
            assert_eq!(of(&result), (Some(unavailable.clone()), 1), "{wrong}");
        }
        for kind in ["authentication", "billing"] {
            let (outcome, notes) = of(&format!(r#"{{"kind":"{kind}","message":"no"}}"#));
            assert!(matches!(outcome, Some(Outcome::Systemic { .. })) && notes == 0, "{kind}");
        }
        let failed = Some(Outcome::Failed { message });
        assert_eq!(of(r#"{"kind":"boom"}"#), (failed.clone(), 1));
        assert_eq!(of("{}"), (failed.clone(), 1));
        assert_eq!(of(r#"{"kind":7,"message":[]}"#), (failed, 3));
        assert!(matches!(of("\"boom\""), (Some(Outcome::Failed { .. }), 1)));
        assert_eq!(of("null"), (None, 0));
    }

    #[test]
    fn a_note_says_what_a_value_is_and_does_not_repeat_it() {
        let result = parse(r#"{"tokens":["long"],"model":{"a":"long"},"truncated":7}"#);
        assert_eq!(
            result.notes,
            [
                "the agent's result: `tokens` must be an object, not a list",
                "the agent's result: `model` must be a text, not an object",
                "the agent's result: `truncated` must be true or false, not 7",
            ]
        );
    }

    #[test]
    fn a_file_that_is_absent_empty_or_no_file_breaks_nothing() {
        let redact = Redactor::formats_only();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("result.json");
        assert_eq!(read(&file, &redact), ResultFile::default());
        std::fs::write(&file, " \n").unwrap();
        assert_eq!(read(&file, &redact), ResultFile::default());
        assert_eq!(read(directory.path(), &redact).notes.len(), 1);
        nix::unistd::mkfifo(&directory.path().join("pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert_eq!(read(&directory.path().join("pipe"), &redact).notes.len(), 1);
    }

    #[test]
    fn a_secret_is_removed_from_the_result_and_the_file() {
        let redact = Redactor::new([("MY_API_KEY".into(), "planted-0123456789".into())]);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("result.json");
        let text = r#"{"model":"planted-0123456789","cost_usd":"planted-0123456789"}"#;
        std::fs::write(&file, text).unwrap();
        let result = read(&file, &redact);
        assert_eq!(result.usage.model.as_deref(), Some("[redacted: MY_API_KEY]"));
        assert_eq!(result.notes, ["the agent's result: `cost_usd` must be an amount, not a text"]);
        assert!(!std::fs::read_to_string(&file).unwrap().contains("planted"));
    }
}
