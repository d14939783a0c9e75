//! Projects that name the user's checkout, in a view with a copy at that path: the change is tested there, and lands or
//! fails by its own merit. `checkout_paths` and `ci_environment` have the same projects without a sandbox.

use std::fs;
use std::path::PathBuf;

use autopack::process::use_supervisor;
use autopack::process::view::{ViewMode, probe};
use serde_json::{Value, json};

use crate::ci_environment::{each_editable_install, is_green, only_the_honest_one_lands};
use crate::support::{Project, has, skip};

/// Runs agents, setup and CI in namespaces; without them the test is skipped.
#[track_caller]
fn in_view(project: Project) -> Option<Project> {
    in_mode(project, ViewMode::Namespaces)
}

/// Runs agents, setup and CI in this mode of the sandbox; without it the test is skipped.
#[track_caller]
pub fn in_mode(project: Project, mode: ViewMode) -> Option<Project> {
    use_supervisor(env!("CARGO_BIN_EXE_autopack"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if let Err(why) = runtime.block_on(probe(mode)) {
        skip(mode.as_str(), format_args!("{why}"));
        return None;
    }
    let witness = project.outside("").display().to_string();
    let project = project.env("AUTOPACK_SANDBOX_MODE", mode.as_str());
    Some(project.env("AUTOPACK_SANDBOX_WRITE", witness.trim_end_matches('/')))
}

/// The phase `break` writes this text into this file, `honest` a file beside it: only that one lands.
fn only_a_harmless_change_lands(project: Project, config: &str, file: &str, text: &str) {
    let agent =
        format!("write({file:?}, {text:?}) if phase_id == 'break' else write_deliverables()");
    let phases = json!({"phases": [
        {"phase_id": "break", "deliverables": [file], "max_attempts": 1},
        {"phase_id": "honest", "deliverables": ["more.txt"], "max_attempts": 1}]});
    let project = project.agent_with(&agent, config).plan(phases);
    let ran = project.drain().exited(3);
    let shown = format!("{config}: {ran:#?}\n{:#}", project.phase("break"));
    assert_eq!(project.states()["honest"], "COMPLETE", "{shown}");
    assert_eq!(project.phase("break")["last_failure"]["kind"], "ci_failed", "{shown}");
}

/// An isolated Python imports what its installation names, whatever the environment says.
#[test]
fn an_editable_install_of_the_checkout_is_the_change() {
    each_editable_install("-I, ", |project, config, style| {
        if let Some(project) = in_view(project) {
            only_the_honest_one_lands(project, config, style);
        }
    });
}

#[test]
fn a_crate_at_a_path_of_the_checkout_is_the_change() {
    if !has("cargo", &["--version"]) {
        return;
    }
    let home = std::env::var("HOME").unwrap_or_default();
    let of = |name: &str, default: &str| {
        std::env::var(name).unwrap_or_else(|_| format!("{home}/{default}"))
    };
    let project = Project::new()
        .env("RUSTUP_HOME", of("RUSTUP_HOME", ".rustup"))
        .env("CARGO_HOME", of("CARGO_HOME", ".cargo"));
    let lib = project.path("lib").display().to_string();
    let package = |name: &str| format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\n");
    let test = "#[test]\nfn it_adds() { assert_eq!(lib::add(2, 3), 5); }\n";
    let project = project
        .file(".gitignore", "target\nCargo.lock\n")
        .file(
            "Cargo.toml",
            &format!("{}[dependencies]\nlib = {{ path = {lib:?} }}\n", package("app")),
        )
        .file("src/lib.rs", test)
        .file("lib/Cargo.toml", &package("lib"))
        .file("lib/src/lib.rs", "pub fn add(a: u32, b: u32) -> u32 { a + b }\n")
        .commit("by a path");
    let Some(project) = in_view(project) else { return };
    let wrong = "pub fn add(a: u32, b: u32) -> u32 { a * b }\n";
    only_a_harmless_change_lands(project, "", "lib/src/lib.rs", wrong);
}

#[test]
fn a_go_module_at_a_path_of_the_checkout_is_the_change() {
    if !has("go", &["version"]) {
        return;
    }
    let project = Project::new();
    let (lib, caches) = (project.path("lib"), project.outside("go"));
    let test = "package app\n\nimport (\n\t\"example.com/lib\"\n\t\"testing\"\n)\n\n\
                func TestAdd(t *testing.T) {\n\tif lib.Add(2, 3) != 5 {\n\t\tt.Fatal()\n\t}\n}\n";
    let require = "require example.com/lib v0.0.0\n\nreplace example.com/lib =>";
    let project = project
        .file("go.mod", &format!("module example.com/app\n\ngo 1.19\n\n{require} {lib:?}\n"))
        .file("app.go", "package app\n")
        .file("app_test.go", test)
        .file("lib/go.mod", "module example.com/lib\n\ngo 1.19\n")
        .file("lib/lib.go", "package lib\n\nfunc Add(a, b int) int { return a + b }\n")
        .commit("by a path")
        .env("GOFLAGS", "-mod=mod")
        .env("GOCACHE", caches.join("cache").display().to_string())
        .env("GOPATH", caches.join("path").display().to_string());
    let Some(project) = in_view(project) else { return };
    let wrong = "package lib\n\nfunc Add(a, b int) int { return a * b }\n";
    only_a_harmless_change_lands(project, "", "lib/lib.go", wrong);
}

/// As npm links the members of a workspace, but with the whole path.
#[test]
fn a_node_package_that_is_linked_into_the_checkout_is_the_change() {
    if !has("node", &["--version"]) {
        return;
    }
    let project = Project::new()
        .file("package.json", "{}")
        .file("packages/core/package.json", r#"{"name": "core", "main": "index.js"}"#)
        .file("packages/core/index.js", "module.exports = (a, b) => a + b\n")
        .file("test.js", "process.exit(require('core')(2, 3) === 5 ? 0 : 1)\n")
        .file(".gitignore", "node_modules/\n")
        .commit("a package");
    let setup =
        "mkdir -p node_modules && ln -sfn \"$AUTOPACK_WORKSPACE/packages/core\" node_modules/core";
    let config = format!("ci:\n  command: [node, test.js]\nworkspace:\n  setup: {setup:?}\n");
    let Some(project) = in_view(project) else { return };
    let wrong = "module.exports = (a, b) => a - b\n";
    only_a_harmless_change_lands(project, &config, "packages/core/index.js", wrong);
}

/// Files that CI reads, with a line that names the checkout.
#[test]
fn a_file_that_directs_ci_to_the_checkout_directs_it_to_the_change() {
    for file in ["scripts/paths.sh", ".env", "Makefile"] {
        let project = Project::new()
            .file("src/calc.py", "def add(a, b):\n    return a + b\n")
            .file("check.py", "import calc\nassert calc.add(2, 3) == 5\n")
            .file("ci.sh", "set -a; [ ! -e scripts/paths.sh ] || . scripts/paths.sh; [ ! -e .env ] || . ./.env\npython3 check.py\n")
            .file(".gitignore", "__pycache__/\n.env\n")
            .commit("a module");
        let src = project.path("src").display().to_string();
        let text = match file {
            "Makefile" => format!("test:\n\tPYTHONPATH='{src}' python3 check.py\n"),
            _ => format!("PYTHONPATH='{src}'\n"),
        };
        let project = project.file(file, &text).commit("by a path");
        let command = if file == "Makefile" { "make test" } else { "sh ci.sh" };
        let config = format!("ci:\n  command: {command}\nworkspace:\n  link: [.env]\n");
        let Some(project) = in_view(project) else { return };
        only_a_harmless_change_lands(
            project,
            &config,
            "src/calc.py",
            "def add(a, b):\n    return a - b\n",
        );
    }
}

#[test]
fn an_agent_that_names_the_checkout_in_a_manifest_or_a_test_lands() {
    let agent = "text = json.dumps({'dependencies': {'lib': 'file:' + str(workspace / 'lib')}})\n\
                 write('package.json', text); write('tests/conftest.py', f'import sys\\nsys.path.insert(0, {str(workspace)!r})\\n')";
    let plan = json!([{"id": "one", "deliverables": ["package.json", "tests/conftest.py"]}]);
    let project = Project::new().agent_with(agent, "ci: {command: ['true']}\n").plan(plan);
    let Some(project) = in_view(project) else { return };
    project.drain().succeeded();
    assert_eq!(project.landed(), ["one"]);
}

#[test]
fn variables_that_name_the_checkout_name_the_copy() {
    let project = Project::new().file("lib/a.py", "").file("bin/tool", "").commit("files");
    let root = project.root().display().to_string();
    let project = project
        .env("NODE_PATH", format!("{root}/lib:/usr/lib/node"))
        .env("MY_TOOL", format!("{root}/bin/tool"));
    let line = "test \"$PWD\" = \"$AUTOPACK_WORKSPACE\" && test \"$PWD\" = \"$AUTOPACK_WORKTREE\" && \
                test \"$NODE_PATH\" = \"$PWD/lib:/usr/lib/node\" && test \"$MY_TOOL\" -ef bin/tool && test -f one.txt -o ! -e one.txt";
    let Some(project) = in_view(project) else { return };
    is_green(project, line);
}

/// `go` and other programs fail on a variable that names a missing file.
#[test]
fn a_build_variable_that_names_a_file_of_the_user_alone_is_removed() {
    let project = Project::new();
    project.write("go.work", "untracked");
    let file = project.path("go.work").display().to_string();
    let project = project.env("GOWORK", file);
    let Some(project) = in_view(project) else { return };
    is_green(project, "test -z \"${GOWORK+x}\" || test -e \"$GOWORK\"");
}

#[test]
fn an_ignored_deliverable_is_there_for_ci_and_other_ignored_files_are_not() {
    let agent = "write_deliverables(); write('target/x'); write('src/other.txt')";
    let config = "ci: {red_base: allow, command: 'test -f src/one.txt && ! test -e target && ! test -e src/other.txt'}\n";
    let project = Project::new().file(".gitignore", "/src\n/target\n").commit("ignores");
    let plan = json!([{"id": "one", "deliverables": ["src/one.txt"], "max_attempts": 1}]);
    let Some(project) = in_view(project.agent_with(agent, config).plan(plan)) else { return };
    project.drain().succeeded();
    assert_eq!(project.landed(), ["one"]);
}

/// Without the user's checkout, its database and the slots' directory, nothing is there to be changed or removed.
#[test]
fn an_agent_that_deletes_everything_it_sees_of_autopack_fails_alone() {
    let agent = "import shutil\n\
                 if phase_id == 'rude':\n    \
                 shutil.rmtree(workspace / '.autopack', ignore_errors=True)\n    \
                 shutil.rmtree(os.environ['XDG_STATE_HOME'], ignore_errors=True)\n    \
                 shutil.rmtree(os.getcwd() + '.git', ignore_errors=True)\n    \
                 sys.exit(1)\n\
                 write_deliverables()";
    let phase = |id: &str| -> Value {
        json!({"id": id, "deliverables": [format!("{id}.txt")], "max_attempts": 1})
    };
    let project = Project::new().agent(agent).plan(json!([phase("rude"), phase("next")]));
    let Some(project) = in_view(project) else { return };
    project.drain().exited(3);
    assert_eq!(project.landed(), ["next"]);
    assert_eq!(project.phase("rude")["attempts"], 1);
}

/// `/var/tmp` is private there, as `/tmp` is.
#[test]
fn slots_in_var_tmp_are_seen_at_the_checkout() {
    let agent = "lines = [line.split() for line in open('/proc/self/mountinfo')]\n\
                 roots = [line[3] for line in lines if line[4].replace('\\\\040', ' ') == os.getcwd()]\n\
                 (workspace.parent / 'witness' / 'slot').write_text(roots[-1].replace('\\\\040', ' '))\n\
                 assert os.getcwd() == str(workspace) and not list(pathlib.Path('/var/tmp').iterdir())\n\
                 write_deliverables()";
    let project = Project::new().agent(agent);
    let plan = json!([{"id": "one", "deliverables": ["one.txt"], "max_attempts": 1}]);
    let project = project.plan(plan).unset("XDG_STATE_HOME").unset("HOME");
    let Some(project) = in_view(project) else { return };
    project.drain().succeeded();
    assert_eq!(project.landed(), ["one"]);
    let slot = fs::read_to_string(project.outside("slot")).unwrap();
    // Below the mount point of its file system.
    let (_, name) = slot.split_once("autopack-").expect("a slot in /var/tmp");
    let slot = PathBuf::from(format!("/var/tmp/autopack-{name}"));
    assert!(slot.is_dir(), "{slot:?}");
    fs::remove_dir_all(slot.parent().unwrap()).unwrap();
}
