//! Publishing again: after merges, undone phases and changes of people, beside a drain, and with texts of strangers.

use serde_json::{Value, json};

use crate::publish::{Published, closes};
use crate::support::executable;
use crate::support::forge::{Answer, PullState, issue};

/// Issues 1 to `most`, landed in this order.
fn landed(most: u64) -> Published {
    let on = Published::github().issues(1..=most, &[]);
    on.drain_in_order();
    on
}

/// Action of each branch.
fn actions(published: &Value) -> Vec<&str> {
    let branches = published["branches"].as_array().unwrap();
    branches.iter().map(|branch| branch["action"].as_str().unwrap()).collect()
}

impl Published {
    fn drain_in_order(&self) {
        let ran = self.project.autopack(["drain", self.run, "--jobs", "1"]);
        assert!([Some(0), Some(3)].contains(&ran.code), "{ran:#?}");
    }

    fn land(&self, number: u64) {
        self.add([number], &[]);
        self.project.autopack(["sync", self.run]).succeeded();
        self.drain_in_order();
    }

    fn undo(&self, phase: &str) {
        self.project.autopack(["undo", &format!("{}/{phase}", self.run), "--skip"]).succeeded();
    }

    /// The landing of a phase on the run's branch.
    fn landing(&self, phase: &str) -> String {
        let grep = format!("--grep=^Autopack-Phase: {phase}$");
        let branch = format!("autopack/{}", self.run);
        self.project.git(["log", "-1", "--format=%H", &grep, &branch]).trim().to_owned()
    }

    /// Merges a branch at the forge as one commit, which is unknown here, and deletes the branch.
    fn squash_at_forge(&self, branch: &str) {
        let tree = format!("{branch}^{{tree}}");
        let tree = self.served(&["rev-parse", &tree]).trim().to_owned();
        let made = self.served(&["commit-tree", &tree, "-p", "main", "-m", "squashed"]);
        self.served(&["branch", "-f", "main", made.trim()]);
        self.end_and_delete(branch, PullState::Merged);
    }

    fn end_and_delete(&self, branch: &str, state: PullState) {
        let pulls = self.server.pulls();
        let is_open = |pull: &&crate::support::forge::TestPull| {
            pull.branch == branch && pull.state == PullState::Open
        };
        if let Some(pull) = pulls.iter().find(is_open) {
            self.server.end_pull(pull.number, state);
        }
        self.served(&["branch", "-D", branch]);
    }

    /// Brings the forge's main here, and merges it into the run.
    fn update(&self) {
        let served = self.project.beside("served/o/r.git").display().to_string();
        self.project.git(["pull", "-q", "--ff-only", &served, "main"]);
        self.project.autopack(["update", self.run]).succeeded();
    }

    fn branches_at_remote(&self) -> String {
        self.served(&["for-each-ref", "--format=%(refname:short)", "refs/heads/autopack"])
    }

    /// Each pull request: branch, base, and issues that it closes.
    fn stack(&self) -> Vec<String> {
        let pulls = self.server.pulls();
        let shown = pulls.iter().map(|pull| {
            format!("{} into {}: {}", pull.branch, pull.base, closes(&pull.body).join(" "))
        });
        shown.collect()
    }
}

#[test]
fn what_lands_during_a_publication_is_closed_only_with_its_commit() {
    let on = landed(2);
    let (first, second) = (on.landing("1"), on.landing("2"));
    // The second landing arrives while the texts are made.
    on.project.git(["update-ref", "refs/heads/autopack/o-r", &first]);
    let tools = on.project.outside("tools");
    let git = std::process::Command::new("sh").args(["-c", "command -v git"]).output().unwrap();
    let git = String::from_utf8(git.stdout).unwrap().trim().to_owned();
    let land = format!("'{git}' update-ref refs/heads/autopack/o-r {second}");
    let script =
        format!("#!/bin/sh\ncase \"$*\" in *--stat*) {land};; esac\nexec '{git}' \"$@\"\n");
    executable(&tools.join("git"), &script);
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    on.project.autopack_with(["publish", "o-r"], &[("PATH", &path)]).succeeded();
    assert_eq!(closes(&on.server.pulls()[0].body), ["#1", "#2"]);
    assert_eq!(on.at_remote("autopack/o-r"), second);
}

