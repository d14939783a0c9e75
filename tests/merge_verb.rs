//! `autopack merge`: a run's landings come into a branch of the user, or nothing changes.

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;

use crate::support::{Project, Ran, executable};

const AGENT: &str = "write_deliverables(f'made by {phase_id}\\n')";

/// A run with these phases, drained.
fn drained(ids: &[&str]) -> Project {
    let phase = |id: &&str| json!({"phase_id": id, "name": format!("add {id}"), "deliverables": [format!("src/{id}.txt")]});
    let phases: Vec<_> = ids.iter().map(phase).collect();
    let project = Project::new().agent(AGENT).plan(json!({"phases": phases}));
    project.drain().succeeded();
    project
}

fn merge(project: &Project, more: &[&str]) -> Ran {
    project.autopack(["merge", "run"].iter().chain(more))
}

fn commit_of(project: &Project, name: &str) -> String {
    project.git(["rev-parse", name]).trim().to_owned()
}

/// Everything of the user's that a refused merge must leave alone.
#[derive(Debug, PartialEq, Eq)]
struct UserState {
    refs: String,
    status: String,
    index: Vec<u8>,
    files: BTreeMap<String, Vec<u8>>,
}

fn state(project: &Project) -> UserState {
    let listed = project.git(["ls-files", "--cached", "--others"]);
    let content = |path: &str| fs::read(project.path(path)).unwrap_or_default();
    UserState {
        refs: project.git(["for-each-ref", "--format=%(refname) %(objectname)"]),
        status: project.git(["status", "--porcelain=v2", "--branch", "--ignored"]),
        index: fs::read(project.path(".git/index")).unwrap(),
        files: listed
            .lines()
            .filter(|path| !path.starts_with(".autopack/"))
            .map(|path| (path.to_owned(), content(path)))
            .collect(),
    }
}

/// The merge is refused with this text and this hint, and changes nothing.
#[track_caller]
fn refused(project: &Project, more: &[&str], exit: i32, problem: &str, hint: &str) {
    let before = state(project);
    let ran = merge(project, more).exited(exit);
    assert!(ran.stderr.contains(problem), "{ran:#?}");
    assert!(ran.stderr.contains(hint), "{ran:#?}");
    assert_eq!(ran.stdout, "");
    assert_eq!(state(project), before);
    assert!(!project.path(".git/AUTOPACK_MERGE").exists());
}

#[test]
fn a_fast_forward_moves_the_branch_and_its_files() {
    let project = drained(&["one", "two"]);
    let (before, tip) = (commit_of(&project, "main"), commit_of(&project, "autopack/run"));
    let ran = merge(&project, &[]).succeeded();
    let expected = format!(
        "merged 2 phases of run into main\n  {} -> {} (fast-forward)\n",
        &before[..10],
        &tip[..10]
    );
    assert_eq!(ran.stdout, expected);
    assert_eq!(commit_of(&project, "HEAD"), tip);
    assert_eq!(project.read("src/one.txt"), "made by one\n");
    assert_eq!(project.git(["status", "--porcelain"]), "");
    assert!(project.git(["reflog", "-1", "main"]).contains("autopack merge run"));
    assert!(!project.path(".git/AUTOPACK_MERGE").exists());
    let again = merge(&project, &[]).succeeded();
    assert_eq!(again.stdout, "run is already merged into main\n");
}

#[test]
fn the_result_as_json_names_commits_and_phases() {
    let project = drained(&["one"]);
    let (before, tip) = (commit_of(&project, "main"), commit_of(&project, "autopack/run"));
    let merged = project.json(["merge", "run", "--json"]);
    let worktree = project.root().display().to_string();
    let expected = json!({
        "run_id": "run", "outcome": "merged", "kind": "fast_forward", "branch": "main",
        "before": before, "commit": tip, "tip": tip, "phases": ["one"], "undone": [],
        "worktree": worktree, "drain_running": false,
    });
    assert_eq!(merged, expected);
    assert_eq!(project.json(["merge", "run", "--json"])["outcome"], "already_merged");
}

