//! An attempt: request, execute tool calls, answer, until the model is done or a limit is reached.

use std::collections::VecDeque;
use std::sync::Arc;

use genai::chat::StopReason;
use serde_json::{Value, json};

use super::super::prices;
use super::super::{AgentError, AgentEvent, AgentReply, Outcome, Task};
use super::conversation::Conversation;
use super::edit_bench::Bench;
use super::known_secrets::Secrets;
use super::model_request::{Answer, Model};
use super::provider::Provider;
use super::repeated_calls::Repeats;
use super::system_prompt::{QUESTION, SYSTEM};
use super::token_totals::Totals;
use super::tools;
use super::transcript::Transcript;
use super::worktree::Worktree;
use crate::config::BuiltinAgentSettings;
use crate::phase::budget::format_dollars;
use crate::process::JobEnd;

/// Limit of malformed or truncated answers in a row: more of them do not improve.
pub(super) const PATIENCE: u32 = 5;
const LAST_LINES: usize = 30;

pub(super) enum End {
    /// Finished according to the model.
    Finished(String),
    Ended(JobEnd),
    Outcome(Outcome),
}

pub(super) struct Session<'a> {
    pub settings: &'a BuiltinAgentSettings,
    pub task: &'a Task,
    pub provider: &'a Provider,
    pub model: Model,
    /// System prompt.
    pub system: &'static str,
    pub bench: Arc<Bench>,
    pub conversation: Conversation,
    transcript: Transcript,
    pub totals: Totals,
    on_event: &'a (dyn Fn(AgentEvent) + Sync),
    pub secrets: Secrets,
    /// Locked during work on the files.
    pub busy: Arc<tokio::sync::Mutex<()>>,
    pub repeats: Repeats,
    pub malformed: u32,
    /// Whether the provider ever answered successfully.
    pub has_answered: bool,
    turn: u32,
    truncated: u32,
    /// Answers without a call, in a row.
    idle_answers: u32,
    last_lines: VecDeque<String>,
}

impl<'a> Session<'a> {
    pub(super) async fn new(
        settings: &'a BuiltinAgentSettings,
        task: &'a Task,
        provider: &'a Provider,
        on_event: &'a (dyn Fn(AgentEvent) + Sync),
    ) -> Result<Self, AgentError> {
        let secrets = Secrets::new(&task.redact, provider.key());
        let is_question = task.question.is_some();
        let system = if is_question { QUESTION } else { SYSTEM };
        let definitions = tools::definitions(is_question, task.request_desk.is_some());
        let described = serde_json::to_string(&definitions).map_or(0, |text| text.len());
        let prompt = secrets.redact(&task.prompt);
        let mut transcript = Transcript::open(&task.log, &secrets).await?;
        transcript.add(json!({"role": "system", "text": system})).await?;
        transcript.add(json!({"role": "user", "text": prompt})).await?;
        let bench = Bench::new(
            Worktree::new(&task.worktree),
            secrets.clone(),
            task.spec.clone(),
            task.protected.clone(),
        );
        let room = room(settings);
        Ok(Self {
            settings,
            task,
            provider,
            model: Model::new(provider, settings, definitions)?,
            system,
            bench: Arc::new(bench),
            conversation: Conversation::new(prompt, system.len() + described, room),
            transcript,
            totals: Totals::new(&provider.model),
            on_event,
            secrets,
            busy: Arc::default(),
            repeats: Repeats::default(),
            malformed: 0,
            has_answered: false,
            turn: 0,
            truncated: 0,
            idle_answers: 0,
            last_lines: VecDeque::new(),
        })
    }