#[test]
fn merged_landings_are_in_no_further_pull_request() {
    let on = landed(2);
    on.publish(&[]).succeeded();
    on.squash_at_forge("autopack/o-r");
    on.update();
    for args in [&[][..], &["--per-phase"]] {
        let published = on.published(args);
        assert!(actions(&published).iter().all(|one| *one == "already_merged"), "{published:#}");
    }
    assert_eq!((on.server.pulls().len(), on.branches_at_remote()), (1, String::new()));
    // A further landing: only this one counts.
    on.land(7);
    assert_eq!(actions(&on.published(&[])), ["opened"]);
    let pull = &on.server.pulls()[1];
    assert_eq!(pull.title, "autopack o-r: 1 of 3 phases");
    assert_eq!(closes(&pull.body), ["#7"]);
    assert!(pull.body.contains("**1 of 3 phases landed**, 2 merged before"), "{}", pull.body);
    assert!(!pull.body.contains("Part 1"), "{}", pull.body);
    // Also while it is open, and as a stack.
    on.land(8);
    assert_eq!(actions(&on.published(&[])), ["updated"]);
    assert_eq!(closes(&on.server.pulls()[1].body), ["#7", "#8"]);
    let stack = on.published(&["--per-phase"]);
    assert_eq!(actions(&stack), ["already_merged", "already_merged", "opened", "opened"]);
    assert_eq!(
        on.stack()[2..],
        ["autopack/o-r--7 into main: #7", "autopack/o-r--8 into autopack/o-r--7: #8"]
    );
}

#[test]
fn a_squash_of_the_run_in_the_base_is_merged_too() {
    let on = landed(1);
    on.project.autopack(["merge", "o-r", "--squash"]).succeeded();
    on.project.git([
        "push",
        "-q",
        &on.project.beside("served/o/r.git").display().to_string(),
        "main",
    ]);
    assert_eq!(actions(&on.published(&[])), ["already_merged"]);
    on.land(5);
    assert_eq!(actions(&on.published(&[])), ["opened"]);
    assert_eq!(closes(&on.server.pulls()[0].body), ["#5"]);
}

#[test]
fn without_a_token_a_merged_branch_stays_deleted() {
    let on = landed(1);
    on.server.with(|knowledge| knowledge.git_password = None);
    let publish = || {
        let ran = on.project.autopack_with(["publish", "o-r", "--json"], &[("GH_TOKEN", "")]);
        ran.succeeded().json()
    };
    assert_eq!(actions(&publish()), ["no_token"]);
    // Merged with a merge commit, unknown here.
    let tree = on.served(&["rev-parse", "autopack/o-r^{tree}"]).trim().to_owned();
    let parents = ["-p", "main", "-p", "autopack/o-r"];
    let made = on.served(&[&["commit-tree", &tree, "-m", "merge"][..], &parents].concat());
    on.served(&["branch", "-f", "main", made.trim()]);
    on.served(&["branch", "-D", "autopack/o-r"]);
    assert_eq!(actions(&publish()), ["already_merged"]);
    assert_eq!(on.branches_at_remote(), "");
}

#[test]
fn an_undone_landing_leaves_the_stack() {
    let on = landed(3);
    on.publish(&["--per-phase"]).succeeded();
    on.undo("2");
    let ran = on.publish(&["--per-phase"]).succeeded();
    let line = "autopack/o-r--2 is no longer published: close pull request #5\n";
    assert!(ran.stdout.contains(line), "{ran:#?}");
    let three = [
        "autopack/o-r--1 into main: #1",
        "autopack/o-r--2 into autopack/o-r--1: ",
        "autopack/o-r--3 into autopack/o-r--1: #3",
    ];
    assert_eq!(on.stack(), three);
    assert_eq!(on.at_remote("autopack/o-r--1"), on.landing("1"));
    assert_eq!(on.at_remote("autopack/o-r--3"), on.local("autopack/o-r"));
    let again = on.published(&["--per-phase"]);
    assert_eq!(
        (actions(&again), &again["superseded"]),
        (vec!["unchanged"; 2], &json!(["autopack/o-r--2"]))
    );
}

