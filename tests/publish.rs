//! `publish` and `drain --publish`: branches, pull requests and comments on GitHub, GitLab and Gitea.

use serde_json::{Value, json};

use crate::support::forge::{ForgeServer, PullState, issue};
use crate::support::golden::golden;
use crate::support::{Project, Ran};
use crate::trackers::snapshot;

pub const TOKEN: &str = "ghp_0123456789abcdefghijklmnopqrstuvwxyzAB";

/// Writes the deliverables, and the file of its issue, unless the issue says `fail`.
const AGENT: &str =
    "write_deliverables()\nif 'fail' not in phase['description']: write(f'src/p{phase_id}.py')";
const CONFIG: &str = "ci: {command: [\"true\"]}\n\
                      executor: {unscoped: allow, max_attempts: 1, circuit_breaker: 0}\n";

/// A forge with a project whose remote it serves.
pub struct Published {
    pub server: ForgeServer,
    pub project: Project,
    /// Name of the tracker.
    pub tracker: String,
    /// The run of its issues.
    pub run: &'static str,
}

impl Published {
    /// The repository `o/r` on GitHub. Its remote is reached through the stand-in, as through a mirror.
    pub fn github() -> Self {
        let server = ForgeServer::github();
        let project = Project::new().env("AUTOPACK_GITHUB_API_URL", server.url());
        let project = project.env("GH_TOKEN", TOKEN);
        let served = server.serve_git(&project.beside("served"), "o/r");
        let mirror = served.strip_suffix("o/r.git").unwrap();
        project.git(["config", &format!("url.{mirror}.insteadOf"), "https://github.com/"]);
        Self::with(server, project, "https://github.com/o/r.git", "github:o/r", "o-r")
    }

    pub fn gitlab() -> Self {
        let server = ForgeServer::gitlab();
        let project = Project::new().env("GITLAB_TOKEN", TOKEN);
        let url = server.serve_git(&project.beside("served"), "group/sub/p");
        let tracker = format!("gitlab:{}/group/sub/p", server.host());
        Self::with(server, project, &url, &tracker, "group-sub-p")
    }

    pub fn gitea() -> Self {
        let server = ForgeServer::gitea();
        let project = Project::new().env("GITEA_TOKEN", TOKEN);
        let url = server.serve_git(&project.beside("served"), "o/r");
        let tracker = format!("gitea:{}/o/r", server.host());
        Self::with(server, project, &url, &tracker, "o-r")
    }

    fn with(
        server: ForgeServer,
        project: Project,
        url: &str,
        tracker: &str,
        run: &'static str,
    ) -> Self {
        let project =
            project.agent_with(AGENT, &format!("{CONFIG}publish: {{retry_seconds: 1}}\n"));
        project.git(["remote", "add", "origin", url]);
        project.git(["push", "-q", "origin", "main"]);
        server.with(|knowledge| knowledge.git_password = Some(TOKEN));
        Self { server, project, tracker: tracker.to_owned(), run }
    }

    /// Adds issues; those named fail.
    pub fn issues(self, numbers: impl IntoIterator<Item = u64>, failing: &[u64]) -> Self {
        self.add(numbers, failing);
        self.project.autopack(["import", &self.tracker]).succeeded();
        self
    }

    pub fn add(&self, numbers: impl IntoIterator<Item = u64>, failing: &[u64]) {
        let author = if self.tracker.starts_with("gitea") { "o" } else { "owner" };
        self.server.add(numbers.into_iter().map(|number| {
            let what = if failing.contains(&number) { "fail" } else { "add" };
            let body = format!("{what} src/p{number}.py");
            issue(number, &format!("Part {number}")).body(&body).by(author)
        }));
    }

    /// Drains what is queued, with failures or without.
    pub fn drain(&self) {
        let ran = self.project.autopack(["drain", self.run]);
        assert!([Some(0), Some(3)].contains(&ran.code), "{ran:#?}");
    }

    /// Imports and drains further issues.
    pub fn land_more(&self, numbers: impl IntoIterator<Item = u64>) {
        self.add(numbers, &[]);
        self.project.autopack(["sync", self.run]).succeeded();
        self.drain();
    }

