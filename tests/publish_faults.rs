//! Publishing against faults: refusals, commits of others, a forge that is down, lost answers, kills, and secrets.

use std::fs;
use std::path::Path;
use std::sync::mpsc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::publish::{Published, TOKEN};
use crate::support::forge::Answer;
use crate::support::golden::golden;
use crate::support::process::signal;
use crate::support::{Project, executable};
use crate::trackers::snapshot;

fn landed() -> Published {
    let on = Published::github().issues(1..=2, &[2]);
    on.drain();
    on
}

/// A commit of somebody else on top of a commit, as a branch of the served repository.
fn commit_of_another(on: &Published, branch: &str, onto: &str) -> String {
    let tree = on.served(&["rev-parse", &format!("{onto}^{{tree}}")]).trim().to_owned();
    let author = ["-c", "user.name=Ann", "-c", "user.email=ann@x.org"];
    let commit = ["commit-tree", &tree, "-p", onto, "-m", "fix the parser"];
    let path = on.project.beside("served/o/r.git");
    let args = [&["-C", path.to_str().unwrap()], &author[..], &commit[..]].concat();
    let mut git = on.project.git_command();
    git.env_remove("GIT_AUTHOR_NAME").env_remove("GIT_COMMITTER_NAME");
    let output = git.args(args).output().unwrap();
    let made = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    on.served(&["branch", "-f", branch, &made]);
    made
}

#[test]
fn a_refused_push_is_told_with_the_words_of_the_server() {
    let on = landed();
    let hook = on.project.beside("served/o/r.git/hooks/pre-receive");
    executable(&hook, "#!/bin/sh\necho 'policy: names of branches start with team/' >&2\nexit 1\n");
    let ran = on.publish(&[]).exited(1);
    snapshot("publish_refused", &golden(&ran));
    assert!(on.server.pulls().is_empty() && on.server.comments().is_empty());
    fs::remove_file(hook).unwrap();
    assert_eq!(on.published(&[])["branches"][0]["push"], "pushed");
}

#[test]
fn commits_of_others_are_named_and_never_replaced() {
    let on = landed();
    let theirs = commit_of_another(&on, "autopack/o-r", "main");
    let ran = on.publish(&[]).exited(1);
    snapshot("publish_moved_by_others", &golden(&ran));
    assert_eq!(on.at_remote("autopack/o-r"), theirs);
    assert!(on.server.pulls().is_empty());
    let dry = on.publish(&["--dry-run"]).exited(1);
    assert!(dry.stderr.contains("fix the parser"), "{dry:#?}");
    // As the hint says: their commits are taken in.
    on.project.git([
        "fetch",
        "-q",
        &on.project.beside("served/o/r.git").display().to_string(),
        "autopack/o-r",
    ]);
    on.project.git(["switch", "-q", "autopack/o-r"]);
    on.project.git(["merge", "-q", "-m", "take in", "FETCH_HEAD"]);
    on.project.git(["switch", "-q", "main"]);
    assert_eq!(on.published(&[])["branches"][0]["push"], "pushed");
    assert_eq!(on.at_remote("autopack/o-r"), on.local("autopack/o-r"));
}

#[test]
fn commits_of_others_after_all_landings_stay() {
    let on = landed();
    on.publish(&[]).succeeded();
    let tip = on.at_remote("autopack/o-r");
    let theirs = commit_of_another(&on, "autopack/o-r", &tip);
    let ran = on.publish(&[]).succeeded();
    let line = "autopack/o-r at origin has all landings, and 1 commit of others\n";
    assert!(ran.stdout.starts_with(line), "{ran:#?}");
    assert_eq!(on.at_remote("autopack/o-r"), theirs);
    // A branch that was rewritten here replaces what autopack pushed, and no more.
    on.served(&["branch", "-f", "autopack/o-r", &tip]);
    on.project.git(["branch", "-f", "autopack/o-r", "main"]);
    on.project.git(["switch", "-q", "autopack/o-r"]);
    on.project.git(["commit", "-q", "--allow-empty", "-m", "anew"]);
    on.project.git(["switch", "-q", "main"]);
    assert_eq!(on.published(&[])["branches"][0]["push"], "pushed");
    assert_eq!(on.at_remote("autopack/o-r"), on.local("autopack/o-r"));
}

