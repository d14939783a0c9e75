//! Databases at a Postgres server that a command refuses: an older schema, another encoding, a standby.

use serde_json::json;

use crate::support::Project;
use crate::support::meeting::MEETING;
use crate::support::postgres::{Database, database, own_server};

const GREEN: &str = "ci: {command: [\"true\"]}\n";
/// Undoes the last migration.
const OLDER: &str = "UPDATE autopack.autopack_schema SET version = version - 1;
    DROP FUNCTION autopack.tell_of_change CASCADE";

fn project(url: &str) -> Project {
    let project = Project::new().env("AUTOPACK_DATABASE_URL", url);
    std::fs::create_dir(project.outside("meeting")).unwrap();
    let agent = format!("{MEETING}\nsay('came')\nwait_for('go')\nwrite_deliverables()");
    let phases = json!({"phases": [{"phase_id": "a", "deliverables": ["a.txt"]}]});
    project.agent_with(&agent, GREEN).plan(phases)
}

fn version(database: &Database) -> String {
    database.texts("SELECT version::text FROM autopack.autopack_schema").remove(0)
}

#[test]
fn reading_migrates_no_server_and_nothing_does_under_older_drains() {
    let Some(database) = database() else { return };
    let project = project(&database.url());
    let newest = version(&database);
    let drain = project.spawn(["drain", "--run-id", "run"]);
    while !project.outside("meeting/came").exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    database.execute(OLDER);
    let older = version(&database);
    for verb in [&["status"][..], &["hosts"], &["report", "run"], &["runs", "list"], &["metrics"]] {
        let ran = project.autopack(verb).exited(1);
        assert!(ran.stderr.contains(&format!("version {older}")), "{verb:?}: {ran:#?}");
        assert!(ran.stderr.contains("autopack db migrate"), "{verb:?}: {ran:#?}");
    }
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    let why = format!("drains of an older autopack run on {host}; stop them");
    for verb in [&["fix-phases"][..], &["drain", "--run-id", "run"], &["db", "migrate"]] {
        let ran = project.autopack(verb).exited(1);
        assert!(ran.stderr.contains(&why), "{verb:?}: {ran:#?}");
    }
    assert_eq!(version(&database), older);
    project.autopack(["db", "migrate", "--force"]).succeeded();
    assert_eq!(version(&database), newest);
    std::fs::write(project.outside("meeting/go"), "").unwrap();
    project.wait(drain).succeeded();

    // Without drains, a command that changes the run migrates.
    database.execute(OLDER);
    project.autopack(["fix-phases"]).succeeded();
    assert_eq!(version(&database), newest);
    assert_eq!(project.states()["a"], "COMPLETE");
}

#[test]
fn a_database_that_cannot_store_every_text_is_refused() {
    let Some(database) = database() else { return };
    let name = format!("{}_latin", database.url().rsplit('/').next().unwrap());
    database.execute(&format!(
        "CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    ));
    let (server, _) =
        database.url().rsplit_once('/').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let project = Project::new().env("AUTOPACK_DATABASE_URL", format!("{server}/{name}"));
    let ran = project.autopack(["db", "migrate"]).exited(1);
    database.execute(&format!("DROP DATABASE {name} WITH (FORCE)"));
    assert!(ran.stderr.contains("its encoding is LATIN1"), "{ran:#?}");
    assert!(ran.stderr.contains("ENCODING 'UTF8' TEMPLATE template0"), "{ran:#?}");
}

#[test]
fn a_standby_is_read_and_named_when_a_command_writes() {
    let Some(server) = own_server() else { return };
    let project = project(&server.url());
    server.kill();
    server.start_as_standby();
    project.autopack(["status"]).succeeded();
    let ran = project.autopack(["pause", "run"]).exited(1);
    assert!(ran.stderr.contains("the server is a standby"), "{ran:#?}");
    assert!(ran.stderr.contains("choose the primary with --database-url"), "{ran:#?}");
}
