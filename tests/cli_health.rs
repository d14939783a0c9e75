//! `health` through the real program: in a good place to drain, and in bad ones.

use std::process::Command;

use crate::support::{Project, Ran, skip};

/// Without machine-specific parts: versions, free space, and line breaks.
fn golden(ran: &Ran) -> String {
    let small_disk = ran.stdout.contains("warn  disk");
    let mut shown: Vec<String> = Vec::new();
    for line in ran.shown().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let line = match words.as_slice() {
            ["ok" | "warn", "disk", ..] => "ok    disk  [FREE]".to_owned(),
            [status, "git", ..] => format!("{status:4}  git  [VERSION]"),
            ["->", "free", "disk", "space;", ..] => continue,
            ["degraded:", ..] if small_disk => "healthy: a drain can start".to_owned(),
            ["->", ..] => line.to_owned(),
            _ if line.starts_with(' ') => {
                let last = shown.pop().expect("something is continued");
                format!("{last} {}", words.join(" "))
            }
            _ => line.to_owned(),
        };
        shown.push(line);
    }
    shown.join("\n")
}

/// With a memory in the process: only the memory's own tests look for a Qdrant on this machine.
fn health(project: &Project, more: &[&str]) -> Ran {
    project.autopack_with([&["health"], more].concat(), &[("AUTOPACK_USE_QDRANT", "0")])
}

/// Without a commit, an agent, or any variable about memory.
fn repository() -> Project {
    Project::without_commits().unset("AUTOPACK_ENABLE_MEMORY").without_sandbox()
}

fn with_agent(command: &str) -> Project {
    let agents = format!("agents:\n  mine:\n    kind: command\n    command: {command}\n");
    repository().file("config/autopack.yaml", &format!("{agents}ci: {{command: make test}}\n"))
}

#[test]
fn a_place_where_a_drain_can_start() {
    let project = with_agent("[sh, '{workspace}/agent.sh']").file("agent.sh", "true\n");
    insta::assert_snapshot!(golden(&health(&project, &[])));
}

#[test]
fn without_an_agent_it_is_degraded() {
    let project = repository().env("PATH", "/usr/bin:/bin");
    let ran = health(&project, &["--json"]).succeeded();
    let report = ran.json();
    assert_eq!(report["status"], "degraded");
    let agent = check(&report, "agent");
    assert_eq!(agent["status"], "warn");
    assert_eq!(
        agent["hint"],
        "install an agent, set a provider's key, or add an agent under `agents` in autopack.yaml"
    );
}

#[test]
fn every_check_has_the_same_five_fields() {
    let report = health(&repository(), &["--json"]).json();
    for check in report["checks"].as_array().expect("a list") {
        let fields: Vec<&String> = check.as_object().expect("an object").keys().collect();
        assert_eq!(fields, ["name", "status", "detail", "hint", "elapsed_ms"]);
    }
}

#[test]
fn the_mode_of_the_sandbox_is_tried() {
    let mode = |mode: &str| {
        let ran = repository().env("AUTOPACK_SANDBOX_MODE", mode).autopack(["health", "--json"]);
        check(&ran.json(), "sandbox")["detail"].as_str().expect("a text").to_owned()
    };
    assert!(mode("off").starts_with("off; agents, setup and CI can read"), "{}", mode("off"));
    let detail = mode("auto");
    let known = ["namespaces; network: allowed", "landlock", "off ("];
    assert!(known.iter().any(|start| detail.starts_with(start)), "{detail}");
}

#[test]
fn a_missing_agent_fails() {
    let ran = health(&with_agent("[no-such-agent]"), &["--json"]).exited(1);
    let report = ran.json();
    assert_eq!(report["status"], "failed");
    let detail = check(&report, "agent")["detail"].as_str().expect("a text").to_owned();
    assert!(detail.starts_with("mine: no-such-agent is missing"), "{detail}");
}

#[test]
fn a_bad_configuration_is_a_check_that_fails_and_the_others_go_on() {
    let project = repository().file("config/memory.yaml", "memory:\n  enabld: true\n");
    let ran = health(&project, &[]).exited(1);
    insta::assert_snapshot!(golden(&ran));
}

