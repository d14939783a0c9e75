//! The place of the copies for agents and CI: outside the checkout, so that neither finds the user's own files in the
//! directories above, and the user's programs do not find the copies.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::{self, Project, has};

const DELIVER: &str = "write_deliverables()";

fn one_phase() -> serde_json::Value {
    json!({"phases": [{"phase_id": "one", "deliverables": ["src/one.txt"], "max_attempts": 1}]})
}

/// Workspace members are links in the user's `node_modules`. Node looks there too, if it finds nothing nearer.
#[test]
fn node_does_not_find_the_users_own_packages() {
    if !has("node", &["--version"]) {
        return;
    }
    let plan = json!({"phases": [{"phase_id": "one", "deliverables": ["packages/a/index.js"], "max_attempts": 1}]});
    let project = Project::new()
        .file("packages/a/package.json", r#"{"name": "a", "main": "index.js"}"#)
        .file("packages/a/index.js", "module.exports = (a, b) => a + b\n")
        .file("test.js", "process.exit(require('a')(2, 2) === 4 ? 0 : 1)\n")
        .file(".gitignore", "/node_modules\n/elsewhere\n")
        .commit("workspaces");
    fs::create_dir(project.path("node_modules")).unwrap();
    std::os::unix::fs::symlink("../packages/a", project.path("node_modules/a")).unwrap();
    let agent = "write('packages/a/index.js', 'module.exports = (a, b) => a - b\\n')";
    let project = project
        .agent_with(agent, "ci: {command: [node, test.js]}\nworkspace: {link: [node_modules]}\n");
    let project = project.plan(plan);
    project.drain();
    assert_eq!(project.states()["one"], "FAILED");
    // With nothing linked, nothing is found.
    let project = Project::new().file("test.js", "require('a')\n").commit("test");
    fs::create_dir_all(project.path("node_modules/a")).unwrap();
    fs::write(project.path("node_modules/a/index.js"), "").unwrap();
    fs::write(project.path(".git/info/exclude"), "/node_modules\n").unwrap();
    let ci = "import subprocess\nprobe = subprocess.run(['node', '-e', \"require('a')\"])\n\
              assert probe.returncode != 0\nwrite_deliverables()";
    let project = project.agent(ci).plan(one_phase());
    let ran = project.drain();
    assert!(!ran.stderr.contains("AssertionError"), "{ran:?}");
}

#[test]
fn go_does_not_find_an_untracked_go_work() {
    if !has("go", &["version"]) {
        return;
    }
    let project = Project::new()
        .file("go.mod", "module example.org/m\n\ngo 1.19\n")
        .file("m.go", "package m\n\nfunc One() int { return 1 }\n")
        .file(
            "m_test.go",
            "package m\n\nimport \"testing\"\n\nfunc TestOne(t *testing.T) {\n\tif One() != 1 {\n\t\tt.Fatal()\n\t}\n}\n",
        )
        .file(".gitignore", "go.work\n")
        .commit("module");
    project.write("go.work", "go 1.19\n\nuse .\n");
    let caches = project.outside("go");
    let project = project
        .env("GOFLAGS", "-mod=mod")
        .env("GOCACHE", caches.join("cache").display().to_string())
        .env("GOPATH", caches.join("path").display().to_string())
        .agent_with(DELIVER, "ci: {command: [go, test, ./...]}\n")
        .plan(one_phase());
    project.drain().succeeded();
    assert_eq!(project.landed(), ["one"]);
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => open.push(entry.path()),
                false => found.push(entry.path()),
            }
        }
    }
    found
}

/// As jest and vitest look for tests: by name, below the checkout, whatever git ignores.
#[test]
fn a_failed_phase_leaves_no_test_in_the_checkout() {
    let agent = "write('src/one.txt'); write('other/a.test.js', 'throw 1')";
    let project = Project::new().agent(agent).plan(one_phase());
    project.drain();
    assert_eq!(project.states()["one"], "FAILED");
    let tests = files_below(&project.root());
    let tests: Vec<_> = tests.iter().filter(|path| path.ends_with("a.test.js")).collect();
    assert!(tests.is_empty(), "{tests:?}");
    assert!(project.slots()[0].join("other/a.test.js").exists());
}

/// Compose names a project after its directory, and containers of two repositories must not meet, not even with equal
/// names.
#[test]
fn slots_of_two_repositories_have_different_names() {
    let names = [(); 2].map(|()| {
        let project = Project::new().agent(DELIVER).plan(one_phase());
        project.drain().succeeded();
        project.slots()[0].file_name().unwrap().to_owned()
    });
    assert_ne!(names[0], names[1]);
    assert!(names[0].to_string_lossy().starts_with("project-"), "{names:?}");
}

#[test]
fn slots_can_be_placed_elsewhere_but_in_no_work_tree() {
    for (slots_dir, refused) in [
        (".slots", Some("inside the checkout")),
        ("../other/slots", Some("inside the git repository")),
        ("../place", None),
    ] {
        let more = format!("workspace: {{slots_dir: {slots_dir}}}\n");
        let project = Project::new().agent_with(DELIVER, &more).plan(one_phase());
        let beside = |path: &str| project.root().parent().unwrap().join(path);
        fs::create_dir_all(beside("other/.git")).unwrap();
        let ran = project.drain();
        match refused {
            None => {
                ran.succeeded();
                assert!(project.slots().is_empty());
                assert_eq!(fs::read_dir(beside("place")).unwrap().count(), 1);
                project.autopack(["gc"]).succeeded();
                let left = files_below(&beside("place"));
                assert!(left.is_empty(), "{left:?}");
            }
            Some(why) => {
                let ran = ran.exited(1);
                assert!(ran.stderr.contains(why), "{ran:?}");
                assert!(ran.stderr.contains("workspace.slots_dir"), "{ran:?}");
                assert_eq!(project.states()["one"], "QUEUED");
                assert_eq!(project.phase("one")["attempt_log"], json!([]));
            }
        }
    }
}

