//! Changes by the user to the run's branch, and to the repository, between two drains.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::Project;

fn phases<const N: usize>(ids: [&str; N]) -> Value {
    let phase =
        |id| json!({"phase_id": id, "deliverables": [format!("src/{id}.txt")], "max_attempts": 1});
    json!({ "phases": Vec::from(ids.map(phase)) })
}

/// Two landed phases.
fn landed() -> Project {
    let project = Project::new().agent("write_deliverables()").plan(phases(["one", "two"]));
    project.drain().succeeded();
    project
}

/// A commit by the user on the main branch.
fn commit_on_main(project: &Project) {
    project.write("theirs.txt", "theirs\n");
    project.git(["add", "theirs.txt"]);
    project.git(["commit", "-q", "-m", "theirs"]);
}

#[test]
fn a_rebased_branch_still_contains_the_landings() {
    let project = landed();
    commit_on_main(&project);
    project.git(["rebase", "-q", "main", "autopack/run"]);
    project.git(["checkout", "-q", "main"]);
    let drained = project.drain().succeeded();
    assert!(!drained.stdout.contains("no longer contains"), "{drained:#?}");
    assert_eq!(project.landed(), ["one", "two"]);
}

#[test]
fn a_squashed_branch_still_contains_the_landings() {
    let project = landed();
    project.git(["branch", "-m", "autopack/run", "as-it-was"]);
    project.git(["checkout", "-q", "-b", "autopack/run", "main"]);
    project.git(["merge", "-q", "--squash", "as-it-was"]);
    project.git(["commit", "-q", "--no-edit"]);
    project.git(["checkout", "-q", "main"]);
    let drained = project.drain().succeeded();
    assert!(!drained.stdout.contains("no longer contains"), "{drained:#?}");
}

#[test]
fn lost_landings_are_reported_once_with_the_command_to_redo_them() {
    let project = landed();
    commit_on_main(&project);
    project.git(["branch", "-f", "autopack/run", "main"]);
    let shown = project.drain().succeeded().stdout;
    assert_eq!(shown.matches("no longer contains one (").count(), 1, "{shown}");
    assert_eq!(shown.matches("no longer contains").count(), 1, "{shown}");
    let command = "autopack phases retry --run-id run --redo one two";
    assert!(shown.contains(&format!("`{command}`")), "{shown}");
    project.autopack(command.split(' ').skip(1)).succeeded();
    let redone = project.drain().succeeded().stdout;
    assert!(!redone.contains("no longer contains"), "{redone}");
    assert_eq!(project.landed(), ["one", "two"]);
}

#[test]
fn a_deleted_branch_is_restored_to_the_last_landing() {
    let agent = "if phase_id != 'bad': write_deliverables()";
    let project = Project::new().agent(agent).plan(phases(["one", "bad", "two"]));
    project.drain().exited(3);
    let tip = project.git(["rev-parse", "autopack/run"]).trim().to_owned();
    project.git(["merge", "-q", "autopack/run"]);
    project.git(["branch", "-q", "-D", "autopack/run"]);
    project.autopack(["phases", "retry", "--run-id", "run", "--failed"]).succeeded();
    let gone = project.drain().exited(1);
    let cure = format!("git branch autopack/run {tip}");
    assert!(
        gone.stdout.contains(&format!("restore it ({cure}, the last landed commit)")),
        "{gone:#?}"
    );
    project.git(cure.split(' ').skip(1));
    project.drain().exited(3);
    assert_eq!(project.landed(), ["one", "two"]);
}

#[test]
fn a_deleted_branch_is_restored_when_all_phases_are_redone() {
    let project = Project::new().agent("write_deliverables()").plan(phases(["one", "two"]));
    project.drain().succeeded();
    let tip = project.git(["rev-parse", "autopack/run"]).trim().to_owned();
    project.autopack(["phases", "retry", "--run-id", "run", "--redo", "one", "two"]).succeeded();
    project.git(["branch", "-q", "-D", "autopack/run"]);
    let gone = project.drain().exited(1).stdout;
    assert!(
        gone.contains(&format!("(git branch autopack/run {tip}, the last landed commit)")),
        "{gone}"
    );
}

#[test]
fn a_deleted_branch_without_landings_restarts_at_its_base() {
    let project = Project::new().agent("").plan(phases(["bad"]));
    project.drain().exited(3);
    let base = project.git(["rev-parse", "main"]).trim().to_owned();
    project.git(["branch", "-q", "-D", "autopack/run"]);
    project.autopack(["phases", "retry", "--run-id", "run", "--failed"]).succeeded();
    let gone = project.drain().exited(1);
    let cure = format!("git branch autopack/run COMMIT; the run started at {base}");
    assert!(gone.stdout.contains(&cure), "{gone:#?}");
}

#[test]
fn a_tag_with_the_branchs_name_is_not_offered_for_merging() {
    let project = Project::new().agent("write_deliverables()").plan(phases(["one"]));
    project.git(["tag", "autopack/run"]);
    let shown = project.drain().succeeded().stdout;
    let review = shown.lines().find_map(|line| line.strip_prefix("review   git ")).unwrap();
    assert!(review.ends_with("..refs/heads/autopack/run"), "{shown}");
    assert!(project.git(review.split(' ')).contains("one"), "{shown}");
}

