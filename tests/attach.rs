//! `autopack attach` and `autopack land`: a person finishes a failed phase, and the work is judged like an agent's.

use std::path::PathBuf;
use std::process::Child;

use serde_json::{Value, json};

use crate::support::database::texts;
use crate::support::process::signal;
use crate::support::{Project, Ran};

/// Writes what CI refuses for phases whose id begins with `bad`.
const AGENT: &str = "write_deliverables('RED\\n' if phase_id.startswith('bad') else 'good\\n')";
const CI: &str = "! grep -rq RED src";
/// Holds CI of a change while the witness directory has a file `hold`.
const HOLDING_CI: &str = "[ ! -e \"$WITNESS/hold\" ] || { touch \"$WITNESS/testing\"; \
                          while [ -e \"$WITNESS/hold\" ]; do sleep 0.02; done; }; ! grep -rq RED src";

fn project(ci: &str, phases: Value) -> Project {
    let project = Project::new();
    let witness = project.outside("").display().to_string();
    let more = format!(
        "ci: {{command: {}, final: off}}\nexecutor: {{max_attempts: 1}}\nworkspace: {{attribution: trailer}}\n",
        json!(ci)
    );
    project
        .file("src/shared.txt", "one\ntwo\nthree\n")
        .commit("shared")
        .agent_with(AGENT, &more)
        .env("WITNESS", witness)
        .plan(json!({"phases": phases}))
}

fn phase(id: &str) -> Value {
    json!({"phase_id": id, "name": format!("add {id}"), "deliverables": [format!("src/{id}.txt")]})
}

/// A drained run whose phase `bad` failed with kept work.
fn failed(ci: &str) -> Project {
    let project = project(ci, json!([phase("bad")]));
    project.drain().exited(3);
    assert_eq!(project.states()["bad"], "FAILED");
    project
}

/// Runs a shell script in the slot of a phase.
fn attach(project: &Project, phase: &str, script: &str) -> Ran {
    project.autopack(["attach", phase, "--", "sh", "-c", script])
}

fn land(project: &Project, phase: &str) -> Ran {
    project.autopack(["land", phase])
}

fn slot(project: &Project, phase: &str) -> PathBuf {
    project.autopack(["attach", phase, "--path"]).succeeded().stdout.trim().into()
}

fn tip(project: &Project) -> String {
    project.git(["rev-parse", "autopack/run"]).trim().to_owned()
}

fn landed_file(project: &Project, file: &str) -> String {
    project.git(["show", &format!("autopack/run:{file}")])
}

/// No owner, fence or reservation is left.
#[track_caller]
fn assert_settled(project: &Project) {
    let database = project.path(".autopack/autopack.db");
    assert_eq!(texts(&database, "SELECT owner FROM owners"), [""; 0]);
    assert_eq!(project.git(["for-each-ref", "refs/autopack/claims", "refs/autopack/queue"]), "");
    assert_released(project);
}

#[track_caller]
fn assert_released(project: &Project) {
    assert!(!project.path(".autopack/reserved/0.json").exists());
    assert!(!project.path(".autopack/reserved/0").exists());
    assert_eq!(project.git(["for-each-ref", "refs/autopack/reserved"]), "");
}

fn wait_for_ci(project: &Project, running: &mut Child) {
    while !project.outside("testing").exists() {
        assert!(running.try_wait().unwrap().is_none(), "the command ended");
        std::thread::yield_now();
    }
}

