//! `import` of backlogs in Markdown and CSV, and of directories, through the real program: specs, messages, columns.
//!
//! Properties of the readers: nothing done is ever queued, no text makes a reader panic, and no plan is taken for a
//! backlog in Markdown or CSV.

use std::path::{Path, PathBuf};

use autopack::import;
use autopack::phase::PhaseState;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::Project;
use crate::support::terminal::Terminal;

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import").join(path)
}

/// Copies a fixture into the project and returns the project.
fn with_fixture(from: &str, to: &str) -> Project {
    fn copy(from: &Path, to: &Path) {
        if from.is_dir() {
            std::fs::create_dir_all(to).unwrap();
            for entry in std::fs::read_dir(from).unwrap() {
                let entry = entry.unwrap();
                copy(&entry.path(), &to.join(entry.file_name()));
            }
        } else {
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(from, to).unwrap();
        }
    }
    let project = Project::without_commits();
    copy(&fixture(from), &project.path(to));
    project
}

fn phase(project: &Project, run: &str, id: &str) -> Value {
    project.json(["phases", "show", "--run-id", run, id, "--json"])
}

fn states(project: &Project, run: &str) -> Vec<String> {
    let phases = project.json(["phases", "list", "--run-id", run, "--json"]);
    let state = |phase: &Value| {
        let text = |key: &str| phase[key].as_str().unwrap().to_owned();
        format!("{} {}", text("phase_id"), text("state"))
    };
    phases.as_array().unwrap().iter().map(state).collect()
}

#[test]
fn a_directory_of_backlog_md_is_imported_with_its_criteria_and_scope() {
    let project = with_fixture("backlog-md/backlog", "backlog");
    insta::assert_snapshot!(project.autopack(["import", "backlog/"]).shown());
    let task = phase(&project, "backlog", "task-1");
    assert_eq!(task["scope"]["paths"], json!(["src/header.py", "tests/test_header.py"]));
    let description = task["description"].as_str().unwrap();
    assert_eq!(
        description,
        "Read version and flags from `src/header.py`.\n\n## Implementation Plan\n\n1. Read four bytes"
    );
    let ran = project.autopack(["import", "backlog"]).succeeded();
    assert!(ran.stdout.contains("run backlog: 7 unchanged"), "{ran:?}");
    let ran = project.autopack(["import", "."]).exited(1);
    assert!(ran.stderr.contains("did you mean \"./backlog\"?"), "{ran:?}");
}

#[test]
fn each_specification_is_a_run_with_its_files_as_context() {
    let project = with_fixture("spec-kit/specs", "docs/specs");
    let ran = project.autopack(["import", "docs/specs"]).succeeded();
    assert!(ran.stdout.contains("run 001-login: 11 added"), "{ran:?}");
    assert!(ran.stdout.contains("run 002-export: 2 added"), "{ran:?}");
    let task = phase(&project, "001-login", "T007");
    assert_eq!(
        task["scope"]["read_only_context"],
        json!([{"path": "docs/specs/001-login/spec.md", "reason": "the specification"}])
    );
    project.autopack(["import", "docs/specs", "--run-id", "x"]).succeeded();
    assert_eq!(states(&project, "x-002-export"), ["T001 COMPLETE", "T002 QUEUED"]);
    project.autopack(["import", "docs/specs/001-login", "--run-id", "one"]).succeeded();
    assert_eq!(states(&project, "one").len(), 11);
    let tasks = "docs/specs/002-export/tasks.md";
    let ran = project.autopack(["import", tasks, "--json"]).json();
    assert_eq!(ran["runs"][0]["run_id"], "002-export");
    assert_eq!(ran["runs"][0]["summary"]["format"], "spec-kit");
}

#[test]
fn archived_changes_are_counted_and_left_out() {
    let project = with_fixture("openspec/openspec", "openspec");
    let ran = project.json(["import", "openspec", "--json"]);
    assert_eq!(
        ran["runs"][0]["summary"],
        json!({"format": "openspec", "queued": 4, "done": 2, "dependencies": 3,
            "dropped": {"cancelled": 1, "changes archived": 1}})
    );
    let context = phase(&project, "add-login", "1.2")["scope"]["read_only_context"].clone();
    assert_eq!(context[0]["path"], "openspec/changes/add-login/proposal.md");
    assert_eq!(context[1]["path"], "openspec/changes/add-login/design.md");
}

