//! Machines whose clocks are wrong by hours, at one database server: its clock counts for all that they compare.

use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::Project;
use crate::support::meeting::MEETING;
use crate::support::postgres::{Database, database};
use crate::support::preload::Clock;

const HOUR: i64 = 3600;
const HOUR_MS: i64 = HOUR * 1000;

/// A project at a server, and a second machine with another clock.
struct Machines {
    project: Project,
    database: Database,
    clock: Clock,
    _directory: tempfile::TempDir,
}

impl Machines {
    /// `None` where the test is skipped.
    #[track_caller]
    fn new(agent: &str, more: &str, phases: Value) -> Option<Self> {
        let database = database()?;
        // Outside the project: LD_PRELOAD does not support a path with a space.
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::built_in(directory.path())?;
        let project = Project::new().env("AUTOPACK_DATABASE_URL", database.url());
        std::fs::create_dir(project.outside("meeting")).unwrap();
        let more = format!("ci: {{command: [\"true\"]}}\n{more}");
        let project = project.agent_with(&format!("{MEETING}\n{agent}"), &more);
        let project = project.plan(json!({ "phases": phases }));
        Some(Self { project, database, clock, _directory: directory })
    }

    /// A command on the machine with the wrong clock.
    fn there(&self, args: &[&str], seconds_ahead: i64) -> Command {
        self.clock.set(seconds_ahead);
        let mut command = self.project.command(args);
        command.env("LD_PRELOAD", &self.clock.library).env("TEST_CLOCK", &self.clock.file);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn drain_there(&self, seconds_ahead: i64) -> Child {
        self.there(&["drain", "--run-id", "run"], seconds_ahead).spawn().unwrap()
    }

    fn milliseconds(&self, column: &str, table: &str) -> Vec<i64> {
        let sql = format!("SELECT {column}::text FROM autopack.{table} ORDER BY id");
        self.database.texts(&sql).iter().map(|text| text.parse().unwrap()).collect()
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

/// The wait that a rate limit sets on a machine with a wrong clock ends for all machines when it should.
#[test]
fn a_rate_limit_ends_for_all_machines_at_the_same_time() {
    let agent = "if (meeting / 'free').exists():\n    write_deliverables()\nelse:\n    \
                 report(error=dict(kind='rate_limit', retry_after_seconds=3600, message='slow'))\n    sys.exit(1)";
    let phases = json!([{"phase_id": "a", "deliverables": ["a.txt"]}]);
    let Some(machines) = Machines::new(agent, "", phases) else { return };
    let Machines { project, .. } = &machines;
    for ahead in [5 * HOUR, -5 * HOUR] {
        machines.database.execute("UPDATE autopack.phases SET not_before = 0, uncounted = 0");
        let drain = machines.drain_there(ahead);
        while machines.milliseconds("not_before", "phases") == [0] {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        project.autopack(["stop"]).succeeded();
        let ran = project.wait(drain).exited(130);
        let side = if ahead > 0 { "ahead of" } else { "behind" };
        let told = format!("this machine's clock is 5 h 00 min {side} the database's");
        let told = format!("{}{}", ran.stdout, ran.stderr).matches(&told).count();
        assert_eq!(told, 1, "{ran:#?}");
        let wait = machines.milliseconds("not_before", "phases")[0] - now_ms();
        assert!((HOUR_MS / 2..HOUR_MS * 3 / 2).contains(&wait), "{ahead}: {wait}");
    }
    // Both machines wait for a time that has not come, and none for a time that has.
    machines.database.execute(&format!(
        "UPDATE autopack.phases SET not_before = {}, uncounted = 0",
        now_ms() + HOUR_MS
    ));
    std::fs::write(project.outside("meeting/free"), "").unwrap();
    let early = machines.there(&["status"], 5 * HOUR).spawn().unwrap();
    let early = project.wait(early).succeeded();
    assert!(early.stdout.contains("rate limited for another"), "{early:#?}");
    machines.database.execute(&format!("UPDATE autopack.phases SET not_before = {}", now_ms()));
    project.wait(machines.drain_there(-5 * HOUR)).succeeded();
    assert_eq!(project.states()["a"], "COMPLETE");
    let attempts = machines.milliseconds("started_at", "attempts");
    assert!(attempts.iter().all(|at| (at - now_ms()).abs() < HOUR_MS), "{attempts:?}");
}

/// An attempt that another machine began is not hours old.
#[test]
fn a_budget_of_time_counts_no_difference_of_clocks() {
    let agent = "if phase_id == 'a':\n    say('came')\n    wait_for('go')\nwrite_deliverables()";
    let more = "executor: {budgets: {run: {wall_seconds: 3600}}}\n";
    let phases = json!([
        {"phase_id": "a", "deliverables": ["a/a.txt"]},
        {"phase_id": "b", "deliverables": ["b/b.txt"], "machine_labels": ["here"]},
    ]);
    let Some(machines) = Machines::new(agent, more, phases) else { return };
    let Machines { project, .. } = &machines;
    let there = machines.drain_there(-5 * HOUR);
    while !project.outside("meeting/came").exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let mut here = project.spawn(["drain", "--run-id", "run", "--label", "here"]);
    while project.states()["b"] != "COMPLETE" && here.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    std::fs::write(project.outside("meeting/go"), "").unwrap();
    for drain in [here, there] {
        project.wait(drain).succeeded();
    }
    assert!(project.states().values().all(|state| state == "COMPLETE"));
}

#[test]
fn health_warns_of_a_wrong_clock() {
    let phases = json!([{"phase_id": "a", "deliverables": ["a.txt"]}]);
    let Some(machines) = Machines::new("write_deliverables()", "", phases) else { return };
    let Machines { project, .. } = &machines;
    let health = machines.there(&["health", "--json"], 3 * HOUR).output().unwrap();
    let health: serde_json::Value = serde_json::from_slice(&health.stdout).unwrap();
    let checks = health["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "database").unwrap();
    assert_eq!(check["status"], "warn", "{check:#}");
    let detail = check["detail"].as_str().unwrap();
    assert!(
        detail.contains("this machine's clock is 3 h 00 min ahead of the database's"),
        "{detail}"
    );
    let health = project.json(["health", "--json"]);
    let checks = health["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "database").unwrap();
    assert_eq!(check["status"], "ok", "{check:#}");
}
