//! `workspace.link` directories in namespaces: overlays over the user's directories, without a copy.

use std::fs;

use autopack::process::use_supervisor;
use autopack::process::view::{ViewMode, probe, probe_overlay};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::json;

use crate::support::{Project, skip};

/// Returns a project with linked packages; `None` where the kernel refuses namespaces or overlays.
#[track_caller]
fn linked_project(agent: &str, ci: &str) -> Option<Project> {
    let project = Project::new()
        .file(".gitignore", "node_modules\n")
        .file("ci.sh", ci)
        .commit("packages")
        .file("node_modules/dep/index.txt", "original\n")
        .file("node_modules/dep/package.json", "{}\n");
    use_supervisor(env!("CARGO_BIN_EXE_autopack"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let works = runtime.block_on(async {
        probe(ViewMode::Namespaces).await?;
        probe_overlay(&project.outside("")).await
    });
    if let Err(why) = works {
        skip("namespaces", format_args!("{why}"));
        return None;
    }
    let config = "ci: {command: sh ci.sh}\nworkspace: {link: [node_modules]}\n";
    let plan = json!({"phases": [
        {"phase_id": "one", "deliverables": ["one.txt"]},
        {"phase_id": "two", "deliverables": ["two.txt"]}]});
    let witness = project.outside("").display().to_string();
    let project = project.env("AUTOPACK_SANDBOX_MODE", "namespaces");
    let project = project.env("AUTOPACK_SANDBOX_WRITE", witness.trim_end_matches('/'));
    Some(project.agent_with(agent, config).plan(plan))
}

#[test]
fn a_linked_directory_is_shared_and_its_changes_are_private() {
    let agent = "
import os
assert open('node_modules/dep/index.txt').read() == 'original\\n'
assert not os.path.exists('node_modules/agent')
open('node_modules/dep/index.txt', 'w').write('changed\\n')
open('node_modules/agent', 'w').write('')
write_deliverables()
";
    let ci = "set -e
grep -q original node_modules/dep/index.txt
test ! -e node_modules/agent
echo ci > node_modules/dep/package.json
";
    let Some(project) = linked_project(agent, ci) else { return };
    project.drain().exited(0);
    assert_eq!(project.read("node_modules/dep/index.txt"), "original\n");
    assert_eq!(project.read("node_modules/dep/package.json"), "{}\n");
    assert_eq!(fs::read_dir(project.path("node_modules")).unwrap().count(), 1);
    let slots = project.slots();
    assert!(!slots.is_empty());
    for slot in slots {
        assert!(!slot.join("node_modules").exists(), "{slot:?} has a copy");
    }
}

/// CI must not pass because of packages that nobody has afterwards.
#[test]
fn ci_runs_again_if_a_linked_directory_changes_meanwhile() {
    let place = "\"$(cat witness)\"";
    let ci = format!(
        "set -e
[ -e one.txt ] || exit 0
cat node_modules/dep/package.json >> {place}/seen
[ -e {place}/changed ] || {{ echo > {place}/ready; read line < {place}/go; }}
"
    );
    let Some(project) = linked_project("write_deliverables()", &ci) else { return };
    let outside = project.outside("");
    let project =
        project.file("witness", &outside.display().to_string()).commit("where the test waits");
    for pipe in ["ready", "go"] {
        mkfifo(&outside.join(pipe), Mode::S_IRWXU).unwrap();
    }
    let child = project.spawn(["drain", "--run-id", "run"]);
    // Waits until CI opens the other end.
    fs::read(outside.join("ready")).unwrap();
    project.write("node_modules/dep/package.json", "{\"version\": 2}\n");
    fs::write(outside.join("changed"), "").unwrap();
    fs::write(outside.join("go"), "\n").unwrap();
    let ran = project.wait(child).exited(0);
    let note = "node_modules of your checkout changed during CI: running CI again";
    assert_eq!(ran.stdout.matches(note).count(), 1, "{ran:#?}");
    let seen = fs::read_to_string(outside.join("seen")).unwrap();
    assert!(seen.starts_with("{}\n{\"version\": 2}\n"), "{seen}");
}