#[test]
fn a_failed_phase_is_finished_by_hand_and_lands() {
    let project = failed(CI);
    let script = "cat src/bad.txt > \"$WITNESS/seen\"; cat \"$AUTOPACK_PHASE_FILE\" > \"$WITNESS/phase\"; \
                  test -s \"$AUTOPACK_PROMPT_FILE\"; echo mended > src/bad.txt";
    let ran = attach(&project, "bad", script).succeeded();
    assert!(
        ran.stderr.contains("1 file changed; `autopack land run/bad` judges the change"),
        "{ran:#?}"
    );
    let seen = |name: &str| std::fs::read_to_string(project.outside(name)).unwrap();
    assert_eq!(seen("seen"), "RED\n");
    assert!(seen("phase").contains("\"add bad\""), "{}", seen("phase"));
    land(&project, "bad").succeeded();
    assert_eq!(project.states()["bad"], "COMPLETE");
    assert_eq!(landed_file(&project, "src/bad.txt"), "mended\n");
    let message = project.git(["log", "-1", "--format=%B", "autopack/run"]);
    assert!(message.contains("add bad") && !message.contains("Autopack-Agent"), "{message}");
    let attempts = project.phase("bad")["attempt_log"].clone();
    assert_eq!(attempts[1]["agent"], "person", "{attempts}");
    assert_eq!(attempts[1]["outcome"], "landed", "{attempts}");
    let database = project.path(".autopack/autopack.db");
    let samples = "SELECT agent FROM samples WHERE attempt = 2";
    assert_eq!(texts(&database, samples), [""; 0]);
    assert_settled(&project);
    project.autopack(["log", "bad"]).succeeded();
    project.autopack(["report", "run", "--out", "report.html"]);
}

#[test]
fn a_red_one_leaves_the_phase_failed_and_the_files_in_place() {
    let project = failed(CI);
    attach(&project, "bad", "echo 'still RED' > src/bad.txt; echo mine > notes.ignored")
        .succeeded();
    let before = tip(&project);
    let ran = land(&project, "bad").exited(3);
    assert!(ran.stdout.contains("`autopack attach run/bad` goes on"), "{ran:#?}");
    assert_eq!((tip(&project), project.states()["bad"].as_str()), (before, "FAILED"));
    let ran =
        attach(&project, "bad", "cat src/bad.txt; rm notes.ignored; echo green > src/bad.txt");
    assert!(ran.succeeded().stdout.contains("still RED"));
    let printed = project.autopack(["land", "bad", "--json"]).succeeded().stdout;
    let last: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
    let facts = ["event", "verdict", "state"].map(|key| last[key].as_str().unwrap());
    assert_eq!(facts, ["phase_finished", "landed", "COMPLETE"], "{printed}");
    assert_settled(&project);
}

#[test]
fn scope_is_enforced_for_a_person_too() {
    let project = failed(CI);
    attach(&project, "bad", "echo x > src/bad.txt; mkdir lib; echo y > lib/other.txt").succeeded();
    let ran = land(&project, "bad").exited(3);
    assert!(ran.stdout.contains("lib/other.txt"), "{ran:#?}");
    attach(&project, "bad", "rm -r lib").succeeded();
    land(&project, "bad").succeeded();
}

#[test]
fn the_slot_is_kept_from_drains_and_gc() {
    let project =
        project(CI, json!([phase("bad"), phase("good1"), phase("good2"), phase("good3")]));
    project.autopack(["drain", "--run-id", "run", "--only", "bad"]);
    project.autopack(["phases", "stop", "run/none"]);
    if project.states()["bad"] != "FAILED" {
        project.drain().exited(3);
    }
    attach(&project, "bad", "echo mended > src/bad.txt").succeeded();
    let place = slot(&project, "bad");
    for id in ["good1", "good2", "good3"] {
        project.autopack(["phases", "retry", "--redo", &format!("run/{id}")]);
    }
    project.autopack(["drain", "--run-id", "run", "--jobs", "3"]).exited(3);
    let ran = project.autopack(["gc", "--all-attempts"]).succeeded();
    assert!(ran.stdout.contains("kept the slot of run/bad"), "{ran:#?}");
    assert_eq!(std::fs::read_to_string(place.join("src/bad.txt")).unwrap(), "mended\n");
    land(&project, "bad").succeeded();
    assert_eq!(landed_file(&project, "src/bad.txt"), "mended\n");
}

#[test]
fn work_lands_on_what_landed_meanwhile() {
    let project = project(CI, json!([phase("bad"), phase("good")]));
    project.drain().exited(3);
    attach(&project, "bad", "echo mended > src/bad.txt").succeeded();
    project.autopack(["phases", "retry", "--redo", "run/good"]).succeeded();
    project.git(["worktree", "add", "-q", project.outside("w").to_str().unwrap(), "autopack/run"]);
    std::fs::write(project.outside("w/src/news.txt"), "news\n").unwrap();
    let at = project.outside("w").display().to_string();
    project.git(["-C", &at, "add", "-A"]);
    project.git(["-C", &at, "commit", "-q", "-m", "news"]);
    project.git(["worktree", "remove", "--force", &at]);
    land(&project, "bad").succeeded();
    assert_eq!(landed_file(&project, "src/bad.txt"), "mended\n");
    assert_eq!(landed_file(&project, "src/news.txt"), "news\n");
}

