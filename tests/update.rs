//! `autopack update`: a tested merge brings a moved base into a run's branch, or nothing changes.

use std::fs;
use std::process::Child;

use serde_json::{Value, json};

use crate::support::database::texts;
use crate::support::process::signal;
use crate::support::{Project, Ran};

const AGENT: &str = "write_deliverables(f'made by {phase_id}\\n')";

/// Holds CI while the witness directory has a file `hold`.
const HOLDING_CI: &str = "[ ! -e \"$WITNESS/hold\" ] || { touch \"$WITNESS/testing\"; \
                          while [ -e \"$WITNESS/hold\" ]; do sleep 0.02; done; }";

fn phase(id: &str) -> Value {
    json!({"phase_id": id, "name": format!("add {id}"), "deliverables": [format!("src/{id}.txt")]})
}

fn project(ci: &str, phases: &[&str]) -> Project {
    let project = Project::new();
    let witness = project.outside("").display().to_string();
    let phases: Vec<Value> = phases.iter().map(|id| phase(id)).collect();
    project
        .file("src/shared.txt", "start\n")
        .commit("shared")
        .agent_with(AGENT, &format!("ci: {{command: {}}}\n", json!(ci)))
        .env("WITNESS", witness)
        .plan(json!({"phases": phases}))
}

/// A drained run whose base has a new file since.
fn moved(phases: &[&str]) -> Project {
    let project = project("true", phases);
    project.drain().succeeded();
    project.file("src/news.txt", "news\n").commit("news")
}

fn update(project: &Project, more: &[&str]) -> Ran {
    project.autopack(["update", "run"].iter().chain(more))
}

fn commit_of(project: &Project, name: &str) -> String {
    project.git(["rev-parse", name]).trim().to_owned()
}

fn files(project: &Project, of: &str) -> Vec<String> {
    let listed = project.git(["ls-tree", "-r", "--name-only", of, "src/"]);
    listed.lines().map(str::to_owned).collect()
}

fn assert_settled(project: &Project) {
    assert_eq!(project.git(["for-each-ref", "refs/autopack/undos"]), "");
    let database = project.path(".autopack/autopack.db");
    assert_eq!(texts(&database, "SELECT owner FROM owners"), [""; 0]);
    assert_eq!(texts(&database, "SELECT owner FROM reverts WHERE ended_at IS NULL"), [""; 0]);
}

/// The update is refused with these words, and changes nothing.
#[track_caller]
fn refused(project: &Project, more: &[&str], code: i32, words: &[&str]) {
    let refs = || project.git(["for-each-ref"]);
    let before = (refs(), project.states(), project.git(["status", "--porcelain"]));
    let ran = update(project, more).exited(code);
    for word in words {
        assert!(ran.stderr.contains(word), "{word:?}: {ran:#?}");
    }
    assert_eq!((refs(), project.states(), project.git(["status", "--porcelain"])), before);
    assert_settled(project);
}

/// Waits until CI of a command in the background holds.
fn wait_for_ci(project: &Project, running: &mut Child) {
    while !project.outside("testing").exists() {
        assert!(running.try_wait().unwrap().is_none(), "the command ended");
        std::thread::yield_now();
    }
}

