//! Runs at a git remote: claims, queue members and the branch are refs there, for drains of several clones.

use serde_json::json;

use crate::recovery::{backlog, with_git};
use crate::support::clones::{Remote, outcomes, own_refs, wait_for, with_agent, with_settings};
use crate::support::database::{execute_at, stop_between_writes_at};
use crate::support::forge::Answer;
use crate::support::process::signal;
use crate::support::{Project, dice};

const AGENT: &str = "write_deliverables()";

/// `$push`: `claim` or `land`, for a push of that kind; `branch` for the first push of the run's branch.
const PUSH: &str = r#"push=
case "$sub $*" in
  "push "*":refs/heads/autopack/run :refs/autopack/claims/run/"*) push=land ;;
  "push "*":refs/heads/autopack/run") push=branch ;;
  "push "*[0-9a-f]":refs/autopack/claims/run/"*) push=claim ;;
esac"#;

fn drain(project: &Project) -> crate::support::Ran {
    project.autopack(["drain", "--run-id", "run", "--jobs", "2"])
}

/// Two clones drain 20 phases at the same time.
#[track_caller]
fn two_clones_drain(remote: &Remote) {
    let clones = [(); 2].map(|()| remote.clone_for(AGENT));
    let before = clones.each_ref().map(own_refs);
    let [a, b] = &clones;
    import(a, 20);
    let drains = [a, b].map(|clone| clone.spawn(["drain", "--run-id", "run", "--jobs", "2"]));
    for (child, clone) in drains.into_iter().zip(&clones) {
        clone.wait(child).succeeded();
    }
    remote.assert_each_landed_once(a, 20);
    assert_eq!(clones.each_ref().map(own_refs), before);
    for clone in &clones {
        assert_eq!(clone.git(["for-each-ref", "refs/autopack/remote/origin/queue"]), "");
        assert_eq!(clone.git(["for-each-ref", "refs/autopack/queue"]), "");
        clone.git(["fsck", "--full", "--strict"]);
    }
}

fn import(project: &Project, phases: usize) {
    let file = project.outside("plan.json");
    std::fs::write(&file, backlog(phases).to_string()).unwrap();
    project.autopack(["import", file.to_str().unwrap(), "--run-id", "run"]).succeeded();
}

#[test]
fn two_clones_land_each_phase_once_over_a_path() {
    two_clones_drain(&Remote::by_file());
}

#[test]
fn two_clones_land_each_phase_once_over_http() {
    two_clones_drain(&Remote::by_http());
}

#[test]
fn a_server_that_takes_branches_only_gets_claims_as_branches() {
    let remote = Remote::by_file();
    remote.hook(
        "update",
        r#"case "$1" in refs/heads/*|refs/tags/*) echo "$1" >>"$dir/seen" ;; *) echo "no such namespace" >&2; exit 1 ;; esac"#,
    );
    two_clones_drain(&remote);
    let seen = std::fs::read_to_string(remote.beside("seen")).unwrap();
    assert!(seen.contains("refs/heads/autopack-claims/run/p000"), "{seen}");
}

/// A drain is killed at a push; another clone takes over.
#[track_caller]
fn killed_at(moment: &str) {
    let remote = Remote::by_file();
    let a = with_git(remote.clone_for(AGENT), &format!("{PUSH}\n{moment}"));
    let b = remote.clone_for(AGENT);
    import(&a, 3);
    let ran = a.drain();
    assert_eq!(ran.code, None, "not killed: {ran:#?}");
    assert!(a.outside("bin/killed").exists());
    drain(&b).succeeded();
    remote.assert_each_landed_once(&b, 3);
}