#[test]
fn a_branch_with_other_commits_gets_a_merge_commit_of_the_user_without_hooks() {
    let project = drained(&["one"]);
    let project = project.file("own.txt", "own\n").commit("own work");
    for hook in ["post-merge", "post-checkout", "pre-commit", "commit-msg", "reference-transaction"]
    {
        let ran = project.beside("hook-ran");
        let script = format!("#!/bin/sh\ntouch '{}'\nexit 1\n", ran.display());
        executable(&project.path(format!(".git/hooks/{hook}")), &script);
    }
    project.git(["config", "user.name", "Ada"]);
    project.git(["config", "user.email", "ada@example.org"]);
    let own = commit_of(&project, "main");
    let merged = project.json(["merge", "run", "--json"]);
    assert!(!project.beside("hook-ran").exists());
    assert_eq!(merged["kind"], "merge_commit");
    let parents = project.git(["log", "-1", "--format=%P", "main"]);
    assert_eq!(parents.trim(), format!("{own} {}", commit_of(&project, "autopack/run")));
    let who = project.git(["log", "-1", "--format=%an <%ae> %cn <%ce>", "main"]);
    assert_eq!(who.trim(), "Ada <ada@example.org> Ada <ada@example.org>");
    let message = project.git(["log", "-1", "--format=%B", "main"]);
    assert_eq!(message.trim(), "Merge run run into main\n\n- one: add one\n\nAutopack-Run: run");
    assert_eq!(project.read("src/one.txt"), "made by one\n");
    assert_eq!(project.read("own.txt"), "own\n");
    assert_eq!(project.git(["status", "--porcelain"]), "");
}

#[test]
fn a_squash_lists_its_phases_and_a_second_squash_has_only_later_ones() {
    let project = drained(&["one", "two"]);
    let tip = commit_of(&project, "autopack/run");
    merge(&project, &["--squash"]).succeeded();
    let message = project.git(["log", "-1", "--format=%B", "main"]);
    let expected = format!(
        "Run run: 2 phases\n\n- one: add one\n- two: add two\n\nAutopack-Run: run\n\
         Autopack-Phase: one\nAutopack-Phase: two\nAutopack-Squashed: {tip}"
    );
    assert_eq!(message.trim(), expected);
    assert_eq!(project.git(["log", "-1", "--format=%P", "main"]).split_whitespace().count(), 1);
    let again = merge(&project, &["--squash"]).succeeded();
    assert_eq!(again.stdout, "run is already merged into main\n");
    // The user changes a landed line: a squash from the run's base would conflict.
    let project = project.file("src/one.txt", "edited\n").commit("edit");
    let project = project.plan(json!({"phases": [
        {"phase_id": "three", "deliverables": ["src/three.txt"]},
    ]}));
    project.drain().succeeded();
    let merged = project.json(["merge", "run", "--squash", "--json"]);
    assert_eq!(merged["phases"], json!(["three"]));
    assert_eq!(project.read("src/one.txt"), "edited\n");
    assert_eq!(project.read("src/three.txt"), "made by three\n");
}

#[test]
fn a_conflict_names_the_files_and_changes_nothing() {
    let project = drained(&["one", "two"]);
    let project = project.file("src/one.txt", "mine\n").commit("mine");
    for more in [&[][..], &["--squash"]] {
        let problem = "main and run run both changed src/one.txt";
        refused(&project, more, 1, problem, "git merge autopack/run");
    }
}

#[test]
fn uncommitted_changes_are_refused() {
    let project = drained(&["one"]).file("README.md", "edited\n");
    refused(&project, &[], 1, "uncommitted changes: README.md", "git stash");
    project.git(["add", "-A"]);
    refused(&project, &[], 1, "uncommitted changes: README.md", "git stash");
}

#[test]
fn untracked_files_in_the_way_are_refused_also_ignored_ones() {
    let project = drained(&["one"]).file("src/one.txt", "my notes\n");
    let problem = "would overwrite untracked files";
    refused(&project, &[], 1, problem, "move or remove them");
    project.write(".git/info/exclude", "/.autopack\nsrc/\n");
    refused(&project, &[], 1, "src/one.txt", "move or remove them");
    fs::remove_dir_all(project.path("src")).unwrap();
    project.write("src", "a file where the run has a directory\n");
    refused(&project, &[], 1, problem, "move or remove them");
    fs::remove_file(project.path("src")).unwrap();
    // Other untracked files do not matter.
    project.write("src/notes.txt", "untracked\n");
    merge(&project, &[]).succeeded();
    assert_eq!(project.read("src/notes.txt"), "untracked\n");
}