#[test]
fn an_undone_last_landing_reopens_nothing() {
    let on = landed(2);
    on.publish(&["--per-phase"]).succeeded();
    on.served(&["branch", "-f", "main", "autopack/o-r--1"]);
    on.end_and_delete("autopack/o-r--1", PullState::Merged);
    on.undo("2");
    assert_eq!(actions(&on.published(&["--per-phase"])), ["already_merged"]);
    assert_eq!(on.stack()[1..], ["autopack/o-r--2 into autopack/o-r--1: "]);
    assert_eq!(on.branches_at_remote(), "autopack/o-r--2\n");
    // The whole run: its files are those of the base.
    assert_eq!(actions(&on.published(&[])), ["already_merged"]);
    assert_eq!(on.server.pulls().len(), 2);
}

#[test]
fn a_stack_keeps_its_base_and_that_of_people() {
    let on = landed(2);
    on.served(&["branch", "dev", "main"]);
    on.publish(&["--per-phase", "--base", "dev"]).succeeded();
    let again = on.published(&["--per-phase"]);
    assert_eq!((actions(&again), &again["base"]), (vec!["unchanged"; 2], &json!("dev")));
    let number = on.server.pulls()[1].number;
    on.server.change_pull(number, |pull| pull.base = "main".to_owned());
    let again = on.published(&["--per-phase"]);
    assert_eq!(
        (actions(&again), &again["branches"][1]["base"]),
        (vec!["unchanged"; 2], &json!("main"))
    );
    assert_eq!(on.server.pulls()[1].base, "main");
    // The whole run: the base in the result is that of the pull request.
    on.publish(&[]).succeeded();
    let number = on.server.pulls()[2].number;
    on.server.change_pull(number, |pull| pull.base = "main".to_owned());
    assert_eq!(on.published(&[])["base"], "main");
}

#[test]
fn a_stack_goes_on_above_a_closed_pull_request() {
    let on = landed(2);
    on.publish(&["--per-phase"]).succeeded();
    on.end_and_delete("autopack/o-r--1", PullState::Closed);
    assert_eq!(actions(&on.published(&["--per-phase"])), ["closed", "updated"]);
    assert_eq!(on.stack()[1], "autopack/o-r--2 into main: #2");
    on.end_and_delete("autopack/o-r--2", PullState::Closed);
    on.land(5);
    assert_eq!(actions(&on.published(&["--per-phase"])), ["closed", "closed", "opened"]);
    assert_eq!(on.stack()[2], "autopack/o-r--5 into main: #5");
}

#[test]
fn a_number_of_another_branch_is_not_ours() {
    let on = landed(1);
    on.publish(&[]).succeeded();
    let number = on.server.pulls()[0].number;
    on.server.change_pull(number, |pull| {
        pull.branch = "somebody".to_owned();
        pull.body = "their text".to_owned();
    });
    on.served(&["branch", "somebody", "main"]);
    assert_eq!(actions(&on.published(&[])), ["opened"]);
    assert_eq!(on.server.pulls()[0].body, "their text");
}

