//! Health checks of user settings: configuration, repository and CI.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::Finding;
use crate::ci::{self, CiPlace, Pythons};
use crate::config::{Config, HiddenFile, SandboxPlaces, Settings, check_paths};
use crate::failure::Failure;
use crate::phase::PhaseCi;
use crate::process::child_env::Env;
use crate::process::which::{self, ProgramLookup};
use crate::workspace::find_obstacles;
use crate::workspace::{Obstacle, Repo, WorkspaceError};

/// Checks the configuration files. `places` are known if the workspace is known.
pub fn check_configuration(
    config: &Result<&Config, Failure>,
    places: Option<SandboxPlaces<'_>>,
) -> Finding {
    if let (Ok(config), Some(places)) = (config, places)
        && let Err((key, why)) = check_paths(&config.settings.sandbox, places)
    {
        let hint = format!("correct it; {key} is set by {}", config.origin_of(key));
        return Finding::fail(format!("{key} {why}"), hint);
    }
    let workspace = places.map(|places| places.workspace);
    match config {
        Err(failure) => failure_finding(
            failure,
            "correct it; see docs/configuration.md for all keys and variables",
        ),
        Ok(config) if config.files.is_empty() => Finding::ok("shipped defaults"),
        Ok(config) if !config.hidden.is_empty() => {
            let hidden = config.hidden.iter().map(ToString::to_string);
            Finding::warn(hidden.collect::<Vec<_>>().join("; "), HiddenFile::REMEDY)
        }
        Ok(config) => {
            let files = config.files.iter().map(|file| relative(file, workspace));
            Finding::ok(files.collect::<Vec<_>>().join(", "))
        }
    }
}

/// Checks the CI command, as chosen by the files of this place.
pub(super) async fn find_ci(settings: &Settings, place: &CiPlace<'_>) -> Finding {
    let timeout_seconds = settings.ci.max_timeout_seconds;
    let limits = PhaseCi { timeout_seconds, ..PhaseCi::default() };
    let plan = ci::choose_plan(place, &settings.ci, &limits, &Pythons::default()).await;
    match (&plan.note, plan.program()) {
        (Some(note), _) if plan.is_configured() => Finding::fail(&note.why, &note.hint),
        (Some(note), _) => {
            Finding::warn(format!("{}: only deliverables are checked", note.why), &note.hint)
        }
        (None, Some(program)) => {
            check_program(&plan.display(), program, place.workspace, place.env)
        }
        (None, None) => Finding::ok(plan.display()),
    }
}

fn check_program(command: &str, program: &str, workspace: &Path, env: &Env) -> Finding {
    let path = env.get(OsStr::new("PATH")).map(OsString::as_os_str);
    let hint = "install it, or correct ci.command in autopack.yaml";
    match which::find(program.as_ref(), workspace, path) {
        ProgramLookup::Program(_) => Finding::ok(command),
        ProgramLookup::NotExecutable(file) => {
            Finding::fail(format!("{command}: {} is not executable", file.display()), hint)
        }
        ProgramLookup::Nowhere(_) => {
            Finding::fail(format!("{command}: {program} is missing"), hint)
        }
    }
}

/// Checks the repository for problems that prevent a drain. `settings` is `None` if the configuration is invalid.
pub async fn check_workspace(
    workspace: &Result<PathBuf, Failure>,
    settings: Option<&Settings>,
) -> Finding {
    let root = match workspace {
        Ok(root) => root,
        Err(failure) => return failure_finding(failure, "choose a repository with --workspace"),
    };
    match describe_obstacles(root, settings).await {
        Ok(found) if found.is_empty() => Finding::ok(root.display().to_string()),
        Ok(found) => {
            let (what, cures): (Vec<String>, Vec<String>) =
                found.into_iter().map(|obstacle| (obstacle.problem, obstacle.remedy)).unzip();
            Finding::fail(what.join("; "), cures.join("; "))
        }
        Err(error) => {
            let hint = error
                .hint()
                .unwrap_or("a drain would fail the same way; run `git status` there for details");
            Finding::fail(error.to_string(), hint)
        }
    }
}

async fn describe_obstacles(
    root: &Path,
    settings: Option<&Settings>,
) -> Result<Vec<Obstacle>, WorkspaceError> {
    let settings = settings.map(|settings| &settings.workspace);
    let slots_dir = settings.and_then(|settings| settings.slots_dir.as_deref());
    let repo = Repo::discover(root).await?.with_slots_dir(slots_dir);
    find_obstacles(&repo, settings.and_then(|settings| settings.base.as_deref())).await
}

/// Converts a failure to a finding; the hint of the failure takes precedence.
pub fn failure_finding(failure: &Failure, hint: &str) -> Finding {
    Finding::fail(failure.text(), failure.hint_text().unwrap_or(hint))
}

fn relative(path: &Path, workspace: Option<&Path>) -> String {
    let inside = workspace.and_then(|root| path.strip_prefix(root).ok());
    inside.unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;
    use crate::config::CommandLine;

    async fn ci_of(command: Option<CommandLine>) -> Finding {
        let workspace = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.ci.command = command;
        let env = [("PATH".into(), "/usr/bin:/bin".into())].into();
        find_ci(
            &settings,
            &CiPlace { dir: workspace.path(), workspace: workspace.path(), env: &env },
        )
        .await
    }

    #[tokio::test]
    async fn missing_ci_command_fails() {
        let argv = |word: &str| Some(CommandLine::Argv(vec![word.to_owned(), "x".to_owned()]));
        assert_eq!(ci_of(argv("sh")).await, Finding::ok("sh x"));
        assert_eq!(ci_of(argv("no-such-ci")).await.detail, "no-such-ci x: no-such-ci is missing");
        let line = CommandLine::Shell("make test".to_owned());
        assert_eq!(ci_of(Some(line)).await, Finding::ok("make test"));
    }

    #[tokio::test]
    async fn no_ci_is_a_warning_that_names_the_remaining_check() {
        let finding = ci_of(None).await;
        assert_eq!(finding.status, Status::Warn);
        assert!(finding.detail.ends_with("only deliverables are checked"), "{}", finding.detail);
        assert!(finding.hint.unwrap().starts_with("set ci.command"));
    }
}
