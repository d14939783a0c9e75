//! `notify test`: sends a sample of each event through each channel.

use clap::Subcommand;
use serde_json::{Value, json};

use super::Context;
use crate::failure::{Exit, Failure};
use crate::notify::{Message, Notifier, NotifyError};
use crate::progress::shown_message;

/// Test the notifications of drains
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Send a sample of each configured event, and report each delivery
    Test {
        /// Print a list of {event, channel, delivered, error}
        #[arg(long)]
        json: bool,
    },
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let Action::Test { json } = args.action;
    let config = context.config()?;
    let file = config.settings_file(Some(&context.workspace()?));
    let notifier = open_notifier(context)?;
    if notifier.channels().is_empty() {
        return Err(Failure::new("no notification is configured")
            .hint(format!("set notify.command, notify.webhook.url or notify.bell in {file}")));
    }
    if notifier.events().is_empty() {
        return Err(Failure::new("notify.events is empty, so nothing would be sent")
            .hint(format!("name events, or remove the key from {file}")));
    }
    let mut results: Vec<Value> = Vec::new();
    let mut failed = 0;
    for event in notifier.events().to_vec() {
        for delivery in notifier.deliver(&Message::sample(event)).await {
            failed += u32::from(delivery.error.is_some());
            if !json {
                let name = event.as_str();
                context.out.line(match &delivery.error {
                    None => format!("{name:14}  {:7}  delivered", delivery.channel),
                    Some(why) => {
                        let why = shown_message(why);
                        format!("{name:14}  {:7}  failed: {why}", delivery.channel)
                    }
                })?;
            }
            results.push(json!({
                "event": event.as_str(),
                "channel": delivery.channel,
                "delivered": delivery.error.is_none(),
                "error": delivery.error,
            }));
        }
    }
    if json {
        context.out.json(&results)?;
    }
    match failed {
        0 => Ok(Exit::Done),
        _ => Err(Failure::new(format!("{failed} of {} deliveries failed", results.len()))
            .hint(format!("correct `notify` in {file}, then run `autopack notify test` again"))),
    }
}

/// Creates the notifier of the configuration.
pub fn open_notifier(context: &Context) -> Result<Notifier, Failure> {
    let config = context.config()?;
    let (redactor, workspace) = (context.redactor()?, context.workspace()?);
    Notifier::new(&config.settings.notify, &context.env, redactor, workspace).map_err(|error| {
        match error {
            NotifyError::UnsetVariable(ref name) => {
                let hint = format!("set {name}, or remove the key");
                Failure::from(error).hint(hint)
            }
            error => Failure::from(error),
        }
    })
}