    pub(super) async fn work(&mut self) -> Result<End, AgentError> {
        loop {
            if let Some(end) = self.limit() {
                return Ok(end);
            }
            self.turn += 1;
            let answer = match self.ask().await? {
                Ok(answer) => answer,
                Err(end) => return Ok(end),
            };
            self.note_answer(&answer).await?;
            let truncated = answer.is_truncated();
            self.conversation.assistant(answer.content.clone());
            self.truncated = if truncated { self.truncated + 1 } else { 0 };
            if self.truncated >= PATIENCE {
                return Ok(failed(format!(
                    "the model's answers were cut off {PATIENCE} times in a row"
                )));
            }
            let end = match answer.calls.is_empty() {
                true => self.no_call(&answer, truncated).await?,
                false => self.calls(&answer.calls, truncated).await?,
            };
            if let Some(end) = end {
                return Ok(end);
            }
        }
    }

    /// Checks the limits before every request.
    fn limit(&self) -> Option<End> {
        let turns = self.settings.max_turns;
        if self.turn >= turns {
            return Some(failed(format!("the model used all {turns} turns without finishing")));
        }
        let usage = &self.totals.usage;
        let cost = usage.model.as_deref().and_then(|model| prices::cost(model, &usage.tokens));
        let limit = self.task.budget.cost_usd;
        if let Some((cost, limit)) = cost.zip(limit).filter(|(cost, limit)| cost >= limit) {
            let [cost, limit] = format_dollars([cost, limit]);
            let what = format!("the attempt used {cost} of its {limit}");
            return Some(End::Outcome(Outcome::OverBudget { what }));
        }
        let tokens = self.task.budget.tokens.filter(|tokens| self.totals.spent >= *tokens)?;
        let what = format!("the attempt used {} of its {tokens} tokens", self.totals.spent);
        Some(End::Outcome(Outcome::OverBudget { what }))
    }

    async fn note_answer(&mut self, answer: &Answer) -> Result<(), AgentError> {
        let sent = self.conversation.estimated_tokens();
        let calls: Vec<Value> = answer
            .calls
            .iter()
            .map(|call| json!({"name": call.fn_name, "arguments": call.fn_arguments}))
            .collect();
        let got = answer.text.len() + Value::from(calls.clone()).to_string().len();
        self.totals.add(answer.usage.as_ref(), sent, got as u64 / 4);
        let prompt = answer.usage.as_ref().and_then(|usage| usage.prompt_tokens);
        if let Some(prompt) = prompt.and_then(|tokens| u64::try_from(tokens).ok()) {
            self.conversation.was_counted(prompt);
        }
        let reason = answer.stop.as_ref().map(StopReason::raw);
        self.totals.stopped(reason, answer.is_truncated());
        self.tell(AgentEvent::Usage(self.totals.usage.clone()));
        let entry = json!({"role": "assistant", "turn": self.turn, "text": answer.text,
            "calls": calls, "stop": reason, "usage": answer.usage});
        self.log(entry).await
    }

    /// Handles an answer without a call.
    async fn no_call(
        &mut self,
        answer: &Answer,
        truncated: bool,
    ) -> Result<Option<End>, AgentError> {
        if truncated {
            let limit = self.settings.max_output_tokens;
            return self
                .say(format!(
                    "Your answer was cut off at {limit} tokens. Go on from there, in smaller steps."
                ))
                .await;
        }
        if let Some(StopReason::ContentFilter(reason)) = &answer.stop {
            return Ok(Some(failed(format!("the provider withheld the answer ({reason})"))));
        }
        if answer.stop.as_ref().is_some_and(|stop| stop.raw().contains("MALFORMED")) {
            self.malformed += 1;
            if self.malformed >= PATIENCE {
                return Ok(Some(too_malformed()));
            }
            return self.say("Your tool call was malformed. Make it again.".to_owned()).await;
        }
        self.idle_answers += 1;
        let is_answer = self.task.question.is_some() || self.idle_answers > 1;
        if is_answer && !answer.text.trim().is_empty() {
            // The model knows how to finish; no more tool use means the same.
            return Ok(Some(End::Finished(answer.text.clone())));
        }
        if self.idle_answers >= PATIENCE {
            return Ok(Some(failed("the model's answers are empty".to_owned())));
        }
        self.say(
            "Nobody reads this. Go on with the tools, or call `finish` if everything is done."
                .to_owned(),
        )
        .await
    }