#[test]
fn a_forge_that_is_down_for_a_minute_is_asked_again() {
    let on = landed();
    let down = || Answer::of(503, "{}");
    // git, then the question for pull requests with the client's own retries.
    on.server.answer_next([down(), down()]);
    let ran = on.publish(&["--json"]).succeeded();
    assert_eq!(ran.json()["branches"][0]["action"], "opened");
    let told = "origin does not answer: ";
    assert_eq!(ran.stderr.matches(told).count(), 2, "{ran:#?}");
    assert!(ran.stderr.contains("returned error: 503; trying again now"), "{ran:#?}");
    assert_eq!(on.server.pulls().len(), 1);
    // Down for longer: nothing is lost, and said so.
    on.land_more([7]);
    on.server.with(|knowledge| knowledge.git_root = None);
    on.server.answer_next((0..40).map(|_| down()));
    let ran = on.publish(&[]).exited(1);
    assert!(ran.stderr.contains("; tried for "), "{ran:#?}");
    assert!(ran.stderr.contains("hint: run `autopack publish` again later"), "{ran:#?}");
    on.server.with(|knowledge| {
        knowledge.next_answers.clear();
        knowledge.git_root = Some(on.project.beside("served"));
    });
    assert_eq!(on.published(&[])["branches"][0]["action"], "updated");
    assert_eq!((on.server.pulls().len(), on.server.comments().len()), (1, 1));
}

#[test]
fn a_remote_out_of_reach_ends_with_an_error() {
    let on = landed();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    on.project.git(["remote", "add", "gone", &format!("http://user:hush@{free}/o/r.git")]);
    let ran = on.publish(&["--remote", "gone"]).exited(1);
    assert!(ran.stderr.contains("error: gone does not answer: "), "{ran:#?}");
    assert!(!ran.stderr.contains("hush"), "{ran:#?}");
}

#[test]
fn lost_answers_double_nothing() {
    let on = landed();
    on.server.with(|knowledge| knowledge.lost_answers = 1);
    let published = on.published(&[]);
    assert_eq!(published["branches"][0]["pull_request"]["number"], 3, "{published:#}");
    assert_eq!(on.server.pulls().len(), 1);
    // The answer to the comment is lost as well.
    on.server.with(|knowledge| {
        knowledge.comments.clear();
        knowledge.lost_answers = 1;
    });
    crate::support::database::execute(&on.project, "DELETE FROM issue_remarks");
    assert_eq!(on.published(&[])["comments"][0]["action"], "added");
    assert_eq!(on.server.comments().len(), 1);
}

#[test]
fn a_publication_killed_between_push_and_pull_request_is_completed() {
    let on = landed();
    let (told, writes) = mpsc::channel();
    on.server.with(|knowledge| knowledge.on_write = Some(told));
    let mut publish = on.project.spawn(["publish", "o-r"]);
    writes.recv().unwrap();
    assert_eq!(on.at_remote("autopack/o-r"), on.local("autopack/o-r"), "pushed");
    // Meanwhile, nobody else publishes the run.
    let second = on.publish(&[]).exited(1);
    assert!(second.stderr.contains("error: run o-r is being published\n"), "{second:#?}");
    signal(&publish, "-KILL");
    publish.wait().unwrap();
    on.server.with(|knowledge| knowledge.on_write = None);
    let published = on.published(&[]);
    let branch = &published["branches"][0];
    assert_eq!((&branch["push"], &branch["action"]), (&json!("up_to_date"), &json!("opened")));
    // Killed after the pull request was opened, before it was recorded.
    crate::support::database::execute(&on.project, "DELETE FROM publications");
    assert_eq!(on.published(&[])["branches"][0]["action"], "unchanged");
    assert_eq!((on.server.pulls().len(), on.server.comments().len()), (1, 1));
}