#[test]
fn operations_under_way_are_refused() {
    let project = drained(&["one"]).file("own.txt", "own\n").commit("own");
    project.git(["branch", "side", "HEAD~1"]);
    project.git(["switch", "-q", "side"]);
    let project = project.file("own.txt", "other\n").commit("other");
    let conflict = |args: &[&str]| {
        let output = project.git_command().args(args).output().unwrap();
        assert!(!output.status.success(), "{args:?}");
    };
    conflict(&["rebase", "main"]);
    // HEAD is detached, but the rebase will move the branch.
    refused(&project, &["--into", "side"], 1, "a rebase is under way", "git rebase --continue");
    project.git(["rebase", "--abort"]);
    conflict(&["merge", "main"]);
    refused(&project, &[], 1, "a merge is under way", "git merge --continue or --abort");
    project.git(["merge", "--abort"]);
    conflict(&["cherry-pick", "main"]);
    refused(&project, &[], 1, "a cherry-pick is under way", "git cherry-pick --continue");
    project.git(["cherry-pick", "--abort"]);
    project.git(["bisect", "start"]);
    refused(&project, &[], 1, "a bisect is under way", "git bisect reset");
    project.git(["bisect", "reset"]);
    merge(&project, &[]).succeeded();
}

#[test]
fn a_detached_head_needs_into_and_only_branches_of_the_user_are_targets() {
    let project = drained(&["one"]);
    project.git(["switch", "-q", "--detach"]);
    refused(&project, &[], 2, "no branch is checked out here (detached HEAD)", "--into BRANCH");
    refused(&project, &["--into", "mian"], 2, "no branch is called mian", "did you mean main?");
    refused(
        &project,
        &["--into", "release"],
        2,
        "no branch is called release",
        "git branch release",
    );
    refused(&project, &["--into", "autopack/run"], 2, "is the branch of a run", "--into BRANCH");
    merge(&project, &["--into", "main"]).succeeded();
    assert_eq!(commit_of(&project, "main"), commit_of(&project, "autopack/run"));
    // The detached checkout stays as it was.
    assert!(!project.path("src/one.txt").exists());
    assert_eq!(project.git(["status", "--porcelain"]), "");
}

#[test]
fn the_runs_own_branch_checked_out_is_no_default_target() {
    let project = drained(&["one"]);
    project.git(["switch", "-q", "autopack/run"]);
    refused(&project, &[], 2, "autopack/run is the branch of a run", "switch to the branch");
    merge(&project, &["--into", "main"]).succeeded();
    assert_eq!(commit_of(&project, "main"), commit_of(&project, "autopack/run"));
}

#[test]
fn a_branch_checked_out_in_another_worktree_is_updated_there() {
    let project = drained(&["one"]);
    let other = project.beside("other worktree");
    let path = other.to_str().unwrap();
    project.git(["worktree", "add", "-q", "-b", "release", path]);
    fs::write(other.join("README.md"), "edited there\n").unwrap();
    refused(&project, &["--into", "release"], 1, "has uncommitted changes: README.md", "git stash");
    project.git(["-C", path, "checkout", "-q", "README.md"]);
    let merged = project.json(["merge", "run", "--into", "release", "--json"]);
    assert_eq!(merged["worktree"], path);
    assert_eq!(fs::read_to_string(other.join("src/one.txt")).unwrap(), "made by one\n");
    assert_eq!(project.git(["-C", path, "status", "--porcelain"]), "");
    assert!(!project.path("src/one.txt").exists(), "main is not the target");
}

#[test]
fn nothing_landed_is_one_line() {
    let project = Project::new()
        .agent(AGENT)
        .plan(json!({"phases": [{"phase_id": "one", "deliverables": ["src/one.txt"]}]}));
    assert_eq!(merge(&project, &[]).succeeded().stdout, "run: nothing has landed\n");
    assert_eq!(project.json(["merge", "run", "--json"])["outcome"], "nothing_landed");
}

