//! Any program that edits files in the working directory.

use std::ffi::{OsStr, OsString};
use std::io;
use std::time::Duration;

use crate::agent::runner::agent_job::{environment, explain, out_of_time};
use crate::agent::runner::command_template::fill;
use crate::agent::runner::fault::{provider_failure, shorten};
use crate::agent::runner::result_file;
use crate::agent::runner::start_check::check_command;
use crate::agent::{AgentError, AgentEvent, AgentReply, Outcome, Task};
use crate::config::{CommandAgentSettings, PromptTransport};
use crate::process::{self, Job, JobEnd, StopReceiver};

/// Lines of output kept for the next prompt.
const LAST_LINES: usize = 60;
/// "Try again later": EX_TEMPFAIL of sysexits.h.
const TRY_LATER: i32 = 75;

pub(crate) async fn run(
    settings: &CommandAgentSettings,
    task: Task,
    stop: &StopReceiver,
    on_event: &(dyn Fn(AgentEvent) + Sync),
) -> Result<AgentReply, AgentError> {
    check_command(settings, &task.workspace, &task.worktree, &task.env)?;
    forget_result(&task)?;
    let show = |_, line: &str| on_event(AgentEvent::Line(line.to_owned()));
    let job = Job { on_line: Some(&show), ..job(settings, &task) };
    on_event(AgentEvent::Started);
    let ended = process::run(job, stop).await.map_err(|error| explain(error, &task))?;
    // The output of a program that was asked a question is its answer.
    let answer = task.question.is_some().then(|| ended.stdout.text());
    let report = result_file::read(&task.result_file, &task.redact);
    let last_lines = ended.last_lines(LAST_LINES);
    Ok(AgentReply {
        ended: ended.end,
        outcome: outcome(ended.end, report.outcome, settings, &task, &last_lines),
        session: None,
        usage: report.usage,
        summary: answer.or(report.summary),
        provider_failure: provider_failure(ended.end, &last_lines),
        last_lines,
        notes: report.notes,
    })
}

/// Determines the outcome. Usage and errors are reported at the end, if at all; only the wall time can end
/// the program earlier.
fn outcome(
    end: JobEnd,
    reported: Option<Outcome>,
    settings: &CommandAgentSettings,
    task: &Task,
    last_lines: &str,
) -> Outcome {
    match (end, task.budget.wall_time) {
        (JobEnd::TimedOut, Some(wall)) if wall < Duration::from_secs(settings.timeout_seconds) => {
            out_of_time(wall)
        }
        (JobEnd::Exited(code), _) => reported.unwrap_or_else(|| of_exit_code(code, last_lines)),
        _ => Outcome::Finished,
    }
}

pub(crate) fn of_exit_code(code: i32, last_lines: &str) -> Outcome {
    if code != TRY_LATER {
        return Outcome::Finished;
    }
    let why = last_lines.lines().last().map(|line| format!(": {}", shorten(line)));
    let why = why.unwrap_or_default();
    Outcome::Unavailable {
        until: None,
        message: format!("the agent exited with {TRY_LATER}, which means \"try again later\"{why}"),
    }
}

fn job(settings: &CommandAgentSettings, task: &Task) -> Job<'static> {
    let env = environment(&settings.env, task);
    let (timeout, idle) = (settings.timeout_seconds, settings.idle_timeout_seconds);
    let mut job = task.job(argv(settings, task), env, timeout, idle);
    job.stdin =
        (settings.prompt == PromptTransport::Stdin).then(|| task.prompt.clone().into_bytes());
    job
}

/// With `prompt: arg` but no placeholder, the prompt is the last argument.
fn argv(settings: &CommandAgentSettings, task: &Task) -> Vec<OsString> {
    let values: [(&str, &OsStr); 4] = [
        ("{workspace}", task.workspace.as_os_str()),
        ("{worktree}", task.worktree.as_os_str()),
        ("{prompt}", task.prompt.as_ref()),
        ("{prompt_file}", task.prompt_file.as_os_str()),
    ];
    let mut argv: Vec<OsString> =
        settings.command.iter().map(|template| fill(template, &values)).collect();
    let placed = settings.command.iter().any(|template| template.contains("{prompt}"));
    if settings.prompt == PromptTransport::Arg && !placed {
        argv.push(task.prompt.clone().into());
    }
    argv
}

/// Removes the result of an earlier attempt.
fn forget_result(task: &Task) -> Result<(), AgentError> {
    match std::fs::remove_file(&task.result_file) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(AgentError::Io {
            what: "remove the result file",
            path: task.result_file.clone(),
            source,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn settings(command: &[&str], prompt: PromptTransport) -> CommandAgentSettings {
        CommandAgentSettings {
            command: command.iter().map(|part| (*part).to_owned()).collect(),
            prompt,
            timeout_seconds: 5,
            idle_timeout_seconds: 0,
            env: [("PATH".to_owned(), "/own".to_owned())].into(),
            env_pass: Vec::new(),
        }
    }

    #[test]
    fn the_prompt_goes_where_the_settings_say() {
        let task = Task::sample(Path::new("/w"), "p");
        let job = |command: &[&str], by| job(&settings(command, by), &task);

        let stdin = job(&["{workspace}/a.py", "{prompt_file}"], PromptTransport::Stdin);
        assert_eq!(stdin.argv, ["/w/a.py", "/w/prompt.md"]);
        assert_eq!(stdin.stdin.as_deref(), Some(&b"do {workspace}"[..]));
        assert_eq!((stdin.cwd.as_path(), stdin.idle_timeout), (Path::new("/w/worktree"), None));

        let arg = job(&["a", "-p", "{prompt}", "-x"], PromptTransport::Arg);
        assert_eq!(
            (arg.argv, arg.stdin),
            (["a", "-p", "do {workspace}", "-x"].map(OsString::from).to_vec(), None)
        );
        assert_eq!(job(&["a"], PromptTransport::Arg).argv, ["a", "do {workspace}"]);
        let file = job(&["a"], PromptTransport::File);
        assert_eq!((file.argv, file.stdin), (vec!["a".into()], None));
    }
}
