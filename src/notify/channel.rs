//! Channels of notifications, and a delivery through each.

use std::io::{IsTerminal, Write as _, stderr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;

use super::webhook_request::{self, WebhookRequest};
use super::{Message, NotifyError};
use crate::config::{CommandLine, Env, NotifySettings, WebhookFormat, WebhookSettings};
use crate::http::{self, HttpAccess, Limits};
use crate::process::{self, Tool};

/// Time limit of a delivery.
const LIMIT: Duration = Duration::from_secs(10);
/// Maximum output of a command, in bytes.
const OUTPUT_CAP: u64 = 1 << 20;
/// Characters of a command's last line in a report.
const SHOWN_CHARS: usize = 120;

/// A way to deliver notifications.
#[derive(Debug)]
pub(super) enum Channel {
    /// A command, with the event as JSON on standard input.
    Command { argv: Vec<String>, cwd: PathBuf },
    /// A web address.
    Webhook { url: Url, format: WebhookFormat },
    /// The terminal's bell.
    Bell,
}

impl Channel {
    /// Returns the configured channels.
    pub fn all(
        settings: &NotifySettings,
        env: &Env,
        workspace: &Path,
    ) -> Result<Vec<Self>, NotifyError> {
        let command = settings.command.as_ref().map(|command| Self::Command {
            argv: match command {
                CommandLine::Argv(argv) => argv.clone(),
                CommandLine::Shell(line) => vec!["sh".to_owned(), "-c".to_owned(), line.clone()],
            },
            cwd: workspace.to_owned(),
        });
        let webhook = address(&settings.webhook, env)?
            .map(|url| Self::Webhook { url, format: settings.webhook.format });
        let bell = settings.bell.then_some(Self::Bell);
        Ok([command, webhook, bell].into_iter().flatten().collect())
    }

    /// Returns the name of the channel.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Command { .. } => "command",
            Self::Webhook { .. } => "webhook",
            Self::Bell => "bell",
        }
    }

    /// Delivers a message; `Err` is the reason in words.
    pub async fn deliver(&self, message: &Message) -> Result<(), String> {
        match self {
            Self::Command { argv, cwd } => run_command(argv, cwd, message).await,
            Self::Webhook { url, format } => {
                post(url, webhook_request::build(message, *format)).await
            }
            Self::Bell => ring(),
        }
    }
}

/// Returns the address of the webhook, if configured.
fn address(webhook: &WebhookSettings, env: &Env) -> Result<Option<Url>, NotifyError> {
    let text = match (&webhook.url_env, &webhook.url) {
        (Some(name), _) => {
            Some(env.key(name).ok_or_else(|| NotifyError::UnsetVariable(name.clone()))?)
        }
        (None, url) => url.clone(),
    };
    let Some(text) = text else { return Ok(None) };
    // The address may be a secret, so the message leaves it out.
    match Url::parse(text.trim()) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Some(url)),
        Ok(_) => Err(NotifyError::BadAddress("expected an http or https address".to_owned())),
        Err(error) => Err(NotifyError::BadAddress(format!("the address is invalid: {error}"))),
    }
}

async fn run_command(argv: &[String], cwd: &Path, message: &Message) -> Result<(), String> {
    let Some((program, args)) = argv.split_first() else { return Ok(()) };
    let mut tool =
        Tool::new(program, cwd, LIMIT).args(args).stdin(format!("{}\n", message.to_json()));
    tool.output_cap = OUTPUT_CAP;
    let output = process::output(tool).await.map_err(|error| error.to_string())?;
    if output.success() {
        return Ok(());
    }
    let code = output.code.map_or("a signal".to_owned(), |code| format!("exit code {code}"));
    let errors = output.error_text();
    let last: String =
        errors.lines().last().unwrap_or_default().chars().take(SHOWN_CHARS).collect();
    Err(match last.is_empty() {
        true => format!("{program} ended with {code}"),
        false => format!("{program} ended with {code}: {last}"),
    })
}

async fn post(url: &Url, request: WebhookRequest) -> Result<(), String> {
    let limits = Limits { whole: LIMIT, silence: LIMIT };
    let client = http::client(limits, HttpAccess::of(url)).map_err(|error| error.to_string())?;
    let mut post = client.post(url.clone()).body(request.body);
    for (name, value) in request.headers {
        post = post.header(name, value);
    }
    let answer = post.send().await.map_err(http::reason)?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("{} answered {status}", url.host_str().unwrap_or("the server"))),
    }
}

/// Rings the bell of the terminal; the cursor does not move.
fn ring() -> Result<(), String> {
    let mut terminal = stderr();
    if !terminal.is_terminal() {
        return Err("standard error is no terminal".to_owned());
    }
    terminal.write_all(b"\x07").and_then(|()| terminal.flush()).map_err(|error| error.to_string())
}