#[test]
fn plans_of_ralphex_bring_files_and_commands() {
    let project = with_fixture("ralphex/plans", "docs/plans");
    let ran = project.autopack(["import", "docs/plans"]).succeeded();
    assert!(ran.stdout.contains("1 done before, 1 plans completed"), "{ran:?}");
    assert!(ran.stderr.contains("retries.md:11: not a command in backticks"), "{ran:?}");
    assert_eq!(ran.stderr.matches("not a command").count(), 1, "only the section's own items");
    assert!(ran.stderr.contains("notes.md: no `### Task 1: title`; not imported"), "{ran:?}");
    let task = phase(&project, "20260101-retries", "task-2")["spec_as_written"].clone();
    assert_eq!(task["deliverables"], json!(["pkg/http/client.go:12-40"]));
    assert_eq!(task["test_cmd"], json!(["go test ./...", "golangci-lint run"]));
    assert_eq!(task["scope"]["paths"], json!(["pkg/http/client.go:12-40", "pkg/http/old.go"]));
    let fixed = project.autopack(["fix-phases", "--run-id", "20260101-retries"]).succeeded();
    assert!(!fixed.stdout.contains("unfixable"), "{fixed:?}");
    let task = phase(&project, "20260101-retries", "task-2");
    assert_eq!(task["deliverables"], json!(["pkg/http/client.go"]));
}

#[test]
fn a_checklist_keeps_ids_when_lines_are_added() {
    let project = with_fixture("checklist/TODO.md", "TODO.md");
    let ran = project.autopack(["import", "TODO.md"]).succeeded();
    assert!(ran.stderr.contains("TODO.md:15: phase `half-done` has the unknown status"), "{ran:?}");
    assert!(ran.stderr.contains("TODO.md:21: an item without a text"), "{ran:?}");
    let text = std::fs::read_to_string(project.path("TODO.md")).unwrap();
    project.write("TODO.md", &text.replace("# Todo\n", "# Todo\n\n- [ ] Something new\n"));
    let ran = project.autopack(["import", "TODO.md", "--update"]).succeeded();
    assert!(ran.stdout.contains("run TODO: 1 added, 11 unchanged"), "{ran:?}");
    project.write(
        "TODO.md",
        &text.replace("- [ ] Add login\n  - [ ] Form", "- [x] Add login\n  - [ ] Form"),
    );
    project.autopack(["import", "TODO.md", "--update"]).succeeded();
    assert!(states(&project, "TODO").contains(&"add-login COMPLETE".to_owned()));
    assert!(states(&project, "TODO").contains(&"form QUEUED".to_owned()));
}

#[test]
fn markdown_without_boxes_names_the_nearest_formats() {
    let project = Project::without_commits()
        .file("TODO.md", "# Todo\n\n- one\n- two\n\n1. three\n")
        .file("code.md", "# Todo\n\n- one\n\n```sh\nls\n```\n")
        .file("plan.md", "- [ ] no item\n\n```yaml\nphases:\n- {id: a}\n```\n");
    for name in ["TODO.md", "code.md"] {
        let ran = project.autopack(["import", name]).exited(1);
        assert!(ran.stderr.contains("has no known format; nearest: "), "{ran:?}");
        assert!(ran.stderr.contains("checklist (no `- [ ]`"), "{ran:?}");
        assert!(!ran.stderr.contains("not valid YAML"), "{ran:?}");
    }
    let ran = project.autopack(["import", "TODO.md", "--from", "checklist"]).exited(1);
    assert!(ran.stderr.contains("TODO.md: has no boxes; write open items as"), "{ran:?}");
    let ran = project.autopack(["import", "plan.md"]).succeeded();
    assert!(ran.stdout.contains("run plan: 1 added"), "{ran:?}");
    project.write("empty/readme.txt", "nothing");
    let ran = project.autopack(["import", "empty"]).exited(1);
    assert!(ran.stderr.contains("is a directory of no known format"), "{ran:?}");
    let ran = project.autopack(["import", "empty", "--from", "checklist"]).exited(1);
    assert!(
        ran.stderr.contains("is a directory; the format checklist reads files only"),
        "{ran:?}"
    );
    let ran = project.autopack(["drain", "empty"]).exited(1);
    assert!(ran.stderr.contains("is a directory of no known format"), "{ran:?}");
}