/// All files below a directory that hold one of these texts.
fn files_with(directory: &Path, texts: &[String], found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files_with(&path, texts, found);
        } else if kind.is_file() {
            let bytes = fs::read(&path).unwrap_or_default();
            let has = |text: &String| bytes.windows(text.len()).any(|part| part == text.as_bytes());
            if texts.iter().any(has) {
                found.push(path.display().to_string());
            }
        }
    }
}

#[test]
fn the_token_is_in_no_file_log_argument_or_child() {
    let on = Published::github().issues(1..=2, &[2]);
    let script = on.project.outside("agent.py");
    let text = fs::read_to_string(&script).unwrap();
    let check = "assert not any('ghp_' in value for value in os.environ.values())";
    fs::write(&script, format!("import os\n{check}\n{text}")).unwrap();
    // A `git` that writes down its arguments, and those of the helpers that it starts.
    let (tools, arguments) = (on.project.outside("tools"), on.project.outside("arguments"));
    let which = std::process::Command::new("sh").args(["-c", "command -v git"]).output().unwrap();
    let git = String::from_utf8(which.stdout).unwrap().trim().to_owned();
    executable(
        &tools.join("git"),
        &format!(
            "#!/bin/sh\nprintf '%s ' \"$@\" >>'{}'\nexec '{git}' \"$@\"\n",
            arguments.display()
        ),
    );
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    // A helper of the user that would store what git tells it.
    let (stored, helper) = (on.project.outside("stored"), on.project.outside("helper"));
    executable(&helper, &format!("#!/bin/sh\ncat >>'{}'\n", stored.display()));
    on.project.git(["config", "credential.helper", &format!("!'{}'", helper.display())]);
    let log = on.project.outside("log.txt");
    let ran = on.project.autopack_with(
        ["drain", "o-r", "--publish", "-vv", "--log-format", "json"],
        &[("PATH", &path), ("GIT_TRACE_CURL", "0")],
    );
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    assert_eq!((on.server.pulls().len(), on.server.comments().len()), (1, 1), "{ran:#?}");
    fs::write(&log, format!("{}{}", ran.stdout, ran.stderr)).unwrap();
    assert!(fs::read_to_string(&arguments).unwrap().contains("push --porcelain"));
    let encoded = BASE64_STANDARD.encode(format!("x-access-token:{TOKEN}"));
    let mut found = Vec::new();
    files_with(&on.project.beside(""), &[TOKEN.to_owned(), encoded], &mut found);
    assert!(found.is_empty(), "{found:#?}");
    assert!(stored.is_file(), "the user's helper was asked first");
}

#[test]
fn the_users_own_login_comes_first() {
    let on = landed();
    let helper = on.project.outside("helper");
    let answer = "printf 'username=me\\npassword=own-password\\n'";
    executable(&helper, &format!("#!/bin/sh\ntest \"$1\" = get && {answer}\n"));
    on.project.git(["config", "credential.helper", &format!("!'{}'", helper.display())]);
    on.server.with(|knowledge| knowledge.git_password = Some("own-password"));
    on.publish(&[]).succeeded();
    // Neither is accepted.
    on.server.with(|knowledge| knowledge.git_password = Some("another"));
    let ran = on.publish(&[]).exited(1);
    let error = "error: origin refuses access: fatal: Authentication failed for 'http://127.0.0.1:";
    assert!(ran.stderr.starts_with(error), "{ran:#?}");
    let hint = "hint: your own access and the token are refused: renew GH_TOKEN or GITHUB_TOKEN, or see `git ls-remote";
    assert!(ran.stderr.contains(hint), "{ran:#?}");
}