#[test]
fn a_conflict_is_brought_into_the_slot_and_solved_there() {
    let shared =
        json!({"phase_id": "bad", "name": "change shared", "deliverables": ["src/shared.txt"]});
    let project = project("! grep -rq -e RED -e '<<<' src", json!([shared]));
    project.drain().exited(3);
    attach(&project, "bad", "printf 'one\\nmine\\nthree\\n' > src/shared.txt").succeeded();
    project.git(["worktree", "add", "-q", project.outside("w").to_str().unwrap(), "autopack/run"]);
    std::fs::write(project.outside("w/src/shared.txt"), "one\ntheirs\nthree\n").unwrap();
    let at = project.outside("w").display().to_string();
    project.git(["-C", &at, "commit", "-q", "-a", "-m", "theirs"]);
    project.git(["worktree", "remove", "--force", &at]);
    let before = tip(&project);
    let ran = land(&project, "bad").exited(3);
    assert!(ran.stdout.contains("src/shared.txt"), "{ran:#?}");
    assert_eq!(tip(&project), before);
    // No drain takes the phase meanwhile.
    project.drain();
    assert_eq!(tip(&project), before);
    let update = ["attach", "bad", "--update", "--", "sh", "-c", "cat src/shared.txt"];
    let ran = project.autopack(update).succeeded();
    assert!(ran.stdout.contains("<<<<<<<") && ran.stdout.contains("mine"), "{ran:#?}");
    assert!(ran.stderr.contains("both changed src/shared.txt"), "{ran:#?}");
    let ran = land(&project, "bad").exited(1);
    assert!(ran.stderr.contains("conflict markers are left in src/shared.txt"), "{ran:#?}");
    attach(&project, "bad", "printf 'one\\nboth\\nthree\\n' > src/shared.txt").succeeded();
    land(&project, "bad").succeeded();
    assert_eq!(landed_file(&project, "src/shared.txt"), "one\nboth\nthree\n");
    assert_settled(&project);
}

#[test]
fn a_killed_land_is_begun_again() {
    let project = failed(HOLDING_CI);
    attach(&project, "bad", "echo mended > src/bad.txt").succeeded();
    std::fs::write(project.outside("hold"), "").unwrap();
    let mut running = project.spawn(["land", "bad"]);
    wait_for_ci(&project, &mut running);
    running.kill().unwrap();
    running.wait().unwrap();
    std::fs::remove_file(project.outside("hold")).unwrap();
    land(&project, "bad").succeeded();
    assert_eq!(landed_file(&project, "src/bad.txt"), "mended\n");
    assert_settled(&project);
}

#[test]
fn a_stopped_land_changes_nothing() {
    let project = failed(HOLDING_CI);
    attach(&project, "bad", "echo mended > src/bad.txt").succeeded();
    std::fs::write(project.outside("hold"), "").unwrap();
    let mut running = project.spawn(["land", "bad"]);
    wait_for_ci(&project, &mut running);
    signal(&running, "-INT");
    project.wait(running).exited(130);
    std::fs::remove_file(project.outside("hold")).unwrap();
    let shown = project.phase("bad");
    assert_eq!((&shown["state"], &shown["attempts"]), (&json!("FAILED"), &json!(1)), "{shown}");
    land(&project, "bad").succeeded();
}

#[test]
fn a_slot_in_use_is_left_alone() {
    let project = failed(CI);
    slot(&project, "bad");
    let script = "touch \"$WITNESS/testing\"; while [ ! -e \"$WITNESS/go\" ]; do sleep 0.02; done; echo x > src/bad.txt";
    let mut running = project.spawn(["attach", "bad", "--", "sh", "-c", script]);
    wait_for_ci(&project, &mut running);
    for command in
        [&["land", "bad"][..], &["attach", "bad", "--path"], &["attach", "bad", "--discard"]]
    {
        let ran = project.autopack(command).exited(1);
        assert!(ran.stderr.contains("another `attach` or `land` of bad is running"), "{ran:#?}");
    }
    std::fs::write(project.outside("go"), "").unwrap();
    project.wait(running).succeeded();
    land(&project, "bad").succeeded();
}