#[test]
fn outside_a_repository_it_says_so() {
    let directory = Project::bare_folder().unset("AUTOPACK_ENABLE_MEMORY").without_sandbox();
    let ran = health(&directory, &[]).exited(1);
    insta::assert_snapshot!(golden(&ran));
}

#[test]
fn no_hint_mentions_docker_if_docker_is_missing() {
    let qdrant = |more: &str| {
        let memory = format!("memory:\n  qdrant: {{port: 2, grpc_port: 1, {more}}}\n");
        let project = repository().file("config/memory.yaml", &memory);
        let socket = project.outside("no-docker.sock");
        let host = format!("unix://{}", socket.display());
        let ran = project.autopack_with(["health", "--json"], &[("DOCKER_HOST", &host)]);
        check(&ran.succeeded().json(), "qdrant").clone()
    };
    let started = qdrant("autostart: true");
    assert_eq!((&started["status"], &started["hint"]), (&"warn".into(), &serde_json::Value::Null));
    let by_hand = qdrant("autostart: false");
    assert_eq!(by_hand["hint"], "start it, or set memory.use_qdrant to false");
}

/// A repository in which no drain can start, and a part of the message about it.
fn broken() -> Vec<(&'static str, Project, &'static str)> {
    let healthy = || Project::new().unset("AUTOPACK_ENABLE_MEMORY").agent("write_deliverables()");
    let queued = |project: Project| {
        project.plan(serde_json::json!([{"id": "a", "deliverables": ["a.txt"]}]))
    };
    let bare = queued(healthy());
    std::fs::rename(bare.path(".git"), bare.path(".bare")).unwrap();
    bare.write(".git", "gitdir: ./.bare\n");
    bare.git_command()
        .args(["config", "--file", ".bare/config", "core.bare", "true"])
        .status()
        .unwrap();
    let branch = queued(healthy());
    branch.git(["branch", "autopack"]);
    let base =
        queued(healthy().agent_with("write_deliverables()", "workspace: {base: no-such-branch}\n"));
    let place = healthy().agent_with("write_deliverables()", "workspace: {slots_dir: within}\n");
    let place = queued(place);
    let partial = queued(healthy());
    let blob = partial.git(["rev-parse", "HEAD:README.md"]);
    partial.git(["config", "remote.origin.promisor", "true"]);
    partial.git(["config", "remote.origin.url", "/nowhere"]);
    partial.git(["config", "extensions.partialClone", "origin"]);
    partial.git(["config", "core.repositoryFormatVersion", "1"]);
    std::fs::remove_file(partial.path(format!(".git/objects/{}/{}", &blob[..2], blob[2..].trim())))
        .unwrap();
    vec![
        ("a container of worktrees", bare, "bare"),
        ("a branch in the way", branch, "a branch `autopack` is there"),
        ("a base that is gone", base, "\"no-such-branch\" names no commit"),
        ("a place for slots inside the checkout", place, "is inside the checkout"),
        ("a partial clone", partial, "partial clone"),
    ]
}

#[test]
fn health_fails_if_a_drain_would_refuse_to_start() {
    for (name, project, part) in broken() {
        let ran = health(&project, &["--json"]).exited(1);
        let report = ran.json();
        let workspace = check(&report, "workspace");
        assert_eq!(workspace["status"], "fail", "{name}: {report:#}");
        assert!(workspace["detail"].as_str().unwrap().contains(part), "{name}: {workspace:#}");
        assert!(workspace["hint"].is_string(), "{name}");
        let drain =
            project.autopack_with(["drain", "--run-id", "run"], &[("AUTOPACK_ENABLE_MEMORY", "0")]);
        assert!([1, 5].contains(&drain.code.unwrap()), "{name}: {drain:?}");
    }
}

#[test]
fn a_repository_of_another_owner_fails() {
    let project = repository().agent("write_deliverables()");
    let given_away = Command::new("chown").args(["-R", "12345"]).arg(project.root()).output();
    if !given_away.is_ok_and(|output| output.status.success()) {
        return skip("root", "only root can give a repository to another owner");
    }
    let report = health(&project, &["--json"]).exited(1).json();
    let workspace = check(&report, "workspace");
    assert_eq!(workspace["status"], "fail");
    assert!(workspace["detail"].as_str().unwrap().contains("safe.directory"), "{workspace:#}");
}

