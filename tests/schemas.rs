//! `schema`, `plan --template` and `man`: generated from the tables of the code, and checked against what autopack reads
//! and writes.

use crate::support::json_schema::check;
use crate::support::{Project, has};
use autopack::phase::autofix::spec_fields::FIELDS;
use serde_json::{Value, json};

fn schema(subject: &str) -> Value {
    Project::bare_folder().json(["schema", subject])
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

/// Uncomments the examples of agents in the shipped file.
fn with_agents(text: &str) -> String {
    let lines = text.lines().map(|line| match line.strip_prefix("#   ") {
        Some(rest) => format!("  {rest}\n"),
        None => format!("{line}\n"),
    });
    lines.collect()
}

#[test]
fn shipped_files_are_valid_with_their_examples() {
    let config = schema("config");
    let shipped = include_str!("../config/autopack.yaml");
    for text in [shipped.to_owned(), with_agents(shipped)] {
        assert_eq!(check(&config, &yaml(&text)), Ok(()));
    }
    let agents = yaml(&with_agents(shipped))["agents"].clone();
    assert!(agents.as_object().unwrap().len() > 3, "{agents}");
    assert_eq!(check(&schema("memory"), &yaml(include_str!("../config/memory.yaml"))), Ok(()));
}

/// A mistake that `config show` reports is a mistake for the schema, and a value that is accepted is valid.
#[test]
fn the_schema_and_the_program_agree_about_mistakes() {
    let config = schema("config");
    for text in [
        "executr: {}\n",
        "executor: {max_attempts: many}\n",
        "executor: {max_attempts: -1}\n",
        "executor: {unscoped: maybe}\n",
        "executor: {ladder: small}\n",
        "ci: {command: 3}\n",
        "telemetry: {enabled: 'yes'}\n",
        "sandbox: {mode: strict}\n",
        "agents: {a: {command: [x]}}\n",
        "agents: {a: {kind: nobody}}\n",
        "agents: {a: {kind: replay, folder: x, comand: y}}\n",
        "executor: 3\n",
    ] {
        assert!(check(&config, &yaml(text)).is_err(), "{text}");
        Project::without_commits().config(text).autopack(["config", "show"]).exited(1);
    }
    for text in [
        "executor:\n",
        "ci: {command: make test}\n",
        "ci: {command: [make, test]}\n",
        "executor: {budgets: {run: {cost_usd: 20.5, tokens: 7}}}\n",
        "sandbox: {network: [agent, '*.example.com'], ci_network: deny}\n",
        "agents: {default: a, a: {kind: claude, model: opus, env: {A: b}}}\n",
    ] {
        assert_eq!(check(&config, &yaml(text)), Ok(()), "{text}");
        Project::without_commits().config(text).autopack(["config", "show"]).succeeded();
    }
}

/// Plans in the documentation and the demo are valid; what `import` refuses by shape is not.
#[test]
fn plans_are_valid_as_far_as_import_reads_them() {
    let plan = schema("plan");
    let docs = include_str!("../docs/plan-format.md");
    let fenced = docs.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let plans: Vec<Value> =
        fenced.map(yaml).filter(|value| value.get("phases").is_some()).collect();
    assert!(!plans.is_empty());
    let demo = yaml(include_str!("../docs/demo/plan.yaml"));
    for value in plans.iter().chain([&demo]) {
        assert_eq!(check(&plan, value), Ok(()));
    }
    for value in [
        json!([{"phase_id": "a", "deliverables": "src/a.py (new), src/b.py"}]),
        json!({"task_id": 7, "goal": "do it", "files_to_modify": ["a.py"], "custom": [1]}),
        json!({"phases": [{"name": "N", "scope": ["src"], "ci": "make check"}], "run_id": 1.5}),
        json!({"phases": [{"id": "a", "scope": {"ci": {"pytest": 60}}, "depends_on": "b"}]}),
    ] {
        assert_eq!(check(&plan, &value), Ok(()));
    }
    for value in
        [json!(3), json!({"phases": {"a": 1}}), json!([{"description": "no name"}]), json!(["a"])]
    {
        assert!(check(&plan, &value).is_err(), "{value}");
        let project = Project::without_commits().file("plan.json", &value.to_string());
        project.autopack(["import", "plan.json"]).exited(1);
    }
}

/// The page has the table of the code: names in order, and their meaning.
#[test]
fn documented_fields_are_those_of_the_table() {
    let docs = include_str!("../docs/plan-format.md");
    let table = docs.split_once("## The fields of a phase").unwrap().1;
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| `")).collect();
    let mut rows = rows.iter();
    let mut fields = FIELDS.iter().peekable();
    while let Some(field) = fields.next() {
        let row = rows.next().unwrap();
        let name = format!("`{}`", field.name);
        assert!(row.contains(&name) && row.contains(field.meaning), "{field:?}: {row}");
        // One row for `ci` and `scope.ci`.
        let names = row.split('|').nth(1).unwrap();
        fields.next_if(|next| names.contains(&format!("`{}`", next.name)));
    }
    assert!(rows.next().is_none_or(|row| !row.contains("`allow")), "a field without a table entry");
}

#[test]
fn events_of_drains_are_valid_and_every_field_is_known() {
    let events = schema("events");
    let body =
        "if phase_id != 'bad': write_deliverables()\nreport(tokens=dict(input=1200, output=345))";
    let phase = |id: &str| json!({"phase_id": id, "deliverables": [format!("src/{id}.txt")], "max_attempts": 1});
    let refused = json!({"phase_id": "out", "deliverables": ["../elsewhere.txt"]});
    let project = Project::new()
        .agent_with(body, "ci: {command: [\"true\"]}\n")
        .plan(json!({"phases": [phase("good"), phase("bad"), refused]}));
    let remote = project.outside("remote.git");
    project.git(["init", "-q", "--bare", remote.to_str().unwrap()]);
    project.git(["remote", "add", "origin", remote.to_str().unwrap()]);
    let drain = project.autopack(["drain", "--run-id", "run", "--json", "--publish"]).exited(3);
    let again = project.autopack(["drain", "--run-id", "run", "--json"]);
    let lines: Vec<Value> = [drain.stdout, again.stdout]
        .iter()
        .flat_map(|text| text.lines())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut kinds = std::collections::BTreeSet::new();
    for line in &lines {
        assert_eq!(check(&events, line), Ok(()), "{line}");
        let name = line["event"].as_str().unwrap();
        kinds.insert(name);
        let all = events["oneOf"].as_array().unwrap();
        let own = all.iter().find(|one| one["properties"]["event"]["const"] == name).unwrap();
        for key in line.as_object().unwrap().keys() {
            assert!(own["properties"].get(key).is_some(), "{name} has {key}, the schema does not");
        }
    }
    assert_eq!(kinds.len(), 7, "{kinds:?}");
    assert!(check(&events, &json!({"event": "drain_started"})).is_err());
}

/// The example of the prompt is a plan that needs no repair but the usual defaults, and is valid.
#[test]
fn the_template_has_the_format_and_an_example_that_is_imported() {
    let project = Project::new();
    let prompt = project.autopack(["plan", "--template"]).succeeded().stdout;
    insta::with_settings!({snapshot_path => "snapshots/golden", prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("plan_template", prompt);
    });
    let example = prompt.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(check(&schema("plan"), &yaml(example)), Ok(()));
    project.write("plan.yaml", example);
    project.autopack(["import", "plan.yaml"]).succeeded();
    let fixed = project.json(["fix-phases", "--json"]);
    assert_eq!((&fixed["examined"], &fixed["unfixable"]), (&json!(3), &json!(0)));
    let phases = project.json(["phases", "list", "--json"]);
    assert_eq!(phases[1]["depends_on"], json!(["storage"]));
    assert_eq!(phases[1]["scope"]["paths"], json!(["src/notes", "src/app.py", "tests"]));
    assert!(project.autopack(["plan"]).exited(2).stderr.contains("GOAL"));
}

#[test]
fn manual_pages_exist_for_each_verb() {
    let project = Project::bare_folder();
    let page = project.autopack(["man"]).succeeded().stdout;
    assert!(page.starts_with(".ie") && page.contains(".TH autopack 1"), "{page}");
    assert!(page.contains("EXIT") || page.contains("Exit codes"), "{page}");
    let ran = project.autopack(["man", "pages/man1"]).succeeded();
    assert_eq!(ran.stdout, "wrote autopack.1 and more to pages/man1\n");
    let read = |name: &str| project.read(&format!("pages/man1/{name}.1"));
    assert!(read("autopack-drain").contains("max\\-batches"));
    // Long texts are there, and global options once.
    assert!(read("autopack").contains("Secrets are redacted"));
    assert!(read("autopack-log").contains("shown as a transcript"));
    assert!(!read("autopack-phases-list").contains("database\\-url"));
    let taken = project.file("taken", "").autopack(["man", "taken/x"]).exited(1);
    assert!(taken.stderr.contains("cannot write manual pages to taken/x"), "{taken:?}");
}

/// `man` itself finds no mistake in the pages.
#[test]
fn groff_accepts_the_pages() {
    if !has("groff", &["--version"]) {
        return;
    }
    let project = Project::bare_folder();
    project.autopack(["man", "pages"]).succeeded();
    for page in ["autopack", "autopack-log"] {
        let file = project.path(format!("pages/{page}.1"));
        let output = std::process::Command::new("groff")
            .args(["-man", "-Tascii", "-ww"])
            .arg(file)
            .output()
            .unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