#[test]
fn a_discarded_change_is_kept_as_a_patch() {
    let project = failed(CI);
    attach(&project, "bad", "echo mended > src/bad.txt").succeeded();
    let kept = project.json(["attach", "bad", "--discard", "--json"])["kept"].clone();
    let patch = std::fs::read_to_string(kept.as_str().unwrap()).unwrap();
    assert!(patch.contains("+mended"), "{patch}");
    assert_released(&project);
    // Again from the kept work of the agent.
    assert!(attach(&project, "bad", "cat src/bad.txt").succeeded().stdout.contains("RED"));
    let ran = project.autopack(["attach", "bad", "--discard"]).succeeded();
    assert!(ran.stdout.contains("bad is no longer reserved"), "{ran:#?}");
}

#[test]
fn a_session_of_the_agent_is_continued() {
    let program = "#!/usr/bin/env python3\n\
        import json, os, sys\n\
        if '--version' in sys.argv: print('2.1.197 (Claude Code)'); sys.exit()\n\
        open('src/bad.txt', 'w').write('mended' if '-p' not in sys.argv else 'RED')\n\
        if '-p' not in sys.argv: print('argv', *sys.argv[1:]); sys.exit()\n\
        sys.stdin.read()\n\
        say = lambda **line: print(json.dumps(line))\n\
        say(type='system', subtype='init', session_id='s-1')\n\
        say(type='result', subtype='success', is_error=False, result='done', session_id='s-1', usage={'output_tokens': 1})\n";
    let project = Project::new()
        .program_on_path("claude", program)
        .env("IS_SANDBOX", "1")
        .file("src/shared.txt", "x\n")
        .commit("shared")
        .config(&format!(
            "agents: {{default: c, c: {{kind: claude}}}}\nci: {{command: {}, final: off}}\nexecutor: {{max_attempts: 1}}\n",
            json!(CI)
        ))
        .plan(json!({"phases": [phase("bad")]}));
    project.drain().exited(3);
    let shown = project.json(["attach", "bad", "--path", "--json"]);
    assert_eq!(shown["session"], "claude --resume s-1", "{shown}");
    let ran = project.autopack(["attach", "bad", "--agent"]).succeeded();
    assert!(ran.stdout.contains("argv --resume s-1"), "{ran:#?}");
    land(&project, "bad").succeeded();
    assert_eq!(landed_file(&project, "src/bad.txt"), "mended");
}

#[test]
fn what_cannot_be_attached_or_landed_is_refused_and_changes_nothing() {
    let project = project(CI, json!([phase("bad"), phase("good"), phase("later")]));
    project.autopack(["phases", "skip", "run/later"]).succeeded();
    project.drain().exited(3);
    let refused = |args: &[&str], code: i32, words: &[&str]| {
        let before = (project.states(), project.git(["for-each-ref"]));
        let ran = project.autopack(args).exited(code);
        for word in words {
            assert!(ran.stderr.contains(word), "{word:?}: {ran:#?}");
        }
        assert_eq!((project.states(), project.git(["for-each-ref"])), before, "{args:?}");
        assert!(!project.path(".autopack/reserved/0.json").exists(), "{args:?}");
    };
    refused(&["attach", "good", "--path"], 1, &["has landed", "autopack undo run/good"]);
    refused(&["attach", "later", "--path"], 1, &["is skipped", "phases retry run/later"]);
    refused(&["land", "bad"], 1, &["no slot is reserved for bad", "autopack attach run/bad"]);
    refused(&["attach", "bad", "--discard"], 1, &["no slot is reserved"]);
    refused(&["attach", "nobody", "--path"], 1, &["nobody"]);
    refused(&["attach", "bad", "--json"], 2, &["--path or --discard"]);
    project.autopack(["phases", "retry", "run/bad"]).succeeded();
    refused(&["attach", "bad", "--path"], 1, &["is queued", "autopack stop run/bad"]);
    project.autopack(["stop", "run/bad"]).succeeded();
    slot(&project, "bad");
    let ran = land(&project, "bad");
    // The kept work of the agent is a change.
    assert!(ran.stdout.contains("CI") || ran.code == Some(3), "{ran:#?}");
    attach(&project, "bad", "git checkout -q HEAD -- . ; rm -f src/bad.txt; git status --short")
        .succeeded();
    let ran = land(&project, "bad").exited(1);
    assert!(ran.stderr.contains("nothing is changed in the slot of bad"), "{ran:#?}");
}