#[test]
fn a_token_without_rights_is_told_after_the_push() {
    let on = landed();
    // Three questions of git's push and one for pull requests come before.
    let forbidden = r#"{"message": "Resource not accessible by personal access token"}"#;
    on.server.with(|knowledge| knowledge.token = Some("another"));
    let ran = on.publish(&[]).exited(1);
    assert!(ran.stderr.contains("refuses the token for github:o/r"), "{ran:#?}");
    on.server.with(|knowledge| knowledge.token = None);
    on.server.with(|knowledge| knowledge.refused_writes = Some(Answer::of(403, forbidden)));
    let ran = on.publish(&[]).exited(1);
    snapshot("publish_token_without_rights", &golden(&ran));
    on.server.with(|knowledge| knowledge.refused_writes = None);
    assert_eq!(on.published(&[])["branches"][0]["push"], "up_to_date");
}

#[test]
fn a_long_report_is_cut_to_the_limit_of_the_forge() {
    let on = landed();
    on.publish(&[]).succeeded();
    let number = on.server.pulls()[0].number;
    on.server
        .change_pull(number, |pull| pull.body = format!("{}{}", "mine ".repeat(13_000), pull.body));
    on.land_more([9]);
    let published = on.published(&[]);
    assert_eq!(published["branches"][0]["pull_request"]["cut"], true, "{published:#}");
    let body = &on.server.pulls()[0].body;
    assert!(body.starts_with("mine mine") && body.contains("Closes #9\n"), "{body}");
    assert!(body.chars().count() <= 65_536 && body.contains("The end is cut off"));
}

#[test]
fn a_failed_publication_changes_no_verdict() {
    let on = Published::github().issues(1..=1, &[]);
    let hook = on.project.beside("served/o/r.git/hooks/pre-receive");
    executable(&hook, "#!/bin/sh\nexit 1\n");
    let ran = on.project.autopack(["drain", "o-r", "--publish"]).exited(1);
    let line = "error: cannot publish o-r: origin refuses the branch: pre-receive hook declined";
    assert!(ran.stderr.contains(line), "{ran:#?}");
    assert!(ran.stderr.contains("`autopack publish o-r`"), "{ran:#?}");
    assert_eq!(on.project.json(["status", "o-r", "--json"])["runs"][0]["counts"]["COMPLETE"], 1);
    // Nothing is queued: the next drain makes up for it.
    fs::remove_file(hook).unwrap();
    let ran = on.project.autopack(["drain", "o-r", "--publish"]).succeeded();
    assert!(ran.stdout.contains("opened pull request #2\n"), "{ran:#?}");
    // A drain with failures keeps its own code.
    on.add([5], &[5]);
    on.project.autopack(["sync", "o-r"]).succeeded();
    on.server.with(|knowledge| knowledge.git_password = Some("another"));
    on.project.autopack(["drain", "o-r", "--publish"]).exited(3);
}

#[test]
fn events_of_a_drain_end_with_the_publication() {
    let on = Published::github().issues(1..=1, &[]);
    let ran = on.project.autopack(["drain", "o-r", "--publish", "--json"]).succeeded();
    let last: serde_json::Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["run_id"]), (&json!("run_published"), &json!("o-r")));
    assert_eq!((&last["outcome"], &last["error"]), (&json!("published"), &json!(null)));
    assert_eq!(last["branches"][0]["action"], "opened");
}

#[test]
fn a_missing_remote_is_told_before_an_agent_starts() {
    let project = Project::new()
        .agent_with("write_deliverables()", "ci: {command: ['true']}\n")
        .plan(json!([{"phase_id": "one", "deliverables": ["src/one.py"]}]));
    let ran = project.autopack(["drain", "run", "--publish"]).exited(1);
    let line = "error: --publish: the repository has no remote to publish to\n";
    assert!(ran.stderr.starts_with(line), "{ran:#?}");
    assert_eq!(project.states()["one"], "QUEUED");
    // A plan file is not imported either.
    project.write("more.yaml", "phases: [{phase_id: two, deliverables: [src/two.py]}]\n");
    let ran = project.autopack(["drain", "more.yaml", "--publish"]).exited(1);
    assert!(ran.stderr.starts_with(line), "{ran:#?}");
    assert_eq!(project.json(["runs", "list", "--json"]).as_array().unwrap().len(), 1);
}
