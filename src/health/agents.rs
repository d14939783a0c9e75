//! The check of the agents: each program is there and could be started.
//!
//! None is started: a program that knows no `--version` would take it for a task, and do it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::Finding;
use crate::config::{AgentSettings, CommandAgentSettings, Settings};

/// Where programs and files are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    pub workspace: &'a Path,
    pub search_path: &'a [PathBuf],
}

/// The default agent must be startable; another that is not warns only.
pub fn agents(settings: &Settings, places: Places<'_>) -> Finding {
    let named = &settings.agents.named;
    let Some((default, _)) = settings.agent(None) else {
        return match named.is_empty() {
            true => Finding::warn("none is configured", "name one under `agents` in autopack.yaml"),
            false => Finding::warn("none is the default", "name it as `agents.default`"),
        };
    };
    let broken: Vec<(&str, Missing)> = named
        .iter()
        .filter_map(|(name, agent)| Some((name.as_str(), look(agent, places).err()?)))
        .collect();
    let worst = broken.iter().find(|(name, _)| *name == default).or(broken.first());
    match worst {
        None => Finding::ok(default),
        Some((name, missing)) => {
            let detail = format!("{name}: {}", missing.what);
            match *name == default {
                true => Finding::fail(detail, missing.hint),
                false => Finding::warn(detail, missing.hint),
            }
        }
    }
}

/// Why an agent could not be started.
#[derive(Debug, PartialEq)]
struct Missing {
    what: String,
    hint: &'static str,
}

fn look(agent: &AgentSettings, places: Places<'_>) -> Result<(), Missing> {
    match agent {
        AgentSettings::Command(agent) => command(agent, places),
        AgentSettings::Replay(agent) => {
            let folder = places.workspace.join(&agent.folder);
            match folder.is_dir() {
                true => Ok(()),
                false => Err(Missing {
                    what: format!("there is no folder {}", folder.display()),
                    hint: "record edits there, or correct its `folder`",
                }),
            }
        }
    }
}

fn command(agent: &CommandAgentSettings, places: Places<'_>) -> Result<(), Missing> {
    let own_path = agent.env.get("PATH").map(|path| std::env::split_paths(path).collect());
    let search_path: Vec<PathBuf> = own_path.unwrap_or_else(|| places.search_path.to_vec());
    let (program, arguments) = agent.command.split_first().ok_or_else(|| Missing {
        what: "names no program".to_owned(),
        hint: "give it a `command`",
    })?;
    program_at(program, places.workspace, &search_path)?;
    // What an interpreter is given has to be there too.
    for argument in arguments.iter().filter(|argument| argument.starts_with("{workspace}/")) {
        let file = in_workspace(argument, places.workspace);
        if !file.exists() {
            let what = format!("there is no file {}", file.display());
            return Err(Missing { what, hint: "write it, or correct the agent's `command`" });
        }
    }
    Ok(())
}

fn in_workspace(text: &str, workspace: &Path) -> PathBuf {
    workspace.join(text.replace("{workspace}", &workspace.display().to_string()))
}

/// Finds a program as the system would, and sees that it may be started.
fn program_at(program: &str, workspace: &Path, search_path: &[PathBuf]) -> Result<(), Missing> {
    if program.contains("{worktree}") {
        return Ok(());
    }
    let candidates: Vec<PathBuf> = match program.contains('/') {
        true => vec![in_workspace(program, workspace)],
        false => search_path.iter().map(|dir| dir.join(program)).collect(),
    };
    let Some(file) = candidates.iter().find(|file| file.is_file()) else {
        let what = format!("there is no program {program:?}");
        return Err(Missing { what, hint: "install it, or correct the agent's `command`" });
    };
    if access(file, AccessFlags::X_OK).is_err() {
        let what = format!("{} may not be executed", file.display());
        return Err(Missing { what, hint: "make it executable with `chmod +x`" });
    }
    match interpreter(file) {
        Some(interpreter) if !interpreter.exists() => Err(Missing {
            what: format!("{} needs {}, which is missing", file.display(), interpreter.display()),
            hint: "install the interpreter, or correct the script's first line",
        }),
        _ => Ok(()),
    }
}

/// What the first line of a script asks for.
fn interpreter(script: &Path) -> Option<PathBuf> {
    let mut head = Vec::new();
    File::open(script).ok()?.take(256).read_to_end(&mut head).ok()?;
    let line = head.split(|byte| *byte == b'\n').next()?.strip_prefix(b"#!")?;
    let line = std::str::from_utf8(line).ok()?;
    line.split_whitespace().next().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::super::Status;
    use super::*;

    /// A workspace with `run.sh` in it, looked at with an agent of that command.
    fn finding(command: &[&str], script: &str, mode: u32) -> Finding {
        let workspace = tempfile::tempdir().unwrap();
        let file = workspace.path().join("run.sh");
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let mut settings = Settings::default();
        let [AgentSettings::Command(sample), _] = AgentSettings::samples() else { panic!() };
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        let agent = AgentSettings::Command(CommandAgentSettings { command, ..sample });
        settings.agents.named.insert("mine".to_owned(), agent);
        let search_path = [PathBuf::from("/usr/bin"), PathBuf::from("/bin")];
        let places = Places { workspace: workspace.path(), search_path: &search_path };
        agents(&settings, places)
    }

    #[test]
    fn a_program_is_found_on_the_path_or_in_the_workspace() {
        assert_eq!(finding(&["sh"], "", 0o644), Finding::ok("mine"));
        assert_eq!(finding(&["{workspace}/run.sh"], "#!/bin/sh\n", 0o755).status, Status::Ok);
        assert_eq!(finding(&["./run.sh"], "#!/bin/sh\n", 0o755).status, Status::Ok);
        assert_eq!(finding(&["sh", "{workspace}/run.sh"], "", 0o644).status, Status::Ok);
    }

    #[test]
    fn what_cannot_start_says_why() {
        let detail = |command: &[&str], script, mode| {
            let finding = finding(command, script, mode);
            assert_eq!(finding.status, Status::Fail, "{finding:?}");
            finding.detail
        };
        assert_eq!(
            detail(&["no-such-agent"], "", 0o644),
            "mine: there is no program \"no-such-agent\""
        );
        assert!(detail(&["./run.sh"], "", 0o644).ends_with("may not be executed"));
        assert!(
            detail(&["./run.sh"], "#!/no/sh", 0o755).ends_with("needs /no/sh, which is missing")
        );
        assert!(detail(&["sh", "{workspace}/other.sh"], "", 0o644).contains("there is no file"));
    }

    #[test]
    fn without_an_agent_it_warns() {
        let places = Places { workspace: Path::new("/"), search_path: &[] };
        assert_eq!(agents(&Settings::default(), places).status, Status::Warn);
    }
}