#[test]
fn a_branch_without_commits_gets_the_run() {
    let project = Project::without_commits()
        .agent(AGENT)
        .plan(json!({"phases": [{"phase_id": "one", "deliverables": ["src/one.txt"]}]}));
    project.drain().succeeded();
    let merged = project.json(["merge", "run", "--json"]);
    assert_eq!((&merged["kind"], &merged["before"]), (&json!("fast_forward"), &json!(null)));
    assert_eq!(commit_of(&project, "main"), commit_of(&project, "autopack/run"));
    assert_eq!(project.read("src/one.txt"), "made by one\n");
    assert_eq!(project.git(["status", "--porcelain"]), "");
}

/// Two landings; the second is red in a clean clone.
fn red() -> Project {
    let ci = "[ -e target/ok ] || { [ ! -e src/marker ] && mkdir -p target && touch target/ok; }";
    let phase = |id: &str| json!({"phase_id": id, "deliverables": [format!("src/{id}")]});
    let project = Project::new()
        .unset("AUTOPACK_CI_FINAL")
        .file(".gitignore", "target\n")
        .commit("ignore")
        .agent_with("write_deliverables()", &format!("ci: {{command: {}}}\n", json!(ci)))
        .plan(json!({"phases": [phase("a"), phase("marker")]}));
    project.drain().exited(3);
    project
}

#[test]
fn a_run_red_in_a_clean_clone_is_merged_only_to_green_or_anyway() {
    let project = red();
    let problem = "CI of run run is red in a clean clone at";
    refused(&project, &[], 1, problem, "autopack merge run --to-green");
    let green = commit_of(&project, "refs/autopack/green/run");
    let merged = project.json(["merge", "run", "--to-green", "--json"]);
    assert_eq!((&merged["commit"], &merged["phases"]), (&json!(green), &json!(["a"])));
    assert_eq!(commit_of(&project, "main"), green);
    refused(&project, &[], 1, problem, "--anyway");
    merge(&project, &["--anyway"]).succeeded();
    assert_eq!(commit_of(&project, "main"), commit_of(&project, "autopack/run"));
}

#[test]
fn to_green_needs_a_green_commit() {
    let project = drained(&["one"]);
    refused(
        &project,
        &["--to-green"],
        1,
        "no commit of run run is known to be green",
        "autopack verify run",
    );
}

/// A merge killed while git updated the files, as the log in the git directory tells.
fn interrupted(project: &Project) {
    let log = json!({
        "branch": "refs/heads/main",
        "old": commit_of(project, "main"),
        "new": commit_of(project, "autopack/run"),
    });
    project.write(".git/AUTOPACK_MERGE", &log.to_string());
}

#[test]
fn a_merge_killed_during_the_update_of_files_is_undone_and_repeated() {
    let project = drained(&["one", "two"]);
    interrupted(&project);
    // One file is complete, one was just begun.
    project.write("src/one.txt", "made by one\n");
    project.write("src/two.txt", "made b");
    let ran = merge(&project, &[]).succeeded();
    assert!(
        ran.stdout.starts_with("main: undid an interrupted merge\nmerged 2 phases"),
        "{ran:#?}"
    );
    assert_eq!(project.read("src/two.txt"), "made by two\n");
    assert_eq!(project.git(["status", "--porcelain"]), "");
}

#[test]
fn a_merge_killed_before_the_branch_moved_is_completed() {
    let project = drained(&["one"]);
    interrupted(&project);
    project.git(["read-tree", "-m", "-u", "main", "autopack/run"]);
    let ran = merge(&project, &[]).succeeded();
    assert_eq!(
        ran.stdout,
        "main: completed an interrupted merge\nrun is already merged into main\n"
    );
    assert_eq!(commit_of(&project, "main"), commit_of(&project, "autopack/run"));
    assert_eq!(project.git(["status", "--porcelain"]), "");
}

#[test]
fn files_changed_since_an_interrupted_merge_are_kept() {
    let project = drained(&["one", "two"]);
    interrupted(&project);
    project.write("src/one.txt", "made by one\n");
    project.write("src/two.txt", "my own text\n");
    let before = state(&project);
    let ran = merge(&project, &[]).exited(1);
    assert!(ran.stderr.contains("these files were changed since: src/two.txt"), "{ran:#?}");
    assert_eq!(state(&project), before);
    // The log stays for the next merge.
    fs::remove_file(project.path("src/two.txt")).unwrap();
    merge(&project, &[]).succeeded();
    assert_eq!(project.read("src/two.txt"), "made by two\n");
}

