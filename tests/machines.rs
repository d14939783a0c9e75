//! Drains of several machines: labels that phases ask for, the list of drains, stops by host.

use serde_json::json;

use crate::support::Project;
use crate::support::meeting::MEETING;
use crate::support::postgres::database;

const GREEN: &str = "ci: {command: [\"true\"]}\n";

fn project(agent: &str) -> Project {
    let project = Project::new();
    std::fs::create_dir(project.outside("meeting")).unwrap();
    project.agent_with(&format!("{MEETING}\n{agent}"), GREEN)
}

#[test]
fn phases_run_only_where_their_labels_are_given() {
    let project = project("write_deliverables()").plan(json!({"phases": [
        {"phase_id": "train", "deliverables": ["a/a.txt"], "machine_labels": ["gpu", "large"]},
        {"phase_id": "docs", "deliverables": ["b/b.txt"]},
        {"phase_id": "render", "deliverables": ["c/c.txt"], "machine_labels": "gpu"},
    ]}));
    let preview = project.autopack(["drain", "--run-id", "run", "--dry-run"]).succeeded().stdout;
    assert!(preview.starts_with("1 phase would run, 2 would not\n"), "{preview}");
    assert!(preview.contains("needs a machine with the label gpu"), "{preview}");
    let preview = ["drain", "--run-id", "run", "--dry-run", "--label", "gpu", "--json"];
    let planned = project.json(preview);
    let label = |n: usize| (planned[n]["phase_id"].as_str(), planned[n]["missing_label"].as_str());
    assert_eq!(label(0), (Some("train"), Some("large")), "{planned:#}");
    assert_eq!(label(1), (Some("docs"), None), "{planned:#}");
    let ran = project.autopack(["drain", "--run-id", "run"]).succeeded();
    let note = "phases need a machine with the label gpu; start a drain there with --label gpu";
    assert_eq!(ran.stderr.matches(note).count() + ran.stdout.matches(note).count(), 1, "{ran:#?}");
    let states = project.states();
    assert_eq!((&*states["docs"], &*states["train"]), ("COMPLETE", "QUEUED"));
    project.autopack(["drain", "--run-id", "run", "--label", "gpu"]).succeeded();
    let states = project.states();
    assert_eq!((&*states["render"], &*states["train"]), ("COMPLETE", "QUEUED"));
    project
        .autopack(["drain", "--run-id", "run", "--label", "gpu", "--label", "large"])
        .succeeded();
    assert_eq!(project.states()["train"], "COMPLETE");
}

/// More phases than one walk along the queue examines.
#[test]
fn many_phases_of_another_machine_hide_none() {
    let phase = |n: usize| {
        json!({"phase_id": format!("g{n:03}"), "deliverables": [format!("g{n}.txt")],
        "machine_labels": ["gpu"]})
    };
    let mut phases: Vec<_> = (0..501).map(phase).collect();
    phases.push(json!({"phase_id": "plain", "deliverables": ["plain.txt"]}));
    let project = project("write_deliverables()").plan(json!({"phases": phases}));
    project.autopack(["drain", "--run-id", "run"]).succeeded();
    assert_eq!(project.states()["plain"], "COMPLETE");
}

#[test]
fn drains_are_listed_and_stopped_by_host() {
    let project = project("say('came')\nwait_for('go')\nwrite_deliverables()")
        .plan(json!({"phases": [{"phase_id": "a", "deliverables": ["a.txt"]}]}));
    assert!(project.autopack(["hosts"]).succeeded().stdout.starts_with("no drain is registered"));
    let drain = project.spawn(["drain", "--run-id", "run", "--label", "gpu", "--jobs", "3"]);
    let came = project.outside("meeting/came");
    while !came.exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let hosts = project.json(["hosts", "--json"]);
    let [host] = hosts.as_array().unwrap().as_slice() else { panic!("{hosts:#}") };
    assert_eq!((&host["workers"], &host["labels"]), (&json!(3), &json!(["gpu"])), "{host:#}");
    assert_eq!((&host["runs"], &host["is_dead"]), (&json!(["run"]), &json!(false)), "{host:#}");
    assert_eq!(host["executing"][0]["phase_id"], "a", "{host:#}");
    let clone = project.path(".").canonicalize().unwrap();
    assert_eq!(host["clone"], clone.to_str().unwrap(), "{host:#}");
    assert!(host["last_seen_ms"].as_u64().is_some(), "{host:#}");
    let drains = &project.json(["db", "status", "--json"])["drains"][0];
    assert_eq!(drains["is_dead"], false, "{drains:#}");
    assert!(drains["last_seen_ms"].as_u64().is_some(), "{drains:#}");
    let name = host["host"].as_str().unwrap();
    let listed = project.autopack(["hosts"]).succeeded().stdout;
    assert!(listed.contains(name) && listed.contains("gpu"), "{listed}");
    let other = project.autopack(["stop", "--host", "another-host"]).succeeded();
    assert!(other.stdout.contains("no drain is running on another-host"), "{other:#?}");
    let phase = project.autopack(["stop", "a", "--host", name]).exited(2);
    assert!(phase.stderr.contains("--host stops drains"), "{phase:#?}");
    project.autopack(["stop", "--host", name]).succeeded();
    project.wait(drain).exited(130);
    assert_eq!(project.states()["a"], "QUEUED");
}

