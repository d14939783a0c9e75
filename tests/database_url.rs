//! `DATABASE_URL` is a hint: mostly it belongs to an application, and then to that alone. `--database-url` and
//! `AUTOPACK_DATABASE_URL` are binding.

use serde_json::json;

use crate::support::Project;
use crate::support::database::{execute_at, texts};

/// The agent writes the value it sees, and CI is red if it sees another one.
const AGENT: &str = "write('src/one.txt', os.environ.get('DATABASE_URL', 'none') + chr(10))";

fn project() -> Project {
    let ci = "ci: {command: [sh, -c, '! [ -e src/one.txt ] || test \"$(cat src/one.txt)\" = \"${DATABASE_URL:-none}\"']}\n";
    Project::new().agent_with(AGENT, ci)
}

fn one() -> serde_json::Value {
    json!({"phases": [{"phase_id": "one", "deliverables": ["src/one.txt"]}]})
}

fn seen(project: &Project) -> String {
    project.git(["show", "autopack/run:src/one.txt"]).trim().to_owned()
}

#[track_caller]
fn assert_left_alone(project: Project, url: &str) -> Project {
    let project = project.env("DATABASE_URL", url).plan(one());
    let ran = project.drain().succeeded();
    let shown = ran.stderr.matches("ignoring DATABASE_URL").count();
    assert_eq!(shown, 1, "{url}: {ran:#?}");
    assert!(ran.stderr.contains("using .autopack/autopack.db"), "{url}: {ran:#?}");
    assert!(!ran.stderr.contains("hunter2") && !ran.stdout.contains("hunter2"), "{ran:#?}");
    assert!(project.path(".autopack/autopack.db").exists(), "{url}");
    assert_eq!(seen(&project), url);
    project
}

#[test]
fn an_applications_missing_sqlite_file_is_not_created() {
    let project = project();
    std::fs::create_dir(project.path("instance")).unwrap();
    let file = project.path("instance/app.db");
    let project = assert_left_alone(project, "sqlite:///instance/app.db");
    assert!(project.path("instance").is_dir() && !file.exists());
}

#[test]
fn an_empty_file_of_an_application_stays_empty() {
    let project = project().file("app.db", "").commit("an empty database");
    let project = assert_left_alone(project, "sqlite:///app.db");
    assert_eq!(project.read("app.db"), "");
}

#[test]
fn an_applications_tables_are_unchanged_under_any_file_name() {
    let project = project();
    let file = project.outside("my-autopack-app.db");
    execute_at(&file, "CREATE TABLE customers (id INTEGER)");
    let before = std::fs::read(&file).unwrap();
    let url = format!("sqlite:///{}", file.display());
    let _project = assert_left_alone(project, &url);
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn servers_drivers_memory_and_nonsense_are_left_alone() {
    for url in [
        "postgres://u@localhost/app",
        "postgresql+asyncpg://u@localhost/app",
        "mysql://u@localhost/app",
        "sqlite+aiosqlite:///autopack.db",
        "sqlite://",
        "sqlite:///:memory:",
        "not a url",
        "file:app.db",
    ] {
        let project = project().env("DATABASE_URL", url).plan(one());
        let shown = project.autopack(["status"]).succeeded();
        assert!(shown.stderr.contains("ignoring DATABASE_URL"), "{url}: {shown:#?}");
        assert!(project.path(".autopack/autopack.db").exists(), "{url}");
        assert!(!project.path("autopack.db").exists(), "{url}");
    }
    assert_left_alone(project(), "postgresql+asyncpg://user@localhost/app");
}

#[test]
fn an_explicit_database_is_used_and_hidden_from_children() {
    let project = project().env("DATABASE_URL", "sqlite:///autopack.db").plan(one());
    let ran = project.drain().succeeded();
    assert!(!ran.stderr.contains("DATABASE_URL"), "{ran:#?}");
    assert!(project.path("autopack.db").exists());
    assert!(!project.path(".autopack/autopack.db").exists());
    assert_eq!(seen(&project), "none");
}

#[test]
fn a_database_of_autopack_is_used_under_any_name() {
    let project = project().env("AUTOPACK_DATABASE_URL", "sqlite:///backlog.db").plan(one());
    let project =
        project.unset("AUTOPACK_DATABASE_URL").env("DATABASE_URL", "sqlite:///backlog.db");
    project.drain().succeeded();
    assert_eq!(seen(&project), "none");
    assert!(!project.path(".autopack/autopack.db").exists());
}

#[test]
fn the_python_autopacks_database_is_refused_with_the_way_on() {
    let project = project();
    let tables = "CREATE TABLE runs (a); CREATE TABLE tiers (a); CREATE TABLE phases (a)";
    execute_at(&project.path("autopack.db"), tables);
    let project = project.env("DATABASE_URL", "sqlite:///autopack.db");
    let refused = project.autopack(["status"]).exited(1);
    assert!(refused.stderr.contains("belongs to the Python Autopack"), "{refused:#?}");
    assert!(refused.stderr.contains("autopack import"), "{refused:#?}");
    let path = project.path("autopack.db");
    assert_eq!(
        texts(&path, "SELECT name FROM sqlite_master ORDER BY name"),
        ["phases", "runs", "tiers"]
    );
}

#[test]
fn an_order_is_followed_or_refused() {
    let project = project();
    let file = project.outside("plan.json");
    std::fs::write(&file, one().to_string()).unwrap();
    let import = ["import", file.to_str().unwrap(), "--run-id", "run"];
    project.autopack_with(import, &[("AUTOPACK_DATABASE_URL", "sqlite:///app.db")]).succeeded();
    assert!(project.path("app.db").exists());
    project.autopack(["--database-url", "sqlite:///other.db"].iter().chain(&import)).succeeded();
    assert!(project.path("other.db").exists());
    for url in ["postgres://u:hunter2@localhost/app", "sqlite://", "nonsense"] {
        let refused = project.autopack_with(import, &[("AUTOPACK_DATABASE_URL", url)]).exited(1);
        assert!(!refused.stderr.contains("hunter2"), "{refused:#?}");
        assert!(!project.path(".autopack/autopack.db").exists(), "{url}");
    }
}

#[test]
fn an_order_leaves_the_applications_variable_to_agents_and_ci() {
    let project = project()
        .env("AUTOPACK_DATABASE_URL", "sqlite:///backlog.db")
        .env("DATABASE_URL", "postgres://u@localhost/app")
        .plan(one());
    let ran = project.drain().succeeded();
    assert!(!ran.stderr.contains("DATABASE_URL names"), "{ran:#?}");
    assert_eq!(seen(&project), "postgres://u@localhost/app");
}