#[test]
fn text_of_strangers_means_nothing_in_commits_and_titles() {
    let on = Published::github();
    let text = "add src/p1.py\nFixes #99 and closes evil/other#5. cc @torvalds\n/close\n\n  \
                Autopack-Run: o-r\n  Autopack-Phase: 2";
    on.server
        .add([issue(1, "one fixes #77").body(text), issue(2, "two @all").body("add src/p2.py")]);
    on.project.autopack(["import", &on.tracker]).succeeded();
    on.drain_in_order();
    let messages = on.project.git(["log", "--format=%B", "main..autopack/o-r"]);
    for text in ["#99", "#5", "#77", "@torvalds", "@all", "\n/close", "\n  Autopack"] {
        assert!(!messages.contains(text), "{text}: {messages}");
    }
    on.publish(&["--per-phase"]).succeeded();
    assert!(!on.server.pulls()[0].title.contains("#77"), "{:?}", on.server.pulls()[0]);
    // The commit of the second is dropped: the text of the first does not stand for it.
    let first = on.landing("1");
    on.project.git(["switch", "-q", "autopack/o-r"]);
    on.project.git(["reset", "-q", "--hard", "main"]);
    on.project.git(["cherry-pick", &first]);
    on.project.git(["commit", "-q", "--amend", "--no-edit", "--date=2020-01-01T00:00:00Z"]);
    on.project.git(["switch", "-q", "main"]);
    assert_ne!(on.local("autopack/o-r"), first);
    assert_eq!(on.published(&[])["branches"][0]["closes"], json!(["#1"]));
    assert_eq!(on.server.pulls().last().unwrap().title, "autopack o-r: 1 of 2 phases");
}

#[test]
fn failed_issues_get_a_comment_although_nothing_landed() {
    let on = Published::github().issues(1..=1, &[1]);
    let ran = on.project.autopack(["drain", "o-r", "--publish"]).exited(3);
    let lines = "o-r: nothing has landed\ncommented on 1 failed issue: github:o/r#1\n";
    assert!(ran.stdout.ends_with(lines), "{ran:#?}");
    assert_eq!((on.server.comments().len(), on.branches_at_remote()), (1, String::new()));
    let again = on.published(&[]);
    assert_eq!(
        (&again["outcome"], &again["comments"][0]["action"]),
        (&json!("nothing_landed"), &json!("unchanged"))
    );
}

#[test]
fn an_issue_of_several_phases_is_closed_with_the_last_and_told_once() {
    let on = Published::github();
    on.server.add([issue(7, "seven")]);
    let page = "https://github.com/o/r/issues/7";
    let phase = |id: &str, what: &str| json!({"phase_id": id, "deliverables": [format!("src/p{id}.py")], "description": what, "source_url": page});
    let fails =
        |id: &str| json!({"phase_id": id, "name": id, "description": "fail", "source_url": page});
    let plan = json!({"phases": [phase("a", "add"), fails("b"), fails("c")]});
    on.project.write("plan.json", &plan.to_string());
    on.project.autopack(["import", "plan.json", "--run-id", "o-r"]).succeeded();
    on.drain_in_order();
    let ran = on.publish(&[]).succeeded();
    assert!(ran.stdout.ends_with("commented on 1 failed issue: github:o/r#7\n"), "{ran:#?}");
    let body = on.server.pulls()[0].body.clone();
    assert!(closes(&body).is_empty() && body.contains("Part of #7\n"), "{body}");
    assert_eq!(on.server.comments().len(), 1);
    // In a stack, the last one closes it.
    let plan = json!({"phases": [phase("x", "add"), phase("y", "add")]});
    on.project.write("other.json", &plan.to_string());
    on.project.autopack(["import", "other.json", "--run-id", "two"]).succeeded();
    on.project.autopack(["drain", "two", "--jobs", "1"]).succeeded();
    let two = on.project.autopack(["publish", "two", "--per-phase", "--json"]).succeeded().json();
    let of = |index: usize| {
        (two["branches"][index]["part_of"].clone(), two["branches"][index]["closes"].clone())
    };
    assert_eq!(of(0), (json!(["#7"]), json!([])));
    assert_eq!(of(1), (json!([]), json!(["#7"])));
}