#[test]
fn columns_are_chosen_by_map_and_mistakes_are_named() {
    let list = "Nr;Was;Zustand;Nach\n1;Lesen;erledigt;\n2;Schreiben;Done;1\n3;Prüfen;open;2\n";
    let project = Project::without_commits().file("liste.csv", list);
    let map = "title=Was,id=Nr,status=Zustand,depends_on=Nach";
    let ran = project.autopack(["import", "liste.csv", "--map", map]).succeeded();
    assert!(ran.stderr.contains("liste.csv:2: phase `1` has the unknown status"), "{ran:?}");
    assert_eq!(states(&project, "liste"), ["1 QUEUED", "2 COMPLETE", "3 QUEUED"]);
    assert_eq!(phase(&project, "liste", "3")["depends_on"], json!(["2"]));

    let ran = project.autopack(["import", "liste.csv", "--run-id", "guess"]).exited(1);
    assert!(
        ran.stderr.contains("no column is the title; columns: Nr, Was, Zustand, Nach"),
        "{ran:?}"
    );
    let ran = project.autopack(["import", "liste.csv", "--map", "title=Wa"]).exited(1);
    assert!(ran.stderr.contains("no column \"Wa\" for `title`; did you mean \"Was\"?"), "{ran:?}");
    let ran = project.autopack(["import", "liste.csv", "--map", "titel=Was"]).exited(2);
    assert!(
        ran.stderr.contains("no field is called \"titel\"; did you mean \"title\"?"),
        "{ran:?}"
    );
    let ran = project.autopack(["import", "liste.csv", "--map", map, "--from", "plan"]).exited(2);
    assert!(ran.stderr.contains("--map chooses columns of CSV files, not of plan"), "{ran:?}");
    let ran = project.autopack_reading(["import", "-", "--map", map], list).succeeded();
    assert!(ran.stdout.contains("run stdin: 3 added"), "{ran:?}");
    let plain = Project::without_commits().file("tasks.csv", "Key,Name,Owner\n1,Read,me\n");
    let ran = plain.autopack(["import", "tasks.csv"]).succeeded();
    assert!(
        ran.stderr.contains("columns read as title=Name, id=Key; not read: Owner; --map changes"),
        "{ran:?}"
    );
}

#[test]
fn issues_of_jira_and_linear_are_marked_as_text_of_a_tracker() {
    let project = with_fixture("jira-csv/jira.csv", "jira.csv");
    let ran = project.autopack(["import", "jira.csv"]).succeeded();
    assert!(
        ran.stdout
            .contains("jira-csv: 4 queued, 1 done before, 1 epics, 1 won't do; 6 dependencies"),
        "{ran:?}"
    );
    let issue = phase(&project, "jira", "SHOP-2")["spec"].clone();
    assert_eq!(issue["tracker"], json!({"name": "jira", "issue": "SHOP-2", "author": "ann"}));
    assert_eq!(issue["acceptance_criteria"], json!(["a page", "a price"]));
    assert_eq!(issue["labels"], json!(["ui", "web"]));

    let project = with_fixture("linear-csv/linear.csv", "linear.csv");
    project.autopack(["import", "linear.csv"]).succeeded();
    let issue = phase(&project, "linear", "ENG-1")["spec"].clone();
    assert_eq!(
        issue["tracker"],
        json!({"name": "linear", "issue": "ENG-1", "author": "ann@x.example"})
    );
    assert_eq!(issue["acceptance_criteria"], json!(["works", "fast"]));
    assert_eq!(issue["depends_on"], json!(["ENG-3", "ENG-2"]));
}

