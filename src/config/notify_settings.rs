//! Settings of notifications: what is told, and through which channels.

use serde::{Deserialize, Serialize};

use super::command_setting::CommandLine;

/// Settings of notifications. Without a channel, nothing is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotifySettings {
    /// Events to tell.
    pub events: Vec<NotifyEvent>,
    /// Command started for each event, with the event as JSON on standard input.
    pub command: Option<CommandLine>,
    /// Web address that receives each event.
    pub webhook: WebhookSettings,
    /// Whether the terminal's bell rings.
    pub bell: bool,
}

/// Settings of the webhook.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookSettings {
    /// Address; no webhook without one.
    pub url: Option<String>,
    /// Environment variable with the address, for addresses that are secrets.
    pub url_env: Option<String>,
    /// Form of the request.
    pub format: WebhookFormat,
}

/// Form of a webhook's request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WebhookFormat {
    /// The event as JSON.
    #[default]
    Json,
    /// A message for Slack and compatible services.
    Slack,
    /// A message for a topic of ntfy.
    Ntfy,
}

/// An event of a drain worth a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotifyEvent {
    /// The drain ended, for whatever reason.
    DrainFinished,
    /// A phase failed for good.
    PhaseFailed,
    /// A budget is spent, so the drain ends.
    Budget,
    /// The drain waits: for a rate limit, the operator, or space on the disk.
    Waiting,
    /// The drain ends because the next phase would fail in the same way, or because autopack cannot continue.
    Systemic,
}

impl NotifyEvent {
    /// All events.
    pub const ALL: [Self; 5] =
        [Self::DrainFinished, Self::PhaseFailed, Self::Budget, Self::Waiting, Self::Systemic];

    /// Returns the name as written in a configuration file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DrainFinished => "drain_finished",
            Self::PhaseFailed => "phase_failed",
            Self::Budget => "budget",
            Self::Waiting => "waiting",
            Self::Systemic => "systemic",
        }
    }
}

impl Default for NotifySettings {
    fn default() -> Self {
        Self {
            events: NotifyEvent::ALL.to_vec(),
            command: None,
            webhook: WebhookSettings::default(),
            bell: false,
        }
    }
}
