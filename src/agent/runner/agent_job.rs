//! Common start parameters of agent programs, errors of the start, and the outcome of running out of time.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::time::Duration;

use super::start_check::find_program;
use crate::agent::{AgentError, Outcome, Task};
use crate::process::child_env::{Env, OWNER};
use crate::process::{Job, SpawnError};

impl Task {
    /// Creates the job in the slot, with the log; an attempt's budget may shorten the timeout.
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
        // 0 means never: a model may think for any length of time.
        job.idle_timeout =
            (idle_timeout_seconds > 0).then(|| Duration::from_secs(idle_timeout_seconds));
        job.log = Some(self.log.clone());
        job.redact = self.redact.clone();
        job.hold = self.hold.clone();
        job
    }
}

/// Returns the outcome of a program that used up a budget's time: of the attempt, or the rest of a larger
/// budget.
pub(crate) fn out_of_time(allowed: Duration) -> Outcome {
    Outcome::OverBudget { what: format!("used up the remaining {} s", allowed.as_secs()) }
}

/// Returns the inherited environment, then the settings' variables, then autopack's, each overriding the
/// previous.
pub(crate) fn environment(own: &BTreeMap<String, String>, task: &Task) -> Env {
    let mut env = task.env.clone();
    env.extend(own.iter().map(|(name, value)| (name.into(), value.into())));
    let attempt = task.attempt.to_string();
    let ours: [(&str, &OsStr); 10] = [
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
    env.extend(ours.into_iter().map(|(name, value)| (name.into(), value.to_owned())));
    // Some programs trust PWD over the kernel (OpenCode does), and would work in the user's checkout.
    env.insert("PWD".into(), task.worktree.clone().into());
    env.remove(OsStr::new("OLDPWD"));
    env
}

/// Explains why the program of an agent did not run.
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
    fn ours_wins_over_the_settings_and_those_over_what_is_inherited() {
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
        let own = [("PATH".to_owned(), "/own".to_owned())].into();
        let env = environment(&own, &task);
        let value = |name: &str| env[OsStr::new(name)].to_str().unwrap().to_owned();
        assert_eq!(["PATH", "HOME", "AUTOPACK_ATTEMPT"].map(value), ["/own", "/h", "2"]);
        assert_eq!(["AUTOPACK_OWNER", "AUTOPACK_RUN_ID"].map(value), ["owner-1", "run"]);
        assert_eq!(value("PWD"), "/w/worktree");
        assert_eq!(env.len(), 13);
    }
}