#[test]
fn a_checklist_drains_and_a_ticked_item_is_settled_by_the_next_drain() {
    let agent = "import re\nfor path in re.findall(r'src/\\w+\\.txt', phase['name']): write(path)";
    let project = Project::new()
        .agent(agent)
        .file("TODO.md", "- [ ] Write src/a.txt\n- [x] Write src/b.txt\n- [ ] Write src/c.txt\n");
    let ran = project.autopack(["drain", "TODO.md"]).succeeded();
    assert!(ran.stderr.contains("imported TODO.md"), "{ran:?}");
    let expected =
        ["write-src-a-txt COMPLETE", "write-src-b-txt COMPLETE", "write-src-c-txt COMPLETE"];
    assert_eq!(states(&project, "TODO"), expected);
    let log =
        project.git(["log", "--format=%(trailers:key=Autopack-Phase,valueonly)", "autopack/TODO"]);
    assert!(!log.contains("write-src-b-txt") && log.contains("write-src-a-txt"), "{log}");
    project
        .write("TODO.md", "- [x] Write src/a.txt\n- [ ] Write src/d.txt\n- [x] Write src/e.txt\n");
    let ran = project.autopack(["drain", "TODO.md"]).succeeded();
    assert!(ran.stderr.contains("TODO.md has changed"), "{ran:?}");
    assert!(states(&project, "TODO").contains(&"write-src-e-txt COMPLETE".to_owned()));
}

#[test]
fn a_directory_drains_again_only_after_a_change() {
    let agent = "import re\nfor path in re.findall(r'src/\\w+\\.txt', phase['name']): write(path)";
    let project = Project::new()
        .agent(agent)
        .file("specs/001-a/tasks.md", "## Phase 1\n- [ ] T001 Write src/a.txt\n");
    let ran = project.autopack(["drain", "specs"]).succeeded();
    assert!(ran.stderr.contains("imported specs"), "{ran:?}");
    assert_eq!(states(&project, "001-a"), ["T001 COMPLETE"]);
    let ran = project.autopack(["drain", "specs"]).succeeded();
    assert!(!ran.stderr.contains("specs has changed"), "{ran:?}");
    project.write(
        "specs/001-a/tasks.md",
        "## Phase 1\n- [X] T001 Write src/a.txt\n- [ ] T002 Write src/b.txt\n",
    );
    let ran = project.autopack(["drain", "specs"]).succeeded();
    assert!(ran.stderr.contains("specs has changed"), "{ran:?}");
    assert_eq!(states(&project, "001-a"), ["T001 COMPLETE", "T002 COMPLETE"]);
}

#[test]
fn a_link_out_of_a_directory_is_named_and_not_read() {
    let project = with_fixture("ralphex/plans", "docs/plans");
    let outside = project.outside("secret.md");
    std::fs::write(&outside, "# S\n\n### Task 1: Secret\n\n- [ ] secret\n").unwrap();
    std::os::unix::fs::symlink(&outside, project.path("docs/plans/20260103-secret.md")).unwrap();
    let ran = project.autopack(["import", "docs/plans"]).succeeded();
    assert!(ran.stderr.contains("20260103-secret.md: the link leads out of docs/plans"), "{ran:?}");
    assert!(!ran.stdout.contains("secret"), "{ran:?}");
}

#[test]
fn a_task_with_two_names_or_in_another_case_is_one_phase() {
    let project = with_fixture("backlog-md/newer", "backlog");
    let link = project.path("backlog/tasks/task-0 - Link.md");
    std::os::unix::fs::symlink("task-2 - Task.md", link).unwrap();
    let ran = project.autopack(["import", "backlog"]).succeeded();
    assert!(ran.stdout.contains("run backlog: 3 added"), "{ran:?}");
    assert!(!ran.stderr.contains("used twice"), "{ran:?}");
    let first = "backlog/tasks/task-1 - Task.md";
    let text = std::fs::read_to_string(project.path(first)).unwrap();
    project.write(first, &text.replace("TASK-1", "task-1"));
    let ran = project.autopack(["import", "backlog", "--update"]).succeeded();
    assert!(ran.stdout.contains("run backlog: 3 unchanged"), "{ran:?}");
    assert_eq!(phase(&project, "backlog", "task-3")["depends_on"], json!(["task-1", "task-2"]));
}

