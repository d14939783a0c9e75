//! A change to a lock file is tested with the packages it asks for, although the project does not say how to install
//! its dependencies.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Project, has};

/// Runs everything in `src/`.
const CHECK: &str = "require('fs').readdirSync('src').forEach((file) => require('./src/' + file))";

/// Written by the agent: `package.json` with a second package, and the matching lock file.
const ADD_TWO: &str = r#"
def add_two():
    manifest = json.load(open('package.json'))
    manifest['dependencies']['two'] = 'file:packed/two-1.0.0.tgz'
    write('package.json', json.dumps(manifest))
def lock():
    subprocess.run(['npm', 'install', '--package-lock-only', '--silent'], check=True)
"#;

fn in_checkout(project: &Project, line: &str) -> String {
    let mut shell = Command::new("sh");
    let drain = project.command(["--version"]);
    shell.args(["-ec", line]).current_dir(project.root()).env_clear();
    shell.envs(drain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = shell.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{line}: {output:#?}");
    String::from_utf8(output.stdout).unwrap()
}

fn offline(project: Project) -> Project {
    project
        .env("npm_config_offline", "true")
        .env("npm_config_audit", "false")
        .env("npm_config_fund", "false")
        .env("npm_config_update_notifier", "false")
}

/// One package installed, another one packed for installation. Only the agent and CI are configured.
fn with_npm(agent: &str, plan: Value) -> Project {
    let mut project = offline(Project::new())
        .file(".gitignore", "node_modules/\n")
        .file("package.json", r#"{"name": "app", "version": "1.0.0", "private": true, "dependencies": {"one": "file:packed/one-1.0.0.tgz"}}"#)
        .file("check.js", CHECK)
        .file("src/base.js", "require('one')");
    for name in ["one", "two"] {
        let manifest = json!({"name": name, "version": "1.0.0", "main": "index.js"}).to_string();
        project = project.file(&format!("{name}/package.json"), &manifest);
        project.write(&format!("{name}/index.js"), "");
        in_checkout(
            &project,
            &format!(
                "mkdir -p packed && cd {name} && npm pack --silent --pack-destination ../packed && cd .. && rm -r {name}"
            ),
        );
    }
    in_checkout(&project, "npm install --silent");
    project
        .commit("an application with one dependency")
        .agent_with(&format!("{ADD_TWO}\n{agent}"), "ci: {command: [node, check.js]}\n")
        .plan(plan)
}

fn phase(id: &str, more: &[&str]) -> Value {
    let deliverables =
        [&[format!("src/{id}.js")], &more.iter().map(|m| (*m).to_owned()).collect::<Vec<_>>()[..]]
            .concat();
    json!({"phase_id": id, "deliverables": deliverables, "max_attempts": 1})
}

fn plan() -> Value {
    json!({"phases": [phase("dep", &["package.json", "package-lock.json"]), phase("next", &[])]})
}

/// Everything in the user's own directory, with its times.
fn installed(project: &Project) -> String {
    in_checkout(project, "find node_modules -printf '%p %s %T@ %i\\n' | sort")
}

fn message(project: &Project, id: &str) -> String {
    project.phase(id)["last_failure"]["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_phase_that_adds_a_dependency_lands_and_the_next_one_has_it() {
    if !has("npm", &["--version"]) {
        return;
    }
    let agent = r#"
write('src/' + phase_id + '.js', "require('two')")
if phase_id == 'dep':
    add_two(); lock()
else:
    assert os.path.exists('node_modules/two/package.json')
"#;
    let project = with_npm(agent, plan()).unset("AUTOPACK_CI_FINAL");
    let before = installed(&project);
    let drained = project.drain();
    assert_eq!(project.landed(), ["dep", "next"], "{drained:#?}\n{}", message(&project, "dep"));
    assert_eq!(drained.code, Some(0), "{drained:#?}");
    // The clean clone of the tip has it, too.
    assert!(drained.stdout.contains("CI is green in a clean clone"), "{drained:#?}");
    assert_eq!(installed(&project), before);
}

#[test]
fn packages_installed_for_an_unlanded_change_are_absent_in_the_next_phase() {
    if !has("npm", &["--version"]) {
        return;
    }
    let agent = r#"
if phase_id == 'dep':
    add_two(); lock()
    subprocess.run(['npm', 'ci', '--silent'], check=True)
    write('src/dep.js', "require('two'); throw new Error('red')")
else:
    assert not os.path.exists('node_modules/two') and os.path.exists('node_modules/one/package.json')
    write('src/next.js', "require('one'); let there = true; try { require('two') } catch { there = false }; if (there) throw new Error('two is there')")
"#;
    let project = with_npm(agent, plan());
    let before = installed(&project);
    let drained = project.drain().exited(3);
    assert_eq!(project.landed(), ["next"], "{drained:#?}\n{}", message(&project, "next"));
    let output = message(&project, "dep");
    assert!(output.contains("node check.js") && !output.contains("workspace.setup"), "{output}");
    assert_eq!(installed(&project), before);
}

#[test]
fn a_lock_file_that_does_not_match_its_manifest_fails_its_phase_and_names_setup() {
    if !has("npm", &["--version"]) {
        return;
    }
    let agent = r#"
write('src/' + phase_id + '.js', "require('one')")
if phase_id == 'dep':
    add_two()
    write('package-lock.json', open('package-lock.json').read() + '\n')
"#;
    let project = with_npm(agent, plan());
    let before = installed(&project);
    let drained = project.drain().exited(3);
    assert_eq!(project.landed(), ["next"], "{drained:#?}\n{}", message(&project, "next"));
    let failure = project.phase("dep")["last_failure"].clone();
    let output = failure["message"].as_str().unwrap();
    assert_eq!(failure["kind"], "ci_failed", "{failure:#}");
    for part in [
        "package-lock.json changed",
        "npm ci",
        "Missing: two@1.0.0",
        "workspace.setup",
        "install-ci.log",
    ] {
        assert!(output.contains(part), "no {part}: {output}");
    }
    assert_eq!(project.phase("dep")["attempts"], 1);
    assert_eq!(installed(&project), before);
}

#[test]
fn a_dependency_without_a_lock_file_is_named_where_ci_fails() {
    let agent = r#"
write('src/dep.js', "require('two')")
write('package.json', '{"dependencies": {"two": "1.0.0"}}')
"#;
    let project = Project::new()
        .file("package.json", "{}")
        .file("check.js", CHECK)
        .file("src/base.js", "")
        .commit("no dependency")
        .agent_with(agent, "ci: {command: [node, check.js]}\n")
        .plan(json!({"phases": [phase("dep", &["package.json"])]}));
    project.drain().exited(3);
    let output = message(&project, "dep");
    for part in
        ["node check.js", "package.json changed", "no lock file", "workspace.setup", "npm install"]
    {
        assert!(output.contains(part), "no {part}: {output}");
    }
}

/// A workspace's lock file asks for links between members.
#[test]
fn a_member_of_a_pnpm_workspace_may_depend_on_another_one() {
    if !has("pnpm", &["--version"]) {
        return;
    }
    let agent = r#"
manifest = json.load(open('packages/app/package.json'))
manifest['dependencies']['@x/more'] = 'workspace:*'
write('packages/app/package.json', json.dumps(manifest))
subprocess.run(['pnpm', 'install', '--lockfile-only', '--offline', '--silent'], check=True)
write('packages/app/more.js', "require('@x/more')")
"#;
    let member = |name: &str, dependencies: Value| {
        json!({"name": format!("@x/{name}"), "version": "1.0.0", "main": "index.js", "dependencies": dependencies}).to_string()
    };
    let project = offline(Project::new())
        .file(".gitignore", "node_modules/\n")
        .file("package.json", r#"{"name": "x", "private": true}"#)
        .file("pnpm-workspace.yaml", "packages:\n  - packages/*\n")
        .file("packages/app/package.json", &member("app", json!({"@x/core": "workspace:*"})))
        .file("packages/app/index.js", "require('@x/core')")
        .file("packages/core/package.json", &member("core", json!({})))
        .file("packages/core/index.js", "")
        .file("packages/more/package.json", &member("more", json!({})))
        .file("packages/more/index.js", "");
    in_checkout(&project, "pnpm install --offline --silent");
    let project = project.commit("a workspace").agent_with(
        agent,
        "ci: {command: \"cd packages/app && for file in *.js; do node $file || exit 1; done\"}\n",
    );
    let project = project.plan(json!({"phases": [{
        "phase_id": "more",
        "deliverables": ["packages/app/more.js", "packages/app/package.json", "pnpm-lock.yaml"],
        "max_attempts": 1}]}));
    let drained = project.drain();
    assert_eq!(project.landed(), ["more"], "{drained:#?}\n{}", message(&project, "more"));
    assert!(!project.path("packages/app/node_modules/@x/more").exists());
}

/// Without CI there is no verdict by an installer.
#[test]
fn no_dependencies_are_installed_without_tests() {
    let agent = "write_deliverables()\nwrite('package-lock.json', 'broken')\nwrite('package.json', '{\"dependencies\": {\"x\": \"1\"}}')";
    let project = Project::new()
        .file("package.json", "{}")
        .file("package-lock.json", "{}")
        .commit("no tests")
        .agent(agent)
        .plan(json!({"phases": [{"phase_id": "one",
            "deliverables": ["src/one.txt", "package.json", "package-lock.json"], "max_attempts": 1}]}));
    project.drain().succeeded();
    assert_eq!(project.landed(), ["one"]);
}
