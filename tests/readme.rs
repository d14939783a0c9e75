//! `tests/README.md`: its example works as printed, and its table has every file.

use crate::support::Project;
use serde_json::json;

const README: &str = include_str!("README.md");

#[test]
fn a_change_outside_the_scope_does_not_land() {
    let project = Project::new()
        .agent("write_deliverables()\nwrite('setup.cfg')") // Python, run in the slot
        .plan(json!({"phases": [
            {"phase_id": "one", "deliverables": ["src/a.py"], "max_attempts": 1},
        ]}));
    let ran = project.drain().exited(3);
    assert!(ran.stdout.contains("scope_breach"), "{ran:#?}");
    assert_eq!(project.landed(), [""; 0]);
    assert_eq!(project.phase("one")["state"], "FAILED");
}

#[test]
fn the_example_is_the_test_of_this_file() {
    let example = README.split("```rust\n").nth(1).unwrap().split("```").next().unwrap();
    let (uses, test) = example.split_once("\n#[test]\n").unwrap();
    let this = include_str!("readme.rs");
    assert!(this.contains(uses.trim_end()), "{uses}");
    assert!(this.contains(test.trim_end()), "{test}");
}

#[test]
fn every_test_file_has_a_subject() {
    let entries = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let tests = names.filter(|name| name.ends_with(".rs") && name != "main.rs");
    let missing: Vec<String> =
        tests.filter(|name| !README.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "tests/README.md lacks {missing:?}");
}
