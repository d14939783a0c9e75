//! Logs, patches and prompts of attempts, read from another clone over one Postgres server.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::support::Project;
use crate::support::clones::{Remote, wait_for, with_settings};
use crate::support::database::texts;
use crate::support::postgres::{Database, Session, database};
use crate::support::process::signal;

/// `good` lands; `bad` leaves its scope, so its change is kept.
const AGENT: &str = "print('the agent speaks', flush=True)\nwrite_deliverables()\n\
                     if phase_id == 'bad': write('setup.cfg', 'outside\\n' * 2000)";

/// Machine A, which executes, and machine B, which reads.
struct Machines {
    database: Database,
    _remote: Remote,
    a: Project,
    b: Project,
}

impl Machines {
    fn new(agent: &str, settings: &str) -> Option<Self> {
        let database = database()?;
        let remote = Remote::by_file();
        let [a, b] = [(); 2].map(|()| {
            let clone = with_settings(remote.clone_with(&[]), agent, settings);
            clone.env("AUTOPACK_DATABASE_URL", database.url())
        });
        let machines = Self { database, _remote: remote, a, b };
        machines.import(&["good", "bad"]);
        Some(machines)
    }

    /// Kills a drain of `a` between the finish of its attempts and the storing of their files, which the database refuses until the
    /// session ends.
    fn kill_before_storing(&self) -> Session {
        let Self { a, b, database, .. } = self;
        let locked =
            database.session("BEGIN; LOCK TABLE autopack.artifact_uploads IN EXCLUSIVE MODE");
        let mut drain = a.spawn(["drain", "--run-id", "run"]);
        while b.phase("bad")["state"] != "FAILED" || b.phase("good")["state"] != "COMPLETE" {
            std::thread::sleep(Duration::from_millis(20));
        }
        signal(&drain, "-KILL");
        drain.wait().unwrap();
        locked
    }

    fn import(&self, phases: &[&str]) {
        let phase = |id: &&str| json!({"phase_id": id, "deliverables": [format!("src/{id}.txt")], "max_attempts": 1});
        let plan = json!({"phases": phases.iter().map(phase).collect::<Vec<_>>()});
        let file = self.a.outside("plan.json");
        std::fs::write(&file, plan.to_string()).unwrap();
        self.a.autopack(["import", file.to_str().unwrap(), "--run-id", "run"]).succeeded();
    }

    fn drained(agent: &str, settings: &str) -> Option<Self> {
        let machines = Self::new(agent, settings)?;
        machines.a.drain().exited(3);
        Some(machines)
    }

    /// Names of the files in the database of a phase's attempts.
    fn stored(&self, phase: &str) -> Vec<String> {
        self.database.texts(&format!(
            "SELECT f.name FROM autopack.artifacts f JOIN autopack.attempts a ON a.id = f.attempt
               JOIN autopack.phases p ON p.id = a.phase WHERE p.phase_id = '{phase}' ORDER BY f.position"
        ))
    }
}

/// The output of a command that succeeds.
#[track_caller]
fn output(project: &Project, args: &[&str]) -> String {
    project.autopack(args).succeeded().stdout
}