/// A commit of somebody else on the run's branch.
fn commit_on_branch(project: &Project, change: impl FnOnce(&std::path::Path)) {
    let at = project.outside("w");
    let shown = at.display().to_string();
    project.git(["worktree", "add", "-q", &shown, "autopack/run"]);
    change(&at);
    project.git(["-C", &shown, "add", "-A"]);
    project.git(["-C", &shown, "commit", "-q", "-m", "theirs"]);
    project.git(["worktree", "remove", "--force", &shown]);
}

#[test]
fn a_slot_whose_files_are_gone_is_never_taken_for_a_deletion() {
    let project = failed(CI);
    attach(&project, "bad", "echo mended > src/bad.txt").succeeded();
    let place = slot(&project, "bad");
    std::fs::rename(&place, place.with_extension("away")).unwrap();
    let before = tip(&project);
    for command in [&["land", "bad"][..], &["attach", "bad", "--path"]] {
        let ran = project.autopack(command).exited(1);
        assert!(ran.stderr.contains("are gone"), "{ran:#?}");
    }
    // Another directory there is not the slot.
    std::fs::create_dir(&place).unwrap();
    std::fs::remove_file(place.with_added_extension("reserved")).unwrap();
    land(&project, "bad").exited(1);
    assert_eq!(tip(&project), before);
    project.autopack(["attach", "bad", "--discard"]).succeeded();
    assert_released(&project);
}

#[test]
fn work_that_git_ignores_and_stashes_are_kept() {
    let ignored = json!({"phase_id": "bad", "name": "make", "deliverables": ["out/made.txt"]});
    let project = Project::new()
        .file(".gitignore", "out/\n")
        .file("src/shared.txt", "one\n")
        .commit("shared")
        .agent_with("pass", "ci: {command: 'true', final: off}\nexecutor: {max_attempts: 1}\n")
        .plan(json!({"phases": [ignored]}));
    project.drain().exited(3);
    let script = "echo stashed > src/shared.txt; git stash -q; mkdir out; echo made > out/made.txt";
    let ran = attach(&project, "bad", script).succeeded();
    assert!(ran.stderr.contains("1 file changed"), "{ran:#?}");
    commit_on_branch(&project, |at| std::fs::write(at.join("news.txt"), "news\n").unwrap());
    let update = ["attach", "bad", "--update", "--", "sh", "-c", "cat out/made.txt news.txt"];
    let ran = project.autopack(update).succeeded();
    assert_eq!(ran.stdout, "made\nnews\n", "{ran:#?}");
    let stash = ran.stderr.lines().find(|line| line.contains("stashed")).unwrap().to_owned();
    let patch = stash.rsplit("kept in ").next().unwrap();
    assert!(project.read(patch).contains("+stashed"), "{stash}");
    land(&project, "bad").succeeded();
    assert_eq!(landed_file(&project, "out/made.txt"), "made\n");
}

#[test]
fn a_file_that_the_run_removed_is_a_conflict_and_the_rest_comes_along() {
    let scope = json!({"phase_id": "bad", "name": "change", "deliverables": ["src/shared.txt", "src/other.txt"]});
    let project = project("! grep -rq RED src", json!([scope]));
    project.drain().exited(3);
    attach(&project, "bad", "echo mine > src/shared.txt; echo mine > src/other.txt").succeeded();
    commit_on_branch(&project, |at| std::fs::remove_file(at.join("src/shared.txt")).unwrap());
    let update =
        ["attach", "bad", "--update", "--", "sh", "-c", "cat src/other.txt src/shared.txt"];
    let ran = project.autopack(update).succeeded();
    assert_eq!(ran.stdout, "mine\nmine\n", "{ran:#?}");
    assert!(ran.stderr.contains("src/shared.txt"), "{ran:#?}");
    land(&project, "bad").succeeded();
    assert_eq!(landed_file(&project, "src/other.txt"), "mine\n");
}

