//! Absolute paths into the user's checkout, in files read by build tools: nothing lands that was tested there. Without a
//! sandbox; `checkout_in_view` has what changes in one.

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
    let agent = "write(workspace.parent / 'witness' / 'asked')\nwrite_deliverables()";
    let phases = json!({"phases": [{"phase_id": "one", "deliverables": ["one.txt"]}]});
    let project = project.without_sandbox().agent_with(agent, config).plan(phases);
    let ran = project.drain().exited(5);
    let output = format!("{}{}", ran.stdout, ran.stderr);
    let shown = format!("ci would test your checkout instead of the change: line {what}");
    assert!(output.contains(&shown), "{shown}: {output}");
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
fn a_checkout_path_that_ci_does_not_read_is_ignored() {
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

/// `src/calc.py` and a test that imports `calc` from Python's path.
fn calculator() -> Project {
    Project::new()
        .file("src/calc.py", "def add(a, b):\n    return a + b\n")
        .file("check.py", "import calc\nassert calc.add(2, 3) == 5\n")
        .file(".gitignore", "__pycache__/\n.env\n")
        .commit("a module")
}

/// Commands that name the checkout, also through a link.
fn commands(root: &str, link: &str) -> Vec<serde_json::Value> {
    vec![
        json!(format!("PYTHONPATH='{root}/src' python3 check.py")),
        json!(format!("cd \"{root}\" && PYTHONPATH=src python3 check.py")),
        json!(format!("cd {} && PYTHONPATH=src python3 check.py", root.replace(' ', "\\ "))),
        json!(["env", format!("PYTHONPATH={root}/src"), "python3", format!("{root}/check.py")]),
        json!(["sh", "-c", format!("export PYTHONPATH=/x:'{root}/src'; python3 check.py")]),
        json!(["env", format!("PYTHONPATH={link}/src"), "python3", "check.py"]),
    ]
}

#[test]
fn a_command_that_names_the_checkout_tests_the_change() {
    for at in 0..commands("", "").len() {
        let project = calculator();
        let (root, link) = (project.root(), project.outside("link"));
        std::os::unix::fs::symlink(&root, &link).unwrap();
        let command =
            commands(root.to_str().unwrap(), link.to_str().unwrap()).swap_remove(at).to_string();
        let agent = "if phase_id == 'break': write('src/calc.py', 'def add(a, b): return a - b\\n')\n\
                     else: write_deliverables()";
        let phases = json!({"phases": [
            {"phase_id": "break", "deliverables": ["src/calc.py"], "max_attempts": 1},
            {"phase_id": "honest", "deliverables": ["more.txt"], "max_attempts": 1}]});
        let config = format!("ci:\n  command: {command}\n");
        let project = project.agent_with(agent, &config).plan(phases);
        let ran = project.drain();
        assert_eq!(project.states()["break"], "FAILED", "{command}: {ran:#?}");
        assert_eq!(project.states()["honest"], "COMPLETE", "{command}: {ran:#?}");
    }
}

/// Files that CI may read, with a line that names the checkout.
fn mentions(src: &str) -> Vec<(&'static str, String)> {
    vec![
        ("tests/conftest.py", format!("import sys\nsys.path.insert(0, {src:?})\n")),
        ("tests/test_a.py", format!("import sys\nsys.path.append('{src}')\n")),
        ("Makefile", format!("test:\n\tPYTHONPATH='{src}' python3 check.py\n")),
        ("scripts/paths.sh", format!("# paths\nexport PYTHONPATH=\"/x:{src}\"\n")),
        (".env", format!("A=1\nPYTHONPATH={src}\n")),
    ]
}

#[test]
fn a_file_that_directs_ci_to_the_checkout_ends_the_drain() {
    for at in 0..mentions("").len() {
        let project = calculator();
        let src = project.path("src").display().to_string();
        let (file, text) = mentions(&src).swap_remove(at);
        let project = project
            .file("ci.sh", "set -a; . scripts/paths.sh; . ./.env; python3 check.py\n")
            .file(file, &text)
            .commit("by a path");
        let config = "ci:\n  command: sh ci.sh\nworkspace:\n  link: [.env]\n";
        ends_before_an_agent(project, config, &format!("2 of {file} names {src}"));
    }
}

#[test]
fn a_mention_without_effect_on_ci_is_ignored() {
    let project = calculator();
    let root = project.root().display().to_string();
    let project = project
        .file("README.md", &format!("run `cd {root}`\n"))
        .file("notebook.ipynb", &format!("{{\"path\": \"{root}/src\"}}\n"))
        .file("deploy.sh", &format!("cd '{root}' && git pull\n"))
        .file(
            "Makefile",
            &format!("# {root}\nDATA = '{root}/data'\nOTHER = '{root}-2/src'\ntest:\n"),
        )
        .commit("mentions");
    lands(project, "make test");
}

#[test]
fn an_agent_whose_test_code_names_the_checkout_fails_alone() {
    let agent = "src = str(workspace / 'src')\n\
                 write('tests/conftest.py', f'import sys\\nsys.path.insert(0, \"{src}\")\\n') if phase_id == 'break' else None\n\
                 write('src/calc.py', 'def add(a, b): return a - b\\n') if phase_id == 'break' else write_deliverables()";
    let phases = json!({"phases": [
        {"phase_id": "break", "deliverables": ["src/calc.py", "tests/conftest.py"], "max_attempts": 1},
        {"phase_id": "honest", "deliverables": ["more.txt"], "max_attempts": 1}]});
    let config = "ci:\n  command: [\"true\"]\n";
    let project = calculator().without_sandbox().agent_with(agent, config).plan(phases);
    let ran = project.drain();
    assert_eq!(project.states()["break"], "FAILED", "{ran:#?}");
    assert_eq!(project.states()["honest"], "COMPLETE", "{ran:#?}");
    let failed = project.phase("break");
    let message = failed["last_failure"]["message"].as_str().unwrap();
    assert!(message.contains("line 2 of tests/conftest.py names"), "{message}");
}

#[test]
fn an_agent_that_names_the_checkout_fails_alone() {
    let agent = "text = json.dumps({'dependencies': {'lib': 'file:' + str(workspace / 'lib')}})\n\
                 write_deliverables(text if phase_id == 'break' else 'x')";
    let phases = json!({"phases": [
        {"phase_id": "break", "deliverables": ["package.json"], "max_attempts": 1},
        {"phase_id": "honest", "deliverables": ["more.txt"], "max_attempts": 1}]});
    let config = "ci:\n  command: [\"true\"]\n";
    let project = Project::new().without_sandbox().agent_with(agent, config).plan(phases);
    let ran = project.drain();
    assert_eq!(project.states()["break"], "FAILED", "{ran:#?}");
    assert_eq!(project.states()["honest"], "COMPLETE", "{ran:#?}");
    let failed = project.phase("break");
    let message = failed["last_failure"]["message"].as_str().unwrap();
    assert!(message.contains("line 1 of package.json names"), "{message}");
}
