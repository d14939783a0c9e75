//! Checks whether an agent can be started, before a phase pays for the answer.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::command_template::fill;
use crate::agent::AgentError;
use crate::config::CommandAgentSettings;
use crate::process::child_env::Env;
use crate::process::which::{self, ProgramLookup};

/// Programs that run the program in their first argument.
const INTERPRETERS: [&str; 12] =
    ["python", "node", "bash", "sh", "zsh", "ruby", "perl", "php", "deno", "bun", "tsx", "pwsh"];

const FIX: &str = "install it, put it on PATH, or change `command` of this agent in autopack.yaml";

/// Result of a successful check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentCheck {
    /// The program that would be started, the directory of recordings, or the URL of a provider.
    pub path: PathBuf,
}

/// Checks a command; a relative program is searched for in `worktree`.
pub(crate) fn check_command(
    settings: &CommandAgentSettings,
    workspace: &Path,
    worktree: &Path,
    env: &Env,
) -> Result<AgentCheck, AgentError> {
    let filled = |template: &str| {
        fill(template, &[("{workspace}", workspace.as_ref()), ("{worktree}", worktree.as_ref())])
    };
    let Some(program) = settings.command.first().filter(|program| !program.is_empty()) else {
        return Err(AgentError::CannotStart {
            program: "its `command`".into(),
            why: "it is empty".into(),
            hint: "set `command` of this agent in autopack.yaml".into(),
        });
    };
    let path = find_program(&filled(program), worktree, search_path(&settings.env, env))?;
    if let Some(script) = script(settings) {
        require_script(Path::new(&filled(script)))?;
    }
    Ok(AgentCheck { path })
}

/// Returns the search path for programs: from the agent's settings, else inherited.
pub(crate) fn search_path<'a>(
    own: &'a BTreeMap<String, String>,
    env: &'a Env,
) -> Option<&'a OsStr> {
    let own = own.get("PATH").map(OsStr::new);
    own.or_else(|| env.get(OsStr::new("PATH")).map(|path| path.as_os_str()))
}

pub(crate) fn find_program(
    program: &OsStr,
    cwd: &Path,
    path: Option<&OsStr>,
) -> Result<PathBuf, AgentError> {
    let name = program.display().to_string();
    let cannot_start = |why: &str, hint: String| AgentError::CannotStart {
        program: name.clone(),
        why: why.to_owned(),
        hint,
    };
    match which::find(program, cwd, path) {
        ProgramLookup::Program(file) => match missing_interpreter(&file) {
            None => Ok(file),
            Some(interpreter) => Err(cannot_start(
                &format!(
                    "its first line names the interpreter {}, which does not exist",
                    interpreter.display()
                ),
                "install the interpreter, or correct the line".to_owned(),
            )),
        },
        ProgramLookup::NotExecutable(file) => {
            let hint = format!("run `chmod +x {}`", file.display());
            Err(cannot_start("it is not executable", hint))
        }
        ProgramLookup::Nowhere(places) => {
            let places: Vec<String> = places.iter().map(|at| at.display().to_string()).collect();
            let searched = format!("looked for in {}", places.join(", "));
            Err(AgentError::Missing { program: name, searched, hint: FIX.to_owned() })
        }
    }
}

/// Finds a missing interpreter, as in `#!/usr/bin/nowhere`: the kernel's "no such file" would blame the
/// script.
fn missing_interpreter(file: &Path) -> Option<PathBuf> {
    let mut start = Vec::new();
    File::open(file).ok()?.take(256).read_to_end(&mut start).ok()?;
    let line = start.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line.strip_prefix(b"#!")?).ok()?;
    let interpreter = Path::new(line.split_whitespace().next()?);
    (interpreter.is_absolute() && !interpreter.exists()).then(|| interpreter.to_owned())
}

/// Returns the script of `python3 {workspace}/agent.py`: without the script, Python starts and fails in every
/// phase.
fn script(settings: &CommandAgentSettings) -> Option<&str> {
    let name = Path::new(settings.command.first()?).file_name()?.to_str()?;
    let interpreter = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let script = settings.command.get(1)?;
    let ours = script.starts_with("{workspace}/") && !script.contains("{prompt");
    (ours && INTERPRETERS.contains(&interpreter)).then_some(script)
}

fn require_script(script: &Path) -> Result<(), AgentError> {
    if script.exists() {
        return Ok(());
    }
    Err(AgentError::Missing {
        program: script.display().to_string(),
        searched: "there is no such file".to_owned(),
        hint: "create it, or change `command` of this agent in autopack.yaml".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn check_in(directory: &Path, command: &[&str]) -> Result<AgentCheck, AgentError> {
        let settings = CommandAgentSettings {
            command: command.iter().map(|part| (*part).to_owned()).collect(),
            prompt: Default::default(),
            timeout_seconds: 1,
            idle_timeout_seconds: 1,
            env: Default::default(),
            env_pass: Vec::new(),
        };
        let env = Env::from([("PATH".into(), directory.join("bin").into())]);
        check_command(&settings, directory, directory, &env)
    }

    fn write(file: &Path, text: &str, mode: u32) {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
        std::fs::set_permissions(file, PermissionsExt::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_startable_program_is_returned_with_its_path() {
        let at = tempfile::tempdir().unwrap();
        let python = at.path().join("bin/python3.12");
        write(&python, "#!/bin/sh\n", 0o755);
        write(&at.path().join("agent.py"), "", 0o644);
        let found = check_in(at.path(), &["python3.12", "{workspace}/agent.py"]).unwrap();
        assert_eq!(found, AgentCheck { path: python });
    }

    #[test]
    fn a_program_that_cannot_start_is_reported_with_a_hint() {
        let at = tempfile::tempdir().unwrap();
        write(&at.path().join("bin/python3"), "", 0o755);
        write(&at.path().join("plain"), "", 0o644);
        write(&at.path().join("odd"), "#!/no/such/thing -x\n", 0o755);
        let error = |command: &[&str]| check_in(at.path(), command).unwrap_err().to_string();
        let bin = at.path().join("bin").display().to_string();
        let missing = error(&["my-agent"]);
        assert!(missing.contains("my-agent is missing") && missing.contains(&bin), "{missing}");
        assert!(error(&["python3", "{workspace}/agent.py"]).contains("agent.py is missing"));
        assert!(error(&["{workspace}/plain"]).contains("chmod +x"));
        assert!(error(&["{workspace}/odd"]).contains("the interpreter /no/such/thing"));
        assert!(error(&[]).contains("it is empty") && error(&[""]).contains("it is empty"));
    }
}
