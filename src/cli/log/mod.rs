//! `log`: shows the logs of an attempt, the agent's stream as a transcript.

mod follow;
mod log_files;
mod log_reader;
mod remote_logs;
mod transcript_text;

use std::io::{IsTerminal, stdout};

use super::attempt_choice::{AttemptArg, AttemptChoice};
use super::attempt_setup::open_repository;
use super::{Context, Output, paged_output};
use crate::config::AgentSettings;
use crate::failure::{Exit, Failure};
use crate::workspace::Repo;
use follow::FollowedLogs;
use log_files::Selection;
use log_reader::{AgentStream, LogForm, LogReader};

/// Show the logs of a phase's last attempt
///
/// The agent's stream is shown as a transcript: texts, tool calls, and results cut to a few lines. On a terminal, the
/// output goes through $PAGER, or `less`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    attempt: AttemptArg,
    /// Follow a running attempt until it ends
    #[arg(short, long, conflicts_with = "json")]
    follow: bool,
    /// Show the last N lines only
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "json")]
    lines: Option<usize>,
    #[command(flatten)]
    selection: Selection,
    /// Print the kept bytes, without a transcript
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// Do not use a pager
    #[arg(long)]
    no_pager: bool,
    /// Print a JSON object for each entry: file, kind, text
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let choice = args.attempt.open(context).await?;
    let form = match (args.json, args.raw) {
        (true, _) => LogForm::Json,
        (_, true) => LogForm::Raw,
        _ => LogForm::Transcript,
    };
    let repo = open_repository(context).await?;
    let stream = agent_stream(&choice, &repo, context)?;
    if args.follow && choice.attempt.ended_at.is_none() {
        let logs = FollowedLogs::find(&choice, &repo, context).await?;
        let mut reader = LogReader::new(logs.directory().to_owned(), args.selection, form, stream)
            .named(logs.shown(&choice));
        let exit = follow::follow(&choice, logs, &mut reader, args.lines, context).await;
        choice.close().await;
        return exit;
    }
    let files = choice.files(context, None).await;
    choice.close().await;
    let files = files?;
    let mut reader = LogReader::new(files.path.clone(), args.selection, form, stream)
        .named(choice.shown_directory(&files));
    let mut text = reader.read_new()?;
    text.extend(reader.finish());
    if reader.is_empty() {
        return Err(reader.explain_missing(&choice));
    }
    let text = last_lines(text, args.lines);
    match form == LogForm::Transcript && stdout().is_terminal() && !args.no_pager {
        true => paged_output::show(&text, context).await?,
        false => context.out.bytes(&text)?,
    }
    Ok(Exit::Done)
}

/// Returns how the agent's stream is read.
fn agent_stream(
    choice: &AttemptChoice,
    repo: &Repo,
    context: &Context,
) -> Result<AgentStream, Failure> {
    let agents = &context.config()?.settings.agents.named;
    let name = choice.attempt.agent.clone().unwrap_or_default();
    // An agent that is configured no longer often has the name of its kind.
    let kind = agents.get(&name).map(AgentSettings::kind).map_or(name.clone(), str::to_owned);
    let slot = choice.slot(repo)?.map(|slot| slot.path).unwrap_or_default();
    Ok(AgentStream { kind, slot, checkout: repo.root().to_owned() })
}

fn last_lines(text: Vec<u8>, number: Option<usize>) -> Vec<u8> {
    let Some(number) = number else { return text };
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    lines[lines.len().saturating_sub(number)..].concat()
}

/// Writes the rest of a followed log.
fn write_lines(out: Output, text: Vec<u8>, lines: Option<usize>) -> Result<(), Failure> {
    let text = last_lines(text, lines);
    if text.is_empty() { Ok(()) } else { out.bytes(&text) }
}