/// Each would land into its own clone.
#[test]
fn without_a_remote_a_run_stays_on_its_machine() {
    let Some(database) = database() else { return };
    let project = Project::new().env("AUTOPACK_DATABASE_URL", database.url());
    let project = project.agent_with("write_deliverables()", GREEN).plan(json!({"phases": [
        {"phase_id": "a", "deliverables": ["a/a.txt"]},
        {"phase_id": "b", "deliverables": ["b/b.txt"], "machine_labels": ["second"]},
        {"phase_id": "c", "deliverables": ["c/c.txt"], "machine_labels": ["third"]},
    ]}));
    project.drain().succeeded();
    let repositories = || database.texts("SELECT repo FROM autopack.runs");
    let ours = repositories().remove(0);
    let path = project.path(".git").canonicalize().unwrap().display().to_string();
    assert!(ours.starts_with("machine:") && ours.ends_with(&format!(":{path}")), "{ours}");
    let name_it = |repo: &str| {
        database.execute(&format!("UPDATE autopack.runs SET repo = '{repo}'"));
    };

    name_it(&format!("machine:mill/0badcafe:{path}"));
    let ran = project.autopack(["drain", "--run-id", "run", "--label", "second"]).exited(1);
    let why =
        format!("run run is another machine's: it began in the clone {path} of the machine mill");
    assert!(ran.stderr.contains(&why), "{ran:#?}");
    assert!(ran.stderr.contains("hint: set workspace.remote on each machine"), "{ran:#?}");
    assert_eq!(project.states()["b"], "QUEUED");

    // The machine got another name since.
    let (_, rest) = ours.split_once('/').unwrap();
    name_it(&format!("machine:former-name/{rest}"));
    project.autopack(["drain", "--run-id", "run", "--label", "second"]).succeeded();
    assert_eq!((project.states()["b"].as_str(), repositories()), ("COMPLETE", vec![ours.clone()]));

    // An older version stored no machine.
    name_it(&path);
    project.autopack(["drain", "--run-id", "run", "--label", "third"]).succeeded();
    assert_eq!((project.states()["c"].as_str(), repositories()), ("COMPLETE", vec![ours]));
}

/// A limit belongs to the provider's key: another machine with the same key waits without meeting it, and one with another
/// key works on.
#[test]
fn a_rate_limit_holds_for_its_key_alone() {
    let Some(database) = database() else { return };
    let agent = "key = os.environ.get('ANTHROPIC_API_KEY', 'none')\nsay('asked-' + key + '-' + phase_id)\n\
                 if key == 'limited-key':\n    \
                 report(error=dict(kind='rate_limit', retry_after_seconds=3600, message='slow'))\n    sys.exit(1)\n\
                 write_deliverables()";
    let project = Project::new().env("AUTOPACK_DATABASE_URL", database.url());
    std::fs::create_dir(project.outside("meeting")).unwrap();
    let project =
        project.agent_with(&format!("{MEETING}\n{agent}"), GREEN).plan(json!({"phases": [
            {"phase_id": "a", "deliverables": ["a/a.txt"]},
            {"phase_id": "b", "deliverables": ["b/b.txt"]},
            {"phase_id": "c", "deliverables": ["c/c.txt"]},
        ]}));
    let drain_with = |key: &str| {
        let mut command = project.command(["drain", "--run-id", "run"]);
        command.env("ANTHROPIC_API_KEY", key).stdout(std::process::Stdio::piped());
        command.stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let deferred = || {
        let sql = "SELECT COUNT(*)::text FROM autopack.phases WHERE deferred_key IS NOT NULL AND not_before > 0";
        database.texts(sql).remove(0)
    };
    // The first machine meets the limit with one phase, and defers the others.
    let first = drain_with("limited-key");
    while deferred() != "3" {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // The second has the same key. Its phases, new ones too, wait without an attempt.
    database.execute(
        "UPDATE autopack.phases SET not_before = 0, deferred_key = NULL WHERE phase_id <> 'a'",
    );
    let second = drain_with("limited-key");
    while deferred() != "3" {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let asked = std::fs::read_dir(project.outside("meeting")).unwrap().count();
    assert_eq!(asked, 1, "the limit was met once");
    let status = project.json(["status", "--json"]);
    let limit = &status["key_limits"][0];
    assert_eq!(limit["agent"], "fake", "{status:#}");
    let key = limit["key"].as_str().unwrap();
    assert_eq!(key.len(), 16, "{status:#}");
    let shown = project.autopack(["status"]).succeeded().stdout;
    assert!(shown.contains(&format!("agent fake, key {key}")), "{shown}");
    let everything = "SELECT k::text FROM autopack.key_limits k";
    assert!(database.texts(everything).iter().all(|row| !row.contains("limited-key")));

    // The third has another key.
    let third = drain_with("free-key");
    while project.states().values().any(|state| state != "COMPLETE") {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    for drain in [first, second, third] {
        let ran = project.wait(drain).succeeded();
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(key), "{ran:#?}");
    }
    let asked = |key: &str| {
        let entries = std::fs::read_dir(project.outside("meeting")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(&format!("asked-{key}"))).count()
    };
    assert_eq!((asked("limited-key"), asked("free-key")), (1, 3));
}
