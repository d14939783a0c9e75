//! Aider, with a message from a file.
//!
//! Aider prints prose and always exits with 0. The analytics log (kept locally, sent nowhere) has the facts:
//! a started but unsent message failed, for the reason printed under LiteLLM's name. Edits that do not apply
//! are recognized by Aider's own words at the beginning of a line.

use std::path::Path;

use super::{
    Adapter, AgentCommand, AgentNeeds, ArgumentInput, CoAuthor, Fault, Finish, JsonAccess,
    PromptChannel, Reader, ReportedUsage, Signal, litellm_errors, object, providers,
};
use crate::phase::Tokens;

/// The adapter of Aider.
pub(crate) struct Aider;

impl Adapter for Aider {
    fn kind(&self) -> &'static str {
        "aider"
    }

    fn tested_versions(&self) -> &'static [&'static str] {
        &["0.86.2"]
    }

    fn install(&self) -> &'static str {
        "python3 -m pip install aider-chat"
    }

    fn co_author(&self) -> Option<CoAuthor> {
        Some(CoAuthor { name: "aider", address: "aider@aider.chat" })
    }

    fn login(&self) -> &'static str {
        "set the key of its provider, such as OPENAI_API_KEY"
    }

    fn needs(&self) -> AgentNeeds {
        AgentNeeds {
            directories: vec![".aider"],
            secrets: vec![".aider/oauth-keys.env"],
            ..providers::any_provider()
        }
    }

    fn takes_any_provider(&self) -> bool {
        true
    }

    fn command(&self, input: &ArgumentInput<'_>) -> AgentCommand {
        let scratch = |name: &str| input.scratch.join(name).display().to_string();
        let mut args: Vec<String> = Vec::new();
        if let Some(model) = &input.settings.model {
            args.extend(["--model".to_owned(), model.clone()]);
        }
        args.extend(["--message-file".to_owned(), input.prompt_file.display().to_string()]);
        let quiet = [
            "--yes-always",
            "--no-stream",
            "--no-pretty",
            "--no-check-update",
            "--no-show-release-notes",
            "--no-show-model-warnings",
            "--no-gitignore",
            "--no-auto-commits",
            "--no-detect-urls",
            "--no-analytics",
        ];
        args.extend(quiet.map(str::to_owned));
        // Beside the slot: Aider's notes are not part of the phase.
        args.extend(["--analytics-log".to_owned(), input.file.display().to_string()]);
        args.extend(["--chat-history-file".to_owned(), scratch("chat.md")]);
        args.extend(["--input-history-file".to_owned(), scratch("input")]);
        let is_file = |path: &&String| !path.contains(['*', '?', '[']) && !path.ends_with('/');
        let last: Vec<String> = input.deliverables.iter().filter(is_file).cloned().collect();
        // Aider treats a file in a missing directory as part of another repository, with this directory as the
        // root.
        let parent = |path: &String| path.rsplit_once('/').map(|(parent, _)| parent.to_owned());
        let directories = last.iter().filter_map(parent).collect();
        // Without this variable, a price list is downloaded at each start.
        let env = vec![("LITELLM_LOCAL_MODEL_COST_MAP", "True")];
        AgentCommand {
            args,
            last,
            prompt: PromptChannel::File,
            env,
            leaves: Some(".aider.tags.cache.v"),
            directories,
        }
    }

    fn reader(&self, _worktree: &Path) -> Box<dyn Reader> {
        Box::new(Stream::default())
    }

    fn reports_cost(&self) -> bool {
        true
    }

    fn reports_tool_calls(&self) -> bool {
        false
    }
}

#[derive(Default)]
struct Stream {
    /// The class of the last printed error, and the line.
    error: Option<(String, String)>,
    /// Lines after an error explain the error and show no progress.
    explaining: bool,
    unapplied: Option<String>,
}

impl Stream {
    /// Joins lines broken after 80 characters. Returns the fault read with this line, if different.
    fn wrapped(&mut self, line: &str) -> Option<Fault> {
        const LONGEST: usize = 1000;
        let (class, message) = self.error.as_mut().filter(|_| self.explaining)?;
        if line.starts_with("Retrying in ") || message.len() > LONGEST {
            return None;
        }
        let before = litellm_errors::fault(class, message).cause();
        *message = format!("{} {}", message.trim_end(), line.trim());
        let fault = litellm_errors::fault(class, message);
        (fault.cause() != before).then_some(fault)
    }
}

impl Reader for Stream {
    fn line(&mut self, line: &str) -> Vec<Signal> {
        if let Some(class) = litellm_errors::class(line) {
            let fault = litellm_errors::fault(class, line);
            self.error = Some((class.to_owned(), line.to_owned()));
            self.explaining = true;
            return vec![Signal::Held(fault)];
        }
        if let Some(fault) = self.wrapped(line) {
            return vec![Signal::Held(fault)];
        }
        let refused = "The LLM did not conform to the edit format.";
        if line == refused || line.starts_with("Only 3 reflections allowed") {
            self.unapplied = Some(line.to_owned());
        } else if line.starts_with("Applied edit to ") {
            self.unapplied = None;
        }
        // After each answer of the model.
        if line.starts_with("Tokens: ") {
            self.explaining = false;
        }
        if self.explaining { Vec::new() } else { vec![Signal::Text(line.to_owned())] }
    }

    fn file(&mut self, text: &str) -> Vec<Signal> {
        let events: Vec<_> = text.lines().filter_map(object).collect();
        let (mut signals, mut begun, mut sent) = (Vec::new(), 0, 0);
        for (at, event) in events.iter().enumerate() {
            match event.str("/event") {
                "message_send_starting" => begun += 1,
                "message_send" => {
                    sent += 1;
                    let tokens = Tokens {
                        input: event.count("/properties/prompt_tokens"),
                        output: event.count("/properties/completion_tokens"),
                        ..Tokens::default()
                    };
                    let cost_usd = event.amount("/properties/cost");
                    signals.push(Signal::Usage(ReportedUsage {
                        id: Some(at.to_string()),
                        tokens,
                        cost_usd,
                    }));
                }
                _ => {}
            }
        }
        let left = events.iter().any(|event| event.str("/event") == "exit");
        let last = |message: String| Fault { message, last: true, ..Fault::default() };
        signals.extend(match (self.error.take(), self.unapplied.take()) {
            (Some((class, line)), _) if begun > sent => {
                Some(Signal::Failed(Fault { last: true, ..litellm_errors::fault(&class, &line) }))
            }
            _ if begun > sent && left => {
                Some(Signal::Failed(last("the message was not answered".to_owned())))
            }
            (_, Some(line)) if left => {
                Some(Signal::Failed(last(format!("the edits could not be applied: {line}"))))
            }
            _ if left && sent > 0 => Some(Signal::Finished(Finish::default())),
            _ => None,
        });
        signals
    }
}