    pub fn publish(&self, args: &[&str]) -> Ran {
        self.project.autopack([&["publish", self.run], args].concat())
    }

    pub fn published(&self, args: &[&str]) -> Value {
        self.publish(&[args, &["--json"]].concat()).succeeded().json()
    }

    /// Commit of a branch at the remote.
    pub fn at_remote(&self, branch: &str) -> String {
        self.served(&["rev-parse", branch]).trim().to_owned()
    }

    /// Standard output of git in the served repository.
    pub fn served(&self, args: &[&str]) -> String {
        let path = if self.run == "o-r" { "served/o/r.git" } else { "served/group/sub/p.git" };
        let path = self.project.beside(path);
        self.project.git([&["-C", path.to_str().unwrap()], args].concat())
    }

    pub fn local(&self, branch: &str) -> String {
        self.project.git(["rev-parse", branch]).trim().to_owned()
    }
}

/// The lines that close issues.
pub fn closes(body: &str) -> Vec<&str> {
    body.lines().filter_map(|line| line.strip_prefix("Closes ")).collect()
}

#[test]
fn a_run_of_twenty_issues_ends_in_one_pull_request_that_is_updated_twice() {
    let on = Published::github().issues(1..=20, &[5, 13]);
    let batch = |most: &str| {
        let args = ["drain", "o-r", "--publish", "--batch-size", "8", "--max-batches", most];
        on.project.autopack([&args[..], &["--jobs", "2"]].concat())
    };
    let first = batch("1");
    assert!([Some(0), Some(3)].contains(&first.code), "{first:#?}");
    assert!(first.stdout.contains("opened pull request #21\n"), "{first:#?}");
    assert_eq!(first.stderr.matches("a push lets CI there run code").count(), 1, "{first:#?}");
    let second = batch("1");
    assert!(second.stdout.contains("updated pull request #21\n"), "{second:#?}");
    assert!(!second.stderr.contains("a push lets CI"), "{second:#?}");
    let third = batch("9").exited(3);
    assert!(third.stdout.contains("updated pull request #21\n"), "{third:#?}");
    let pulls = on.server.pulls();
    let [pull] = &pulls[..] else { panic!("{pulls:#?}") };
    assert_eq!((pull.branch.as_str(), pull.base.as_str()), ("autopack/o-r", "main"));
    assert_eq!(pull.title, "autopack o-r: 18 of 20 phases");
    let landed = (1..=20).filter(|number| ![5, 13].contains(number));
    let wanted: Vec<String> = landed.map(|number| format!("#{number}")).collect();
    assert_eq!(closes(&pull.body), wanted);
    assert!(pull.body.contains("**18 of 20 phases landed**, 2 failed"), "{}", pull.body);
    assert_eq!(on.at_remote("autopack/o-r"), on.local("autopack/o-r"));
    let comments = on.server.comments();
    let numbers: Vec<u64> = comments.iter().map(|comment| comment.issue).collect();
    assert_eq!(numbers, [5, 13], "{comments:#?}");
    assert!(
        comments[0].body.contains("could not complete this issue: no\\_change after 1 attempt")
    );
    // Nothing was closed or merged, and the user's repository has no new refs but git's own of the remote.
    assert!(on.server.with(|knowledge| knowledge.issues.iter().all(|issue| !issue.is_closed)));
    let again = on.publish(&[]).succeeded();
    assert_eq!(on.server.comments().len(), 2, "{again:#?}");
    snapshot("publish_again", &golden(&again));
}

