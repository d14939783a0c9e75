//! `log`: shows the logs of an attempt, the agent's stream as a transcript.

mod follow;
mod log_files;
mod log_reader;
mod transcript_text;

use std::io::{IsTerminal, stdout};

use super::phases::RunArg;
use super::{Context, Output};
use crate::attempt::AttemptDirectory;
use crate::config::AgentSettings;
use crate::failure::{Exit, Failure, WithHint};
use crate::phase::PhaseId;
use crate::process::pager;
use crate::progress::shown_id;
use crate::store::{AttemptRow, PhaseDetail};
use log_files::Selection;
use log_reader::{LogForm, LogReader};

/// Show the logs of a phase's last attempt
///
/// The agent's stream is shown as a transcript: texts, tool calls, and results cut to a few lines. On a terminal, the
/// output goes through $PAGER, or `less`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    run: RunArg,
    /// Phase id, as in `phases list`
    #[arg(value_name = "PHASE")]
    phase: String,
    /// Follow a running attempt until it ends
    #[arg(short, long, conflicts_with = "json")]
    follow: bool,
    /// Show the last N lines only
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "json")]
    lines: Option<usize>,
    #[command(flatten)]
    selection: Selection,
    /// Show attempt N instead of the last attempt
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
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
    let (store, run) = args.run.open(context).await?;
    let id = PhaseId::new(&args.phase);
    let detail = store.phase(&run, &id).await?;
    let attempt = select_attempt(&detail, args.attempt)?;
    let form = match (args.json, args.raw) {
        (true, _) => LogForm::Json,
        (_, true) => LogForm::Raw,
        _ => LogForm::Transcript,
    };
    let directory = locate(&detail, attempt, context)?;
    let mut reader =
        LogReader::new(directory.clone(), args.selection, form, transcript_of(attempt, context)?);
    if args.follow && attempt.ended_at.is_none() {
        let followed = follow::Followed { store: &store, run: &run, phase: &id, attempt };
        let exit = follow::follow(&followed, &mut reader, args.lines, &context.out).await;
        store.close().await;
        return exit;
    }
    store.close().await;
    let mut text = reader.read_new().or_hint("`autopack gc` may have removed them")?;
    text.extend(reader.finish());
    if reader.is_empty() {
        return Err(reader.explain_missing(&detail.row.phase_id, attempt.attempt));
    }
    let text = last_lines(text, args.lines);
    match form == LogForm::Transcript && stdout().is_terminal() && !args.no_pager {
        true => page(&text, context).await?,
        false => context.out.bytes(&text)?,
    }
    Ok(Exit::Done)
}

/// Shows a text in the user's pager, if there is one.
pub(super) async fn page(text: &[u8], context: &Context) -> Result<(), Failure> {
    let env = context.env.all();
    match pager::choose(context.env.pager(), env) {
        Some(pager) if !context.env.is_dumb() => Ok(pager::show(&pager, env, text).await?),
        _ => context.out.bytes(text),
    }
}

/// Returns the attempt with this number, or the last.
pub(super) fn select_attempt(
    detail: &PhaseDetail,
    number: Option<u32>,
) -> Result<&AttemptRow, Failure> {
    let phase = shown_id(detail.row.phase_id.as_str());
    let Some(last) = detail.attempt_log.last() else {
        return Err(Failure::new(format!("phase {phase} has no attempts, so there is no log"))
            .hint("`autopack status` shows why it has not run; `autopack drain` runs it"));
    };
    let Some(number) = number else { return Ok(last) };
    detail.attempt_log.iter().find(|row| row.attempt == number).ok_or_else(|| {
        let (run, last) = (shown_id(detail.row.run_id.as_str()), last.attempt);
        Failure::new(format!("phase {phase} has no attempt {number}; the last attempt is {last}"))
            .hint(format!("`autopack phases show --run-id {run} {phase}` lists its attempts"))
    })
}

/// Returns the directory of the attempt, which may be gone.
pub(super) fn locate(
    detail: &PhaseDetail,
    attempt: &AttemptRow,
    context: &Context,
) -> Result<std::path::PathBuf, Failure> {
    let root = context.workspace()?;
    let row = &detail.row;
    Ok(attempt.log_dir.as_ref().map_or_else(
        || {
            let autopack = root.join(".autopack");
            AttemptDirectory::locate(&autopack, &row.run_id, &row.phase_id, attempt.attempt)
        },
        |log_dir| root.join(log_dir),
    ))
}

/// Returns how the agent's stream is read.
fn transcript_of(
    attempt: &AttemptRow,
    context: &Context,
) -> Result<log_reader::AgentStream, Failure> {
    let agents = &context.config()?.settings.agents.named;
    let name = attempt.agent.clone().unwrap_or_default();
    // An agent that is configured no longer often has the name of its kind.
    let kind = agents.get(&name).map(AgentSettings::kind).map_or(name.clone(), str::to_owned);
    Ok(log_reader::AgentStream {
        kind,
        slot: attempt.slot.clone().unwrap_or_default().into(),
        checkout: context.workspace()?,
    })
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
