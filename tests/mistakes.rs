//! What people get wrong: each message tells what, where and why, and names a command or a key that helps. The command is
//! run here, and the key must exist.

use std::process::Command;

use crate::support::Project;
use crate::support::golden::golden;

const PLAN: &str = "phases:\n- {phase_id: one, deliverables: [src/one.py]}\n- {phase_id: two, deliverables: [src/two.py]}\n";
const SPEC: &str = "{phase_id: one, description: Better, deliverables: [src/one.py]}\n";

/// A mistake: a command line, in a project.
struct Mistake {
    name: &'static str,
    project: Project,
    args: Vec<String>,
    exits: i32,
    /// Part of the message that names the help.
    says: &'static str,
    help: Help,
}

/// What the message recommends.
enum Help {
    /// autopack with these arguments, and its exit code.
    Command(&'static str, i32),
    /// A shell command, then the same command again, and its exit code.
    Shell(&'static str, i32),
    /// A key of the configuration.
    Key(&'static str),
}

impl Mistake {
    fn new(name: &'static str, project: Project, line: &str, exits: i32) -> Self {
        let args = words(line);
        Self { name, project, args, exits, says: "", help: Help::Command("", 0) }
    }

    fn help(self, says: &'static str, help: Help) -> Self {
        Self { says, help, ..self }
    }
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// Makes each mistake, then follows the advice. Returns all messages.
fn make(mistakes: Vec<Mistake>) -> String {
    let mut text = String::new();
    for Mistake { name, project, args, exits, says, help } in mistakes {
        let ran = project.autopack(&args).exited(exits);
        let shown = golden(&ran);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains(says), "{name}: the message lacks {says:?}: {ran:#?}");
        text += &format!("# {name}\n$ autopack {}\n{shown}\n", args.join(" "));
        match help {
            Help::Command(line, code) => {
                let helped = project.autopack(words(line));
                assert_eq!(helped.code, Some(code), "{name}: `autopack {line}`: {helped:#?}");
            }
            Help::Shell(line, code) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", line]).current_dir(project.root());
                assert!(shell.output().unwrap().status.success(), "{name}: {line}");
                let helped = project.autopack(&args);
                assert_eq!(helped.code, Some(code), "{name}: after {line}: {helped:#?}");
            }
            Help::Key(key) => {
                let settings = Project::new().json(["config", "show", "--json"]);
                let mut keys = settings.as_array().unwrap().iter().map(|one| &one["key"]);
                let has = |one: &serde_json::Value| {
                    one.as_str()
                        .is_some_and(|one| one == key || one.starts_with(&format!("{key}.")))
                };
                assert!(keys.any(has), "{name}: there is no key {key}");
            }
        }
    }
    text
}

/// A project with an agent, CI that passes, and `plan.yaml`.
fn project() -> Project {
    Project::new()
        .agent_with("write_deliverables()", "ci: {command: 'true'}\n")
        .file("plan.yaml", PLAN)
        .file("spec.yaml", SPEC)
}

/// The same, with the plan imported as these runs.
fn with_runs(runs: &[&str]) -> Project {
    let project = project();
    for run in runs {
        project.autopack(["import", "plan.yaml", "--run-id", run]).succeeded();
    }
    project
}

macro_rules! snapshot {
    ($name:literal, $text:expr) => {{
        let text = $text;
        insta::with_settings!({snapshot_path => "snapshots/golden", prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!($name, text);
        });
    }};
}

#[test]
fn runs_and_phases() {
    let one = || with_runs(&["week1"]);
    let two = || with_runs(&["week1", "week2"]);
    let done = || {
        let project = one();
        project.autopack(["drain", "week1"]).succeeded();
        project
    };
    snapshot!(
        "mistakes_runs_and_phases",
        make(vec![
            Mistake::new("a verb of phases alone", one(), "skip two", 2).help(
                "did you mean `autopack phases skip`?",
                Help::Command("phases skip two --run-id week1", 0),
            ),
            Mistake::new("neither a run nor a phase", one(), "resume week9", 1)
                .help("did you mean \"week1\"?", Help::Command("resume week1", 0)),
            Mistake::new(
                "a phase before itself",
                one(),
                "phases move two --run-id week1 --before two",
                2,
            )
            .help("--first", Help::Command("phases move two --run-id week1 --first", 0)),
            Mistake::new("a run with a typo", one(), "drain week", 1)
                .help("did you mean \"week1\"?", Help::Command("drain week1 --dry-run", 0)),
            Mistake::new("a run that is not there", two(), "drain elsewhere", 1)
                .help("`autopack runs list`", Help::Command("runs list", 0)),
            Mistake::new("an unknown run as an option", one(), "status --run-id week2", 1)
                .help("did you mean \"week1\"?", Help::Command("status week1", 0)),
            Mistake::new("several runs with work", two(), "drain", 2)
                .help("`autopack drain week1`", Help::Command("drain week1 --dry-run", 0)),
            Mistake::new("two runs at once", two(), "status week1 --run-id week2", 2)
                .help("name one of them", Help::Command("status week2", 0)),
            Mistake::new("no run for a command that acts", two(), "verify", 2)
                .help("`RUN`", Help::Command("verify week1", 0)),
            Mistake::new("a phase with a typo", one(), "phases show onee", 1)
                .help("did you mean \"one\"?", Help::Command("phases show one", 0)),
            Mistake::new("a phase of another run", one_more(), "phases show three", 1)
                .help("write week1/three", Help::Command("phases show week1/three", 0)),
            Mistake::new("a phase of several runs", two(), "phases skip one", 2)
                .help("write week1/one or", Help::Command("phases skip week1/one", 0)),
            Mistake::new("phases of two runs", two(), "phases skip week1/one week2/two", 2)
                .help("one run at a time", Help::Command("phases skip week1/one week1/two", 0)),
            Mistake::new("a log without a phase", one(), "phases log", 2)
                .help("`autopack phases list`", Help::Command("phases list", 0)),
            Mistake::new("a retry without a phase", one(), "phases retry", 2)
                .help("<PHASE|--failed>", Help::Command("phases retry --failed", 0)),
            Mistake::new("an edit without a phase", one(), "phases edit --file spec.yaml", 2).help(
                "`autopack phases list`",
                Help::Command("phases edit one --file spec.yaml", 0)
            ),
            Mistake::new("a log before the first attempt", one(), "phases log one", 1)
                .help("`autopack drain week1`", Help::Command("drain week1", 0)),
            Mistake::new("an attempt that is not there", done(), "phases log one --attempt 7", 1)
                .help("the last attempt is 1", Help::Command("phases log one --attempt 1", 0)),
            Mistake::new("a retry of a queued phase", one(), "phases retry one", 1)
                .help("will run anyway", Help::Command("drain week1", 0)),
            Mistake::new("a retry of a complete phase", done(), "phases retry one", 1)
                .help("only with --redo", Help::Command("phases retry one --redo", 0)),
            Mistake::new(
                "an edit of a complete phase",
                done(),
                "phases edit one --file spec.yaml",
                1
            )
            .help("`phases retry --redo`", Help::Command("phases retry --redo one", 0)),
            Mistake::new("a state that does not exist", one(), "phases list --state done", 2)
                .help("complete", Help::Command("phases list --state complete", 0)),
            Mistake::new("removing an unknown run", one(), "runs remove week2", 1)
                .help("did you mean \"week1\"?", Help::Command("runs remove week1 --yes", 0)),
        ])
    );
}

/// `week1` with another phase, and `week2` used last.
fn one_more() -> Project {
    let project = with_runs(&["week1"]);
    let more = "phases:\n- {phase_id: three, deliverables: [src/three.py]}\n";
    project.autopack_reading(["import", "-", "--run-id", "week1"], more).succeeded();
    project.autopack(["import", "plan.yaml", "--run-id", "week2"]).succeeded();
    project
}

#[test]
fn plans() {
    let file = |text: &str| project().file("bad.yaml", text);
    let branch = project();
    branch.git(["branch", "autopack/plan"]);
    snapshot!(
        "mistakes_plans",
        make(vec![
            Mistake::new("a file with a typo", project(), "drain plans.yaml", 1)
                .help("did you mean \"plan.yaml\"?", Help::Command("drain plan.yaml --dry-run", 0)),
            Mistake::new("a file that is not there", project(), "drain backlog.json", 1)
                .help("`autopack drain plan.yaml`", Help::Command("drain plan.yaml --dry-run", 0)),
            Mistake::new("an import of a file with a typo", project(), "import plna.yaml", 1)
                .help("did you mean \"plan.yaml\"?", Help::Command("import plan.yaml", 0)),
            Mistake::new("a directory", project().file("plans/a.yaml", PLAN), "drain plans", 1)
                .help("is a directory", Help::Command("drain plans/a.yaml --dry-run", 0)),
            Mistake::new(
                "a list without boxes in Markdown",
                project().file("todo.md", "# Todo\n\n- one\n- two\n"),
                "import todo.md",
                1,
            )
            .help("a plan in Markdown is a ```yaml block", Help::Shell("printf '```yaml\\nphases:\\n- {phase_id: a, deliverables: [a.py]}\\n```\\n' > todo.md", 0)),
            Mistake::new("YAML that is none", file("phases: [{\n"), "drain bad.yaml", 1)
                .help("bad.yaml:", Help::Shell("cp plan.yaml bad.yaml", 0)),
            Mistake::new("a plan without phases", file("phases: []\n"), "import bad.yaml", 1)
                .help("`phases`", Help::Shell("cp plan.yaml bad.yaml", 0)),
            Mistake::new(
                "an unknown dependency",
                file("phases:\n- {phase_id: one, depends_on: [tow]}\n- {phase_id: two}\n"),
                "import bad.yaml",
                1,
            )
            .help("`tow`", Help::Shell("sed -i s/tow/two/ bad.yaml", 0)),
            Mistake::new(
                "dependencies in a circle",
                file("phases:\n- {phase_id: one, depends_on: [two]}\n- {phase_id: two, depends_on: [one]}\n"),
                "import bad.yaml",
                1,
            )
            .help("depends_on", Help::Shell("sed -i 's/two, depends_on: .one./two/' bad.yaml", 0)),
            Mistake::new(
                "a phase twice",
                file("phases:\n- {phase_id: one}\n- {phase_id: one}\n"),
                "import bad.yaml",
                1,
            )
            .help("another `phase_id`", Help::Shell("sed -i '3s/one/two/' bad.yaml", 0)),
            Mistake::new("one run for two files", project().file("b.yaml", PLAN), "drain plan.yaml b.yaml --run-id x", 2)
                .help("`autopack import FILE --run-id RUN`", Help::Command("import plan.yaml --run-id x", 0)),
            Mistake::new(
                "a spec without an id",
                with_runs(&["week1"]).file("spec.yaml", "deliverables: [a.py]\n"),
                "phases edit one --file spec.yaml",
                1,
            )
            .help("`phase_id: one`", Help::Shell("echo 'phase_id: one' >> spec.yaml", 0)),
            Mistake::new("a base that is not there", project(), "drain plan.yaml --base nosuchrev", 1)
                .help("`git branch --all`", Help::Command("drain plan.yaml --base main", 0)),
            Mistake::new("a branch of somebody else", branch, "drain plan.yaml", 1)
                .help("git branch -m autopack/plan OTHER", Help::Shell("git branch -m autopack/plan other", 0)),
        ])
    );
}

#[test]
fn places_and_settings() {
    let config = |yaml: &str| Project::new().config(yaml).file("plan.yaml", PLAN);
    let damaged = with_runs(&["week1"]);
    for journal in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(damaged.path(format!(".autopack/autopack.db{journal}")));
    }
    let path = damaged.path(".autopack/autopack.db");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100..4000].fill(7);
    std::fs::write(&path, bytes).unwrap();
    let red = project().agent_with("write_deliverables()", "ci: {command: 'false'}\n");
    snapshot!(
        "mistakes_places_and_settings",
        make(vec![
            Mistake::new("no repository", Project::bare_folder(), "status", 1)
                .help("`git init`", Help::Shell("git init -q", 1)),
            Mistake::new("no database", project(), "status", 1)
                .help("`autopack drain plan.yaml`", Help::Command("drain plan.yaml", 0)),
            Mistake::new(
                "a database that is none",
                project().file(".autopack/autopack.db", &"no database".repeat(9)),
                "status",
                1
            )
            .help("move it away", Help::Shell("mv .autopack/autopack.db x", 1)),
            Mistake::new("a damaged database", damaged, "status", 1)
                .help("move it away", Help::Shell("mv .autopack/autopack.db x", 1)),
            Mistake::new(
                "a workspace that is not there",
                Project::new(),
                "--workspace no status",
                1
            )
            .help("does not exist", Help::Command("--workspace . runs list", 1)),
            Mistake::new(
                "no agent",
                Project::new().env("PATH", "/usr/bin:/bin").file("plan.yaml", PLAN),
                "drain plan.yaml",
                1
            )
            .help("under `agents`", Help::Key("agents.default")),
            Mistake::new(
                "an agent that is not there",
                config("agents: {a: {kind: command, command: [no-such-agent]}}\n"),
                "drain plan.yaml",
                5
            )
            .help("autopack.yaml", Help::Key("agents")),
            Mistake::new("an agent with a typo", project(), "drain plan.yaml --agent fakee", 2)
                .help("did you mean \"fake\"?", Help::Command("drain plan.yaml --agent fake", 0)),
            Mistake::new("a key with a typo", config("executr: {}\n"), "config show", 1)
                .help("did you mean \"executor\"?", Help::Key("executor")),
            Mistake::new(
                "a value of the wrong kind",
                config("executor: {max_attempts: many}\n"),
                "config show",
                1
            )
            .help("executor.max_attempts", Help::Key("executor.max_attempts")),
            Mistake::new("red CI", red, "drain plan.yaml", 5)
                .help("Set ci.red_base: allow", Help::Key("ci.red_base")),
            Mistake::new("no workers", project(), "drain plan.yaml --jobs 0", 2)
                .help("1..", Help::Command("drain plan.yaml --jobs 1", 0)),
            Mistake::new("questions without a terminal", Project::new(), "init -i", 2)
                .help("without -i", Help::Command("init", 0)),
        ])
    );
}

