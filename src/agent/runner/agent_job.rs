//! Prepares the job of an agent program: timeouts, log and environment; also explains start errors.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::start_check::find_program;
use crate::agent::{AgentError, Outcome, Task};
use crate::process::child_env::{Env, OWNER};
use crate::process::view;
use crate::process::{Job, SpawnError};

/// Variable with the file in which an agent asks for files outside of its scope.
const REQUEST_FILE: &str = "AUTOPACK_REQUEST_FILE";

impl Task {
    /// Creates the job, which runs in the slot's worktree and writes the attempt's log. The attempt's budget may
    /// shorten `timeout_seconds`.
    pub(crate) fn job(
        &self,
        argv: Vec<OsString>,
        env: Env,
        timeout_seconds: u64,
        idle_timeout_seconds: u64,
    ) -> Job<'static> {
        let timeout = Duration::from_secs(timeout_seconds);
        let timeout = self.budget.wall_time.map_or(timeout, |wall| wall.min(timeout));
        let mut job = Job::new(argv, &self.worktree, env, timeout);
        // 0 means no idle timeout: a model may think for any length of time.
        job.idle_timeout =
            (idle_timeout_seconds > 0).then(|| Duration::from_secs(idle_timeout_seconds));
        job.log = Some(self.log.clone());
        job.redact = self.redact.clone();
        job.hold = self.hold.clone();
        view::enter(self.view.as_ref(), job)
    }

    /// Returns the slot's worktree as the agent's program sees it.
    pub(crate) fn seen_worktree(&self) -> PathBuf {
        match &self.view {
            Some(view) => view.inside(&self.worktree),
            None => self.worktree.clone(),
        }
    }
}

/// Returns the outcome of a program that ran for all of the `allowed` time: the attempt's budget, or the rest
/// of a larger budget.
pub(crate) fn out_of_time(allowed: Duration) -> Outcome {
    Outcome::OverBudget { what: format!("used up the remaining {} s", allowed.as_secs()) }
}

/// Returns the environment of an agent: the inherited variables, overridden by the agent's settings, overridden
/// by autopack's variables.
pub(crate) fn environment(from_settings: &BTreeMap<String, String>, task: &Task) -> Env {
    let mut env = task.env.clone();
    env.extend(from_settings.iter().map(|(name, value)| (name.into(), value.into())));
    let attempt = task.attempt.to_string();
    let from_autopack: [(&str, &OsStr); 10] = [
        (OWNER, task.owner.as_ref()),
        ("AUTOPACK_RUN_ID", task.run_id.as_str().as_ref()),
        ("AUTOPACK_PHASE_ID", task.phase_id.as_str().as_ref()),
        ("AUTOPACK_ATTEMPT", attempt.as_ref()),
        ("AUTOPACK_WORKSPACE", task.workspace.as_os_str()),
        ("AUTOPACK_WORKTREE", task.worktree.as_os_str()),
        ("AUTOPACK_PROMPT_FILE", task.prompt_file.as_os_str()),
        ("AUTOPACK_PHASE_FILE", task.phase_file.as_os_str()),
        ("AUTOPACK_RESULT_FILE", task.result_file.as_os_str()),
        ("AUTOPACK_LOG_DIR", task.log_dir.as_os_str()),
    ];
    env.extend(from_autopack.into_iter().map(|(name, value)| (name.into(), value.to_owned())));
    env.remove(OsStr::new(REQUEST_FILE));
    if let Some(file) = &task.request_file {
        env.insert(REQUEST_FILE.into(), file.clone().into());
    }
    if let Some(question) = &task.question {
        env.insert("AUTOPACK_PURPOSE".into(), question.purpose.into());
        env.insert("AUTOPACK_ANSWER_FILE".into(), question.answer_file.clone().into());
    }
    // Some programs trust PWD over the kernel (OpenCode does), and would work in the user's checkout.
    env.insert("PWD".into(), task.worktree.clone().into());
    env.remove(OsStr::new("OLDPWD"));
    env
}

/// Converts a start error into an agent error with advice.
pub(crate) fn explain(error: SpawnError, task: &Task) -> AgentError {
    match error {
        // The program existed a moment ago; name the searched places.
        SpawnError::NotFound { program } => {
            let path = task.env.get(OsStr::new("PATH")).map(OsString::as_os_str);
            match find_program(&program, &task.worktree, path) {
                Err(error) => error,
                Ok(_) => AgentError::Spawn(SpawnError::NotFound { program }),
            }
        }
        SpawnError::CannotStart { program, source } => AgentError::CannotStart {
            program: program.display().to_string(),
            hint: hint(&source).to_owned(),
            why: source.to_string(),
        },
        other => AgentError::Spawn(other),
    }
}

/// Returns advice for an error of the operating system.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ArgumentListTooLong => {
            "the prompt is too long for an argument: use `prompt: stdin` or `prompt: file`"
        }
        io::ErrorKind::PermissionDenied => "make it executable",
        _ => "start it by hand in that directory to see the cause",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn autopack_overrides_settings_and_settings_override_inherited_variables() {
        let mut task = Task::sample(Path::new("/w"), "p");
        for (name, value) in [
            ("PATH", "/inherited"),
            ("AUTOPACK_ATTEMPT", "9"),
            ("HOME", "/h"),
            ("PWD", "/users/checkout"),
            ("OLDPWD", "/elsewhere"),
        ] {
            task.env.insert(name.into(), value.into());
        }
        let settings = [("PATH".to_owned(), "/own".to_owned())].into();
        let env = environment(&settings, &task);
        let value = |name: &str| env[OsStr::new(name)].to_str().unwrap().to_owned();
        assert_eq!(["PATH", "HOME", "AUTOPACK_ATTEMPT"].map(value), ["/own", "/h", "2"]);
        assert_eq!(["AUTOPACK_OWNER", "AUTOPACK_RUN_ID"].map(value), ["owner-1", "run"]);
        assert_eq!(value("PWD"), "/w/worktree");
        assert_eq!(env.len(), 13);
    }
}
