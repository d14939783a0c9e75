//! SIGKILL to `autopack merge` at each of its git calls. Afterwards the user's branch and files are as before, or the
//! same command completes the merge.

use std::collections::BTreeSet;

use serde_json::json;

use super::drains::Running;
use super::gate::{Gate, When};
use super::sizes::summary;
use crate::support::{Project, Ran};

/// More git calls than a merge makes.
const MOST_CALLS: u64 = 60;

#[test]
fn a_merge_killed_at_any_git_call_is_completed_by_the_next() {
    let (project, gate) = prepared();
    let kills = torture(&project, &gate, &[]);
    summary("kill -9 during a fast-forward", 0, &format!("{kills} kills, completed each time"));
}

#[test]
fn a_squash_killed_at_any_git_call_is_completed_by_the_next_and_made_once() {
    let (project, gate) = prepared();
    let project = project.file("own.txt", "own\n").commit("own work");
    let kills = torture(&project, &gate, &["--squash"]);
    summary("kill -9 during a squash", 0, &format!("{kills} kills, made once each time"));
}

fn prepared() -> (Project, Gate) {
    let (project, gate) = Gate::on(Project::new());
    // A changed, a removed, and new files; one in place of a directory.
    let agent = "write_deliverables()\nimport shutil\nif phase_id == 'two':\n    os.remove('src/old.txt')\n    shutil.rmtree('src/dir')\n    write('src/dir', 'a file\\n')";
    let project = project
        .file("src/changed.txt", "before\n")
        .file("src/old.txt", "old\n")
        .file("src/dir/inner.txt", "inner\n")
        .commit("files")
        .agent(agent)
        .plan(json!({"phases": [
            {"phase_id": "one", "deliverables": ["src/changed.txt", "src/new/one.txt"]},
            {"phase_id": "two", "deliverables": ["src/two.txt"], "scope": {"paths": ["src"]}},
        ]}));
    project.drain().succeeded();
    (project, gate)
}

/// Kills a merge before and after each git call. Returns the number of kills.
fn torture(project: &Project, gate: &Gate, more: &[&str]) -> u64 {
    project.write("notes.txt", "untracked\n");
    let start = commit_of(project, "main");
    let args: Vec<&str> = ["merge", "run"].iter().chain(more).copied().collect();
    merge(project, &args);
    let expected = project.git(["rev-parse", "main^{tree}"]);
    let count = project.git(["rev-list", "--count", "main"]);
    let mut kills = 0;
    let mut held_calls = BTreeSet::new();
    for call in 1..MOST_CALLS {
        for when in [When::Before, When::After] {
            project.git(["reset", "-q", "--hard", &start]);
            gate.arm(when, "any", call);
            let mut merging =
                Running::start(project.command(&args), project.beside(format!("merge-{call}")));
            if !merging.wait_until(|| gate.held().is_some()) {
                gate.release();
                merging.wait().exited(0);
                assert!(held_calls.contains("read-tree") && held_calls.contains("update-ref"));
                return kills;
            }
            held_calls.extend(gate.held());
            assert!(merging.kill(), "the merge was held");
            kills += 1;
            gate.release();
            merge(project, &args);
            let at = format!("{when:?} call {call}");
            assert_eq!(project.git(["rev-parse", "main^{tree}"]), expected, "{at}");
            assert_eq!(project.git(["rev-list", "--count", "main"]), count, "{at}");
            assert_eq!(project.git(["status", "--porcelain"]), "?? notes.txt\n", "{at}");
            assert_eq!(project.read("notes.txt"), "untracked\n");
            assert!(!project.path(".git/AUTOPACK_MERGE").exists(), "{at}");
        }
    }
    panic!("a merge makes more than {MOST_CALLS} git calls");
}

/// Merges, once the git process left by the kill has ended.
fn merge(project: &Project, args: &[&str]) -> Ran {
    loop {
        let ran = project.autopack(args);
        let is_at_work = ["another autopack merge works", "another git process works", "git left"]
            .iter()
            .any(|text| ran.stderr.contains(text));
        if !is_at_work {
            return ran.succeeded();
        }
    }
}

fn commit_of(project: &Project, name: &str) -> String {
    project.git(["rev-parse", name]).trim().to_owned()
}
