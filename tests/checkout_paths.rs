//! Absolute paths into the user's checkout, in files read by build tools: nothing lands that was tested there.

use serde_json::json;

use crate::support::Project;

/// Drains one phase whose CI is this shell line.
fn lands(project: Project, line: &str) {
    let phases = json!({"phases": [{"phase_id": "one", "deliverables": ["one.txt"]}]});
    let config = format!("ci:\n  command: {line:?}\n");
    let project = project.agent_with("write_deliverables()", &config).plan(phases);
    project.drain().succeeded();
    assert_eq!(project.landed(), ["one"]);
}

/// Drains one phase and expects the drain to end before an agent is asked, because of this path in this file.
fn ends_before_an_agent(project: Project, config: &str, what: &str) {
    let agent = "write(workspace.parent / 'asked')\nwrite_deliverables()";
    let phases = json!({"phases": [{"phase_id": "one", "deliverables": ["one.txt"]}]});
    let project = project.agent_with(agent, config).plan(phases);
    let ran = project.drain().exited(5);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    let told = format!("ci would test your checkout instead of the change: line {what}");
    assert!(said.contains(&told), "{told}: {said}");
    assert!(!project.outside("asked").exists());
}

#[test]
fn a_go_module_that_is_replaced_by_a_path_of_the_checkout_ends_the_drain() {
    for (file, line) in [("go.mod", "replace example.com/lib =>"), ("go.work", "use")] {
        let project = Project::new();
        let lib = project.path("lib");
        let project = project
            .file("go.mod", "module example.com/app\n\ngo 1.19\n")
            .file("lib/go.mod", "module example.com/lib\n\ngo 1.19\n");
        let text = if file == "go.mod" { project.read(file) } else { "go 1.19\n\n".to_owned() };
        let project = project.file(file, &format!("{text}{line} {lib:?}\n")).commit("by a path");
        let number = text.lines().count() + 1;
        ends_before_an_agent(project, "", &format!("{number} of {file} names {}", lib.display()));
    }
}

#[test]
fn a_crate_at_a_path_of_the_checkout_ends_the_drain() {
    for (file, text) in [
        (
            "Cargo.toml",
            "[package]\nname = \"app\"\nversion = \"0.1.0\"\n[dependencies]\nlib = { path = PATH }\n",
        ),
        (
            "Cargo.toml",
            "[package]\nname = \"app\"\nversion = \"0.1.0\"\n\n[patch.crates-io]\nlib.path = PATH\n",
        ),
        (".cargo/config.toml", "\n\n\n\npaths = [PATH]\n"),
    ] {
        let project = Project::new().file("Cargo.toml", "[workspace]\n");
        let lib = project.path("lib");
        let text = text.replace("PATH", &format!("{:?}", lib.display().to_string()));
        let number = text.lines().count();
        let project = project.file(file, &text).commit("by a path");
        ends_before_an_agent(project, "", &format!("{number} of {file} names {}", lib.display()));
    }
}

#[test]
fn a_path_of_the_checkout_that_ci_does_not_read_is_left_alone() {
    let project = Project::new();
    let replace = format!("module m\n\nreplace m/lib => {:?}\n", project.path("lib"));
    let note = format!("# once: -e {}\n", project.path("lib").display());
    let project = project
        .file("examples/a/go.mod", &replace)
        .file("web/go.mod", &replace)
        .file("requirements.txt", &note)
        .commit("paths");
    lands(project, "cd examples && true");
    let project = Project::new();
    let scripts = json!({"scripts": {"start": project.path("x").display().to_string()}});
    let project = project.file("web/package.json", &scripts.to_string()).commit("paths");
    lands(project.file("api/a", "").commit("api"), "cd api && true");
}

#[test]
fn an_agent_that_names_the_checkout_fails_alone() {
    let agent = "text = json.dumps({'dependencies': {'lib': 'file:' + str(workspace / 'lib')}})\n\
                 write_deliverables(text if phase_id == 'break' else 'x')";
    let phases = json!({"phases": [
        {"phase_id": "break", "deliverables": ["package.json"], "max_attempts": 1},
        {"phase_id": "honest", "deliverables": ["more.txt"], "max_attempts": 1}]});
    let config = "ci:\n  command: [\"true\"]\n";
    let project = Project::new().agent_with(agent, config).plan(phases);
    let ran = project.drain();
    assert_eq!(project.states()["break"], "FAILED", "{ran:#?}");
    assert_eq!(project.states()["honest"], "COMPLETE", "{ran:#?}");
    let failed = project.phase("break");
    let message = failed["last_failure"]["message"].as_str().unwrap();
    assert!(message.contains("line 1 of package.json names"), "{message}");
}
