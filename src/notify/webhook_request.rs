//! The request of a webhook, in the form of its receiver.

use serde_json::json;

use super::Message;
use crate::config::{NotifyEvent, WebhookFormat};

/// Headers and body of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WebhookRequest {
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

pub(super) fn build(message: &Message, format: WebhookFormat) -> WebhookRequest {
    let json = ("content-type", "application/json".to_owned());
    match format {
        WebhookFormat::Json => {
            WebhookRequest { headers: vec![json], body: message.to_json().to_string() }
        }
        WebhookFormat::Slack => {
            let text = format!("*{}*\n{}", escaped(&message.title), escaped(&message.text));
            WebhookRequest { headers: vec![json], body: json!({ "text": text }).to_string() }
        }
        WebhookFormat::Ntfy => {
            let (priority, tag) = match message.event {
                NotifyEvent::DrainFinished => ("default", "checkered_flag"),
                NotifyEvent::Waiting => ("low", "hourglass"),
                NotifyEvent::PhaseFailed | NotifyEvent::Budget | NotifyEvent::Systemic => {
                    ("high", "warning")
                }
            };
            let headers = vec![
                ("content-type", "text/plain; charset=utf-8".to_owned()),
                ("title", header_text(&message.title)),
                ("priority", priority.to_owned()),
                ("tags", tag.to_owned()),
            ];
            WebhookRequest { headers, body: message.text.clone() }
        }
    }
}

/// Escapes the three characters with a meaning in Slack's texts.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A header takes printable ASCII only.
fn header_text(text: &str) -> String {
    text.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message::new(NotifyEvent::Budget, "é <b>", "5 < 6 & \"x\"\nü")
    }

    #[test]
    fn slack_gets_an_escaped_text() {
        let request = build(&message(), WebhookFormat::Slack);
        let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        assert_eq!(body, json!({"text": "*é &lt;b&gt;*\n5 &lt; 6 &amp; \"x\"\nü"}));
    }

    #[test]
    fn ntfy_gets_the_title_as_a_header_and_the_text_as_the_body() {
        let request = build(&message(), WebhookFormat::Ntfy);
        assert_eq!(request.body, "5 < 6 & \"x\"\nü");
        assert!(request.headers.contains(&("title", "? <b>".to_owned())), "{request:?}");
        assert!(request.headers.contains(&("priority", "high".to_owned())), "{request:?}");
    }
}