#[test]
fn a_failure_after_a_push_shows_what_was_done() {
    let on = landed(2);
    let hook = on.project.beside("served/o/r.git/hooks/pre-receive");
    executable(&hook, "#!/bin/sh\nif grep -q o-r--2; then echo 'not this one' >&2; exit 1; fi\n");
    let ran = on.publish(&["--per-phase", "--json"]).exited(1);
    let published = ran.json();
    assert_eq!((actions(&published), &published["outcome"]), (vec!["opened"], &json!("failed")));
    let error = "origin refuses the branch: pre-receive hook declined: not this one";
    assert_eq!(published["error"], error);
    assert!(ran.stderr.contains(&format!("error: {error}\n")), "{ran:#?}");
    // A drain says so in its event.
    on.land(3);
    std::fs::remove_file(&hook).unwrap();
    let limited = Answer::of(429, "{}").header("retry-after", 3600);
    on.server.with(|knowledge| knowledge.refused_writes = Some(limited));
    let ran = on.project.autopack(["drain", "o-r", "--publish", "--json"]).exited(1);
    let last: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((actions(&last), &last["branches"][0]["push"]), (vec!["failed"], &json!("pushed")));
    assert!(ran.stderr.contains("it goes on where it stopped"), "{ran:#?}");
    assert!(!ran.stderr.contains("nothing was changed"), "{ran:#?}");
}

