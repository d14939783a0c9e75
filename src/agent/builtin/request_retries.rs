//! Sends the session's requests: repeats after temporary failures, ends on permanent failures.

use super::super::{AgentError, AgentEvent, Outcome};
use super::model_request::Answer;
use super::request_failure::{Fault, RequestError};
use super::retry_delay::backoff;
use super::session::{End, Session, failed};
use crate::process::JobEnd;

/// Retries of a request after the first.
const RETRIES: u32 = 4;
/// Retries before the first contact: a wrong address does not become right.
const FIRST_RETRIES: u32 = 2;
/// Each silence has cost `idle_timeout_seconds`.
const SILENT_RETRIES: u32 = 1;

impl Session<'_> {
    /// Returns an answer, or the outcome of the attempt without an answer.
    pub(super) async fn ask(&mut self) -> Result<Result<Answer, End>, AgentError> {
        let (mut failures, mut silences) = (0, 0);
        loop {
            let failure = match self.request().await {
                Ok(answer) => {
                    self.has_answered = true;
                    return Ok(Ok(answer));
                }
                Err(failure) => failure,
            };
            self.log(serde_json::json!({"role": "error", "turn": self.turn(), "text": format!("{failure:?}")})).await?;
            let message = match failure {
                RequestError::Passing { message, unreachable }
                    if failures >= self.retries(unreachable) =>
                {
                    return Ok(Err(self.gave_up(unreachable, failures + 1, &message)));
                }
                RequestError::Passing { message, .. } => message,
                RequestError::Silent if silences >= SILENT_RETRIES => {
                    return Ok(Err(End::Ended(JobEnd::Stalled)));
                }
                RequestError::Silent => {
                    silences += 1;
                    "no data for too long".to_owned()
                }
                other => return Ok(Err(self.end_of(other))),
            };
            failures += 1;
            let wait = backoff(failures);
            let base = &self.provider.base;
            let line = format!("{base}: {message}; trying again in {:.1} s", wait.as_secs_f64());
            self.line(AgentEvent::Error, &line);
            tokio::time::sleep(wait).await;
        }
    }

    async fn request(&mut self) -> Result<Answer, RequestError> {
        let (messages, dropped) = self.conversation.fit_to_context();
        if dropped > 0 {
            self.line(
                AgentEvent::Line,
                &format!("({dropped} old tool results left out of the context)"),
            );
        }
        let mut lines = Vec::new();
        let mut pending = String::new();
        let (secrets, on_event) = (self.secrets.clone(), self.events());
        // Only whole lines: a secret split in two would not be recognized.
        let mut on_text = |text: &str| {
            pending.push_str(text);
            while let Some(end) = pending.find('\n') {
                let line: String = pending.drain(..=end).collect();
                let line = secrets.redact(line.trim_end());
                if !line.is_empty() {
                    on_event(AgentEvent::Line(line.clone()));
                    lines.push(line);
                }
            }
        };
        let asked = self.model.ask(self.system, messages, &mut on_text).await;
        if !pending.trim().is_empty() {
            let line = secrets.redact(pending.trim_end());
            on_event(AgentEvent::Line(line.clone()));
            lines.push(line);
        }
        self.keep_lines(lines);
        asked
    }

    fn retries(&self, unreachable: bool) -> u32 {
        if unreachable && !self.has_answered { FIRST_RETRIES } else { RETRIES }
    }

    fn gave_up(&self, unreachable: bool, times: u32, message: &str) -> End {
        let base = &self.provider.base;
        match unreachable && !self.has_answered {
            true => systemic(format!(
                "cannot reach {base}: {message}; start it, or correct `base_url` of this agent in autopack.yaml"
            )),
            false => End::Outcome(Outcome::Unavailable {
                until: None,
                message: format!("{base} failed {times} times in a row: {message}"),
            }),
        }
    }

    fn end_of(&mut self, failure: RequestError) -> End {
        let (base, key) = (&self.provider.base, self.provider.key_name());
        match failure {
            RequestError::RateLimited { until, message } => {
                let message = format!("{base}: {message}");
                self.line(AgentEvent::Limit, &message);
                End::Outcome(Outcome::RateLimited { until, message })
            }
            RequestError::Systemic(Fault::Key, message) if self.provider.key().is_none() => {
                systemic(format!(
                    "{base} requires a key: {message}; set {key}, or name another variable as `api_key_env` in autopack.yaml"
                ))
            }
            RequestError::Systemic(Fault::Key, message) => systemic(format!(
                "{base} refused the key in {key}: {message}; set a valid key there"
            )),
            RequestError::Systemic(Fault::Credit, message) => systemic(format!(
                "the account of the key in {key} has no credit at {base}: {message}; top it up, or use another agent"
            )),
            RequestError::Systemic(Fault::Model, message) => systemic(format!(
                "{base} has no model {:?}: {message}; correct `model` or `base_url` of this agent in autopack.yaml",
                self.provider.model
            )),
            RequestError::Refused(message) | RequestError::Passing { message, .. } => {
                failed(format!("{base} refused the request: {message}"))
            }
            RequestError::Silent => End::Ended(JobEnd::Stalled),
        }
    }
}

fn systemic(message: String) -> End {
    End::Outcome(Outcome::Systemic { message })
}