#[test]
fn json_of_a_publication() {
    let on = Published::github().issues(1..=3, &[2]);
    assert_eq!(on.published(&[])["outcome"], "nothing_landed");
    on.drain();
    let dry = on.published(&["--dry-run"]);
    assert_eq!((&dry["dry_run"], &dry["branches"][0]["push"]), (&json!(true), &json!("pushed")));
    assert!(on.server.pulls().is_empty() && on.server.comments().is_empty());
    assert_eq!(on.served(&["branch", "--list", "autopack/*"]), "");
    let ran = on.publish(&["--json"]).succeeded();
    snapshot("publish_json", &golden(&ran));
    on.server.with(|knowledge| {
        knowledge.checks = vec![("build", "success"), ("lint", "failed"), ("test", "running")];
    });
    let again = on.published(&[]);
    let branch = &again["branches"][0];
    assert_eq!((&branch["push"], &branch["action"]), (&json!("up_to_date"), &json!("unchanged")));
    assert_eq!(branch["checks"], json!({"passed": 1, "pending": 1, "failed": ["lint"]}));
    assert_eq!(again["comments"][0]["action"], "unchanged");
}

#[test]
fn text_title_and_base_of_people_stay() {
    let on = Published::github().issues(1..=1, &[]);
    on.drain();
    on.publish(&[]).succeeded();
    let number = on.server.pulls()[0].number;
    on.served(&["branch", "next", "main"]);
    on.server.change_pull(number, |pull| {
        pull.body = format!("Please look.\r\n\r\n{}\r\n\r\n- [ ] mine", pull.body);
        pull.title = "Parts, at last".to_owned();
        pull.base = "next".to_owned();
    });
    on.land_more([3]);
    assert_eq!(on.published(&[])["branches"][0]["action"], "updated");
    let pull = &on.server.pulls()[0];
    assert!(pull.body.starts_with("Please look.\r\n\r\n<!--"), "{}", pull.body);
    assert!(pull.body.ends_with("-->\r\n\r\n- [ ] mine"), "{}", pull.body);
    assert_eq!(closes(&pull.body), ["#1", "#3"]);
    assert_eq!((pull.title.as_str(), pull.base.as_str()), ("Parts, at last", "next"));
    // An order for the base counts.
    on.publish(&["--base", "main"]).succeeded();
    assert_eq!(on.server.pulls()[0].base, "main");
}

#[test]
fn each_landing_gets_a_pull_request_on_the_one_before() {
    let on = Published::github().issues(1..=3, &[]);
    on.drain();
    let ran = on.publish(&["--per-phase"]).succeeded();
    snapshot("publish_per_phase", &golden(&ran));
    let stack = || -> Vec<String> {
        let pulls = on.server.pulls();
        pulls.iter().map(|pull| format!("{} into {}", pull.branch, pull.base)).collect()
    };
    let three = [
        "autopack/o-r--1 into main",
        "autopack/o-r--2 into autopack/o-r--1",
        "autopack/o-r--3 into autopack/o-r--2",
    ];
    assert_eq!(stack(), three);
    let pulls = on.server.pulls();
    assert_eq!((pulls[1].title.as_str(), closes(&pulls[1].body)), ("Part 2", vec!["#2"]));
    let count = on.served(&["rev-list", "--count", "autopack/o-r--1..autopack/o-r--2"]);
    assert_eq!(count.trim(), "1");
    // Merged from the bottom; the forge deletes the branch.
    on.served(&["branch", "-f", "main", "autopack/o-r--1"]);
    on.server.end_pull(pulls[0].number, PullState::Merged);
    on.served(&["branch", "-D", "autopack/o-r--1"]);
    on.land_more([8]);
    let again = on.published(&["--per-phase"]);
    let actions: Vec<&Value> =
        again["branches"].as_array().unwrap().iter().map(|branch| &branch["action"]).collect();
    assert_eq!(actions, ["already_merged", "updated", "unchanged", "opened"]);
    let mut four = three.map(str::to_owned).to_vec();
    four[1] = "autopack/o-r--2 into main".to_owned();
    four.push("autopack/o-r--8 into autopack/o-r--3".to_owned());
    assert_eq!(stack(), four);
    assert_eq!(on.served(&["branch", "--list", "autopack/o-r--1"]), "");
}

