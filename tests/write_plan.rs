//! `autopack plan GOAL`: an agent writes a plan, autopack checks it and asks again.

use serde_json::{Value, json};

use crate::support::Project;
use crate::support::forge::{ForgeServer, issue};
use crate::support::golden::golden;

const GOOD: &str = "run_id: notes\nphases:\n- id: store\n  title: Store notes\n  description: Add a store of notes.\n  complexity: low\n  deliverables: [src/store.py]\n  acceptance_criteria: [a missing file is an empty store]\n- id: docs\n  title: Describe it\n  description: Write it down.\n  complexity: low\n  deliverables: [docs/store.md]\n  acceptance_criteria: [each function has an example]\n  depends_on: [store]\n";

/// A project whose agent gives these answers to the questions in turn, and keeps the prompts.
fn project(answers: &[&str]) -> Project {
    let project = Project::new();
    let asked = project.outside("asked").display().to_string();
    let body = format!(
        "asked = pathlib.Path({asked:?}); asked.mkdir(exist_ok=True)\n\
         n = len(list(asked.iterdir()))\n\
         (asked / str(n)).write_text(pathlib.Path(os.environ['AUTOPACK_PROMPT_FILE']).read_text())\n\
         answers = {answers}\n\
         pathlib.Path(os.environ['AUTOPACK_ANSWER_FILE']).write_text(answers[min(n, len(answers) - 1)])",
        answers = json!(answers),
    );
    project.agent_with(&format!("import os\n{body}"), "ci: {command: 'true'}\n")
}

fn prompt(project: &Project, question: u32) -> String {
    std::fs::read_to_string(project.outside("asked").join(question.to_string())).unwrap()
}

#[test]
fn a_plan_is_printed_and_written_and_can_be_drained() {
    let project = project(&[GOOD]);
    let ran = project.autopack(["plan", "Add notes"]).succeeded();
    insta::assert_snapshot!(golden(&ran));
    assert!(prompt(&project, 0).contains("Write the plan for this goal:\n\nAdd notes\n"));
    let ran = project.autopack(["plan", "Add notes", "-o", "plan.yaml"]).succeeded();
    assert!(ran.stdout.starts_with("wrote plan.yaml: 2 phases by fake"), "{ran:#?}");
    assert!(ran.stdout.ends_with("look at it, then run: autopack drain plan.yaml\n"), "{ran:#?}");
    let planned = project.json(["drain", "plan.yaml", "--dry-run", "--json"]);
    assert_eq!(planned[1]["waits_for"], json!([]), "the first phase is planned before");
    assert_eq!(planned[0]["fixes"], json!([]));
    // Nothing is overwritten.
    let again = project.autopack(["plan", "Add notes", "-o", "plan.yaml"]).exited(1);
    assert!(again.stderr.contains("plan.yaml exists"), "{again:#?}");
}

#[test]
fn a_plan_is_imported_into_the_named_run() {
    let project = project(&[GOOD]);
    let ran = project.autopack(["plan", "Add notes", "--import", "--run-id", "week1"]).succeeded();
    insta::assert_snapshot!(golden(&ran));
    let phases = project.json(["phases", "list", "week1", "--json"]);
    assert_eq!(phases[1]["depends_on"], json!(["store"]));
    assert_eq!(phases[0]["scope"]["paths"], json!(["src"]));
}

#[test]
fn problems_go_back_to_the_agent_up_to_three_times() {
    let bad = "phases:\n- id: a\n  title: Do it\n";
    let cycle = GOOD.replace("title: Store notes", "depends_on: [docs]");
    let project = project(&[bad, &cycle, "I am done.", GOOD]);
    let json: Value = project.json(["plan", "Add notes", "--json"]);
    assert_eq!((&json["questions"], &json["run_id"]), (&json!(4), &json!("notes")));
    assert_eq!(json["phases"].as_array().unwrap().len(), 2);
    assert!(prompt(&project, 1).contains("refused\n\n- phase `a`: `description` is missing"));
    assert!(prompt(&project, 2).contains("wait for each other"));

    let never = self::project(&[bad]);
    let ran = never.autopack(["plan", "Add notes", "-o", "plan.yaml"]).exited(1);
    assert!(ran.stderr.contains("agent fake wrote no usable plan in 4 answers"), "{ran:#?}");
    assert!(!never.path("plan.yaml").exists());
    assert!(
        never.outside("asked").join("3").exists() && !never.outside("asked").join("4").exists()
    );
}

#[test]
fn an_agent_that_changes_files_or_fails_is_refused_and_nothing_is_left() {
    let writes = Project::new().agent("write('src/a.py', 'x')\nprint('phases: []')");
    let ran = writes.autopack(["plan", "Add notes"]).exited(1);
    assert!(ran.stderr.contains("changed files instead: src/a.py"), "{ran:#?}");
    assert!(!writes.path("src/a.py").exists());
    let fails = Project::new().agent("sys.exit('no key')");
    let ran = fails.autopack(["plan", "Add notes"]).exited(5);
    assert!(ran.stderr.contains("gave no answer: ") && ran.stderr.contains("no key"), "{ran:#?}");
}