    async fn say(&mut self, text: String) -> Result<Option<End>, AgentError> {
        self.log(json!({"role": "user", "turn": self.turn, "text": text})).await?;
        self.conversation.user(text);
        Ok(None)
    }

    pub(super) fn used_a_tool(&mut self) {
        self.idle_answers = 0;
    }

    pub(super) fn tell(&self, event: AgentEvent) {
        (self.on_event)(event);
    }

    pub(super) fn events(&self) -> &'a (dyn Fn(AgentEvent) + Sync) {
        self.on_event
    }

    /// Emits a line for people, who also get the last lines with the reply.
    pub(super) fn line(&mut self, event: fn(String) -> AgentEvent, text: &str) {
        let text = self.secrets.redact(text);
        self.keep_lines(vec![text.clone()]);
        self.tell(event(text));
    }

    pub(super) fn keep_lines(&mut self, lines: Vec<String>) {
        self.last_lines.extend(lines);
        let more = self.last_lines.len().saturating_sub(LAST_LINES);
        self.last_lines.drain(..more);
    }

    pub(super) async fn log(&mut self, entry: Value) -> Result<(), AgentError> {
        self.transcript.add(entry).await
    }

    pub(super) fn turn(&self) -> u32 {
        self.turn
    }

    /// Waits until no work on the files is left.
    pub(super) async fn idle(&self) {
        self.bench.end();
        drop(self.busy.lock().await);
    }

    pub(super) async fn reply(mut self, end: End) -> Result<AgentReply, AgentError> {
        let (ended, outcome, summary) = match end {
            End::Finished(summary) => (JobEnd::Exited(0), Outcome::Finished, Some(summary)),
            End::Ended(how) => (how, Outcome::Finished, None),
            End::Outcome(outcome) => (JobEnd::Exited(1), outcome, None),
        };
        let outcome = self.redacted(outcome);
        let summary = summary.map(|summary| self.secrets.redact(summary.trim()));
        let entry = json!({"role": "end", "ended": format!("{ended:?}"), "outcome": format!("{outcome:?}"),
            "summary": summary});
        self.log(entry).await?;
        Ok(AgentReply {
            ended,
            outcome,
            usage: self.totals.usage,
            session: None,
            summary: summary.filter(|summary| !summary.is_empty()),
            last_lines: self.last_lines.make_contiguous().join("\n"),
            notes: Vec::new(),
            provider_failure: None,
        })
    }

    fn redacted(&self, outcome: Outcome) -> Outcome {
        let clean = |text: String| self.secrets.redact(&text);
        match outcome {
            Outcome::Finished => Outcome::Finished,
            Outcome::RateLimited { until, message } => {
                Outcome::RateLimited { until, message: clean(message) }
            }
            Outcome::Unavailable { until, message } => {
                Outcome::Unavailable { until, message: clean(message) }
            }
            Outcome::Systemic { message } => Outcome::Systemic { message: clean(message) },
            Outcome::Failed { message } => Outcome::Failed { message: clean(message) },
            Outcome::Looped { what } => Outcome::Looped { what: clean(what) },
            Outcome::OverBudget { what } => Outcome::OverBudget { what: clean(what) },
        }
    }
}

pub(super) fn failed(message: String) -> End {
    End::Outcome(Outcome::Failed { message })
}

pub(super) fn too_malformed() -> End {
    failed(format!("the model made {PATIENCE} malformed tool calls in a row"))
}

/// Returns the part of the context available for input, in tokens.
fn room(settings: &BuiltinAgentSettings) -> usize {
    let whole = settings.max_context_tokens as usize;
    whole.saturating_sub(settings.max_output_tokens as usize).max(whole / 2)
}