#[test]
fn lines_that_are_nearly_boxes_are_named_in_all_formats() {
    let near = "-[ ] tight\n";
    let files = [
        ("TODO.md", format!("- [ ] one\n{near}")),
        ("tasks.md", format!("- [ ] T001 one\n{near}")),
        ("change.md", format!("## 1. Group\n\n- [ ] 1.1 one\n{near}")),
        ("plan.md", format!("### Task 1: one\n\n- [ ] two\n{near}")),
        (
            "task.md",
            format!("---\nid: a\ntitle: A\nstatus: To Do\n---\n## Acceptance Criteria\n{near}"),
        ),
    ];
    let project = Project::without_commits();
    let mut formats = Vec::new();
    for (file, text) in files {
        project.write(file, &text);
        let ran = project.autopack(["import", file, "--json"]).succeeded();
        let line = text.lines().count();
        let expected = format!("{file}:{line}: looks like a box and is none");
        assert!(ran.stderr.contains(&expected), "{ran:?}");
        formats.push(ran.json()["runs"][0]["summary"]["format"].as_str().unwrap().to_owned());
    }
    assert_eq!(formats, ["checklist", "spec-kit", "openspec", "ralphex", "backlog-md"]);
}

#[test]
fn an_issue_listed_twice_is_one_phase_and_done_once_is_done() {
    let project = with_fixture("jira-csv/repeated.csv", "jira.csv");
    let ran = project.autopack(["import", "jira.csv"]).succeeded();
    assert!(ran.stderr.contains("jira.csv:4: abc-1 is listed before, at jira.csv:2;"), "{ran:?}");
    assert_eq!(states(&project, "jira"), ["ABC-1 COMPLETE", "ABC-2 COMPLETE"]);
}

#[test]
fn a_long_error_wraps_on_a_terminal() {
    let project = Project::without_commits().file("notes.txt", "Some thoughts.\n");
    let Some(terminal) = Terminal::open(&project, 80, 24, &[]) else { return };
    terminal.types("clear; autopack import notes.txt; echo code $?");
    let lines = terminal.until("code 1");
    let error = lines.iter().position(|line| line.starts_with("error: notes.txt has no known"));
    let rest = &lines[error.unwrap() + 1..];
    assert!(rest[0].starts_with("       ") && !rest[0].starts_with("        "), "{lines:#?}");
}

/// Items with a title and whether they are done, written in each format: file name and text.
fn written(items: &[(String, bool)]) -> Vec<(&'static str, String)> {
    let tick = |done: bool| if done { "x" } else { " " };
    let lines = |line: &dyn Fn(usize, &str, bool) -> String| -> String {
        items.iter().enumerate().map(|(at, (title, done))| line(at, title, *done)).collect()
    };
    let word = |done: bool| if done { "Done" } else { "To Do" };
    vec![
        ("TODO.md", lines(&|_, title, done| format!("- [{}] {title}\n", tick(done)))),
        (
            "tasks.md",
            lines(&|at, title, done| format!("- [{}] T{at:03} [P] {title}\n", tick(done))),
        ),
        (
            "change.md",
            "## 1. All\n".to_owned()
                + &lines(&|at, title, done| format!("- [{}] 1.{} {title}\n", tick(done), at + 1)),
        ),
        (
            "plan.md",
            lines(&|at, title, done| {
                format!("### Task {at}: {title}\n\n- [{0}] a\n- [{0}] b\n\n", tick(done))
            }),
        ),
        (
            "list.csv",
            "id,title,status\n".to_owned()
                + &lines(&|at, title, done| format!("{at},\"{title}\",{}\n", word(done))),
        ),
        (
            "jira.csv",
            "Issue key,Summary,Status,Status Category\n".to_owned()
                + &lines(&|at, title, done| format!("A-{at},{title},?,{}\n", word(done))),
        ),
        (
            "linear.csv",
            "ID,Title,Status,Priority,Team,Parent issue,Completed\n".to_owned()
                + &lines(&|at, title, done| {
                    format!("B-{at},{title},?,,,,{}\n", if done { "2026-01-01" } else { "" })
                }),
        ),
    ]
}

