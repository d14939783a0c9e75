//! What every adapter must have, and the example of CONTRIBUTING.md at work.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::*;
use crate::agent::runner::event::AttemptBudget;
use crate::agent::runner::stream::{QUIET, Stream};
use crate::agent::{AgentEvent, Outcome};
use crate::process::JobEnd;

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn names_are_unique() {
    let kinds = program_kinds();
    let unique: BTreeSet<_> = kinds.iter().chain(&["command", "replay", "builtin"]).collect();
    assert_eq!(unique.len(), kinds.len() + 3, "{kinds:?}");
    assert!(kinds.iter().all(|kind| find(kind).is_some_and(|found| found.kind() == *kind)));
}

#[test]
fn each_adapter_is_documented() {
    let docs = include_str!("../../../docs/agents.md");
    let run = include_str!("../../../tests/agents_real/run.sh");
    for adapter in ADAPTERS {
        let start = format!("| `{}` | `{}` |", adapter.kind(), adapter.program());
        let row = docs.lines().find(|row| row.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("docs/agents.md has no row {start}"));
        assert!(adapter.tested_versions().iter().all(|version| row.contains(version)), "{row}");
        let is_installed = run.contains(adapter.kind());
        assert!(
            !is_installed || adapter.tested_versions().iter().any(|version| run.contains(version)),
            "tests/agents_real/run.sh installs another version of {}",
            adapter.kind()
        );
        for table in ["| kind | command |", "| kind | tokens |", "| kind | state |"] {
            let rows = docs.split_once(table).expect(table).1.lines();
            let mut rows = rows.take_while(|row| !row.is_empty());
            let start = format!("| `{}` |", adapter.kind());
            assert!(rows.any(|row| row.starts_with(&start)), "no row {start} below {table}");
        }
    }
}

#[test]
fn what_each_adapter_needs_is_documented() {
    let docs = include_str!("../../../docs/agents.md");
    let table = docs.split_once("| kind | state |").expect("a table of needs").1;
    let table = table.split("\n\n").next().unwrap_or_default();
    for adapter in ADAPTERS {
        let start = format!("| `{}` |", adapter.kind());
        let row = table.lines().find(|row| row.starts_with(&start)).expect(&start);
        let needs = adapter.needs();
        let state = needs.directories.iter().chain(&needs.files).map(|path| format!("`~/{path}`"));
        let renewed = needs.credentials.iter().map(|file| format!("`~/{}`", file.path));
        let any = providers::any_provider();
        let own = |all: &[&'static str], shared: &[&'static str]| -> Vec<String> {
            let own =
                all.iter().filter(|name| !adapter.takes_any_provider() || !shared.contains(name));
            own.map(|name| format!("`{name}`")).collect()
        };
        let hosts = own(&needs.hosts, &any.hosts);
        let env = own(&needs.env, &any.env);
        for name in state.chain(renewed).chain(hosts).chain(env) {
            assert!(row.contains(&name), "docs/agents.md does not name {name} in {row}");
        }
    }
}

#[test]
fn each_adapter_has_recordings() {
    for adapter in ADAPTERS {
        let directory = repository().join("tests/fixtures/agents").join(adapter.kind());
        let names: Vec<String> = std::fs::read_dir(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        for case in ["success", "refused", "limit"] {
            let is_recording = |name: &String| {
                [".jsonl", ".txt"].iter().any(|end| *name == format!("{case}{end}"))
            };
            assert!(names.iter().any(is_recording), "{}: no {case}.*", directory.display());
        }
        let expected = std::fs::read_to_string(directory.join("expected.json"));
        let expected: serde_json::Value = serde_json::from_str(&expected.unwrap_or_default())
            .unwrap_or_else(|error| panic!("{}: {error}", adapter.kind()));
        for name in names.iter().filter(|name| *name != "expected.json") {
            let case = name.split('.').next().unwrap_or_default();
            assert!(expected.get(case).is_some(), "{}: no {case}", directory.display());
        }
    }
}

#[test]
fn the_toy_adapter_is_the_one_of_contributing() {
    let contributing = include_str!("../../../CONTRIBUTING.md");
    assert!(contributing.contains(&format!("```rust\n{}```", include_str!("toy.rs"))));
}

/// One attempt of the toy agent.
const TOY: &str = r#"{"type": "start", "session": "s1", "model": "toy-1"}
{"type": "say", "text": "I begin"}
{"type": "tool", "id": "1", "name": "shell", "input": {"command": "true"}}
{"type": "result", "id": "1", "text": ""}
{"type": "say", "text": "I am done"}
not a line of the stream
{"type": "end", "summary": "all done", "input_tokens": 12, "output_tokens": 7}"#;

#[tokio::test]
async fn the_toy_adapter_works_as_documented() {
    let settings =
        ProgramAgentSettings { model: Some("toy-1".to_owned()), ..ProgramAgentSettings::default() };
    let input = ArgumentInput {
        settings: &settings,
        session: Some("s0"),
        prompt_file: Path::new("/prompt.md"),
        deliverables: &[],
        scratch: Path::new("/scratch"),
        file: Path::new("/scratch/account"),
        own_sandbox: &OwnSandbox::default(),
    };
    let command = toy::Toy.command(&input);
    assert_eq!(command.args.join(" "), "run --json --model toy-1 --resume s0");
    assert_eq!((toy::Toy.program(), command.prompt), ("toy", PromptChannel::Stdin));

    let mut reader = toy::Toy.reader(Path::new("/slot"));
    let mut stream = Stream::new(&toy::Toy, AttemptBudget::default(), QUIET);
    let signals = TOY.lines().flat_map(|line| reader.line(line));
    let events: Vec<AgentEvent> = signals.filter_map(|signal| stream.take(signal)).collect();
    let tools = events.iter().filter(|event| matches!(event, AgentEvent::Tool(_))).count();
    let texts = events.iter().filter(|event| matches!(event, AgentEvent::Line(_))).count();
    assert_eq!((texts, tools), (2, 1), "{events:?}");
    assert_eq!(stream.outcome(JobEnd::Exited(0), false, ""), Outcome::Finished);
    assert_eq!(
        (stream.session.as_deref(), stream.summary().as_deref()),
        (Some("s1"), Some("all done"))
    );
    let tokens = stream.usage().tokens;
    assert_eq!((tokens.input, tokens.output, tokens.cache_read), (Some(12), Some(7), None));

    let failed = r#"{"type": "error", "status": 401, "code": "bad_key", "message": "no"}"#;
    let mut stream = Stream::new(&toy::Toy, AttemptBudget::default(), QUIET);
    reader.line(failed).into_iter().for_each(|signal| drop(stream.take(signal)));
    let outcome = stream.outcome(JobEnd::Exited(1), false, "");
    let Outcome::Systemic { message } = outcome else { panic!("{outcome:?}") };
    assert!(message.contains(toy::Toy.login()), "{message}");
}