#[test]
fn a_moved_base_is_merged_and_landed_commits_stay() {
    let project = moved(&["one", "two"]);
    let (tip, main) = (commit_of(&project, "autopack/run"), commit_of(&project, "main"));
    let ran = update(&project, &[]).succeeded();
    let merge = commit_of(&project, "autopack/run");
    let expected = format!(
        "merged main into autopack/run\n  {} -> {} (CI is green, 1 file)\n",
        &tip[..10],
        &merge[..10]
    );
    assert_eq!(ran.stdout, expected);
    let parents = project.git(["log", "-1", "--format=%P", "autopack/run"]);
    assert_eq!(parents.trim(), format!("{tip} {main}"));
    let message = project.git(["log", "-1", "--format=%B", "autopack/run"]);
    let expected =
        format!("Merge main into autopack/run\n\nAutopack-Run: run\nAutopack-Update: {main}");
    assert_eq!(message.trim(), expected);
    let expected = ["src/news.txt", "src/one.txt", "src/shared.txt", "src/two.txt"];
    assert_eq!(files(&project, "autopack/run"), expected);
    assert_eq!(commit_of(&project, "main"), main);
    assert_eq!(project.git(["status", "--porcelain"]), "");
    assert_settled(&project);
    let again = update(&project, &[]).succeeded();
    assert_eq!(again.stdout, "run is up to date with main\n");
    assert_eq!(commit_of(&project, "autopack/run"), merge);
    project.git(["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn the_result_as_json_names_commits() {
    let project = moved(&["one"]);
    let (tip, main) = (commit_of(&project, "autopack/run"), commit_of(&project, "main"));
    let landed = project.json(["update", "run", "--json"]);
    let commit = commit_of(&project, "autopack/run");
    let facts = json!({"run_id": "run", "branch": "autopack/run", "base": "main",
                       "base_commit": main});
    let with = |more: Value| {
        let mut all = facts.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let expected =
        json!({"outcome": "landed", "before": tip, "commit": commit, "changed_files": 1});
    assert_eq!(landed, with(expected));
    let expected =
        json!({"outcome": "up_to_date", "before": commit, "commit": null, "changed_files": null});
    assert_eq!(project.json(["update", "run", "--json"]), with(expected));
}

#[test]
fn later_phases_build_on_the_merge_and_the_run_merges_back() {
    for squash in [&[][..], &["--squash"]] {
        let project = moved(&["one"]);
        update(&project, &[]).succeeded();
        let merge = commit_of(&project, "autopack/run");
        let file = project.outside("more.json");
        let plan = json!({"phases": [phase("one"), phase("two")]});
        fs::write(&file, plan.to_string()).unwrap();
        let import = ["import", file.to_str().unwrap(), "--run-id", "run", "--update"];
        project.autopack(import).succeeded();
        let drained = project.drain().succeeded();
        assert!(!drained.stdout.contains("without a matching attempt"), "{drained:#?}");
        assert_eq!(commit_of(&project, "autopack/run^"), merge);
        assert_eq!(project.landed(), ["one", "two"]);
        let merged = project.autopack(["merge", "run"].iter().chain(squash)).succeeded();
        assert!(merged.stdout.starts_with("merged 2 phases of run into main"), "{merged:#?}");
        let expected = ["src/news.txt", "src/one.txt", "src/shared.txt", "src/two.txt"];
        assert_eq!(files(&project, "main"), expected, "{squash:?}");
        assert_eq!(project.git(["status", "--porcelain"]), "");
    }
}

#[test]
fn a_landing_before_the_merge_can_be_undone() {
    let project = moved(&["one", "two"]);
    update(&project, &[]).succeeded();
    project.autopack(["undo", "run/one", "--skip"]).succeeded();
    let expected = ["src/news.txt", "src/shared.txt", "src/two.txt"];
    assert_eq!(files(&project, "autopack/run"), expected);
    let merged = project.autopack(["merge", "run"]).succeeded();
    assert!(merged.stdout.starts_with("merged 1 phase of run into main"), "{merged:#?}");
    assert_eq!(files(&project, "main"), expected);
}

#[test]
fn the_report_counts_only_the_runs_own_changes() {
    let project = moved(&["one"]);
    update(&project, &[]).succeeded();
    let report = project.autopack(["report", "run", "--format", "md"]).succeeded().stdout;
    assert!(report.contains("src/one.txt"), "{report}");
    assert!(!report.contains("src/news.txt"), "{report}");
    let status = project.autopack(["status", "run"]).succeeded().stdout;
    assert!(status.contains("review   git log --oneline --first-parent "), "{status}");
}

#[test]
fn a_squash_in_the_base_does_not_conflict_with_later_landings() {
    let project = Project::new()
        .file("src/shared.txt", "start\n")
        .commit("shared")
        .agent("write('src/shared.txt', f'{phase_id}\\n')")
        .plan(json!({"phases": [
            {"phase_id": "one", "deliverables": ["src/shared.txt"]},
            {"phase_id": "two", "deliverables": ["src/shared.txt"], "depends_on": ["one"]},
        ]}));
    project.autopack(["drain", "--run-id", "run", "--max-batches", "1", "--batch-size", "1"]);
    assert_eq!(project.landed(), ["one"]);
    project.autopack(["merge", "run", "--squash"]).succeeded();
    project.drain().succeeded();
    let project = project.file("src/news.txt", "news\n").commit("news");
    update(&project, &[]).succeeded();
    assert_eq!(project.git(["show", "autopack/run:src/shared.txt"]), "two\n");
    assert_eq!(files(&project, "autopack/run"), ["src/news.txt", "src/shared.txt"]);
    // The other way, git knows the squash from the history of the merge.
    let project = project.file("src/shared.txt", "one, edited\n").commit("edited");
    let ran = project.autopack(["merge", "run", "--squash"]).exited(1);
    assert!(ran.stderr.contains("both changed src/shared.txt"), "{ran:#?}");
    project.git(["reset", "-q", "--hard", "HEAD^"]);
    project.autopack(["merge", "run", "--squash"]).succeeded();
    assert_eq!(project.read("src/shared.txt"), "two\n");
    assert_eq!(
        update(&project, &[]).succeeded().stdout.lines().next(),
        Some("merged main into autopack/run")
    );
    assert_eq!(project.git(["show", "autopack/run:src/shared.txt"]), "two\n");
}

#[test]
fn a_conflict_changes_nothing_and_can_be_merged_by_hand() {
    let project = project("true", &["one"]);
    project.drain().succeeded();
    let project = project.file("src/one.txt", "mine\n").commit("mine");
    let by_hand = "merge by hand: git switch autopack/run, git merge main";
    refused(&project, &[], 1, &["main and run run both changed src/one.txt", by_hand]);
    project.git(["switch", "-q", "autopack/run"]);
    project.git(["merge", "-q", "-X", "ours", "main", "-m", "by hand"]);
    project.git(["switch", "-q", "main"]);
    let ran = update(&project, &[]).succeeded();
    assert_eq!(ran.stdout, "run is up to date with main\n");
    let drained = project.drain().succeeded();
    assert!(!drained.stdout.contains("without a matching attempt"), "{drained:#?}");
}

#[test]
fn a_merge_with_red_ci_does_not_land() {
    let project = project("! [ -e src/news.txt ] || ! [ -e src/one.txt ]", &["one"]);
    project.drain().succeeded();
    let project = project.file("src/news.txt", "news\n").commit("news");
    refused(&project, &[], 1, &["CI is red with main", "nothing was merged; repair main"]);
}

#[test]
fn the_base_is_chosen_and_mistakes_are_told() {
    let project = project("true", &["one"]);
    let ran = update(&project, &[]).succeeded();
    assert_eq!(ran.stdout, "run has no branch yet: its first drain makes it\n");
    assert_eq!(project.git(["for-each-ref", "refs/heads/autopack"]), "");
    project.drain().succeeded();
    project.git(["branch", "develop"]);
    let project = project.file("src/news.txt", "news\n").commit("news");
    let similar = ["no branch or commit is called develo", "did you mean develop?"];
    refused(&project, &["--base", "develo"], 2, &similar);
    refused(&project, &["--base=-x"], 2, &["no branch or commit is called -x"]);
    refused(&project, &["--base", "a\u{1b}b"], 2, &["no branch or commit is called a b"]);
    project.git(["switch", "-q", "--orphan", "other"]);
    project.git(["commit", "-q", "--allow-empty", "-m", "other"]);
    refused(&project, &[], 1, &["other and run run have no commit in common", "--base BRANCH"]);
    project.git(["switch", "-q", "autopack/run"]);
    refused(&project, &[], 2, &["autopack/run is the branch of a run", "--base BRANCH"]);
    project.git(["switch", "-q", "--detach", "main"]);
    refused(&project, &[], 2, &["no branch is checked out here", "--base BRANCH"]);
    let ran = update(&project, &["--base", "develop"]).succeeded();
    assert_eq!(ran.stdout, "run is up to date with develop\n");
    let config = project.read(".autopack/config/autopack.yaml") + "workspace: {base: main}\n";
    let project = project.config(&config);
    update(&project, &[]).succeeded();
    assert!(files(&project, "autopack/run").contains(&"src/news.txt".to_owned()));
}

#[test]
fn a_checked_out_branch_gets_the_merge_when_it_is_free() {
    let project = moved(&["one"]);
    project.git(["switch", "-q", "autopack/run"]);
    update(&project, &["--base", "main"]).succeeded();
    assert!(!project.path("src/news.txt").exists(), "the checkout is the user's");
    project.git(["switch", "-q", "main"]);
    update(&project, &[]).succeeded();
    assert!(files(&project, "autopack/run").contains(&"src/news.txt".to_owned()));
}

#[test]
fn a_running_drain_refuses_an_update() {
    let project = project(HOLDING_CI, &["one", "two"]);
    project.autopack(["drain", "--run-id", "run", "--max-batches", "1", "--batch-size", "1"]);
    fs::write(project.outside("hold"), "").unwrap();
    let mut drain = project.spawn(["drain", "--run-id", "run"]);
    wait_for_ci(&project, &mut drain);
    let project = project.file("src/news.txt", "news\n").commit("news");
    let ran = update(&project, &[]).exited(1);
    assert!(ran.stderr.contains("another autopack works on run run (process "), "{ran:#?}");
    fs::remove_file(project.outside("hold")).unwrap();
    project.wait(drain).succeeded();
    update(&project, &[]).succeeded();
}

/// An update under way excludes drains and undos; killed, it is settled by the next command.
#[test]
fn a_killed_update_loses_nothing_and_starts_again() {
    let project = project(HOLDING_CI, &["one"]);
    project.drain().succeeded();
    let project = project.file("src/news.txt", "news\n").commit("news");
    let tip = commit_of(&project, "autopack/run");
    fs::write(project.outside("hold"), "").unwrap();
    let mut updating = project.spawn(["update", "run"]);
    wait_for_ci(&project, &mut updating);
    for command in [&["drain", "--run-id", "run"][..], &["undo", "run/one"], &["update", "run"]] {
        let ran = project.autopack(command).exited(1);
        assert!(ran.stderr.contains("an update of run run is under way"), "{ran:#?}");
    }
    signal(&updating, "-KILL");
    project.wait(updating);
    assert_eq!(commit_of(&project, "autopack/run"), tip);
    fs::remove_file(project.outside("hold")).unwrap();
    let ran = update(&project, &[]).succeeded();
    assert!(ran.stderr.contains("an update was interrupted: nothing changed"), "{ran:#?}");
    assert_eq!(commit_of(&project, "autopack/run^"), tip);
    assert_settled(&project);
}

#[test]
fn a_branch_that_moves_during_the_test_keeps_its_commits() {
    let project = project(HOLDING_CI, &["one"]);
    project.drain().succeeded();
    let project = project.file("src/news.txt", "news\n").commit("news");
    fs::write(project.outside("hold"), "").unwrap();
    let mut updating = project.spawn(["update", "run"]);
    wait_for_ci(&project, &mut updating);
    let tree = "autopack/run^{tree}";
    let mine = project.git(["commit-tree", tree, "-p", "autopack/run", "-m", "mine"]);
    project.git(["update-ref", "refs/heads/autopack/run", mine.trim()]);
    fs::remove_file(project.outside("hold")).unwrap();
    let ran = project.wait(updating).exited(1);
    assert!(ran.stderr.contains("the run's branch moved during the test"), "{ran:#?}");
    assert_eq!(commit_of(&project, "autopack/run"), mine.trim());
    assert_settled(&project);
    update(&project, &[]).succeeded();
    assert_eq!(commit_of(&project, "autopack/run^"), mine.trim());
}

#[test]
fn a_stopped_update_changes_nothing() {
    let project = project(HOLDING_CI, &["one"]);
    project.drain().succeeded();
    let project = project.file("src/news.txt", "news\n").commit("news");
    let tip = commit_of(&project, "autopack/run");
    fs::write(project.outside("hold"), "").unwrap();
    let mut updating = project.spawn(["update", "run"]);
    wait_for_ci(&project, &mut updating);
    signal(&updating, "-INT");
    project.wait(updating).exited(130);
    assert_eq!(commit_of(&project, "autopack/run"), tip);
    assert_settled(&project);
}

#[test]
fn an_update_makes_the_final_test_run_again() {
    let project = project("true", &["one"]).unset("AUTOPACK_CI_FINAL");
    project.drain().succeeded();
    let project = project.file("src/news.txt", "news\n").commit("news");
    update(&project, &[]).succeeded();
    let drained = project.drain().succeeded();
    assert!(drained.stdout.contains("\ntested   CI is green in a clean clone at "), "{drained:#?}");
    let green = commit_of(&project, "refs/autopack/green/run");
    assert_eq!(green, commit_of(&project, "autopack/run"));
}
