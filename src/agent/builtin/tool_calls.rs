//! Checks, executes and answers the session's tool calls, in order.

use std::sync::Arc;

use genai::chat::{ToolCall, ToolResponse};
use serde_json::json;

use super::super::{AgentError, AgentEvent, Outcome};
use super::conversation::cut;
use super::edit::Refusal;
use super::repeated_calls::SAME;
use super::session::{End, PATIENCE, Session, too_malformed};
use super::tools::{self, ParsedCall};

/// Context tokens per character of a result: a token has four characters, and a result may take an eighth of
/// the context.
const SHARE: usize = 2;
const LONGEST_RESULT: usize = 60_000;

/// Result of a call.
enum ToolOutcome {
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
            let outcome = self.call(call, truncated, all_well).await;
            let text = match outcome {
                ToolOutcome::Done(summary) => return Ok(Some(End::Finished(summary))),
                ToolOutcome::Well(text) => text,
                ToolOutcome::Refused(text) | ToolOutcome::Malformed(text) => {
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
                let what = format!(
                    "`{}` with the same result, {SAME} times in a row",
                    describe_call(call)
                );
                return Ok(Some(End::Outcome(Outcome::Looped { what })));
            }
            results.push(ToolResponse::from_tool_call(call, text));
        }
        self.conversation.results(results);
        Ok(None)
    }

    async fn call(&mut self, call: &ToolCall, truncated: bool, all_well: bool) -> ToolOutcome {
        // Arguments that form a whole object are complete, regardless of the cut.
        if truncated && !call.fn_arguments.is_object() {
            return ToolOutcome::Refused(format!(
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
                return ToolOutcome::Malformed(format!("error: {why}"));
            }
        };
        self.malformed = 0;
        let asked = match parsed {
            Ok(asked) => asked,
            Err(why) => return refused(&why),
        };
        self.line(AgentEvent::Tool, &asked.label());
        match asked {
            ParsedCall::Finish { summary } if all_well => ToolOutcome::Done(summary),
            ParsedCall::Finish { .. } => ToolOutcome::Refused(
                "error: a call before this one failed; look at its answer before you finish"
                    .to_owned(),
            ),
            ParsedCall::Edit(_) | ParsedCall::RunCi if self.task.question.is_some() => {
                ToolOutcome::Refused("error: this is a question: nothing can be changed".to_owned())
            }
            ParsedCall::RunCi => ToolOutcome::Well(self.run_ci().await),
            ParsedCall::RequestScope { path, reason } => self.request_scope(&path, &reason),
            other => self.on_files(other).await,
        }
    }

    async fn run_ci(&self) -> String {
        match &self.task.checks {
            Some(checks) => checks.run().await,
            None => "CI cannot be run from here; it runs once you finish".to_owned(),
        }
    }

    fn request_scope(&self, path: &str, reason: &str) -> ToolOutcome {
        let asked = match &self.task.request_desk {
            Some(desk) => desk.ask(path, reason),
            None => Err("files outside of the scope cannot be requested".to_owned()),
        };
        match asked {
            Ok(decision) => ToolOutcome::Well(decision),
            Err(why) => ToolOutcome::Refused(format!("error: {why}")),
        }
    }

    /// Executes a call outside of the runtime's threads. The end of the session waits for the call.
    async fn on_files(&self, call: ParsedCall) -> ToolOutcome {
        let held = Arc::clone(&self.busy).lock_owned().await;
        let (bench, limit) = (Arc::clone(&self.bench), self.longest_result());
        let work = tokio::task::spawn_blocking(move || {
            let result = tools::execute(call, &bench, limit);
            drop(held);
            result
        });
        match work.await {
            Ok(Ok(text)) => ToolOutcome::Well(text),
            Ok(Err(why)) => refused(&why),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    fn longest_result(&self) -> usize {
        let share = self.settings.max_context_tokens as usize / SHARE;
        share.clamp(2_000, LONGEST_RESULT)
    }
}

fn refused(why: &Refusal) -> ToolOutcome {
    ToolOutcome::Refused(format!("error: {why}"))
}

/// Describes a call briefly.
fn describe_call(call: &ToolCall) -> String {
    let arguments = call.fn_arguments.to_string();
    let end = arguments.floor_char_boundary(200);
    format!("{}({})", call.fn_name, &arguments[..end])
}