#[test]
fn a_leftover_index_lock_is_refused_by_name() {
    let project = drained(&["one"]);
    project.write(".git/index.lock", "");
    let ran = merge(&project, &[]).exited(1);
    assert!(ran.stderr.contains("index.lock"), "{ran:#?}");
    fs::remove_file(project.path(".git/index.lock")).unwrap();
    merge(&project, &[]).succeeded();
}

#[test]
fn files_converted_at_checkout_and_sparse_checkouts_are_kept_so() {
    let project = Project::new()
        .file(".gitattributes", "*.txt text eol=crlf\n")
        .file("kept/a", "a\n")
        .file("left/b", "b\n")
        .commit("attributes")
        .agent("write_deliverables('line\\n')")
        .plan(json!({"phases": [
            {"phase_id": "one", "deliverables": ["kept/one.txt", "left/two.txt"]},
        ]}));
    project.drain().succeeded();
    project.git(["sparse-checkout", "set", "kept"]);
    assert!(!project.path("left").exists());
    merge(&project, &[]).succeeded();
    assert_eq!(project.read("kept/one.txt"), "line\r\n");
    assert!(!project.path("left/two.txt").exists(), "outside of the sparse checkout");
    assert_eq!(project.git(["status", "--porcelain"]), "");
}

/// Such as `master` for `main` after a rename.
#[test]
fn a_symbolic_branch_stands_for_its_target() {
    let project = drained(&["one"]);
    project.git(["symbolic-ref", "refs/heads/master", "refs/heads/main"]);
    merge(&project, &["--into", "master"]).succeeded();
    assert_eq!(commit_of(&project, "main"), commit_of(&project, "autopack/run"));
    assert_eq!(project.git(["status", "--porcelain"]), "");
    assert!(project.path("src/one.txt").exists());
}

/// Git lists the git directory as the worktree, which it is not.
#[test]
fn a_separate_git_directory_gets_no_files() {
    let project = Project::bare_folder().file("README", "");
    let place = project.outside("git-directory");
    project.git(["init", "-q", "-b", "main", "--separate-git-dir", place.to_str().unwrap()]);
    let plan = json!({"phases": [{"phase_id": "one", "deliverables": ["src/one.txt"]}]});
    let project = project.commit("start").agent(AGENT).plan(plan);
    project.drain().succeeded();
    merge(&project, &[]).succeeded();
    assert_eq!(project.git(["status", "--porcelain"]), "");
    assert!(project.path("src/one.txt").exists() && !place.join("src").exists());
}

#[test]
fn a_revision_is_no_branch() {
    let project = drained(&["one"]);
    for name in ["main@{0}", "main~0", ""] {
        refused(&project, &["--into", name], 2, "is no name of a branch", "--into BRANCH");
    }
}

#[test]
fn a_merged_run_is_shown_as_merged() {
    for options in [&[][..], &["--squash"]] {
        let project = drained(&["one"]);
        let status = || project.autopack(["status"]).succeeded().stdout;
        assert!(status().contains("merge    autopack merge run\n"), "{}", status());
        merge(&project, options).succeeded();
        assert!(status().contains("merged   into main\n"), "{options:?}: {}", status());
        assert!(!status().contains("review"), "{}", status());
        assert_eq!(project.json(["status", "--json"])["runs"][0]["merged_into"], "main");
    }
}

#[test]
fn a_branch_without_a_common_commit_is_refused() {
    let project = drained(&["one"]);
    let tree = project.git(["mktree"]);
    let orphan = project.git(["commit-tree", tree.trim(), "-m", "apart"]);
    project.git(["branch", "apart", orphan.trim()]);
    let problem = "apart and run run have no commit in common";
    refused(&project, &["--into", "apart"], 1, problem, "--into BRANCH");
}

#[test]
fn a_phase_queued_again_after_its_landing_is_listed_among_the_merged() {
    let project = drained(&["one", "two"]);
    project.autopack(["phases", "retry", "run/one", "--redo"]).succeeded();
    let merged = project.json(["merge", "run", "--json"]);
    assert_eq!(merged["phases"], json!(["one", "two"]));
}