#[test]
fn what_setup_plants_runs_nothing_and_shows_nothing() {
    let project = failed(CI).without_sandbox();
    let config = project.read(".autopack/config/autopack.yaml");
    // In the git directory of the slot.
    let setup = "git config core.fsmonitor 'touch \"$WITNESS/escaped\"; true'";
    let project = project.config(&format!(
        "{}\n",
        config.replace(
            "workspace: {attribution: trailer}",
            &format!("workspace: {{attribution: trailer, setup: {}}}", json!(setup)),
        )
    ));
    let secret = project.outside("secret");
    std::fs::write(&secret, "hidden").unwrap();
    let prompt = project.path(".autopack/attempts/run/bad/1/prompt.md");
    std::fs::remove_file(&prompt).unwrap();
    std::os::unix::fs::symlink(&secret, &prompt).unwrap();
    let ran = attach(&project, "bad", "cat \"$AUTOPACK_PROMPT_FILE\" || true").succeeded();
    assert!(!ran.stdout.contains("hidden"), "{ran:#?}");
    assert!(!project.outside("escaped").exists());
    // Nor is a link followed by what is written there.
    let planted = project.path(".autopack/attempts/run/bad/1/by-hand.patch");
    std::os::unix::fs::symlink(&secret, &planted).unwrap();
    project.autopack(["attach", "bad", "--discard"]).succeeded();
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "hidden");
}

#[test]
fn a_damaged_record_is_named_and_its_slot_kept() {
    let project = project(CI, json!([phase("bad"), phase("bad2")]));
    project.drain().exited(3);
    attach(&project, "bad", "echo mended > src/bad.txt").succeeded();
    let place = slot(&project, "bad");
    project.write(".autopack/reserved/0.json", "{}");
    let ran = attach(&project, "bad2", "echo mended > src/bad2.txt").succeeded();
    assert!(
        ran.stderr.contains("slot 0 stays reserved") && ran.stderr.contains("0.json"),
        "{ran:#?}"
    );
    land(&project, "bad2").succeeded();
    project.autopack(["gc"]).succeeded();
    assert_eq!(std::fs::read_to_string(place.join("src/bad.txt")).unwrap(), "mended\n");
}

#[test]
fn a_run_with_a_reserved_slot_is_not_removed() {
    let project = failed(CI);
    slot(&project, "bad");
    let ran = project.autopack(["runs", "remove", "run", "--yes"]).exited(1);
    assert!(ran.stderr.contains("a slot is reserved for run/bad"), "{ran:#?}");
    project.autopack(["attach", "bad", "--discard"]).succeeded();
    project.autopack(["runs", "remove", "run", "--yes"]).succeeded();
}

#[test]
fn a_phase_that_waits_for_others_does_not_land() {
    let mut later = phase("later");
    later["depends_on"] = json!(["bad"]);
    let project = project(CI, json!([phase("bad"), later]));
    project.drain().exited(3);
    project.autopack(["stop", "run/later"]).succeeded();
    attach(&project, "later", "mkdir -p src; echo good > src/later.txt").succeeded();
    let ran = land(&project, "later").exited(1);
    assert!(ran.stderr.contains("later waits for phases"), "{ran:#?}");
    assert_eq!(project.states()["later"], "QUEUED");
}

#[test]
fn nothing_outlives_the_shell() {
    let project = failed(CI);
    let script = "setsid sh -c 'touch \"$WITNESS/begun\"; while :; do sleep 0.02; echo x >> src/late.txt; done' & \
                  while [ ! -e \"$WITNESS/begun\" ]; do sleep 0.02; done; echo mended > src/bad.txt";
    attach(&project, "bad", script).succeeded();
    let place = slot(&project, "bad");
    let working = crate::support::process::bearing(&place.display().to_string());
    assert_eq!(working, [""; 0], "processes in the slot");
}