#[test]
fn another_machine_reads_log_diff_and_prompt_after_the_finish() {
    let Some(machines) = Machines::drained(AGENT, "") else { return };
    let Machines { a, b, .. } = &machines;
    for args in [
        ["log", "bad", "--agent", "--raw"],
        ["log", "bad", "--prompt", "--raw"],
        ["diff", "bad", "--no-pager", "--stat"],
    ] {
        assert_eq!(output(b, &args), output(a, &args), "{args:?}");
    }
    let (there, here) = (output(b, &["log", "bad", "--all"]), output(a, &["log", "bad", "--all"]));
    let headings = |text: &str| {
        let lines = text.lines().filter_map(|line| line.strip_prefix("==> "));
        lines.map(|line| line.rsplit('/').next().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!(headings(&there), headings(&here));
    assert!(there.contains(":.autopack/attempts/run/bad/1/agent.log <=="), "{there}");
    let diff = b.json(["diff", "bad", "--json"]);
    assert!(
        diff["patch"].as_str().unwrap().ends_with(":.autopack/attempts/run/bad/1/changes.patch")
    );
    let opened = b.autopack(["open", "bad"]).exited(1);
    assert!(opened.stderr.contains("is on another machine"), "{opened:#?}");
    let report = output(b, &["report", "run"]);
    assert!(report.contains("the agent speaks") && report.contains("+outside"), "{report}");
    // The commit of a landing is at the remote.
    let fetch = b.autopack(["diff", "good"]).exited(1);
    assert!(fetch.stderr.contains("git fetch origin autopack/run"), "{fetch:#?}");
    b.git(["fetch", "-q", "origin", "autopack/run"]);
    assert_eq!(output(b, &["diff", "good"]), output(a, &["diff", "good"]));
}

#[test]
fn whole_files_are_in_the_shared_directory() {
    let shared = tempfile::tempdir().unwrap();
    let settings = format!("artifacts: {{database_kb: 0, dir: {:?}}}\n", shared.path());
    let Some(machines) = Machines::drained(AGENT, &settings) else { return };
    let Machines { a, b, .. } = &machines;
    assert!(machines.stored("bad").is_empty());
    let log = output(b, &["log", "bad", "--agent"]);
    assert_eq!(log, "the agent speaks\n");
    assert_eq!(output(b, &["diff", "bad"]), output(a, &["diff", "bad"]));
    let opened = output(b, &["open", "bad"]);
    assert!(Path::new(opened.trim()).starts_with(shared.path()), "{opened}");
    // Landed attempts go first; those of a removed run go with it.
    output(b, &["gc"]);
    let phases = || {
        let run = std::fs::read_dir(shared.path().join("run")).into_iter().flatten();
        run.map(|phase| phase.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(phases(), ["bad"]);
    output(b, &["runs", "remove", "run", "--yes"]);
    assert!(phases().is_empty());
}

#[test]
fn the_middle_of_a_long_file_is_left_out_and_said() {
    let agent = format!("for n in range(500): print('line', n)\n{AGENT}");
    let settings = "artifacts: {database_kb: 2}\n";
    let Some(machines) = Machines::drained(&agent, settings) else { return };
    let Machines { a, b, .. } = &machines;
    let log = output(b, &["log", "bad", "--agent", "--raw"]);
    assert!(log.starts_with("line 0\nline 1\n") && log.ends_with("the agent speaks\n"), "{log}");
    assert!(log.contains("\n[autopack left out ") && log.len() < 2200, "{log}");
    let diff = b.autopack(["diff", "bad"]).succeeded();
    assert!(diff.stderr.contains("the whole patch is in "), "{diff:#?}");
    assert!(output(a, &["diff", "bad"]).len() > diff.stdout.len());
    // Work cannot start from half a patch.
    for verb in ["shell", "attach"] {
        let started = b.autopack([verb, "bad", "--", "true"]).succeeded();
        let said = "without the work of attempt 1: its patch is longer than artifacts.database_kb";
        assert!(started.stderr.contains(said), "{started:#?}");
    }
}

/// The database refuses the files, so the drain is killed between the finish and their storing.
#[test]
fn a_killed_drain_leaves_files_that_the_next_one_stores() {
    let Some(machines) = Machines::new(AGENT, "") else { return };
    let locked = machines.kill_before_storing();
    let Machines { a, b, .. } = &machines;
    let refused = b.autopack(["log", "bad"]).exited(1);
    assert!(
        refused.stderr.contains(", and nowhere else yet: .autopack/attempts/run/bad/1"),
        "{refused:#?}"
    );
    let shell = b.autopack(["shell", "bad", "--", "true"]).succeeded();
    assert!(
        shell.stderr.contains("without the work of attempt 1: its files are on "),
        "{shell:#?}"
    );
    drop(locked);
    // No attempt was counted or repeated for it.
    a.drain().exited(3);
    assert_eq!(output(b, &["log", "bad", "--agent"]), "the agent speaks\n");
    assert_eq!(output(b, &["log", "good", "--agent"]), "the agent speaks\n");
    assert_eq!(b.phase("bad")["attempt_log"].as_array().unwrap().len(), 1);
}

#[test]
fn files_that_cannot_be_stored_hold_up_no_others() {
    let Some(machines) = Machines::new(AGENT, "") else { return };
    let Machines { a, database, .. } = &machines;
    database.execute(
        "CREATE FUNCTION autopack.refuse_files() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF EXISTS (SELECT 1 FROM autopack.attempts a JOIN autopack.phases p ON p.id = a.phase
                       WHERE a.id = NEW.attempt AND p.phase_id = 'good') THEN RAISE 'no room for good'; END IF;
           RETURN NEW; END $$;
         CREATE TRIGGER refuse_files BEFORE INSERT ON autopack.artifacts FOR EACH ROW EXECUTE FUNCTION autopack.refuse_files()",
    );
    let ran = a.drain().exited(3);
    assert!(machines.stored("good").is_empty());
    assert!(machines.stored("bad").contains(&"agent.log".to_owned()), "{ran:#?}");
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains("the logs of 1 attempt are not in the database yet"), "{said}");
    assert!(said.contains("no room for good"), "{said}");
}

#[test]
fn gc_stores_what_was_left_and_removes_what_is_used_up() {
    let Some(machines) = Machines::new(AGENT, "") else { return };
    let locked = machines.kill_before_storing();
    let Machines { a, b, database, .. } = &machines;
    drop(locked);
    // The clone of another machine has nothing to store.
    output(b, &["gc", "--dry-run"]);
    assert!(machines.stored("bad").is_empty() && machines.stored("good").is_empty());
    output(a, &["gc"]);
    assert!(
        machines.stored("bad").contains(&"agent.log".to_owned()),
        "{:?}",
        machines.stored("bad")
    );
    assert!(machines.stored("good").is_empty());
    let gone = b.autopack(["log", "good"]).exited(1);
    assert!(gone.stderr.contains("`autopack gc` removed them"), "{gone:#?}");
    assert_eq!(output(b, &["log", "bad", "--agent"]), "the agent speaks\n");
    let removed = b.json(["gc", "--all-attempts", "--json"]);
    assert_eq!(removed["stored_attempts"], 1, "{removed}");
    assert!(machines.stored("bad").is_empty());
    // The files of the machine itself stay until its own gc.
    assert_eq!(output(a, &["log", "bad", "--agent"]), "the agent speaks\n");
    output(b, &["runs", "remove", "run", "--yes"]);
    assert!(database.texts("SELECT 'left' FROM autopack.artifact_uploads").is_empty());
}

/// The agent waits for a file of the test.
const WAITING_AGENT: &str = "witness = workspace.parent / 'witness'\nwitness.mkdir(exist_ok=True)\n\
    print('begun', flush=True)\n(witness / 'came').write_text('')\n\
    while not (witness / 'go').exists(): time.sleep(0.01)\nprint('done')\nwrite_deliverables()";

#[test]
fn a_running_attempt_is_followed_from_another_machine() {
    let Some(machines) = Machines::new(WAITING_AGENT, "") else { return };
    let Machines { a, b, database, .. } = &machines;
    let drain = a.spawn(["drain", "--run-id", "run"]);
    wait_for(&a.outside("came"));
    let refused = b.autopack(["log", "good"]).exited(1);
    assert!(refused.stderr.contains("is running on "), "{refused:#?}");
    assert!(refused.stderr.contains("autopack log -f "), "{refused:#?}");
    let mut follower = b.spawn(["log", "good", "--follow", "--agent"]);
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "begun");
    std::fs::write(a.outside("go"), "").unwrap();
    assert_eq!(lines.collect::<Vec<_>>(), ["done"]);
    let followed = b.wait(follower).succeeded();
    assert!(followed.stderr.contains("its drain sends the logs"), "{followed:#?}");
    a.wait(drain).succeeded();
    assert!(database.texts("SELECT name FROM autopack.log_parts").is_empty());
    // Nobody follows the second phase.
    assert!(database.texts("SELECT 'asked' FROM autopack.log_followers").is_empty());
}

/// The first attempt fails on machine A; the second one is made on machine B.
#[test]
fn a_retry_on_another_machine_gets_the_patch_of_the_attempt_before() {
    let Some(machines) = Machines::drained(AGENT, "") else { return };
    let Machines { a, b, .. } = &machines;
    // So does a person there.
    let attached = b.autopack(["attach", "bad", "--", "sh", "-c", "head -n 1 setup.cfg"]);
    assert!(attached.succeeded().stdout.contains("outside"));
    output(b, &["attach", "bad", "--discard"]);
    output(a, &["phases", "retry", "bad"]);
    let planned = output(b, &["phases", "show", "bad", "--prompt"]);
    assert!(planned.contains("/attempts/run/bad/2/earlier.patch"), "{planned}");
    b.drain().exited(3);
    let prompt = output(a, &["log", "bad", "--prompt", "--raw"]);
    assert!(prompt.contains("/attempts/run/bad/2/earlier.patch"), "{prompt}");
    let patch = b.read(".autopack/attempts/run/bad/2/earlier.patch");
    assert_eq!(patch, a.read(".autopack/attempts/run/bad/1/changes.patch"));
    // The last attempt is the one of machine B.
    assert_eq!(output(a, &["diff", "bad"]), output(b, &["diff", "bad"]));
}

#[test]
fn a_copy_of_the_database_has_the_files() {
    let Some(machines) = Machines::drained(AGENT, "") else { return };
    let Machines { b, database, .. } = machines;
    let copy = b.outside("copy.db");
    let url = format!("sqlite:///{}", copy.display());
    output(&b, &["db", "copy", &database.url(), &url]);
    let b = b.env("AUTOPACK_DATABASE_URL", url);
    assert_eq!(output(&b, &["log", "bad", "--agent"]), "the agent speaks\n");
    assert!(output(&b, &["diff", "bad"]).contains("+outside"));
}

#[test]
fn a_database_in_a_file_gets_no_files() {
    let project = Project::new().agent_with(AGENT, "ci: {command: [\"true\"]}\n");
    let project =
        project.plan(json!({"phases": [{"phase_id": "good", "deliverables": ["a.txt"]}]}));
    project.drain().succeeded();
    let database = project.path(".autopack/autopack.db");
    for table in ["artifact_uploads", "artifacts", "log_followers", "log_parts"] {
        assert!(texts(&database, &format!("SELECT 'row' FROM {table}")).is_empty(), "{table}");
    }
    assert!(!project.path(".autopack/attempts/run/good/1/.owner").exists());
    assert_eq!(output(&project, &["log", "good", "--agent"]), "the agent speaks\n");
}

#[test]
fn files_that_are_stored_nowhere_are_not_said_to_be_empty() {
    let Some(machines) = Machines::drained(AGENT, "artifacts: {database_kb: 0}\n") else { return };
    for verb in ["log", "diff"] {
        let ran = machines.b.autopack([verb, "bad"]).exited(1);
        assert!(ran.stderr.contains("nowhere else yet"), "{verb}: {ran:#?}");
    }
}
