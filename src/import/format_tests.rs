//! What every format must have, and the example of CONTRIBUTING.md at work.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::format::Recognition;
use super::*;
use crate::phase::plan::PlanRun;

fn fixtures(format: &dyn Format) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import").join(format.name())
}

#[test]
fn names_are_unique() {
    let names: BTreeSet<_> = FORMATS.iter().map(|format| format.name()).collect();
    assert_eq!(names.len(), FORMATS.len());
    assert_eq!(FORMATS.last().map(|format| format.name()), Some("plan"), "accepts anything");
}

#[test]
fn each_format_is_documented() {
    let docs = include_str!("../../docs/plan-format.md");
    let section = docs.split_once("## Formats\n").expect("a section \"Formats\"").1;
    let section = section.split("\n## ").next().unwrap_or_default();
    for format in FORMATS {
        let row = format!("| `{}` |", format.name());
        assert!(section.lines().any(|line| line.starts_with(&row)), "no row {row}");
    }
}

/// A fixture that is SQL becomes a database of the same name.
async fn input_of(fixture: PathBuf, directory: &Path) -> PathBuf {
    if fixture.extension().is_none_or(|extension| extension != "sql") {
        return fixture;
    }
    let database = directory.join(fixture.file_name().unwrap()).with_extension("db");
    let options = SqliteConnectOptions::new().filename(&database).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    let sql = std::fs::read_to_string(&fixture).unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    database
}

/// The phases of a plan, as written in `<file>.expected.json`.
fn phases(plan: &Plan) -> Value {
    let of_run = |run: &PlanRun| {
        let run_id = run.run_id.clone();
        let phase = move |phase: &crate::phase::plan::PlanPhase| {
            json!({
                "run": run_id, "id": phase.phase_id, "name": phase.name,
                "depends_on": phase.depends_on, "state": phase.state.as_str(), "note": phase.note,
            })
        };
        run.phases.iter().map(phase).collect::<Vec<_>>()
    };
    plan.runs.iter().flat_map(of_run).collect()
}

#[tokio::test]
async fn each_format_recognizes_its_fixtures_alone() {
    let scratch = tempfile::tempdir().unwrap();
    for format in FORMATS {
        let directory = fixtures(*format);
        let entries = std::fs::read_dir(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", format.name()));
        let files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        let is_expected = |file: &PathBuf| file.to_string_lossy().ends_with(".expected.json");
        assert!(files.iter().any(|file| !is_expected(file)), "{}: empty", directory.display());
        for file in files.into_iter().filter(|file| !is_expected(file)) {
            let golden = PathBuf::from(format!("{}.expected.json", file.display()));
            let name = file.display().to_string();
            let file = input_of(file, scratch.path()).await;
            let input = Input::open(&file).unwrap();
            let claims = |other: &&&dyn Format| other.recognize(&input) == Recognition::Certain;
            let certain: Vec<_> = FORMATS.iter().filter(claims).map(|other| other.name()).collect();
            let is_plan = format.name() == "plan";
            assert!(
                certain == [format.name()] || is_plan && certain.is_empty(),
                "{name}: {certain:?}"
            );
            // Sources with a cycle are refused without this choice.
            let break_cycles = name.contains("cycle");
            let options = ReadOptions { break_cycles, ..ReadOptions::default() };
            let draft = read(&file, &options).await.unwrap();
            let plan = draft.resolve(&Existing::default()).unwrap();
            let found = phases(&plan);
            let expected = std::fs::read_to_string(&golden).ok();
            let expected: Option<Value> = expected.map(|text| serde_json::from_str(&text).unwrap());
            let updates = std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always");
            if updates && expected.as_ref() != Some(&found) {
                let lines: Vec<String> =
                    found.as_array().unwrap().iter().map(|phase| format!("  {phase}")).collect();
                std::fs::write(&golden, format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
                continue;
            }
            assert!(expected.is_some(), "missing: {}", golden.display());
            let expected = expected.unwrap_or_default();
            assert_eq!(found, expected, "{name}");
        }
    }
}

#[test]
fn the_toy_format_is_the_one_of_contributing() {
    let contributing = include_str!("../../CONTRIBUTING.md");
    assert!(contributing.contains(&format!("```rust\n{}```", include_str!("toy.rs"))));
}

#[test]
fn the_toy_format_works_as_documented() {
    static WITH_TOY: &[&dyn Format] = &[&toy::Toy, &plan_file::PlanFile];
    let read = |text: &str| {
        let draft = parse_with(
            WITH_TOY,
            Path::new("backlog.txt"),
            text.as_bytes(),
            &ReadOptions::default(),
        )?;
        draft.resolve(&Existing::default())
    };
    let text = "# toy backlog\n\n- [x] parser: Read it (src/parser.py)\n\
                - [ ] printer after parser: Print a tree (src/printer.py)\n";
    let plan = read(text).unwrap();
    let expected = json!([
        {"run": "backlog", "id": "parser", "name": "Read it", "depends_on": [],
         "state": "COMPLETE", "note": "done in backlog.txt"},
        {"run": "backlog", "id": "printer", "name": "Print a tree", "depends_on": ["parser"],
         "state": "QUEUED", "note": null},
    ]);
    assert_eq!(phases(&plan), expected);
    assert_eq!(plan.runs[0].phases[1].spec.0["deliverables"], json!(["src/printer.py"]));

    let error = read(&format!("{text}- printer\n")).unwrap_err().to_string();
    assert_eq!(error, "backlog.txt:5: expected `- [ ] ID: GOAL (PATH)`");
    let plan = read("[{\"id\": \"a\"}]").unwrap();
    assert_eq!(plan.runs[0].phases[0].phase_id.as_str(), "a", "other texts are plans");
}