#[test]
fn a_drain_killed_before_its_claim_arrives_is_reclaimed() {
    killed_at(r#"if [ "$push" = claim ]; then : >"$at/killed"; kill -9 $PPID; exit 1; fi"#);
}

#[test]
fn a_drain_killed_after_its_claim_arrived_is_reclaimed() {
    killed_at(
        r#"if [ "$push" = claim ]; then real "$@"; : >"$at/killed"; kill -9 $PPID; exit 1; fi"#,
    );
}

#[test]
fn a_drain_killed_before_its_landing_arrives_is_reclaimed() {
    killed_at(r#"if [ "$push" = land ]; then : >"$at/killed"; kill -9 $PPID; exit 1; fi"#);
}

#[test]
fn a_drain_killed_after_its_landing_arrived_is_not_repeated() {
    killed_at(
        r#"if [ "$push" = land ]; then real "$@"; : >"$at/killed"; kill -9 $PPID; exit 1; fi"#,
    );
}

#[test]
fn a_drain_killed_before_it_recorded_its_landing_is_not_repeated() {
    killed_at(
        r#"case "$input" in *"refs/autopack/remote/origin/heads/autopack/run"*)
  if [ -e "$at/landed" ]; then real "$@"; : >"$at/killed"; kill -9 $PPID; exit 1; fi ;; esac
if [ "$push" = land ]; then : >"$at/landed"; fi"#,
    );
}

/// Two clones whose git kills the drain at the push with the number in `left`: after the push if there is a file `after`.
fn killed_at_pushes(remote: &Remote) -> [Project; 2] {
    let meddling = format!(
        r#"{PUSH}
if [ -n "$push" ]; then
  left=$(flock "$at" sh -c 'left=$(cat "$1/left"); echo $((left - 1)) >"$1/left"; echo $left' sh "$at")
  if [ "$left" = 1 ]; then
    [ -e "$at/after" ] && real "$@"
    kill -9 $PPID; exit 1
  fi
fi"#
    );
    [(); 2].map(|()| with_git(remote.clone_for(AGENT), &meddling))
}

/// Chooses the push at which the next drain of a clone is killed.
fn choose_kill(clone: &Project, dice: &mut dice::Dice, pushes: u64) {
    std::fs::write(clone.outside("bin/left"), format!("{}", 1 + dice.below(pushes))).unwrap();
    let after = clone.outside("bin/after");
    match dice.below(2) {
        0 => drop(std::fs::remove_file(&after)),
        _ => std::fs::write(&after, "").unwrap(),
    }
}

/// Both clones drain at the same time, and are killed again and again.
#[test]
fn drains_killed_beside_each_other_land_each_phase_once() {
    let mut dice = dice::Dice::thrown();
    let remote = Remote::by_file();
    let clones = killed_at_pushes(&remote);
    import(&clones[0], 12);
    let mut kills = 0;
    for round in 0.. {
        let drains = clones.each_ref().map(|clone| {
            choose_kill(clone, &mut dice, 9);
            clone.spawn(["drain", "--run-id", "run", "--jobs", "2"])
        });
        let codes: Vec<Option<i32>> = drains
            .into_iter()
            .zip(&clones)
            .map(|(child, clone)| {
                let ran = clone.wait(child);
                assert!(matches!(ran.code, None | Some(0)), "{ran:#?}");
                ran.code
            })
            .collect();
        kills += codes.iter().filter(|code| code.is_none()).count();
        if codes.iter().all(Option::is_some) {
            break;
        }
        assert!(round < 40, "no end");
    }
    assert!(kills > 0);
    remote.assert_each_landed_once(&clones[0], 12);
}

/// Kills at random pushes, with two drains in turn, until everything has landed.
#[test]
fn drains_killed_at_random_pushes_land_each_phase_once() {
    let mut dice = dice::Dice::thrown();
    let remote = Remote::by_file();
    let clones = killed_at_pushes(&remote);
    import(&clones[0], 6);
    let mut kills = 0;
    for round in 0.. {
        let clone = &clones[round % 2];
        choose_kill(clone, &mut dice, 6);
        let ran = clone.drain();
        match ran.code {
            None => kills += 1,
            Some(0) => break,
            code => panic!("{code:?} {ran:#?}"),
        }
        assert!(round < 40, "no end");
    }
    assert!(kills > 0);
    remote.assert_each_landed_once(&clones[0], 6);
}

#[test]
fn a_server_that_refuses_pushes_for_a_while_is_waited_for() {
    let remote = Remote::by_file();
    // Refuses three pushes once an agent has worked.
    remote.hook(
        "pre-receive",
        r#"[ -e "$dir/refuse" ] || exit 0
left=$(cat "$dir/refuse"); echo x >>"$dir/refused"
if [ "$left" -gt 1 ]; then echo $((left - 1)) >"$dir/refuse"; else rm "$dir/refuse"; fi
echo "under maintenance" >&2; exit 1"#,
    );
    let refuse = remote.beside("refuse").display().to_string();
    let agent = format!("{AGENT}\nif phase_id == 'p000': pathlib.Path({refuse:?}).write_text('3')");
    let a = remote.clone_for(&agent);
    import(&a, 2);
    let ran = a.drain().succeeded();
    let shown = ran.stdout + &ran.stderr;
    assert!(shown.contains("under maintenance; autopack waits and asks again"), "{shown}");
    assert!(shown.contains("the remote answers again"), "{shown}");
    assert_eq!(std::fs::read_to_string(remote.beside("refused")).unwrap().lines().count(), 3);
    remote.assert_each_landed_once(&a, 2);
    assert_eq!(outcomes(&a, "p000"), ["landed"]);
}

#[test]
fn a_push_whose_answer_is_lost_is_settled_by_asking() {
    let remote = Remote::by_http();
    // Each kind of push loses an answer: the branch, a claim, a landing.
    remote.server().with(|knowledge| knowledge.lost_push_answers = 5);
    let a = remote.clone_for(AGENT);
    import(&a, 3);
    let ran = a.drain().succeeded();
    remote.server().with(|knowledge| assert_eq!(knowledge.lost_push_answers, 0, "{ran:#?}"));
    remote.assert_each_landed_once(&a, 3);
    assert_eq!(outcomes(&a, "p000"), ["landed"]);
}

#[test]
fn a_landing_whose_answer_is_lost_is_landed() {
    let remote = Remote::by_file();
    let meddling = format!(
        "{PUSH}\nif [ \"$push\" = land ]; then real \"$@\" >/dev/null; echo x >>\"$at/lost\"; exit 128; fi"
    );
    let a = with_git(remote.clone_for(AGENT), &meddling);
    import(&a, 3);
    a.drain().succeeded();
    assert_eq!(std::fs::read_to_string(a.outside("bin/lost")).unwrap().lines().count(), 3);
    remote.assert_each_landed_once(&a, 3);
}

#[test]
fn a_remote_out_of_reach_at_the_claim_is_waited_for_and_nothing_is_claimed() {
    let remote = Remote::by_http();
    let a = remote.clone_for(AGENT);
    import(&a, 2);
    remote.server().answer_next((0..3).map(|_| Answer::of(503, "")));
    let ran = a.drain().succeeded();
    let shown = ran.stdout + &ran.stderr;
    assert!(shown.contains("origin does not answer"), "{shown}");
    remote.assert_each_landed_once(&a, 2);
}

/// Ctrl-C during an outage: what became of the landing is asked once, or left to the next drain.
#[test]
fn a_stop_ends_the_wait_for_a_landing() {
    let remote = Remote::by_file();
    remote.hook("pre-receive", "[ -e \"$dir/refuse\" ] || exit 0\n: >\"$dir/refused\"; exit 1");
    let refuse = remote.beside("refuse");
    let a = remote
        .clone_for(&format!("{AGENT}\nopen({:?}, 'w').close()", refuse.display().to_string()));
    import(&a, 1);
    let child = a.spawn(["drain", "--run-id", "run"]);
    wait_for(&remote.beside("refused"));
    signal(&child, "-INT");
    a.wait(child).exited(130);
    std::fs::remove_file(&refuse).unwrap();
    let b = remote.clone_for(AGENT);
    drain(&b).succeeded();
    remote.assert_each_landed_once(&b, 1);
}

/// The landing of a drain is on its way when the drain is suspended for longer than its lease and reclaimed.
#[test]
fn a_reclaimed_drain_that_comes_back_cannot_land() {
    let remote = Remote::by_file();
    let meddling = format!(
        "{PUSH}\nif [ \"$push\" = land ] && [ ! -e \"$at/go\" ]; then : >\"$at/held\"\n\
         while [ ! -e \"$at/go\" ]; do sleep 0.01; done\nreal \"$@\"; echo $? >\"$at/code\"; exit 1; fi"
    );
    let short = "executor: {lease_seconds: 1}\n";
    let a = with_git(with_settings(remote.clone_with(&[]), AGENT, short), &meddling);
    let b = with_settings(remote.clone_with(&[]), AGENT, short);
    import(&a, 1);
    let late = a.spawn(["drain", "--run-id", "run"]);
    wait_for(&a.outside("bin/held"));
    stop_between_writes_of(&remote, &late);
    drain(&b).succeeded();
    let tip = remote.git(&["rev-parse", "autopack/run"]);
    std::fs::write(a.outside("bin/go"), "").unwrap();
    wait_for(&a.outside("bin/code"));
    assert_ne!(std::fs::read_to_string(a.outside("bin/code")).unwrap(), "0\n");
    signal(&late, "-CONT");
    a.wait(late).succeeded();
    assert_eq!(remote.git(&["rev-parse", "autopack/run"]), tip);
    remote.assert_each_landed_once(&b, 1);
    assert_eq!(outcomes(&b, "p000"), ["crashed", "landed"]);
}

/// A drain of another machine: only its heartbeat tells that it is dead.
#[test]
fn a_dead_drain_of_another_host_is_reclaimed_after_its_lease() {
    let remote = Remote::by_file();
    let short = "executor: {lease_seconds: 1}\n";
    let at_work = "open(workspace.parent / 'witness' / 'works', 'w').close()\ntime.sleep(600)";
    let a = with_settings(remote.clone_with(&[]), at_work, short);
    let b = with_settings(remote.clone_with(&[]), AGENT, short);
    import(&a, 2);
    let mut killed = a.spawn(["drain", "--run-id", "run"]);
    wait_for(&a.outside("works"));
    assert!(remote.refs_of_claims().contains("refs/autopack/claims/run/p000"));
    killed.kill().unwrap();
    killed.wait().unwrap();
    execute_at(&remote.database(), "UPDATE owners SET host = 'elsewhere', boot_id = 'other'");
    drain(&b).succeeded();
    remote.assert_each_landed_once(&b, 2);
    assert_eq!(outcomes(&b, "p000"), ["crashed", "landed"]);
}

/// Each clone has one phase in the merge queue, and CI of each waits for the other's.
#[test]
fn a_member_is_built_on_a_member_of_another_clone() {
    let remote = Remote::by_file();
    let meeting = remote.beside("meeting");
    std::fs::create_dir(&meeting).unwrap();
    let ci = format!(
        "ls d* >/dev/null 2>&1 || exit 0; mktemp '{0}/run.XXXXXX' >/dev/null; for n in $(seq 3000); do \
         [ $(ls '{0}' | wc -l) -ge 2 ] && exit 0; sleep 0.01; done; exit 1",
        meeting.display()
    );
    let settings = format!("workspace: {{remote: origin}}\nci: {{command: [sh, -c, {ci:?}]}}\n");
    let clones = [(); 2].map(|()| remote.clone_with(&[]).agent_with(AGENT, &settings));
    import(&clones[0], 2);
    let drains = clones.each_ref().map(|clone| clone.spawn(["drain", "--run-id", "run"]));
    for (child, clone) in drains.into_iter().zip(&clones) {
        clone.wait(child).succeeded();
    }
    remote.assert_each_landed_once(&clones[0], 2);
}

/// Somebody deletes the claim of an attempt: it cannot land, and the phase is attempted again.
#[test]
fn an_attempt_without_its_claim_cannot_land() {
    let remote = Remote::by_file();
    let path = remote.path().display().to_string();
    let agent = format!(
        "{AGENT}\nif attempt == 1: subprocess.run(['git', '-C', {path:?}, 'update-ref', '-d', 'refs/autopack/claims/run/p000'], check=True)"
    );
    let a = remote.clone_for(&agent);
    import(&a, 1);
    a.drain().succeeded();
    remote.assert_each_landed_once(&a, 1);
    assert_eq!(outcomes(&a, "p000"), ["crashed", "landed"]);
}

/// A drain whose claim arrives after it was reclaimed asks no agent and leaves nothing.
#[test]
fn a_claim_that_arrives_late_is_withdrawn() {
    let remote = Remote::by_file();
    let meddling = format!(
        "{PUSH}\nif [ \"$push\" = claim ] && [ ! -e \"$at/go\" ]; then : >\"$at/held\"\n\
         while [ ! -e \"$at/go\" ]; do sleep 0.01; done; fi"
    );
    let short = "executor: {lease_seconds: 1}\n";
    let witness =
        "open(workspace.parent / 'witness' / 'worked', 'w').close()\nwrite_deliverables()";
    let a = with_git(with_settings(remote.clone_with(&[]), witness, short), &meddling);
    let b = with_settings(remote.clone_with(&[]), AGENT, short);
    import(&a, 1);
    let late = a.spawn(["drain", "--run-id", "run"]);
    wait_for(&a.outside("bin/held"));
    stop_between_writes_of(&remote, &late);
    drain(&b).succeeded();
    signal(&late, "-CONT");
    std::fs::write(a.outside("bin/go"), "").unwrap();
    a.wait(late).succeeded();
    assert!(!a.outside("worked").exists());
    remote.assert_each_landed_once(&b, 1);
}

fn stop_between_writes_of(remote: &Remote, drain: &std::process::Child) {
    stop_between_writes_at(&remote.database(), drain);
}

#[test]
fn shallow_and_partial_clones_work() {
    let remote = Remote::by_file();
    let more = Project::bare_folder();
    more.git(["clone", "-q", remote.path().to_str().unwrap(), "."]);
    for n in 0..3 {
        more.write("history.txt", &format!("{n}\n{}", "x\n".repeat(50)));
        more.write(&format!("old/{n}.txt"), &format!("{n}\n"));
        more.git(["add", "-A"]);
        more.git(["commit", "-q", "-m", "more"]);
    }
    more.git(["push", "-q", "origin", "main"]);
    let options: [&[&str]; 4] =
        [&[], &["--depth=1"], &["--filter=blob:none"], &["--filter=tree:0"]];
    let clones = options.map(|options| with_agent(remote.clone_with(options), AGENT));
    let before = clones.each_ref().map(own_refs);
    import(&clones[1], 16);
    let drains = clones.each_ref().map(|clone| clone.spawn(["drain", "--run-id", "run"]));
    for (child, clone) in drains.into_iter().zip(&clones) {
        clone.wait(child).succeeded();
    }
    remote.assert_each_landed_once(&clones[0], 16);
    assert_eq!(clones.each_ref().map(own_refs), before);
    // Each of them alone, on landings of the others.
    for (n, clone) in clones.iter().enumerate() {
        let file = clone.outside("plan.json");
        let plan = json!({"phases": [{"phase_id": format!("q{n}"), "deliverables": [format!("q{n}/a.txt")]}]});
        std::fs::write(&file, plan.to_string()).unwrap();
        clone
            .autopack(["import", file.to_str().unwrap(), "--run-id", "run", "--update"])
            .succeeded();
        clone.drain().succeeded();
    }
    assert_eq!(remote.landed().len(), 20);
    assert_eq!(remote.git(&["rev-parse", "--is-shallow-repository"]), "false\n");
    remote.git(&["fsck", "--full"]);
}

#[test]
fn a_branch_of_the_user_in_a_clone_stays() {
    let remote = Remote::by_file();
    let (a, b) = (remote.clone_for(AGENT), remote.clone_for(AGENT));
    import(&a, 2);
    a.autopack(["drain", "--run-id", "run", "--max-batches", "1", "--batch-size", "1"]).succeeded();
    assert_eq!(a.git(["rev-parse", "autopack/run"]), remote.git(&["rev-parse", "autopack/run"]));
    b.git(["fetch", "-q", "origin"]);
    b.git(["branch", "-q", "autopack/run", "main"]);
    let ran = b.drain().succeeded();
    let shown = ran.stdout + &ran.stderr;
    assert!(
        shown.contains("autopack/run in this clone was not made by autopack, and stays"),
        "{shown}"
    );
    assert_eq!(b.git(["rev-parse", "autopack/run"]), b.git(["rev-parse", "main"]));
    remote.assert_each_landed_once(&b, 2);
    // A branch that is checked out follows when it is free.
    let tip = remote.git(&["rev-parse", "autopack/run"]);
    assert_ne!(a.git(["rev-parse", "autopack/run"]), tip);
    a.git(["switch", "-q", "autopack/run"]);
    a.drain().succeeded();
    assert_ne!(a.git(["rev-parse", "autopack/run"]), tip);
    a.git(["switch", "-q", "main"]);
    a.git(["branch", "-f", "autopack/run", tip.trim()]);
}

#[test]
fn a_branch_of_others_at_the_remote_is_no_run() {
    let remote = Remote::by_file();
    let a = remote.clone_for(AGENT);
    remote.git(&["branch", "autopack/run", "main"]);
    import(&a, 1);
    let ran = a.drain().exited(1);
    let shown = ran.stdout + &ran.stderr;
    assert!(shown.contains("branch autopack/run already exists at origin"), "{shown}");
    assert_eq!(a.phase("p000")["attempts"], 0);
}

#[test]
fn a_run_that_began_without_a_remote_goes_on_there() {
    let remote = Remote::by_file();
    let a = remote.clone_with(&[]).agent_with(AGENT, "ci: {command: [\"true\"]}\n");
    import(&a, 3);
    a.autopack(["drain", "--run-id", "run", "--max-batches", "1", "--batch-size", "2"]).succeeded();
    assert_eq!(remote.git(&["for-each-ref", "refs/heads/autopack"]), "");
    let a = with_agent(a, AGENT);
    a.drain().succeeded();
    remote.assert_each_landed_once(&a, 3);
    // Without the remote, the run is somebody else's.
    let a = a.agent_with(AGENT, "ci: {command: [\"true\"]}\n");
    let ran = a.drain().exited(1);
    assert!(ran.stderr.contains("workspace.remote"), "{ran:#?}");
}

#[test]
fn a_branch_deleted_at_the_remote_is_said_and_not_made_again() {
    let remote = Remote::by_file();
    let a = remote.clone_for(AGENT);
    import(&a, 2);
    a.autopack(["drain", "--run-id", "run", "--max-batches", "1", "--batch-size", "1"]).succeeded();
    remote.git(&["update-ref", "-d", "refs/heads/autopack/run"]);
    let ran = a.drain().exited(1);
    assert!((ran.stdout + &ran.stderr).contains("the run's branch autopack/run is gone at origin"));
    assert_eq!(remote.git(&["for-each-ref", "refs/heads/autopack"]), "");
}

#[test]
fn commits_of_others_on_the_branch_are_built_on() {
    let remote = Remote::by_file();
    let push = format!(
        "{AGENT}\nif phase_id == 'p000':\n  git = ['git', '-C', {:?}]\n  \
         new = subprocess.run(git + ['-c', 'user.name=x', '-c', 'user.email=x@x', 'commit-tree', 'autopack/run^{{tree}}', '-p', \
         'autopack/run', '-m', 'theirs'], capture_output=True, text=True, check=True).stdout.strip()\n  \
         subprocess.run(git + ['update-ref', 'refs/heads/autopack/run', new], check=True)",
        remote.path().display().to_string()
    );
    let a = remote.clone_for(&push);
    import(&a, 2);
    a.drain().succeeded();
    remote.assert_each_landed_once(&a, 2);
    assert!(remote.git(&["log", "--format=%s", "autopack/run"]).contains("theirs"));
}

#[test]
fn an_undo_and_an_update_land_at_the_remote() {
    let remote = Remote::by_file();
    let a = remote.clone_for(AGENT);
    import(&a, 2);
    a.drain().succeeded();
    let b = remote.clone_for(AGENT);
    b.autopack(["undo", "run/p000"]).succeeded();
    let subjects = remote.git(&["log", "--format=%s", "autopack/run"]);
    assert!(subjects.starts_with("Undo p000"), "{subjects}");
    b.write("new.txt", "x\n");
    b.git(["add", "new.txt"]);
    b.git(["commit", "-q", "-m", "base moved"]);
    b.autopack(["update", "run"]).succeeded();
    assert!(remote.git(&["log", "--format=%s", "autopack/run"]).contains("base moved"));
    assert_eq!(remote.refs_of_claims(), "");
}

#[test]
fn leftover_refs_are_removed_by_gc() {
    let remote = Remote::by_file();
    let a = remote.clone_for(AGENT);
    import(&a, 1);
    a.drain().succeeded();
    let tip = remote.git(&["rev-parse", "main"]);
    for name in ["claims/run/p000", "queue/run/7", "undos/run", "claims/probe-1"] {
        remote.git(&["update-ref", &format!("refs/autopack/{name}"), tip.trim()]);
    }
    let dry = a.json(["gc", "--dry-run", "--json"]);
    assert_eq!(dry["refs"], 4, "{dry:#}");
    a.autopack(["gc"]).succeeded();
    assert_eq!(remote.refs_of_claims(), "");
}

#[test]
fn health_says_what_the_server_lacks() {
    let remote = Remote::by_file();
    let a = remote.clone_for(AGENT);
    let check = |project: &Project| {
        let report: serde_json::Value =
            serde_json::from_str(&project.autopack(["health", "--json"]).stdout).unwrap();
        let checks = report["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["name"] == "remote").unwrap()
    };
    let found = check(&a);
    assert_eq!(found["status"], "ok", "{found:#}");
    remote.hook("update", "case \"$1\" in refs/heads/*) ;; *) exit 1 ;; esac");
    let found = check(&a);
    assert_eq!(found["status"], "ok", "{found:#}");
    assert!(found["detail"].as_str().unwrap().contains("refs/heads/autopack-claims"), "{found:#}");
    remote.git(&["config", "receive.advertiseAtomic", "false"]);
    let found = check(&a);
    assert_eq!(found["status"], "fail", "{found:#}");
    assert!(found["detail"].as_str().unwrap().contains("atomic"), "{found:#}");
    assert_eq!(remote.refs_of_claims(), "");
}

/// A phase without a path: the claim of the proposal comes before the run has a branch.
#[test]
fn a_scope_proposal_is_claimed_like_an_attempt() {
    let remote = Remote::by_file();
    let agent = r#"
if os.environ.get("AUTOPACK_PURPOSE") == "scope-proposal":
    answer = {"deliverables": [{"path": f"src/{phase_id}.py", "reason": "has it"}], "confidence": 0.9}
    open(os.environ["AUTOPACK_ANSWER_FILE"], "w").write(json.dumps(answer))
    sys.exit()
for path in phase["scope"]["paths"]: write(path, phase_id)"#;
    let a = remote.clone_for(agent);
    let plan = json!({"phases": [{"phase_id": "p000", "name": "Parser", "description": "It happens every day."}]});
    std::fs::write(a.outside("plan.json"), plan.to_string()).unwrap();
    a.autopack(["import", a.outside("plan.json").to_str().unwrap(), "--run-id", "run"]).succeeded();
    a.drain().succeeded();
    remote.assert_each_landed_once(&a, 1);
    assert_eq!(outcomes(&a, "p000"), ["scope_proposed", "landed"]);
}

/// Somebody moves the branch back at the remote: the run goes on there, and the lost landing is said.
#[test]
fn a_branch_moved_back_at_the_remote_is_followed_and_said() {
    let remote = Remote::by_file();
    let a = remote.clone_for(AGENT);
    import(&a, 3);
    a.autopack(["drain", "--run-id", "run", "--max-batches", "1", "--batch-size", "2"]).succeeded();
    remote.git(&["update-ref", "refs/heads/autopack/run", "refs/heads/autopack/run~1"]);
    let ran = a.drain().exited(0);
    let shown = ran.stdout + &ran.stderr;
    assert!(shown.contains("autopack/run no longer contains p001"), "{shown}");
    assert_eq!(remote.landed(), ["p000", "p002"]);
}

/// The server asks for a password; the forge's token is in the environment.
#[test]
fn the_token_of_the_forge_opens_the_remote() {
    let remote = Remote::by_http();
    let a = remote.clone_for(AGENT);
    import(&a, 2);
    let server = remote.server();
    server.with(|knowledge| knowledge.git_password = Some("the-token-of-a-forge"));
    let ran = a.drain().exited(1);
    assert!((ran.stdout + &ran.stderr).contains("origin refuses access"));
    let a = a.env("AUTOPACK_GITHUB_API_URL", server.url()).env("GH_TOKEN", "the-token-of-a-forge");
    a.git(["remote", "set-url", "origin", "https://github.com/o/r.git"]);
    a.git(["config", &format!("url.{}/.insteadOf", server.url()), "https://github.com/"]);
    let ran = a.autopack(["health", "--json"]);
    assert!(ran.stdout.contains("origin takes atomic pushes"), "{ran:#?}");
    a.drain().succeeded();
    remote.assert_each_landed_once(&a, 2);
}

#[test]
fn an_unknown_remote_is_named() {
    let a = Project::new().agent_with(AGENT, "workspace: {remote: origin}\n");
    let ran = a.plan(backlog(1)).drain();
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("workspace.remote names \"origin\""), "{ran:#?}");
}