#[test]
fn a_moved_repository_keeps_its_runs_and_a_copy_has_none() {
    let project = Project::new().agent("write_deliverables()").plan(phases(["one", "two"]));
    let one = ["drain", "--run-id", "run", "--batch-size", "1", "--max-batches", "1"];
    project.autopack(one).succeeded();
    let [copy, moved] = ["copy", "moved"].map(|name| project.root().with_file_name(name));
    assert!(
        Command::new("cp").arg("-a").arg(project.root()).arg(&copy).status().unwrap().success()
    );
    let at = |directory: &Path, args: &[&str]| {
        project.autopack([&["--workspace", directory.to_str().unwrap()], args].concat())
    };
    let drain = ["drain", "--run-id", "run"];
    let refused = at(&copy, &drain).exited(1);
    assert!(refused.stderr.contains("run run belongs to the repository"), "{refused:#?}");

    fs::rename(project.root(), &moved).unwrap();
    fs::create_dir(project.root()).unwrap();
    let output = "run run continues here: its repository moved";
    let dry = at(&moved, &["gc", "--dry-run"]).succeeded();
    assert!(!dry.stderr.contains(output) && !dry.stdout.contains("another repository"), "{dry:#?}");
    let went_on = at(&moved, &drain).succeeded();
    assert_eq!(went_on.stderr.matches(output).count(), 1, "{went_on:#?}");
    let again = at(&moved, &drain).succeeded();
    assert!(!again.stderr.contains(output), "{again:#?}");
    let log = ["-C", moved.to_str().unwrap(), "log", "--format=%s", "main..autopack/run"];
    assert_eq!(project.git(log), "two\none\n");
}

/// As is done while other programs still expect it at its old place.
#[test]
fn a_repository_that_left_a_link_behind_was_moved_and_one_that_lacks_landings_was_not() {
    let project = Project::new().agent("write_deliverables()").plan(phases(["one", "two"]));
    let [older, moved] = ["older", "moved"].map(|name| project.root().with_file_name(name));
    let copied = Command::new("cp").arg("-a").arg(project.root()).arg(&older).status().unwrap();
    assert!(copied.success());
    let one = ["drain", "--run-id", "run", "--batch-size", "1", "--max-batches", "1"];
    project.autopack(one).succeeded();
    project
        .git_command()
        .arg("-C")
        .arg(&older)
        .args(["branch", "autopack/run", "main"])
        .status()
        .unwrap();
    let base = ["update-ref", "refs/autopack/bases/run", "main"];
    project.git_command().arg("-C").arg(&older).args(base).status().unwrap();
    fs::rename(project.root(), &moved).unwrap();
    fs::create_dir(project.root()).unwrap();
    let database = format!("sqlite:///{}", moved.join(".autopack/autopack.db").display());
    let at = |directory: &Path| {
        let directory = directory.to_str().unwrap();
        project.autopack([
            "--workspace",
            directory,
            "--database-url",
            &database,
            "drain",
            "--run-id",
            "run",
        ])
    };
    let refused = at(&older).exited(1);
    assert!(refused.stderr.contains("run run belongs to the repository"), "{refused:#?}");
    fs::remove_dir(project.root()).unwrap();
    std::os::unix::fs::symlink(&moved, project.root()).unwrap();
    let went_on = at(&moved).succeeded();
    assert!(went_on.stderr.contains("run run continues here"), "{went_on:#?}");
}

#[test]
fn a_conflicting_branch_exits_5_and_is_reported_once_for_any_number_of_jobs() {
    for jobs in ["1", "4"] {
        let phases: Vec<Value> = (0..6)
            .map(|n| json!({"phase_id": format!("p{n}"), "deliverables": [format!("d{n}/a.txt")]}))
            .collect();
        let project =
            Project::new().agent("write_deliverables()").plan(json!({ "phases": phases }));
        project.git(["branch", "-q", "autopack"]);
        let ran = project.autopack(["drain", "--run-id", "run", "--jobs", jobs]).exited(5);
        let output = format!("{}{}", ran.stdout, ran.stderr);
        let why = "cannot create the branch autopack/run, because a branch autopack exists";
        assert_eq!(output.matches(why).count(), 1, "--jobs {jobs}: {ran:#?}");
        assert!(output.contains("git branch -m autopack OTHER"), "{ran:#?}");
        assert!(project.states().values().all(|state| state == "QUEUED"));
        for phase in project.states().keys() {
            assert_eq!(project.phase(phase)["attempts"], 0);
        }
        project.git(["branch", "-q", "-m", "autopack", "other"]);
        project.drain().succeeded();
    }
}

#[test]
fn a_deleted_branch_is_restored_to_the_last_landing_after_all_phases_landed() {
    let settings = "ci: {command: 'true'}\n";
    let plan = json!({"phases": [{"phase_id": "a", "deliverables": ["a.txt"]}]});
    let project = Project::new()
        .unset("AUTOPACK_CI_FINAL")
        .agent_with("write_deliverables()", settings)
        .plan(plan);
    project.drain().succeeded();
    let landed = project.git(["rev-parse", "autopack/run"]).trim().to_owned();
    project.git(["branch", "-q", "-D", "autopack/run"]);
    let cure = format!("git branch autopack/run {landed}, the last landed commit");
    let drained = project.drain().exited(1);
    assert!(drained.stdout.contains(&cure), "{drained:#?}");
    let verified = project.autopack(["verify", "run"]).exited(1);
    assert!(verified.stderr.contains(&cure), "{verified:#?}");
}