#[test]
fn goals_come_from_words_files_and_standard_input() {
    let project = project(&[GOOD]).file("goal.md", "# Notes\n\nKeep them.\n");
    project.autopack(["plan", "goal.md"]).succeeded();
    assert!(prompt(&project, 0).contains("goal:\n\n# Notes\n\nKeep them.\n"));
    for (goal, text) in [("nosuch.md", "is no file"), ("", "the goal is empty"), (" ", "empty")] {
        let ran = project.autopack(["plan", goal]).exited(2);
        assert!(ran.stderr.contains(text), "{goal:?}: {ran:#?}");
    }
    let ran = project.autopack(["plan"]).exited(2);
    assert!(ran.stderr.contains("GOAL"), "{ran:#?}");
}

#[test]
fn directories_are_no_goals_and_other_encodings_are_read() {
    let project = project(&[GOOD]).file("docs/a.md", "a");
    let ran = project.autopack(["plan", "docs"]).exited(2);
    assert!(ran.stderr.contains("docs is a directory"), "{ran:#?}");
    let utf16: Vec<u8> = "\u{feff}Keep notes".encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(project.path("goal.txt"), utf16).unwrap();
    project.autopack(["plan", "goal.txt"]).succeeded();
    assert!(prompt(&project, 0).contains("goal:\n\nKeep notes\n"));
}

#[test]
fn nothing_that_was_paid_for_is_lost() {
    let project = project(&[GOOD]);
    let ran = project.autopack(["plan", "Add notes", "-o", "missing/plan.yaml"]).exited(2);
    assert!(ran.stderr.contains("mkdir -p missing"), "{ran:#?}");
    assert!(!project.outside("asked").exists(), "the agent is not asked");
    let printed = project.autopack(["plan", "Add notes"]).succeeded().stdout;
    let copy = std::fs::read_to_string(project.path(".autopack/plan/plan.yaml")).unwrap();
    assert_eq!(copy, printed);
}

#[test]
fn a_plan_never_mixes_with_an_existing_run() {
    let project = project(&[GOOD]);
    project.autopack(["plan", "Add notes", "--import"]).succeeded();
    let ran = project.autopack(["plan", "Add notes", "--import", "--run-id", "notes"]).exited(2);
    assert!(ran.stderr.contains("run notes exists already"), "{ran:#?}");
    assert!(!project.outside("asked").join("1").exists(), "the agent is not asked again");
    let ran = project.autopack(["plan", "Add notes", "--import"]).succeeded();
    assert!(ran.stderr.contains("the plan becomes run notes-2"), "{ran:#?}");
    let phases = project.json(["phases", "list", "notes-2", "--json"]);
    assert_eq!(phases.as_array().unwrap().len(), 2);
}

#[test]
fn the_plan_of_an_issue_opens_no_manifest_below_a_directory_and_keeps_the_issue() {
    let server = ForgeServer::github();
    server.add([issue(12, "The page is slow").body("Make it fast. Change web/package.json, too.")]);
    let wide = GOOD.replace("src/store.py", "web/page.ts");
    let exact = wide.replace("title: Store notes", "scope: {paths: [web/]}");
    // The agent of the phase changes the manifest; a directory that holds none stays open.
    let good = GOOD.replace("[src/store.py]", "[src/store.py]\n  scope: {paths: [src/]}");
    let project = project(&[&wide, &exact, &good])
        .env("AUTOPACK_GITHUB_API_URL", server.url())
        .file("web/package.json", "{}\n")
        .file("src/a.py", "a = 1\n")
        .commit("files");
    let ran = project.autopack(["plan", "github:o/r#12", "-o", "plan.yaml"]).succeeded();
    assert!(ran.stderr.contains("to correct 1 problem"), "{ran:#?}");
    assert!(prompt(&project, 0).contains("> The page is slow\n"));
    assert!(prompt(&project, 0).contains("A directory with such files is refused"));
    for question in [1, 2] {
        let told = prompt(&project, question);
        assert!(told.contains("never opens: web/package.json; name the files to change"), "{told}");
    }
    // Imported as any plan, the phases are still an issue's.
    project.autopack(["import", "plan.yaml"]).succeeded();
    let phase = project.json(["phases", "show", "notes/store", "--json"]);
    assert_eq!(phase["spec"]["tracker"]["name"], "github:o/r", "{phase:#}");
    let project = project.agent("write_deliverables()\nwrite('src/package.json', '{}')");
    project.autopack(["drain", "--run-id", "notes"]).exited(3);
    let failure = project.json(["phases", "show", "notes/store", "--json"])["last_failure"].clone();
    assert_eq!(failure["kind"], "scope_breach", "{failure:#}");
    assert!(failure["message"].as_str().unwrap().contains("src/package.json"), "{failure:#}");
}
