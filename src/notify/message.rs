//! The content of a notification: a short text for people, and the event's fields for programs.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::config::NotifyEvent;
use crate::phase::json::map_texts;

/// Fields of an event, in order.
pub type EventFields = Map<String, Value>;

/// A notification.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The event.
    pub event: NotifyEvent,
    /// A few words.
    pub title: String,
    /// One or a few sentences.
    pub text: String,
    /// The event's own fields.
    pub fields: EventFields,
}

impl Message {
    /// Creates a message without fields of its own.
    pub fn new(event: NotifyEvent, title: impl Into<String>, text: impl Into<String>) -> Self {
        Self { event, title: title.into(), text: text.into(), fields: Map::new() }
    }

    /// Adds the fields of a serialized event, except its name.
    pub fn with_fields(mut self, event: Value) -> Self {
        if let Value::Object(fields) = event {
            self.fields.extend(fields.into_iter().filter(|(name, _)| name != "event"));
        }
        self
    }

    /// Creates a sample of an event, for tests of the channels.
    pub fn sample(event: NotifyEvent) -> Self {
        let text = match event {
            NotifyEvent::DrainFinished => "drained in 42 min; week1: 7 complete, 1 failed",
            NotifyEvent::PhaseFailed => "week1/api: ci_failed: 2 tests failed in tests/test_api.py",
            NotifyEvent::Budget => "the drain's budget of $20.00 is spent",
            NotifyEvent::Waiting => "all remaining phases are rate limited; resuming in 25 min",
            NotifyEvent::Systemic => "the agent is not logged in",
        };
        let title = format!("autopack test: {}", event.as_str().replace('_', " "));
        Self::new(event, title, text).with_fields(json!({"test": true}))
    }

    pub(super) fn in_workspace(mut self, workspace: &str) -> Self {
        self.fields.insert("workspace".to_owned(), workspace.into());
        self
    }

    /// Changes every text.
    pub(super) fn map_texts(self, change: &impl Fn(&str) -> String) -> Self {
        let fields = match map_texts(Value::Object(self.fields), change) {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        Self { title: change(&self.title), text: change(&self.text), fields, ..self }
    }

    /// Returns the JSON object of the event.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("event".to_owned(), self.event.as_str().into());
        object.insert("time".to_owned(), Timestamp::now().to_string().into());
        object.insert("title".to_owned(), self.title.clone().into());
        object.insert("text".to_owned(), self.text.clone().into());
        object.extend(self.fields.clone());
        Value::Object(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_keeps_its_name_and_all_texts_are_changed() {
        let message = Message::new(NotifyEvent::PhaseFailed, "a hush", "b hush")
            .with_fields(json!({"event": "phase_finished", "failure": {"message": "c hush"}}))
            .in_workspace("/hush");
        let json = message.map_texts(&|text| text.replace("hush", "-")).to_json();
        assert_eq!(json["event"], "phase_failed");
        assert_eq!((&json["title"], &json["text"]), (&json!("a -"), &json!("b -")));
        assert_eq!(json["failure"]["message"], "c -");
        assert_eq!(json["workspace"], "/-");
    }
}
