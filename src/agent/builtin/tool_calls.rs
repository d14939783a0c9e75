//! Checks, executes and answers the session's tool calls, in order.

use std::sync::Arc;

use genai::chat::{ToolCall, ToolResponse};
use serde_json::json;

use super::super::{AgentError, AgentEvent, Outcome};
use super::conversation::cut;
use super::edit::Refusal;
use super::repeated_calls::SAME;
use super::session::{End, PATIENCE, Session, too_malformed};
use super::tools::{self, Call};

/// Context tokens per character of a result: a token has four characters, and a result may take an eighth of
/// the context.
const SHARE: usize = 2;
const LONGEST_RESULT: usize = 60_000;

/// Result of a call.
enum Came {
    Well(String),
    Refused(String),
    Malformed(String),
    Done(String),
}

impl Session<'_> {
    pub(super) async fn calls(
        &mut self,
        calls: &[ToolCall],
        truncated: bool,
    ) -> Result<Option<End>, AgentError> {
        self.used_a_tool();
        let mut results = Vec::new();
        let mut all_well = true;
        for call in calls {
            let came = self.call(call, truncated, all_well).await;
            let text = match came {
                Came::Done(summary) => return Ok(Some(End::Finished(summary))),
                Came::Well(text) => text,
                Came::Refused(text) | Came::Malformed(text) => {
                    all_well = false;
                    text
                }
            };
            let text = cut(&self.secrets.redact(&text), self.longest_result());
            let entry =
                json!({"role": "tool", "turn": self.turn(), "name": call.fn_name, "text": text});
            self.log(entry).await?;
            if self.malformed >= PATIENCE {
                return Ok(Some(too_malformed()));
            }
            if self.repeats.add(call, &text) >= SAME {
                let what = format!("`{}` with the same result, {SAME} times in a row", shown(call));
                return Ok(Some(End::Told(Outcome::Looped { what })));
            }
            results.push(ToolResponse::from_tool_call(call, text));
        }
        self.conversation.results(results);
        Ok(None)
    }

    async fn call(&mut self, call: &ToolCall, truncated: bool, all_well: bool) -> Came {
        // Arguments that form a whole object are complete, regardless of the cut.
        if truncated && !call.fn_arguments.is_object() {
            return Came::Refused(format!(
                "error: your answer was cut off at {} tokens within this call; nothing was done. Make it again, in smaller \
                 pieces",
                self.settings.max_output_tokens
            ));
        }
        let parsed = match tools::parse(&call.fn_name, &call.fn_arguments) {
            Ok(parsed) => parsed,
            Err(why) => {
                self.malformed += 1;
                self.line(AgentEvent::Error, &why);
                return Came::Malformed(format!("error: {why}"));
            }
        };
        self.malformed = 0;
        let asked = match parsed {
            Ok(asked) => asked,
            Err(why) => return refused(&why),
        };
        self.line(AgentEvent::Tool, &asked.label());
        match asked {
            Call::Finish { summary } if all_well => Came::Done(summary),
            Call::Finish { .. } => Came::Refused(
                "error: a call before this one failed; look at its answer before you finish"
                    .to_owned(),
            ),
            Call::RunCi => Came::Well(self.run_ci().await),
            other => self.on_files(other).await,
        }
    }

    async fn run_ci(&self) -> String {
        match &self.task.checks {
            Some(checks) => checks.run().await,
            None => "CI cannot be run from here; it runs once you finish".to_owned(),
        }
    }

    /// Executes a call outside of the runtime's threads. The end of the session waits for the call.
    async fn on_files(&self, call: Call) -> Came {
        let held = Arc::clone(&self.busy).lock_owned().await;
        let (bench, limit) = (Arc::clone(&self.bench), self.longest_result());
        let work = tokio::task::spawn_blocking(move || {
            let result = tools::carry_out(call, &bench, limit);
            drop(held);
            result
        });
        match work.await {
            Ok(Ok(text)) => Came::Well(text),
            Ok(Err(why)) => refused(&why),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    fn longest_result(&self) -> usize {
        let share = self.settings.max_context_tokens as usize / SHARE;
        share.clamp(2_000, LONGEST_RESULT)
    }
}

fn refused(why: &Refusal) -> Came {
    Came::Refused(format!("error: {why}"))
}

/// Describes a call briefly.
fn shown(call: &ToolCall) -> String {
    let arguments = call.fn_arguments.to_string();
    let end = arguments.floor_char_boundary(200);
    format!("{}({})", call.fn_name, &arguments[..end])
}