/// Homes that are work trees themselves, for dotfiles, are common.
#[test]
fn a_state_directory_in_a_work_tree_is_not_used() {
    let seen = "pathlib.Path(phase_id + '.seen').write_text('')\n\
                (workspace.parent / 'witness' / 'seen').write_text(os.getcwd())\nos.remove(phase_id + '.seen')\n\
                write_deliverables()";
    for state in ["project/state", "home/state", "relative"] {
        let project = Project::new().without_sandbox().agent(seen).plan(one_phase());
        fs::create_dir_all(project.outside("home/.git")).unwrap();
        let state = match state {
            "relative" => state.to_owned(),
            below => project.outside(below).display().to_string(),
        };
        let project = project.env("XDG_STATE_HOME", state);
        project.drain().succeeded();
        let slot = PathBuf::from(fs::read_to_string(project.outside("seen")).unwrap());
        assert!(slot.starts_with("/var/tmp"), "{slot:?}");
        project.autopack(["gc"]).succeeded();
        assert!(!slot.exists());
        fs::remove_dir(slot.parent().unwrap()).unwrap();
    }
}

/// A slot in the form of earlier versions: in the checkout, with a git directory of its own and one of autopack's.
fn old_slot(project: &Project, number: u32) -> PathBuf {
    let slots = project.path(".autopack/slots");
    fs::create_dir_all(&slots).unwrap();
    let slot = slots.join(number.to_string());
    let root = project.root().display().to_string();
    let target = slot.display().to_string();
    project.git(["clone", "-q", "--shared", &root, &target]);
    project.git(["-C", &target, "checkout", "-q", "-b", "work"]);
    fs::create_dir_all(slots.join(format!("{number}.git/objects"))).unwrap();
    fs::write(slots.join(format!("{number}.lock")), "pid 1\n").unwrap();
    slot
}

#[test]
fn slots_of_an_older_version_go_and_their_work_is_kept() {
    let plan = json!({"phases": [
        {"phase_id": "one", "deliverables": ["src/one.txt"]},
        {"phase_id": "two", "deliverables": ["src/two.txt"]}]});
    let project = Project::new().agent(DELIVER).plan(plan);
    let slot = old_slot(&project, 0);
    fs::write(slot.join("work.txt"), "half done\n").unwrap();
    // Hooks and settings made there by the agent must not run.
    let ran = project.outside("ran");
    let slot_name = slot.display().to_string();
    let filter = format!("touch '{}'; cat", ran.display());
    project.git(["-C", &slot_name, "config", "filter.x.clean", &filter]);
    fs::write(slot.join(".git/info/attributes"), "* filter=x\n").unwrap();
    let clean = old_slot(&project, 1);
    fs::create_dir_all(project.path(".autopack/slots/1.stuck.0")).unwrap();
    let output = project.drain().succeeded();
    let output = output.stdout + &output.stderr;
    assert!(output.contains("slot 0 of an older version held work"), "{output}");
    assert!(!output.contains("slot 1 of an older version"), "{output}");
    let patch = project.read(".autopack/attempts/slot-0.patch");
    assert!(patch.contains("+half done") && !ran.exists(), "{patch}");
    assert!(!slot.exists() && !clean.exists());
    let left = fs::read_dir(project.path(".autopack/slots")).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| name.to_string_lossy().ends_with(".lock")), "{left:?}");
    assert_eq!(project.landed(), ["one", "two"]);
    // And once only.
    project.autopack(["phases", "retry", "--run-id", "run", "--all"]);
    assert!(!project.drain().stdout.contains("older version"));
}

/// Drains one phase whose agent prints its working directory, and returns that directory.
fn worked_in(project: Project) -> PathBuf {
    let seen = project.outside("worked-in");
    let agent = format!("pathlib.Path({seen:?}).write_text(os.getcwd())\nwrite_deliverables()");
    let plan = json!({"phases": [{"phase_id": "a", "deliverables": ["a.txt"]}]});
    let project = project.without_sandbox().agent(&agent).plan(plan);
    project.drain().succeeded();
    assert_eq!(project.landed(), ["a"]);
    let slot = PathBuf::from(fs::read_to_string(seen).unwrap());
    fs::remove_dir_all(slot.parent().unwrap()).unwrap();
    slot
}

fn is_in_var_tmp(slot: &Path) -> bool {
    slot.to_string_lossy().starts_with("/var/tmp/autopack-")
}

#[test]
fn slots_are_in_var_tmp_without_a_home() {
    let slot = worked_in(Project::new().unset("XDG_STATE_HOME").unset("HOME"));
    assert!(is_in_var_tmp(&slot), "{}", slot.display());
}

#[test]
fn a_state_directory_on_another_file_system_is_skipped() {
    use std::os::unix::fs::MetadataExt as _;
    let project = Project::new();
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
    let memory = Path::new("/dev/shm");
    if device(memory).is_none() || device(memory) == device(&project.root()) {
        support::skip("tmpfs", "/dev/shm is on the same file system");
        return;
    }
    let slot = worked_in(project.env("XDG_STATE_HOME", "/dev/shm/autopack-test-state"));
    assert!(is_in_var_tmp(&slot), "{}", slot.display());
    assert!(!Path::new("/dev/shm/autopack-test-state").exists(), "nothing was made there");
}
