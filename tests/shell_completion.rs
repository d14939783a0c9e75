//! Completion in a shell: runs, phases, agents and states, from the database of the command line.

use std::process::Command;

use crate::support::{Project, has};
use serde_json::{Value, json};

fn plan(run: &str, phases: &[&str]) -> Value {
    let phase = |id: &&str| json!({"phase_id": id, "deliverables": [format!("{id}.txt")]});
    json!({"run_id": run, "phases": phases.iter().map(phase).collect::<Vec<_>>()})
}

fn import(project: &Project, run: &str, phases: &[&str]) {
    project.write("plan.json", &plan(run, phases).to_string());
    project.autopack(["import", "plan.json"]).succeeded();
}

/// Two runs; `week2` was used last.
fn two_runs() -> Project {
    let project = Project::new();
    import(&project, "week1", &["api", "ui"]);
    import(&project, "week2", &["docs", "a b"]);
    project
}

/// The candidates for the last word but unasked options, as the script of a shell asks for them.
fn candidates(project: &Project, line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let last = (words.len() - 1).to_string();
    let variables =
        [("_AUTOPACK_COMPLETE", "bash"), ("_CLAP_COMPLETE_INDEX", &last), ("_CLAP_IFS", "\n")];
    let ran = project.autopack_with([&["--"], words.as_slice()].concat(), &variables);
    assert_eq!(ran.stderr, "", "{line}");
    let candidates = ran.succeeded().stdout;
    // Options are offered for each word.
    let is_asked =
        |candidate: &&str| words[words.len() - 1].starts_with('-') || !candidate.starts_with('-');
    candidates.lines().filter(is_asked).map(str::to_owned).collect()
}

#[test]
fn runs_phases_agents_and_states_are_completed() {
    let project = two_runs()
        .config("agents:\n  default: fast\n  fast: {kind: claude}\n  slow: {kind: codex}\n");
    let complete = |line: &str| candidates(&project, line);
    assert_eq!(complete("autopack drain --run-id "), ["week2", "week1"], "the last used first");
    assert_eq!(complete("autopack status week1"), ["week1"]);
    assert_eq!(complete("autopack drain --agent "), ["fast", "slow"]);
    let states = ["queued", "running", "complete", "failed", "skipped"];
    assert_eq!(complete("autopack phases list --state "), states);
    assert_eq!(complete("autopack phases list --state r"), ["running"]);
    // Phases of the run used last; a phase of another run follows its name.
    let odd = "a-b-";
    let phases = complete("autopack log ");
    assert_eq!(phases[0], "docs");
    assert!(phases[1].starts_with(odd), "the id as in paths: {phases:?}");
    assert!(phases.contains(&"week1/".to_owned()), "{phases:?}");
    assert_eq!(complete("autopack log week1/"), ["week1/api", "week1/ui"]);
    assert_eq!(complete("autopack diff --run-id week1 "), ["api", "ui"]);
    assert_eq!(complete("autopack diff --run-id=week1 u"), ["ui"]);
    assert_eq!(complete("autopack merge week1 --into m"), ["main"]);
    project.git(["remote", "add", "upstream", "../nowhere.git"]);
    assert_eq!(complete("autopack publish week1 --remote "), ["upstream"]);
    let fields = complete("autopack phases set docs max");
    assert_eq!(fields, ["max_attempts="]);
    project.write("week3.yaml", "phases: []");
    assert_eq!(complete("autopack drain week"), ["week2", "week1", "week3.yaml"]);
    // The name that was completed names the phase.
    project.autopack(["phases", "show", &phases[1]]).succeeded();
}

/// Other files and verbs are completed too.
#[test]
fn verbs_and_options_are_completed() {
    let project = Project::new();
    assert_eq!(candidates(&project, "autopack dif"), ["diff"]);
    let options = candidates(&project, "autopack log --");
    assert!(options.contains(&"--follow".to_owned()), "{options:?}");
    assert!(!options.contains(&"--workspace".to_owned()), "{options:?}");
    assert_eq!(candidates(&project, "autopack log --worksp"), ["--workspace"]);
}

#[test]
fn without_a_usable_database_nothing_is_completed_printed_or_created() {
    let project = Project::new();
    assert_eq!(candidates(&project, "autopack status "), [""; 0]);
    assert!(!project.path(".autopack").exists());
    let missing = "autopack --database-url sqlite:///no/such.db status ";
    assert_eq!(candidates(&project, missing), [""; 0]);
    project.write(".autopack/autopack.db", "no database at all, but long enough for a header...");
    project.write(".autopack/config/autopack.yaml", "executr: {}\n");
    for line in ["autopack status ", "autopack log ", "autopack --workspace /nowhere log "] {
        assert_eq!(candidates(&project, line), [""; 0], "{line}");
    }
    assert!(candidates(&project, "autopack drain --agent cl").contains(&"claude".to_owned()));
    let outside = Project::bare_folder();
    assert_eq!(candidates(&outside, "autopack status "), [""; 0]);
    // A variable of another program is no request.
    let ran = outside.autopack_with(["--version"], &[("COMPLETE", "bash")]).succeeded();
    assert!(ran.stdout.starts_with("autopack "), "{ran:?}");
    let unknown = [("_AUTOPACK_COMPLETE", "tcsh")];
    assert_eq!(outside.autopack_with(["--", "autopack", ""], &unknown).stderr, "");
}

#[test]
fn a_database_that_a_drain_writes_is_read_at_once() {
    let project = two_runs();
    // Holds the lock of a writer until the end of its input.
    let script = "import sqlite3, sys\nc = sqlite3.connect('.autopack/autopack.db', isolation_level=None)\n\
                  c.execute('BEGIN IMMEDIATE')\nprint('locked', flush=True)\nsys.stdin.read()";
    let mut writer = Command::new("python3")
        .args(["-c", script])
        .current_dir(project.root())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = std::io::BufReader::new(writer.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    assert_eq!(candidates(&project, "autopack status "), ["week2", "week1"]);
    drop(writer.stdin.take());
    writer.wait().unwrap();
}

/// A real bash, with the script of `completions`.
#[test]
fn bash_completes_with_the_script() {
    if !has("bash", &["--version"]) {
        return;
    }
    let project = two_runs();
    let autopack = project.command(["x"]).get_program().to_str().unwrap().to_owned();
    let script = format!(
        "source <('{autopack}' completions bash)\n\
         complete -p autopack >/dev/null || exit 1\n\
         COMP_WORDS=(autopack drain --run-id we); COMP_CWORD=3; COMP_TYPE=9\n\
         _clap_complete_autopack autopack we --run-id\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let mut command = Command::new("bash");
    let own = project.command(["x"]);
    let env = own.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.args(["--norc", "-c", &script]).current_dir(project.root()).env_clear().envs(env);
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(&output.stdout), "week2\nweek1\n", "{}", text(&output.stderr));
}

#[test]
fn scripts_of_other_shells_are_well_formed() {
    let project = Project::bare_folder();
    for shell in ["zsh", "fish"] {
        let script = project.autopack(["completions", shell]).succeeded().stdout;
        assert!(script.contains("_AUTOPACK_COMPLETE"), "{script}");
        if has(shell, &["--version"]) {
            let file = project.outside(shell);
            std::fs::write(&file, script).unwrap();
            let status = Command::new(shell).arg("-n").arg(&file).status().unwrap();
            assert!(status.success(), "{shell}");
        }
    }
}
