//! What a program leaves in its view: the next program of the slot does not find it.

use serde_json::json;

use super::attempt::Mode;
use super::outside::{Outside, place};
use super::suite::is_possible;
use crate::support::Project;

/// Looks for what was left, then leaves it. The agent's and CI's part of a slot have different directories.
const LEAVE: &str = r#"
import os, pathlib, sys
home = pathlib.Path.home()
fresh = ["/tmp/left", "/var/tmp/left", "/dev/shm/left", *(str(home / name) for name in
    [".claude/settings.json", ".claude/CLAUDE.md", ".codex/config.toml", ".config/goose/config.yaml"])]
private = [str(home / name) for name in [".bashrc", ".npm/left", ".cargo/registry/left", ".config/planted/left"]]
looked = fresh if sys.argv[1] == "agent" else fresh + private
found = [path for path in looked if os.path.exists(path) and "left" in pathlib.Path(path).read_text()]
assert not found, found
if sys.argv[1] == "agent":
    for path in fresh + private:
        try:
            pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
            with open(path, "a") as file: file.write("left\n")
        except OSError as error:
            print(error)
"#;

/// Two agents, each followed by CI: neither CI nor the second agent finds what the first one left.
#[test]
fn what_an_agent_leaves_is_not_found_by_ci_and_the_next_agent() {
    let outside = Outside::new();
    if !is_possible(Mode::Namespaces, &outside) {
        return;
    }
    let project = Project::bare_folder_in(&place()).with_repository();
    let script = project.beside("leave.py");
    std::fs::write(&script, LEAVE).unwrap();
    for directory in [".npm", ".cargo/registry", ".claude"] {
        std::fs::create_dir_all(project.beside("home").join(directory)).unwrap();
    }
    let script = script.display().to_string();
    let agent = format!(
        "subprocess.run(['python3', {script:?}, 'agent'], check=True)\nwrite_deliverables()"
    );
    let ci = json!(["python3", script, "ci"]);
    let plan = json!({"phases": [
        {"phase_id": "one", "deliverables": ["src/one.txt"], "max_attempts": 1},
        {"phase_id": "two", "deliverables": ["src/two.txt"], "max_attempts": 1}]});
    let project = project
        .unset("TMPDIR")
        .unset("AUTOPACK_SANDBOX_WRITE")
        .env("AUTOPACK_SANDBOX_MODE", Mode::Namespaces.name())
        .agent_with(&agent, &format!("ci: {{command: {ci}}}\n"))
        .plan(plan);
    project.drain().succeeded();
    assert_eq!(project.landed(), ["one", "two"]);
}