/// Pieces of texts that mean something to a reader.
const PIECES: &[&str] = &[
    "- [ ] ",
    "- [x] ",
    "  - [ ] ",
    "\t* [X] ",
    "1. [ ] ",
    "T001 ",
    "[P] ",
    "[US1] ",
    "1.1 ",
    "## ",
    "### ",
    "Task 1: ",
    "US-1: ",
    "**",
    "**Files:**\n",
    "- Modify: `a.py`\n",
    "```\n",
    "~~~",
    "<!--",
    "-->",
    "---\n",
    "id: a\n",
    "title: b\n",
    "status: Done\n",
    "\n",
    "\r\n",
    "a,b;c\n",
    "\"",
    "Issue key,Summary\n",
    "sep=;\n",
    "ID,Title,Status,Priority,Team,Triaged\n",
    "(depends on T001-T9)",
    "## Validation Commands\n",
    "é",
    "`x`",
    "phases:\n",
    "[]",
    "{}",
];

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![4 => prop::sample::select(PIECES).prop_map(str::to_owned), 1 => "\\PC{0,6}"]
}

const NAMES: [&str; 7] = ["-", "a.md", "TODO", "a.txt", "tasks.md", "a.csv", "a.tsv"];
const TEXT_FORMATS: [&str; 8] =
    ["backlog-md", "spec-kit", "openspec", "ralphex", "checklist", "jira-csv", "linear-csv", "csv"];

proptest! {
    #[test]
    fn nothing_done_is_ever_queued(
        items in prop::collection::vec(("[a-z]{1,6}( [a-z]{1,6}){0,2}", any::<bool>()), 1..9),
    ) {
        for (name, text) in written(&items) {
            let plan = import::parse_whole(Path::new(name), text.as_bytes(), None)
                .map_err(|error| TestCaseError::fail(format!("{name}: {error}\n{text}")))?;
            let format = plan.runs[0].counts.format;
            prop_assert!(TEXT_FORMATS.contains(&format), "{name}: {format}");
            let mut phases: Vec<_> = plan.runs.into_iter().flat_map(|run| run.phases).collect();
            phases.sort_by_key(|phase| phase.phase_id.as_str().len());
            let done = phases.iter().filter(|phase| phase.state == PhaseState::Complete).count();
            let queued = phases.iter().filter(|phase| phase.state == PhaseState::Queued).count();
            let wanted = items.iter().filter(|(_, done)| *done).count();
            prop_assert_eq!((done, queued), (wanted, items.len() - wanted), "{}: {}", name, text);
        }
    }

    #[test]
    fn no_text_makes_a_reader_panic(pieces in prop::collection::vec(piece(), 0..40)) {
        let text = pieces.concat();
        for name in NAMES {
            // Errors are fine here.
            drop(import::parse_whole(Path::new(name), text.as_bytes(), None));
            for format in TEXT_FORMATS {
                drop(import::parse_as(Path::new(name), text.as_bytes(), format));
            }
        }
    }

    #[test]
    fn a_plan_is_never_taken_for_another_format(
        texts in prop::collection::vec(prop::collection::vec(piece(), 0..12), 1..4),
    ) {
        let phase = |(at, pieces): (usize, &Vec<String>)| {
            json!({"phase_id": format!("p{at}"), "name": "A name", "description": pieces.concat()})
        };
        let phases: Vec<Value> = texts.iter().enumerate().map(phase).collect();
        let plan = json!({"phases": phases});
        let lines: String = phases.iter().map(|phase| format!("{phase}\n")).collect();
        let yaml = serde_yaml::to_string(&plan).unwrap();
        let list = serde_yaml::to_string(&phases).unwrap();
        let json = serde_json::to_string_pretty(&plan).unwrap();
        for text in [&yaml, &list, &json, &plan.to_string(), &lines] {
            for name in ["-", "plan", "plan.txt", "plan.md"] {
                let read = import::parse_whole(Path::new(name), text.as_bytes(), None);
                let read = read.map_err(|error| TestCaseError::fail(format!("{name}: {error}\n{text}")))?;
                prop_assert_eq!(read.runs[0].counts.format, "plan", "{}: {}", name, text);
                prop_assert_eq!(read.runs[0].phases.len(), phases.len());
            }
        }
    }
}