#[test]
fn merged_and_closed_ones_are_not_reopened() {
    let on = Published::github().issues(1..=1, &[]);
    on.drain();
    on.publish(&[]).succeeded();
    let number = on.server.pulls()[0].number;
    on.server.end_pull(number, PullState::Closed);
    let ran = on.publish(&[]).succeeded();
    assert!(ran.stdout.contains("was closed, and nothing landed since\n"), "{ran:#?}");
    on.land_more([5]);
    assert_eq!(on.published(&[])["branches"][0]["action"], "opened");
    assert_eq!(on.server.pulls().len(), 2);
    // Merged with a merge commit, which this repository does not know.
    let number = on.server.pulls()[1].number;
    on.server.end_pull(number, PullState::Merged);
    on.served(&["branch", "-D", "autopack/o-r"]);
    let ran = on.publish(&[]).succeeded();
    let line = format!("autopack/o-r is already merged, by pull request #{number}\n");
    assert!(ran.stdout.starts_with(&line), "{ran:#?}");
    assert_eq!(on.served(&["branch", "--list", "autopack/o-r"]), "");
    // Without a pull request: the base has all of it.
    on.land_more([7]);
    on.project.git(["push", "-q", &on.served_url(), "autopack/o-r:main"]);
    assert_eq!(on.published(&[])["branches"][0]["action"], "already_merged");
    assert_eq!(on.server.pulls().len(), 2);
}

impl Published {
    /// The served repository as a directory.
    fn served_url(&self) -> String {
        self.project.beside("served/o/r.git").display().to_string()
    }
}

#[test]
fn gitlab_and_gitea_get_drafts_updates_and_comments() {
    for on in [Published::gitlab(), Published::gitea()] {
        let on = on.issues(1..=3, &[2]);
        on.drain();
        let first = on.published(&["--draft"]);
        assert_eq!(first["branches"][0]["action"], "opened", "{first:#}");
        assert_eq!(first["branches"][0]["pull_request"]["draft"], true);
        assert_eq!(first["forge"], on.tracker.as_str());
        on.land_more([6]);
        on.server.with(|knowledge| {
            knowledge.checks = vec![("build", "success"), ("lint", "failed"), ("t", "running")];
        });
        assert_eq!(on.published(&[])["branches"][0]["action"], "updated");
        let again = on.published(&[]);
        let branch = &again["branches"][0];
        assert_eq!(
            (&branch["action"], &branch["push"]),
            (&json!("unchanged"), &json!("up_to_date"))
        );
        assert_eq!(branch["checks"], json!({"passed": 1, "pending": 1, "failed": ["lint"]}));
        let pulls = on.server.pulls();
        let [pull] = &pulls[..] else { panic!("{pulls:#?}") };
        assert!(pull.is_draft, "an update does not change that");
        assert_eq!(pull.title, format!("autopack {}: 3 of 4 phases", on.run));
        assert_eq!(closes(&pull.body), ["#1", "#3", "#6"]);
        let comments = on.server.comments();
        assert_eq!(comments.iter().map(|comment| comment.issue).collect::<Vec<_>>(), [2]);
        let number = pull.number;
        on.server.end_pull(number, PullState::Merged);
        assert_eq!(on.published(&[])["branches"][0]["action"], "already_merged");
        let ran = on.publish(&[]).succeeded();
        let word =
            if on.tracker.starts_with("gitlab") { "merge request !" } else { "pull request #" };
        assert!(ran.stdout.contains(&format!("{word}{number}")), "{ran:#?}");
    }
}

#[test]
fn an_issue_gets_another_comment_only_for_another_reason() {
    let on = Published::github().issues(1..=2, &[1]);
    on.drain();
    on.publish(&[]).succeeded();
    on.project.autopack(["phases", "retry", "o-r", "--failed"]).succeeded();
    on.drain();
    assert_eq!(on.published(&[])["comments"][0]["action"], "unchanged");
    // Another reason: a change outside of the scope.
    on.project.autopack(["phases", "retry", "o-r", "--failed"]).succeeded();
    let script = on.project.outside("agent.py");
    let text = std::fs::read_to_string(&script).unwrap();
    std::fs::write(&script, format!("{text}\nwrite('Makefile')\n")).unwrap();
    on.drain();
    assert_eq!(on.published(&[])["comments"][0]["action"], "added");
    let comments = on.server.comments();
    assert_eq!(comments.len(), 2, "{comments:#?}");
    assert!(comments[1].body.contains("scope\\_breach"), "{comments:#?}");
    // A lost database: what is said already is found on the issue.
    crate::support::database::execute(&on.project, "DELETE FROM issue_remarks");
    assert_eq!(on.published(&[])["comments"][0]["action"], "added");
    assert_eq!(on.server.comments().len(), 2);
    let quiet = on.project.read(".autopack/config/autopack.yaml");
    let quiet = quiet.replace("retry_seconds: 1", "comments: false");
    on.project.write(".autopack/config/autopack.yaml", &quiet);
    assert_eq!(on.published(&[])["comments"], json!([]));
}