#[test]
fn files_of_lfs_need_git_lfs() {
    let project = Project::new().unset("AUTOPACK_ENABLE_MEMORY").agent("write_deliverables()");
    // Tracked as pointers, by a user with git-lfs.
    let project = project
        .file(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")
        .file("a.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
        .commit("pointers");
    let report = health(&project, &["--json"]).exited(1).json();
    let workspace = check(&report, "workspace");
    assert!(
        workspace["detail"].as_str().unwrap().contains("LFS keeps 1 file of this repository"),
        "{workspace:#}"
    );
    assert!(workspace["hint"].as_str().unwrap().contains("git lfs install"), "{workspace:#}");
}

#[test]
fn a_file_where_the_state_belongs_fails() {
    let project = repository().file(".autopack", "");
    let ran =
        health(&project, &["--json", "--config-dir", project.outside("home").to_str().unwrap()])
            .exited(1);
    assert!(
        check(&ran.json(), "workspace")["detail"].as_str().unwrap().contains(".autopack is a file")
    );
}

#[test]
fn ci_is_run_at_the_base_when_asked() {
    let with = |ci: &str| {
        let settings =
            format!("ci: {{command: {ci}}}\nworkspace: {{link: [.env], setup: touch made}}\n");
        let project = Project::new()
            .unset("AUTOPACK_ENABLE_MEMORY")
            .file(".gitignore", ".env\n")
            .commit("ignore");
        project.file(".env", "x").agent_with("write_deliverables()", &settings)
    };
    let ci = |project: &Project, code: i32| {
        check(&health(project, &["--json", "--ci"]).exited(code).json(), "ci").clone()
    };
    let green = ci(&with("test -f README.md -a -f .env -a -f made"), 0);
    assert_eq!(green["status"], "ok", "{green:#}");
    assert!(green["detail"].as_str().unwrap().contains("passes at "), "{green:#}");
    let project = with("echo boom; exit 1");
    let red = ci(&project, 1);
    assert_eq!(red["status"], "fail");
    assert!(red["detail"].as_str().unwrap().contains("boom"), "{red:#}");
    // Without the flag nothing is run, and nothing is reported about it.
    assert_eq!(check(&health(&project, &["--json"]).succeeded().json(), "ci")["status"], "ok");
    assert!(!project.path("made").exists(), "the checkout is left alone");
}

/// As in a drain: files from setup are there, and requirements of a changed lock file are missed.
#[test]
fn ci_at_the_base_has_linked_dependencies() {
    let project = Project::new()
        .unset("AUTOPACK_ENABLE_MEMORY")
        .file(".gitignore", "node_modules/\n")
        .file("package.json", "{}")
        .commit("a project of npm's")
        .file("node_modules/x/package.json", "{}")
        .agent_with("", "ci: {command: [test, -f, node_modules/x/package.json]}\n");
    let green = health(&project, &["--json", "--ci"]).succeeded().json();
    assert_eq!(check(&green, "ci")["status"], "ok", "{green:#}");
    let state = project.outside("state/autopack");
    let left = std::fs::read_dir(&state).unwrap().flatten().flat_map(|place| {
        std::fs::read_dir(place.path()).unwrap().flatten().map(|entry| entry.file_name())
    });
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().contains("clean")).collect();
    assert!(left.is_empty(), "{left:?}");
    // The commit needs more than the checkout has installed, and nothing can install it.
    let project = project.file("package.json", r#"{"dependencies": {"y": "1"}}"#).commit("more");
    project.write("package.json", "{}");
    let project = project.agent_with("", "ci: {command: [test, -f, node_modules/y]}\n");
    let red = health(&project, &["--json", "--ci"]).exited(1).json();
    let output = check(&red, "ci")["detail"].as_str().unwrap().to_owned();
    assert!(
        output.contains("package.json changed") && output.contains("workspace.setup"),
        "{output}"
    );
}

fn check<'a>(report: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    let checks = report["checks"].as_array().expect("a list");
    checks.iter().find(|check| check["name"] == name).expect(name)
}

#[test]
fn a_file_hidden_by_another_is_a_warning_before_a_drain() {
    let private = "agents: {default: fake, fake: {kind: command, command: ['true']}}\n";
    let project = Project::new()
        .unset("AUTOPACK_ENABLE_MEMORY")
        .file("config/autopack.yaml", "ci: {command: make test}\n")
        .file(".autopack/config/autopack.yaml", private)
        .plan(serde_json::json!([{"id": "a", "deliverables": ["a.txt"]}]));
    let hides = ".autopack/config/autopack.yaml hides config/autopack.yaml";
    let remedy = "only the first is read; put all keys into one of them";
    let report = health(&project, &["--json"]).succeeded().json();
    let found = check(&report, "configuration");
    assert_eq!(found["status"], "warn");
    assert_eq!((&found["detail"], &found["hint"]), (&hides.into(), &remedy.into()));
    let drained = project.drain();
    let told = format!("{hides}: {remedy}\n");
    let (start, _) = drained.stdout.split_once("draining run").expect("the first line");
    assert!(start.ends_with(&told), "{drained:#?}");
    for args in [["config", "show"], ["drain", "--dry-run"]] {
        let shown = project.autopack(args);
        assert!(shown.stderr.contains(told.trim_end()), "{shown:#?}");
    }
    // All hidden files count; a file without keys, the shipped one and the same one do not.
    project.write(".autopack/config/memory.yaml", "memory: {enabled: false}\n");
    project.write("config/memory.yaml", "memory: {enabled: true}\n");
    let report = health(&project, &["--json"]).succeeded().json();
    let both = format!("{hides}; .autopack/config/memory.yaml hides config/memory.yaml");
    assert_eq!(check(&report, "configuration")["detail"], both);
    let chosen = project.outside("chosen");
    std::fs::create_dir_all(&chosen).unwrap();
    std::fs::write(chosen.join("autopack.yaml"), private).unwrap();
    std::fs::remove_file(project.path("config/memory.yaml")).unwrap();
    let chosen = chosen.to_str().unwrap();
    let report = health(&project, &["--json", "--config-dir", chosen]).succeeded().json();
    let detail = check(&report, "configuration")["detail"].as_str().unwrap();
    assert!(
        detail.contains("autopack.yaml hides .autopack/config/autopack.yaml; ")
            && detail.ends_with("autopack.yaml hides config/autopack.yaml"),
        "{detail}"
    );
    for text in ["# nothing yet\n", "{}\n", include_str!("../config/autopack.yaml")] {
        project.write("config/autopack.yaml", text);
        let report = health(&project, &["--json"]).succeeded().json();
        assert_eq!(check(&report, "configuration")["status"], "ok", "{text}");
    }
    std::fs::remove_file(project.path("config/autopack.yaml")).unwrap();
    let private = project.path(".autopack/config/autopack.yaml");
    std::os::unix::fs::symlink(private, project.path("config/autopack.yaml")).unwrap();
    let report = health(&project, &["--json"]).succeeded().json();
    assert_eq!(check(&report, "configuration")["status"], "ok");
}

#[test]
fn ci_is_found_by_the_files_of_the_commit() {
    let test =
        "import unittest\n\nclass T(unittest.TestCase):\n    def test_it(self):\n        pass\n";
    let project = Project::new().unset("AUTOPACK_ENABLE_MEMORY").agent("write_deliverables()");
    project.write("tests/__init__.py", "");
    project.write("tests/test_it.py", test);
    let ci = |project: &Project| check(&health(project, &["--json"]).json(), "ci").clone();
    let found = ci(&project);
    assert_eq!(found["status"], "warn", "{found:#}");
    let commit = project.git(["rev-parse", "HEAD"])[..10].to_owned();
    assert!(found["detail"].as_str().unwrap().starts_with(&format!("at {commit}: ")), "{found:#}");
    let hint = "commit the tests: runs begin at a commit, without your other files";
    assert_eq!(found["hint"], hint);
    let project = project.commit("tests");
    assert_eq!(ci(&project)["status"], "ok");
    // Other uncommitted files, and lost ones, do not matter.
    std::fs::remove_dir_all(project.path("tests")).unwrap();
    assert_eq!(ci(&project)["status"], "ok");
    assert_eq!(project.git(["status", "--short"]), " D tests/__init__.py\n D tests/test_it.py\n");
}
