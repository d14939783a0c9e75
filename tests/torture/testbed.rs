//! A project for torture tests: a user's checkout with work in it, a run, an agent that logs its actions, and a final
//! check of everything.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::checker::complaints;
use super::drains::Running;
use super::history::{self, History};
use super::users::Users;
use crate::support::{Project, executable};

/// Logs who works on which phase. Two agents at once collide at a lock, which ends with the agent's last process.
const WITNESS: &str = r#"
exec 9>>"$at/$AUTOPACK_PHASE_ID.lock"
flock -n 9 || echo "double $AUTOPACK_PHASE_ID $AUTOPACK_ATTEMPT" >>"$at/steps"
echo "agent $AUTOPACK_PHASE_ID $AUTOPACK_ATTEMPT" >>"$at/steps"
deliver() { mkdir -p "src/$AUTOPACK_PHASE_ID"; echo "attempt $AUTOPACK_ATTEMPT" >"src/$AUTOPACK_PHASE_ID/made.txt"; }
"#;

/// Must never run: autopack's git does not trust hooks.
const HOOK: &str = "#!/bin/sh\necho ran >>.git/hooks/ran\n";

pub struct Testbed {
    pub project: Project,
    pub runs: Vec<String>,
    /// Phases that a drain executes at once.
    pub jobs: u64,
    /// The user's state before any drain.
    pub before: Users,
    drains: AtomicU32,
}

/// Gives a project an agent and a CI that log their work in the directory `witness`. `body` is the agent, a shell script
/// that can call `deliver`; `settings` are further sections of the configuration.
pub fn with_witness(project: Project, witness: &Path, body: &str, settings: &str) -> Project {
    let at = witness.display();
    let agent = project.outside("agent.sh");
    std::fs::write(&agent, format!("at='{at}'\n{WITNESS}{body}\n")).unwrap();
    let git = real_git();
    project.config(&format!(
        "agents:\n  default: witness\n  witness:\n    kind: command\n    command: [sh, {agent:?}]\n    prompt: file\n\
         ci: {{command: [sh, -c, \"test ! -e src || echo ci $('{git}' rev-parse HEAD^{{tree}}) >>'{at}/steps'\"]}}\n{settings}"
    ))
}

/// A backlog of `n` phases, each with a directory of its own, so that they may run side by side; every fifth depends on
/// its predecessor.
pub fn backlog(n: u64) -> Value {
    let phase = |i: u64| {
        let file = format!("src/p{i:05}/made.txt");
        let mut phase = json!({"phase_id": format!("p{i:05}"), "deliverables": [file]});
        if i % 5 == 4 {
            phase["depends_on"] = json!([format!("p{:05}", i - 1)]);
        }
        phase
    };
    json!({ "phases": (0..n).map(phase).collect::<Vec<_>>() })
}

impl Testbed {
    /// `body` is the agent, a shell script that can call `deliver`; `settings` are further sections of the
    /// configuration.
    pub fn new(body: &str, settings: &str, jobs: u64, plan: Value) -> Self {
        Self::on(Project::new(), body, settings, jobs, plan)
    }

    pub fn on(project: Project, body: &str, settings: &str, jobs: u64, plan: Value) -> Self {
        let witness = project.outside("witness");
        std::fs::create_dir_all(&witness).unwrap();
        std::fs::write(witness.join("steps"), "").unwrap();
        Self::configured(with_witness(project, &witness, body, settings), jobs, plan)
    }

    /// Takes a project whose agent and CI are already configured.
    pub fn configured(project: Project, jobs: u64, plan: Value) -> Self {
        dirty(&project);
        let testbed = Self {
            project: project.plan(plan),
            runs: vec!["run".to_owned()],
            jobs,
            before: Users::default(),
            drains: AtomicU32::new(0),
        };
        history::keep_moves(&testbed.database());
        let before = Users::of(&testbed.project);
        Self { before, ..testbed }
    }

    pub fn database(&self) -> PathBuf {
        self.project.path(".autopack/autopack.db")
    }

    /// Log of agents, CI and the git wrapper so far.
    pub fn steps(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.steps_file()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub fn steps_file(&self) -> PathBuf {
        self.project.outside("witness/steps")
    }

    pub fn git_command(&self) -> Command {
        self.project.git_command()
    }

    /// Starts a drain of all runs.
    pub fn start(&self) -> Running {
        self.start_with(&[])
    }

    pub fn start_with(&self, more: &[&str]) -> Running {
        let number = self.drains.fetch_add(1, Ordering::Relaxed);
        let mut command = self.project.command(["drain", "--json"]);
        for run in &self.runs {
            command.arg(format!("--run-id={run}"));
        }
        if self.jobs > 1 {
            command.args(["--jobs", &self.jobs.to_string()]);
        }
        command.args(more);
        Running::start(command, self.project.outside(format!("drain-{number}")))
    }

    /// Retries failed phases, as an operator would.
    pub fn retry_failed(&self) {
        self.project.autopack(["phases", "retry", "--run-id", "run", "--failed"]);
    }

    /// Asserts that every phase of `run` landed.
    pub fn assert_all_complete(&self) {
        let states = self.project.states();
        let left: Vec<_> = states.iter().filter(|(_, state)| *state != "COMPLETE").collect();
        assert!(left.is_empty(), "{left:?}");
    }

    /// Asserts that no promise was broken.
    #[track_caller]
    pub fn check(&self) -> History {
        self.check_after(|_| {})
    }

    /// The same, for a test in which part of the history is known to differ.
    #[track_caller]
    pub fn check_after(&self, excuse: impl FnOnce(&mut History)) -> History {
        let mut history = History::of(self);
        excuse(&mut history);
        let found = complaints(&history);
        assert!(found.is_empty(), "{} broken promises: {found:#?}", found.len());
        history
    }
}

/// The program itself: a test may hold calls of the wrapper on the PATH.
pub fn real_git() -> String {
    let path = std::env::var("PATH").unwrap();
    let git = std::env::split_paths(&path).map(|directory| directory.join("git"));
    git.filter(|git| git.is_file())
        .map(|git| git.display().to_string())
        .next()
        .expect("git is installed")
}

/// The user's work, which must not be touched: changed, staged and untracked files, and a hook.
fn dirty(project: &Project) {
    project.write("staged.txt", "staged\n");
    project.git(["add", "staged.txt"]);
    project.write("README.md", "# edited, not committed\n");
    project.write("notes/untracked.txt", "untracked\n");
    for hook in ["reference-transaction", "post-commit", "post-checkout"] {
        let path = project.path(format!(".git/hooks/{hook}"));
        executable(&path, HOOK);
    }
}