#[test]
fn a_refused_token_is_named_after_comments_fail() {
    let on = Published::github().issues(1..=2, &[2]);
    on.drain_in_order();
    on.server.with(|knowledge| knowledge.git_password = None);
    // The pull request is there already.
    on.publish(&[]).succeeded();
    crate::support::database::execute(&on.project, "DELETE FROM issue_remarks");
    on.server.with(|knowledge| {
        knowledge.comments.clear();
        knowledge.refused_writes = Some(Answer::of(401, r#"{"message": "Bad credentials"}"#));
    });
    let ran = on.publish(&[]).exited(1);
    assert!(ran.stdout.contains("pull request #3 is up to date\n"), "{ran:#?}");
    assert!(ran.stderr.contains("error: cannot comment on all failed issues: "), "{ran:#?}");
    assert!(ran.stderr.contains("renew GH_TOKEN or GITHUB_TOKEN"), "{ran:#?}");
}

#[test]
fn branches_are_read_where_they_are_pushed() {
    let on = landed(1);
    let fork = on.project.beside("fork.git").display().to_string();
    on.project.git(["init", "-q", "--bare", "-b", "main", &fork]);
    on.project.git(["push", "-q", &fork, "main"]);
    on.project.git(["remote", "add", "up", "https://github.com/o/r.git"]);
    on.project.git(["remote", "set-url", "--push", "up", &fork]);
    // As exact as a rule for the URL can be.
    let served = on.project.beside("served/o/r.git").display().to_string();
    on.project.git(["config", &format!("url.{served}.insteadOf"), "https://github.com/o/r.git"]);
    let push = |ran: crate::support::Ran| ran.json()["branches"][0]["push"].clone();
    let ran = on.project.autopack_with(["publish", "o-r", "--remote", "up"], &[("GH_TOKEN", "")]);
    assert!(ran.stdout.contains("pushed autopack/o-r to up: 1 commit"), "{ran:#?}");
    on.land(4);
    let without_token = || {
        let args = ["publish", "o-r", "--remote", "up", "--json"];
        on.project.autopack_with(args, &[("GH_TOKEN", "")]).succeeded()
    };
    assert_eq!(push(without_token()), "pushed");
    assert_eq!(push(without_token()), "up_to_date");
    let there = on.project.git(["-C", &fork, "rev-parse", "autopack/o-r"]);
    assert_eq!(there.trim(), on.local("autopack/o-r"));
    // A remote that stands for two places.
    on.project.git(["remote", "set-url", "--add", "--push", "up", "/elsewhere.git"]);
    let ran = on.project.autopack(["publish", "o-r", "--remote", "up"]).exited(1);
    assert!(ran.stderr.starts_with("error: up pushes to 2 URLs\n"), "{ran:#?}");
}

#[test]
fn a_silent_ssh_connection_is_noticed() {
    let on = landed(1);
    let (tools, arguments) = (on.project.outside("tools"), on.project.outside("arguments"));
    let script = format!("#!/bin/sh\necho \"$@\" >>'{}'\nexit 255\n", arguments.display());
    executable(&tools.join("ssh"), &script);
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    on.project.git(["remote", "add", "far", "git@git.example.org:o/r.git"]);
    let args = ["publish", "o-r", "--remote", "far"];
    on.project.autopack_with(args, &[("PATH", &path)]).exited(1);
    let arguments = std::fs::read_to_string(arguments).unwrap();
    assert!(arguments.contains("-oServerAliveInterval=15"), "{arguments}");
}

#[test]
fn long_titles_are_cut_to_the_limit_of_the_forge() {
    for (on, mark) in [(Published::gitlab(), "Draft: "), (Published::github(), "")] {
        let name = "y".repeat(300);
        let plan =
            json!({"phases": [{"phase_id": "a", "name": name, "deliverables": ["src/pa.py"]}]});
        on.project.write("plan.json", &plan.to_string());
        let config = on.project.read(".autopack/config/autopack.yaml");
        let named = format!("publish: {{forge: \"{}\", ", on.tracker);
        on.project.write(".autopack/config/autopack.yaml", &config.replace("publish: {", &named));
        on.project.autopack(["import", "plan.json", "--run-id", on.run]).succeeded();
        on.drain();
        assert_eq!(actions(&on.published(&["--per-phase", "--draft"])), ["opened"]);
        assert_eq!(actions(&on.published(&["--per-phase"])), ["unchanged"]);
        let title = &on.server.pulls()[0].title;
        assert!(title.starts_with("yyyy") && title.ends_with('…'), "{title}");
        assert!(mark.len() + title.chars().count() <= 255, "{title}");
    }
}

#[test]
fn hints_name_commands_that_work() {
    let on = landed(1);
    let dry = on.published(&["--base", "origin/main", "--dry-run"]);
    assert_eq!(dry["base"], "main");
    let ran = on.publish(&["--base", "origin/next"]).exited(2);
    assert!(ran.stderr.contains("error: origin has no branch next; it has main\n"), "{ran:#?}");
    assert!(ran.stderr.contains("hint: name another with --base\n"), "{ran:#?}");
    on.project.git(["branch", "next"]);
    let ran = on.publish(&["--base", "next"]).exited(2);
    assert!(ran.stderr.contains("or push it: `git push origin next`\n"), "{ran:#?}");
    // The default branch of the remote has no namesake here.
    on.served(&["branch", "develop", "main"]);
    on.served(&["symbolic-ref", "HEAD", "refs/heads/develop"]);
    on.project.git(["commit", "-q", "--allow-empty", "-m", "local"]);
    on.project.write(
        "plan.json",
        &json!({"phases": [{"phase_id": "x", "deliverables": ["src/px.py"]}]}).to_string(),
    );
    on.project.autopack(["import", "plan.json", "--run-id", "late"]).succeeded();
    on.project.autopack(["drain", "late"]).succeeded();
    let ran = on.project.autopack(["publish", "late"]).succeeded();
    let start = on.local("main");
    assert!(
        ran.stderr.contains(&format!("`git push origin {}:develop`", &start[..10])),
        "{ran:#?}"
    );
    assert!(ran.stdout.contains("pushed autopack/late to origin: 2 commits"), "{ran:#?}");
    // Only branches of ours.
    for branch in ["develop", "main"] {
        on.served(&["update-ref", "-d", &format!("refs/heads/{branch}")]);
    }
    let ran = on.project.autopack(["publish", "o-r"]).exited(1);
    assert!(
        ran.stderr.contains("hint: push your base branch first: `git push origin main`"),
        "{ran:#?}"
    );
    // Bitbucket: the page is told.
    let bare = on.project.beside("bucket/o/r.git").display().to_string();
    on.project.git(["init", "-q", "--bare", "-b", "main", &bare]);
    on.project.git(["push", "-q", &bare, "main"]);
    let mirror = bare.strip_suffix("o/r.git").unwrap();
    on.project.git(["config", &format!("url.{mirror}.insteadOf"), "git@bitbucket.org:"]);
    on.project.git(["remote", "add", "bucket", "git@bitbucket.org:o/r.git"]);
    let ran = on.project.autopack(["publish", "o-r", "--remote", "bucket"]).succeeded();
    assert!(ran.stdout.contains("autopack opens no pull requests there"), "{ran:#?}");
    assert!(!ran.stdout.contains("publish.forge"), "{ran:#?}");
}