/// A drained run, with these remotes.
fn to_publish(remotes: &[(&str, &str)]) -> Project {
    let project = with_runs(&["week1"]);
    project.autopack(["drain", "week1"]).succeeded();
    project.git(["init", "-q", "--bare", "-b", "main", "../remote.git"]);
    project.git(["push", "-q", "../remote.git", "main"]);
    for (name, url) in remotes {
        project.git(["remote", "add", name, url]);
    }
    project
}

#[test]
fn publishing() {
    let usual = || to_publish(&[("origin", "../remote.git")]);
    let several = || to_publish(&[("a", "../remote.git"), ("b", "../remote.git")]);
    let config = |text: &str| {
        let project = usual();
        let all = project.read(".autopack/config/autopack.yaml");
        project.config(&format!("{all}publish: {text}\n"))
    };
    let empty = || {
        let project = to_publish(&[("origin", "../empty.git")]);
        project.git(["init", "-q", "--bare", "-b", "main", "../empty.git"]);
        let all = project.read(".autopack/config/autopack.yaml");
        project.config(&format!("{all}publish: {{forge: 'github:o/r'}}\n"))
    };
    snapshot!(
        "mistakes_publishing",
        make(vec![
            Mistake::new("no remote", to_publish(&[]), "publish week1", 1).help(
                "git remote add origin URL",
                Help::Shell("git remote add origin ../remote.git", 0)
            ),
            Mistake::new("a remote that is not there", usual(), "publish week1 --remote orgin", 2)
                .help("remotes: origin", Help::Command("publish week1 --remote origin", 0)),
            Mistake::new("several remotes", several(), "publish week1", 2)
                .help("--remote REMOTE", Help::Command("publish week1 --remote b", 0)),
            Mistake::new("a base that is not there", usual(), "publish week1 --base master", 2)
                .help("it has main", Help::Command("publish week1 --base main", 0)),
            Mistake::new(
                "the run's branch as base",
                usual(),
                "publish week1 --base autopack/week1",
                2
            )
            .help("--base main", Help::Command("publish week1 --base main", 0)),
            Mistake::new("an empty remote of a forge", empty(), "publish week1", 1)
                .help("git push origin main", Help::Shell("git push -q origin main", 0)),
            Mistake::new(
                "no repository as forge",
                config("{forge: 'github:o'}"),
                "publish week1",
                1
            )
            .help("publish.forge", Help::Key("publish.forge")),
            Mistake::new(
                "a remote that is gone",
                to_publish(&[("origin", "../nowhere.git")]),
                "publish week1",
                1
            )
            .help("git ls-remote origin", Help::Shell("git init -q --bare ../nowhere.git", 0)),
            Mistake::new("publishing a dry run", usual(), "drain week1 --dry-run --publish", 2)
                .help("--publish", Help::Command("publish week1 --dry-run", 0)),
        ])
    );
}

