//! Notifications about a drain: to a command, a webhook, and the terminal's bell.
//!
//! Deliveries run in the background and never stop a drain; the first failure of each channel is reported. All texts are
//! redacted.

mod channel;
mod message;
mod webhook_request;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::config::{Env, NotifyEvent, NotifySettings};
use crate::process::{Redactor, StopLevel, StopReceiver};

use channel::Channel;

pub use message::{EventFields, Message};

/// Time for unfinished deliveries at the end of a drain.
const AT_END: Duration = Duration::from_secs(5);

/// Error in the settings of notifications.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The variable with the address of the webhook has no value.
    #[error("notify.webhook.url_env names {0}, which is not set")]
    UnsetVariable(String),
    /// The address of the webhook cannot be used.
    #[error("notify.webhook: {0}")]
    BadAddress(String),
}

/// Result of a delivery through one channel.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Name of the channel: `command`, `webhook` or `bell`.
    pub channel: &'static str,
    /// Why the delivery failed, if so.
    pub error: Option<String>,
}

/// Sends the notifications of a drain.
#[derive(Default)]
pub struct Notifier {
    events: Vec<NotifyEvent>,
    /// Each channel, and whether a failure was reported.
    channels: Vec<Arc<(Channel, AtomicBool)>>,
    redactor: Option<Redactor>,
    workspace: PathBuf,
    deliveries: Mutex<JoinSet<()>>,
}

impl Notifier {
    /// Creates a notifier.
    ///
    /// # Errors
    /// The address of the webhook is missing or invalid.
    pub fn new(
        settings: &NotifySettings,
        env: &Env,
        redactor: Redactor,
        workspace: PathBuf,
    ) -> Result<Self, NotifyError> {
        let channels = Channel::all(settings, env, &workspace)?;
        let channels =
            channels.into_iter().map(|channel| Arc::new((channel, AtomicBool::new(false))));
        Ok(Self {
            events: settings.events.clone(),
            channels: channels.collect(),
            redactor: Some(redactor),
            workspace,
            deliveries: Mutex::default(),
        })
    }

    /// Returns the names of the channels.
    pub fn channels(&self) -> Vec<&'static str> {
        self.channels.iter().map(|channel| channel.0.name()).collect()
    }

    /// Returns the events that are told.
    pub fn events(&self) -> &[NotifyEvent] {
        &self.events
    }

    /// Sends a message in the background, if its event is told. Requires a runtime.
    pub fn send(&self, message: &Message) {
        if !self.events.contains(&message.event) || self.channels.is_empty() {
            return;
        }
        let message = Arc::new(self.prepared(message));
        let mut deliveries = self.deliveries.lock().unwrap_or_else(PoisonError::into_inner);
        // Forgets ended deliveries.
        while deliveries.try_join_next().is_some() {}
        for channel in &self.channels {
            let (channel, message) = (Arc::clone(channel), Arc::clone(&message));
            let redactor = self.redactor.clone();
            deliveries.spawn(async move {
                let Err(why) = channel.0.deliver(&message).await else { return };
                let (name, why) = (channel.0.name(), redacted(redactor.as_ref(), &why));
                if channel.1.swap(true, Ordering::Relaxed) {
                    return tracing::debug!("cannot notify by {name}: {why}");
                }
                tracing::warn!(
                    "cannot notify by {name}: {why}; the drain goes on, and further failures are not reported"
                );
            });
        }
    }

    /// Delivers a message through each channel, and returns the results.
    pub async fn deliver(&self, message: &Message) -> Vec<Delivery> {
        let message = self.prepared(message);
        let mut results = Vec::new();
        for channel in &self.channels {
            let error = channel.0.deliver(&message).await.err();
            let error = error.map(|why| redacted(self.redactor.as_ref(), &why));
            results.push(Delivery { channel: channel.0.name(), error });
        }
        results
    }

    /// Waits for unfinished deliveries, a few seconds at most; a second stop of the operator ends the wait.
    pub async fn close(&self, stop: &StopReceiver) {
        let mut deliveries =
            std::mem::take(&mut *self.deliveries.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while deliveries.join_next().await.is_some() {} };
        let is_late = tokio::select! {
            () = all => false,
            () = tokio::time::sleep(AT_END) => true,
            () = stop.reached(StopLevel::Now) => true,
        };
        if is_late {
            tracing::warn!("some notifications were not delivered in time");
        }
    }

    /// Adds the workspace, and removes secrets.
    fn prepared(&self, message: &Message) -> Message {
        let message = message.clone().in_workspace(&self.workspace.display().to_string());
        match &self.redactor {
            Some(redactor) => message.map_texts(&|text| redactor.redact(text).into_owned()),
            None => message,
        }
    }
}
/// Removes secrets from what a command or a server answered.
fn redacted(redactor: Option<&Redactor>, why: &str) -> String {
    redactor.map_or_else(|| why.to_owned(), |redactor| redactor.redact(why).into_owned())
}
