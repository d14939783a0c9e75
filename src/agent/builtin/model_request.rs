//! A request to the model, with the streamed answer. The session decides on retries and interprets the
//! answer.

use std::time::Duration;

use futures_util::StreamExt;
use genai::chat::{
    CacheControl, ChatMessage, ChatOptions, ChatRequest, ChatStreamEvent, ContentPart,
    MessageContent, StopReason, StreamEnd, Tool, ToolCall, Usage,
};
use genai::{Client, ServiceTarget};

use super::super::AgentError;
use super::provider::{Provider, cannot};
use super::request_failure::{self, RequestError, classify};
use crate::clock;
use crate::config::{BuiltinAgentSettings, ModelProtocol};
use crate::http::{self, Limits};

/// Beyond the agent's own timeout, which should fire before the client's.
const MARGIN: Duration = Duration::from_secs(60);

pub(super) struct Model {
    client: Client,
    target: ServiceTarget,
    options: ChatOptions,
    protocol: ModelProtocol,
    tools: Vec<Tool>,
}

pub(super) struct Answer {
    /// The whole answer, for the conversation.
    pub content: MessageContent,
    pub text: String,
    pub calls: Vec<ToolCall>,
    pub stop: Option<StopReason>,
    pub usage: Option<Usage>,
}

impl Model {
    pub(super) fn new(
        provider: &Provider,
        settings: &BuiltinAgentSettings,
        tools: Vec<Tool>,
    ) -> Result<Self, AgentError> {
        let silence = Duration::from_secs(settings.idle_timeout_seconds.max(1));
        let whole = Duration::from_secs(settings.timeout_seconds).saturating_add(MARGIN);
        let broken = |why: &str| cannot(why, "check the TLS certificates of this machine");
        let http = http::client(Limits { whole, silence }, provider.reach())
            .map_err(|error| broken(&error.to_string()))?;
        let client = Client::builder().with_reqwest(http).build();
        let options = ChatOptions::default()
            .with_max_tokens(settings.max_output_tokens)
            .with_stream_header_timeout(silence)
            .with_stream_read_timeout(silence)
            .with_capture_usage(true)
            .with_capture_content(true)
            .with_capture_tool_calls(true)
            // OpenAI models would be asked for summaries, not available to every account.
            .with_capture_reasoning_content(matches!(
                provider.protocol,
                ModelProtocol::Anthropic | ModelProtocol::Gemini
            ));
        Ok(Self {
            client: client.map_err(|error| broken(&error.to_string()))?,
            target: provider.target(),
            options,
            protocol: provider.protocol,
            tools,
        })
    }

    /// Sends a request. `on_text` receives the model's text in pieces.
    pub(super) async fn ask(
        &self,
        system: &str,
        messages: Vec<ChatMessage>,
        on_text: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Answer, RequestError> {
        let request = ChatRequest::from_messages(self.marked(messages))
            .with_system(system)
            .with_tools(self.tools.clone());
        let wrong = |error| classify(error, clock::now());
        let options = Some(&self.options);
        let begun = self.client.exec_chat_stream(self.target.clone(), request, options).await;
        let mut stream = begun.map_err(wrong)?.stream;
        while let Some(event) = stream.next().await {
            match event.map_err(wrong)? {
                ChatStreamEvent::Chunk(chunk) => on_text(&chunk.content),
                ChatStreamEvent::End(end) => return self.answer(end),
                _ => {}
            }
        }
        Err(request_failure::temporary("the answer ended early".to_owned()))
    }

    /// Sets a cache mark: Anthropic reuses earlier input only up to a mark.
    fn marked(&self, mut messages: Vec<ChatMessage>) -> Vec<ChatMessage> {
        if self.protocol == ModelProtocol::Anthropic
            && let Some(last) = messages.pop()
        {
            messages.push(last.with_options(CacheControl::Ephemeral));
        }
        messages
    }

    fn answer(&self, end: StreamEnd) -> Result<Answer, RequestError> {
        let says_when_done = !matches!(self.protocol, ModelProtocol::Openai);
        if says_when_done && end.captured_stop_reason.is_none() {
            // The library reports success for these streams when the connection closes.
            return Err(request_failure::temporary("the answer ended early".to_owned()));
        }
        let reasoning = end.captured_reasoning_content;
        let mut content = end.captured_content.unwrap_or_default();
        if !content.contains_reasoning_content()
            && let Some(reasoning) = reasoning
        {
            content.push(ContentPart::ReasoningContent(reasoning));
        }
        Ok(Answer {
            text: content.joined_texts().unwrap_or_default(),
            calls: content.tool_calls().into_iter().cloned().collect(),
            content,
            stop: end.captured_stop_reason,
            usage: end.captured_usage,
        })
    }
}

impl Answer {
    pub(super) fn is_truncated(&self) -> bool {
        self.stop.as_ref().is_some_and(StopReason::is_max_tokens)
    }
}