#[test]
fn another_worktree() {
    let project = project();
    project.autopack(["drain", "plan.yaml"]).succeeded();
    let side = project.beside("side");
    project.git(["worktree", "add", "-q", side.to_str().unwrap(), "-b", "side"]);
    std::fs::copy(project.path("plan.yaml"), side.join("plan.yaml")).unwrap();
    let side = side.to_str().unwrap();
    let config = project.path(".autopack/config");
    let args = ["--workspace", side, "--config-dir", config.to_str().unwrap(), "drain"];
    let ran = project.autopack([&args[..], &["plan.yaml"]].concat()).exited(1);
    snapshot!("mistakes_another_worktree", golden(&ran));
    assert!(!std::path::Path::new(side).join(".autopack/autopack.db").exists());
    project.autopack(["--workspace", project.root().to_str().unwrap(), "status"]).succeeded();
    project.autopack([&args[..], &["plan.yaml", "--run-id", "side"]].concat()).succeeded();
}

/// `log`, `diff` and `open`; of `lost`, the files of the attempt are gone.
#[test]
fn looking_into_attempts() {
    let body = "if phase_id == 'one': write_deliverables()";
    let ran = || {
        let project = with_runs(&["week1"])
            .agent_with(body, "executor: {max_attempts: 1}\nci: {command: 'true'}\n");
        project.autopack(["drain", "week1"]).exited(3);
        project
    };
    let lost = || {
        let project = ran();
        std::fs::remove_dir_all(project.path(".autopack/attempts")).unwrap();
        project
    };
    let skipped = || {
        let project = with_runs(&["week1"]);
        project.autopack(["phases", "skip", "one"]).succeeded();
        project
    };
    snapshot!(
        "mistakes_attempts",
        make(vec![
            Mistake::new("a log of a step that did not run", ran(), "log one --setup", 1)
                .help("`autopack log week1/one`", Help::Command("log week1/one", 0)),
            Mistake::new("a log whose files are gone", lost(), "log one", 1)
                .help("`autopack gc`", Help::Command("gc --dry-run", 0)),
            Mistake::new("a log of a skipped phase", skipped(), "log one", 1).help(
                "`autopack phases retry week1/one`",
                Help::Command("phases retry week1/one", 0)
            ),
            Mistake::new("bytes as JSON", ran(), "log one --raw --json", 2)
                .help("'--json'", Help::Command("log one --json", 0)),
            Mistake::new("a change before the first attempt", with_runs(&["week1"]), "diff two", 1)
                .help("`autopack drain week1`", Help::Command("status week1", 0)),
            Mistake::new("a change of an idle agent", ran(), "diff two", 1)
                .help("`autopack log week1/two`", Help::Command("log week1/two", 0)),
            Mistake::new("a phase with a typo to diff", ran(), "diff onee", 1)
                .help("did you mean", Help::Command("diff one", 0)),
            Mistake::new("files of an attempt that is not there", ran(), "open one --attempt 2", 1)
                .help(
                    "`autopack phases show week1/one`",
                    Help::Command("phases show week1/one", 0)
                ),
            Mistake::new("a slot that another attempt used", ran(), "open one --slot", 1)
                .help("`autopack diff week1/one`", Help::Command("diff week1/one", 0)),
            Mistake::new("a directory that is gone", lost(), "open one", 1)
                .help("`autopack gc`", Help::Command("gc --dry-run", 0)),
            Mistake::new("a schema of nothing", ran(), "schema plans", 2)
                .help("a similar value exists: 'plan'", Help::Command("schema plan", 0)),
            Mistake::new("a plan without a goal", ran(), "plan", 2)
                .help("GOAL", Help::Command("plan --template", 0)),
        ])
    );
}

#[test]
fn in_a_linked_worktree_the_database_of_the_main_one_is_named() {
    let project = with_runs(&["week1"]);
    let linked = project.outside("linked").display().to_string();
    project.git(["worktree", "add", "-q", &linked]);
    let ran = project.autopack(["--workspace", &linked, "status"]).exited(1);
    let root = project.root().display().to_string();
    let hint = format!(
        "hint: another checkout of this repository has a database: `autopack --workspace '{root}' status`"
    );
    assert!(ran.stderr.contains(&hint), "{ran:#?}");
}