#[test]
fn issues_of_other_repositories_and_of_lists_are_closed_too() {
    let on = Published::github();
    let page = |path: &str| format!("https://github.com/{path}/issues/12");
    let phases = json!({"phases": [
        {"phase_id": "listed", "deliverables": ["src/plisted.py"], "source_url": page("o/r")},
        {"phase_id": "near", "deliverables": ["src/pnear.py"],
         "tracker": {"name": "github:o/other", "issue": 7}},
        {"phase_id": "far", "deliverables": ["src/pfar.py"],
         "tracker": {"name": "gitlab:g/p", "issue": 8}},
        {"phase_id": "none", "deliverables": ["src/pnone.py"]},
    ]});
    on.project.write("plan.json", &phases.to_string());
    on.project.autopack(["import", "plan.json", "--run-id", "o-r"]).succeeded();
    on.drain();
    assert_eq!(on.published(&[])["branches"][0]["closes"], json!(["#12", "o/other#7"]));
    assert_eq!(closes(&on.server.pulls()[0].body), ["#12", "o/other#7"]);
}

#[test]
fn without_a_forge_the_branch_is_pushed() {
    let project = Project::new()
        .agent_with("write_deliverables()", CONFIG)
        .plan(json!([{"phase_id": "one", "deliverables": ["src/one.py"]}]));
    let ran = project.autopack(["publish", "run"]).exited(1);
    assert!(ran.stderr.contains("hint: add one: `git remote add origin URL`"), "{ran:#?}");
    let remote = project.beside("remote.git");
    project.git(["init", "-q", "--bare", "-b", "main", remote.to_str().unwrap()]);
    project.git(["remote", "add", "origin", remote.to_str().unwrap()]);
    project.git(["push", "-q", "origin", "main"]);
    project.drain().succeeded();
    let ran = project.autopack(["publish", "run"]).succeeded();
    snapshot("publish_without_forge", &golden(&ran));
    let there = project.git(["-C", remote.to_str().unwrap(), "rev-parse", "autopack/run"]);
    assert_eq!(there, project.git(["rev-parse", "autopack/run"]));
    // A forge without a token: the page on which a person opens the pull request.
    let mirror = format!("url.{}/.insteadOf", project.beside("").display());
    project.git(["config", &mirror, "https://github.com/o/"]);
    project.git(["remote", "add", "hub", "https://github.com/o/remote.git"]);
    let ran = project.autopack(["publish", "run", "--remote", "hub"]).succeeded();
    snapshot("publish_without_token", &golden(&ran));
}

#[test]
fn a_run_that_is_red_in_a_clean_clone_becomes_a_draft() {
    let on = Published::github().issues(1..=1, &[]);
    on.drain();
    let tip = on.local("autopack/o-r");
    let detail = json!({"commit": tip, "outcome": "red_in_clean_clone"}).to_string();
    let columns = "run, commit_id, outcome, detail, tested_at";
    let row = format!("SELECT id, '{tip}', 'red_in_clean_clone', '{detail}', 1 FROM runs");
    let insert = format!("INSERT INTO clean_tests ({columns}) {row}");
    crate::support::database::execute(&on.project, &insert);
    let ran = on.publish(&[]).succeeded();
    assert!(ran.stdout.contains("opened draft pull request"), "{ran:#?}");
    assert!(ran.stderr.contains("CI of o-r is red in a clean clone"), "{ran:#?}");
    assert!(on.server.pulls()[0].is_draft);
}
