//! CI sees exactly what would land: a checkout of its own, in which no agent ever wrote.

use std::fs;

use serde_json::json;

use crate::support::{Project, Ran};

fn plan(ids: &[&str]) -> serde_json::Value {
    let phase = |id: &&str| json!({"phase_id": id, "deliverables": [format!("src/{id}.txt")], "max_attempts": 1});
    json!({"phases": ids.iter().map(phase).collect::<Vec<_>>()})
}

fn failure(project: &Project, id: &str) -> String {
    project.phase(id)["last_failure"].to_string()
}

/// Ignored files and kept caches are not part of a commit: a clean clone would not have them.
#[test]
fn ci_does_not_see_an_agents_untracked_leftovers() {
    for left in ["gen/x", "target/x", ".venv/bin/x"] {
        let agent = format!("write_deliverables()\nif phase_id == 'liar': write('{left}')");
        let config = format!(
            "ci: {{command: [sh, -c, \"test ! -f src/liar.txt || test -f {left}; echo ran >> '$SEEN'\"]}}\n"
        );
        let project =
            Project::new().file(".gitignore", "gen/\ntarget/\n.venv/\n").commit("ignores");
        let seen = project.outside("seen").display().to_string();
        let config = config.replace("; echo ran >> '$SEEN'", &format!(" && echo ran >> '{seen}'"));
        let project = project.agent_with(&agent, &config).plan(plan(&["liar", "honest"]));
        project.drain().exited(3);
        assert_eq!(project.landed(), ["honest"], "{left}");
        assert!(failure(&project, "liar").contains("ci_failed"), "{left}");
    }
}

/// The next phase works in the same slot, and CI on it must not see files left by the one before either.
#[test]
fn the_next_phases_ci_sees_nothing_of_the_one_before() {
    let agent = "write_deliverables(); write('gen/x'); write('target/x')";
    let config = "ci: {command: [sh, -c, \"! test -e gen && ! test -e target/x\"]}\n";
    let project = Project::new()
        .file(".gitignore", "gen/\ntarget/\n")
        .commit("ignores")
        .agent_with(agent, config)
        .plan(plan(&["one", "two"]));
    project.drain().succeeded();
    assert_eq!(project.landed(), ["one", "two"]);
}

const REACHES_CI: &str = "in CI's checkout was changed by another process, maybe by an agent";

/// The path of CI's checkout is easily guessed, and its caches survive a reset.
#[test]
fn files_written_by_an_agent_into_cis_checkout_are_removed_and_reported() {
    for planted in ["node_modules/ghost/index.js", "target/x", ".venv/lib/x"] {
        let agent = format!(
            "write_deliverables()\nif phase_id == 'liar': write(os.environ['AUTOPACK_WORKTREE'] + '-ci/{planted}')"
        );
        let config = format!(
            "ci: {{command: [sh, -c, \"mkdir -p target && touch target/own && {{ test ! -f src/liar.txt || test -f {planted}; }}\"]}}\n"
        );
        let project =
            Project::new().file(".gitignore", "node_modules/\ntarget/\n.venv/\n").commit("ignores");
        let project = project.without_sandbox();
        let project = project.agent_with(&agent, &config).plan(plan(&["liar", "honest"]));
        let ran = project.drain().exited(3);
        assert_eq!(project.landed(), ["honest"], "{planted}");
        assert!(failure(&project, "liar").contains("ci_failed"), "{planted}");
        assert_eq!(ran.stdout.matches(REACHES_CI).count(), 1, "{planted}: {ran:#?}");
    }
}

/// The attempt of the first drain ends without CI, and the second drain's base is known.
#[test]
fn files_of_an_agent_of_an_earlier_drain_are_removed() {
    let agent = "if attempt == 1: write(os.environ['AUTOPACK_WORKTREE'] + '-ci/target/x')\n\
                 else: write_deliverables()";
    let config = "ci: {command: [sh, -c, \"test ! -f src/liar.txt || test -f target/x\"]}\n";
    let project = Project::new().file(".gitignore", "target/\n").commit("ignores");
    let project = project.without_sandbox().agent_with(agent, config).plan(plan(&["liar"]));
    project.drain().exited(3);
    project.autopack(["phases", "retry", "--run-id", "run", "liar"]).succeeded();
    let ran = project.drain().exited(3);
    assert!(project.landed().is_empty());
    assert!(ran.stdout.contains(REACHES_CI), "{ran:#?}");
}

/// Otherwise every phase would start with empty caches.
#[test]
fn cis_own_caches_survive_agents_and_drains() {
    let agent = "write('target/x')\nif attempt > 1 or phase_id != 'two': write_deliverables()";
    let project = Project::new().file(".gitignore", "target/\n").commit("ignores");
    let log = project.outside("runs");
    let config = format!(
        "ci: {{final: off, command: [sh, -c, \"mkdir -p target/a && echo x >> target/a/runs && cp target/a/runs '{}'\"]}}\n",
        log.display()
    );
    let project = project.agent_with(agent, &config).plan(plan(&["one", "two"]));
    let first = project.drain().exited(3);
    let runs = fs::read_to_string(&log).unwrap().lines().count();
    project.autopack(["phases", "retry", "--run-id", "run", "two"]).succeeded();
    let second = project.drain().succeeded();
    assert_eq!(fs::read_to_string(&log).unwrap().lines().count(), runs + 1);
    assert!(runs >= 2 && !(first.stdout + &second.stdout).contains(REACHES_CI));
}

/// The copies for CI and for the clean clone come from there.
#[test]
fn a_package_added_to_the_users_checkout_is_reported_and_not_linked() {
    let ci = "ci: {command: [sh, -c, \"if test -f src/liar.txt; then test -e ghost; else ! test -e ghost; fi && test -e real\"]}\n";
    for (ghost, real, jobs) in [
        ("node_modules/ghost/index.js", "node_modules/real/index.js", "1"),
        ("node_modules/ghost/index.js", "node_modules/real/index.js", "2"),
        // None was there.
        ("node_modules/ghost/index.js", "README.md", "1"),
        // The manifest beside comes with the change.
        ("web/node_modules/ghost/index.js", "README.md", "1"),
    ] {
        let agent = format!(
            "write_deliverables('{{}}')\nif phase_id == 'liar': write(workspace / '{ghost}')"
        );
        let config = ci
            .replace("-e ghost", &format!("-e {ghost}"))
            .replace("-e real", &format!("-e {real}"));
        let project = Project::new()
            .without_sandbox()
            .unset("AUTOPACK_CI_FINAL")
            .file(".gitignore", "node_modules/\n")
            .file("package.json", "{}")
            .commit("manifest")
            .file(real, "");
        project.git(["checkout", "-q", "README.md"]);
        let plan = json!({"phases": [
            {"phase_id": "liar", "deliverables": ["src/liar.txt", "web/package.json"], "max_attempts": 1},
            {"phase_id": "honest", "deliverables": ["src/honest.txt"], "max_attempts": 1}]});
        let project = project.agent_with(&agent, &config).plan(plan);
        let ran = project.autopack(["drain", "--run-id", "run", "--jobs", jobs]).exited(3);
        assert_eq!(project.landed(), ["honest"], "{ghost} {real}: {ran:#?}");
        assert!(ran.stdout.contains("CI is green in a clean clone"), "{ran:#?}");
        let dir = ghost.split("ghost").next().unwrap();
        let note = format!(
            "your own checkout changed while the agent worked (by you, or by the agent): {dir}; CI keeps the earlier \
             dependencies until the next drain"
        );
        assert!(ran.stdout.contains(&note), "{ran:#?}");
    }
}

#[test]
fn an_ignored_deliverable_is_there_for_ci_and_ci_names_its_own_checkout() {
    let config = "ci: {red_base: allow, command: [sh, -c, \"test -f src/one.txt && test $PWD = $AUTOPACK_WORKTREE && case $PWD in *-ci) ;; *) exit 1 ;; esac\"]}\n";
    // The agent is not sent there.
    let agent =
        "write_deliverables()\nassert not any(v.endswith('-ci') for v in os.environ.values())";
    let project = Project::new().file(".gitignore", "/src\n").commit("ignores");
    let project = project.without_sandbox().agent_with(agent, config).plan(plan(&["one"]));
    // Quoted, because of the space in the directory's name.
    let config = project.read(".autopack/config/autopack.yaml");
    let config =
        config.replace("$PWD = $AUTOPACK_WORKTREE", "\\\"$PWD\\\" = \\\"$AUTOPACK_WORKTREE\\\"");
    let project = project.config(&config);
    project.drain().succeeded();
    assert_eq!(project.landed(), ["one"]);
}

/// The git directory by which the change is measured is beside the copy.
#[test]
fn files_written_by_an_agent_into_autopacks_git_directory_have_no_effect() {
    let agent = r#"
write_deliverables()
git = os.getcwd() + '.git'
marker = os.environ['MARKER']
with open(git + '/config', 'a') as config:
    config.write('[filter "x"]\n\tclean = "touch %s; env > %s.env; sed s/made/EVIL/"\n\trequired = true\n[core]\n\tfsmonitor = "touch %s"\n' % (marker, marker, marker))
write(git + '/info/attributes', 'src/*.txt filter=x\n')
write(git + '/hooks/post-index-change', '#!/bin/sh\ntouch %s\n' % marker)
os.chmod(git + '/hooks/post-index-change', 0o755)
write(git + '/commondir', '/nowhere\n')
write(git + '/objects/info/alternates', '/nowhere\n')
write(git + '/index', 'no index')
write(git + '/refs/heads/none', 'no ref')
"#;
    let project = Project::new();
    let marker = project.outside("ran").display().to_string().replace(' ', "?");
    let project = project.env("MARKER", marker).env("MY_API_KEY", "sk-1234567890abcdefghij");
    let project = project.without_sandbox().agent(agent).plan(plan(&["one", "two"]));
    project.drain().succeeded();
    assert_eq!(project.landed(), ["one", "two"]);
    assert_eq!(project.git(["show", "autopack/run:src/one.txt"]), "made by the agent\n");
    let left = fs::read_dir(project.outside("")).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with("ran")), "{left:?}");
}

/// An object whose content does not match its name would be tested in place of what lands.
#[test]
fn a_planted_object_is_not_what_ci_tests() {
    let agent = r#"
import zlib
write_deliverables()
real = subprocess.run(['git', 'rev-parse', 'HEAD:test.sh'], capture_output=True, text=True).stdout.strip()
fake = b'exit 0\n'
directory = os.getcwd() + '.git/objects/' + real[:2]
os.makedirs(directory, exist_ok=True)
open(directory + '/' + real[2:], 'wb').write(zlib.compress(b'blob %d\0' % len(fake) + fake))
"#;
    let config = "ci: {command: [sh, test.sh]}\n";
    let project = Project::new()
        .without_sandbox()
        .file("test.sh", "test ! -e src/one.txt\n")
        .commit("a test that the change breaks")
        .agent_with(agent, config)
        .plan(plan(&["one"]));
    project.drain().exited(3);
    assert!(project.landed().is_empty());
}

/// git gets only the environment that it needs.
#[test]
fn git_gets_no_secrets() {
    let project = Project::new();
    let (bin, log) = (project.outside("bin"), project.outside("git.env"));
    let git = which("git");
    crate::support::executable(
        &bin.join("git"),
        &format!("#!/bin/sh\nenv >> '{}'\nexec '{git}' \"$@\"\n", log.display()),
    );
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let project = project
        .env("PATH", path)
        .env("AUTOPACK_QDRANT_API_KEY", "qdrant-secret")
        .env("OPENAI_API_KEY", "openai-secret")
        .env("MY_PASSWORD", "other-secret")
        .env("SSH_AUTH_SOCK", "/tmp/agent-secret")
        .agent("write_deliverables()")
        .plan(plan(&["one"]));
    // Everything before the drain was the test's own git.
    fs::write(&log, "").unwrap();
    project.drain().succeeded();
    let seen = fs::read_to_string(log).unwrap();
    assert!(seen.contains("GIT_DIR=") && !seen.contains("secret"), "{seen}");
}

fn which(program: &str) -> String {
    let path = std::env::var("PATH").unwrap();
    let found = path.split(':').map(|dir| format!("{dir}/{program}"));
    found.into_iter().find(|file| std::path::Path::new(file).exists()).unwrap()
}

/// Versions from tags, and changes since the base: commands common in Makefiles.
#[test]
fn tags_the_base_and_origin_are_there() {
    let check = "git describe --tags && git diff --name-only main...HEAD && git diff --name-only origin/main... && git rev-parse origin/HEAD";
    let agent = format!(
        "subprocess.run(['sh', '-c', {:?}], check=True); write_deliverables()",
        format!("{check} && test -z \"$(git remote)\"")
    );
    let config =
        format!("workspace: {{setup: \"{check}\"}}\nci: {{command: [sh, -c, \"{check}\"]}}\n");
    let project = Project::new();
    project.git(["tag", "v1.0"]);
    project.git(["tag", "-a", "v1.1", "-m", "annotated"]);
    let project = project.agent_with(&agent, &config).plan(plan(&["one", "two"]));
    project.drain().succeeded();
    // With a remote and everything packed, as after a clone and a gc.
    let project = Project::new();
    project.git(["tag", "v1.0"]);
    project.git(["update-ref", "refs/remotes/origin/main", "HEAD"]);
    project.git(["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main"]);
    project.git(["config", "remote.origin.url", "/nowhere"]);
    project.git(["pack-refs", "--all"]);
    let project = project.agent_with(&agent, &config).plan(plan(&["one", "two"]));
    project.drain().succeeded();
}

/// The user's remote is newer than the checkout, as in a clone some time after its last fetch.
#[test]
fn ci_and_setup_fetch_from_origin_and_nothing_pushes() {
    let project = Project::new();
    let (remote, other) = (project.outside("remote.git"), project.outside("other"));
    let (remote, other) = (remote.to_str().unwrap(), other.to_str().unwrap());
    project.git(["clone", "-q", "--bare", ".", remote]);
    project.git(["clone", "-q", remote, other]);
    project.git(["-C", other, "commit", "-q", "--allow-empty", "-m", "newer"]);
    project.git(["-C", other, "tag", "v9"]);
    project.git(["-C", other, "push", "-q", "--tags", "origin", "main"]);
    project.git(["remote", "add", "origin", "../witness/remote.git"]);
    let check = "git fetch -q --tags origin && git rev-parse v9 && ! git merge-base --is-ancestor origin/main HEAD && \
                 ! git push -q origin HEAD:refs/heads/pushed";
    let config = format!(
        "workspace: {{setup: \"{check}\", setup_inputs: [one.txt]}}\nci: {{command: [sh, -c, \"{check}\"]}}\n"
    );
    let agent = "assert not subprocess.check_output(['git', 'remote'])\n\
                 assert subprocess.run(['git', 'fetch', 'origin']).returncode\nwrite_deliverables()";
    let project = project.agent_with(agent, &config).plan(plan(&["one", "two"]));
    let ran = project.drain().succeeded();
    assert!(!ran.stdout.contains("committed"), "fetched commits are no lost work: {ran:#?}");
    let branches = project.git(["--git-dir", remote, "branch", "--format=%(refname:short)"]);
    assert_eq!(branches.trim(), "main");
}

#[test]
fn a_fetch_from_another_remote_is_explained() {
    let config = "ci: {command: git fetch -q upstream}\n";
    let project = Project::new().agent_with("write_deliverables()", config).plan(plan(&["one"]));
    let ran = project.drain().exited(5);
    let output = format!("{}{}", ran.stdout, ran.stderr);
    assert!(output.contains("only the remote origin"), "{output}");
}

/// Refs fetched by setup are there for CI.
#[test]
fn refs_fetched_by_setup_are_available_to_ci() {
    let project = Project::new();
    let elsewhere = project.outside("elsewhere");
    let to = elsewhere.display().to_string();
    project.git(["clone", "-q", &project.root().display().to_string(), &to]);
    project.git(["-C", &to, "tag", "fetched"]);
    let config = format!(
        "workspace: {{setup: \"git fetch -q --tags '{to}'\"}}\nci: {{command: [git, describe, --tags]}}\n"
    );
    let project = project.agent_with("write_deliverables()", &config).plan(plan(&["one"]));
    project.drain().succeeded();
}

/// Whose checkouts were set up: in a view their paths are equal, but not the numbers of their directories.
fn setup_runs(project: &Project) -> Vec<&'static str> {
    let text = |name: &str| fs::read_to_string(project.outside(name)).unwrap_or_default();
    let agents = text("agents-checkout");
    let of = |line: &str| if line.trim() == agents { "agent" } else { "ci" };
    text("setups").lines().map(of).collect()
}

/// Setup is expensive: it does not run again if its inputs are the same.
#[test]
fn setup_runs_again_where_what_it_depends_on_changed() {
    let agent = "write_deliverables()\nif phase_id == 'dep': write('package.json', '{\"a\": 1}')\n\
                 write(workspace.parent / 'witness' / 'agents-checkout', str(os.stat('.').st_ino))\n\
                 if phase_id == 'tool': write('tools/version', '2')";
    let plan = json!({"phases": [
        {"phase_id": "one", "deliverables": ["src/one.txt"]},
        {"phase_id": "two", "deliverables": ["src/two.txt"]},
        {"phase_id": "dep", "deliverables": ["src/dep.txt", "package.json"]},
        {"phase_id": "tool", "deliverables": ["src/tool.txt", "tools/version"]}]});
    let project = Project::new()
        .file("package.json", "{}")
        .file("tools/version", "1")
        .file(".gitignore", "node_modules\n")
        .commit("manifest");
    let log = project.outside("setups");
    let config = format!(
        "workspace:\n  setup: \"ls -di . | grep -o '[0-9]*' >> '{}'; mkdir -p node_modules; cp package.json node_modules/seen\"\n  setup_inputs: [tools/]\n\
         ci: {{command: [cmp, package.json, node_modules/seen]}}\n",
        log.display()
    );
    let project = project.agent_with(agent, &config).plan(plan);
    project.drain().succeeded();
    let expected = ["agent", "ci", "ci", "agent", "ci"];
    assert_eq!(setup_runs(&project), expected);
}

/// Files removed by a reset must be made again.
#[test]
fn setup_runs_again_where_its_work_was_removed() {
    for made in ["made/x", "node_modules/x"] {
        let project = Project::new().file(".gitignore", "made\nnode_modules\n").commit("ignores");
        let setup = format!("mkdir -p {0} && touch {1}", made.split('/').next().unwrap(), made);
        let agent = "write_deliverables(); subprocess.run(['rm', '-rf', 'node_modules', 'made'])";
        let config =
            format!("workspace: {{setup: \"{setup}\"}}\nci: {{command: [test, -f, {made}]}}\n");
        let agent = format!("assert os.path.exists('{made}'), 'no {made}'\n{agent}");
        let project = project.agent_with(&agent, &config).plan(plan(&["one", "two"]));
        project.drain().succeeded();
    }
}

#[test]
fn a_change_that_breaks_setup_fails_its_phase_alone() {
    let agent = "write_deliverables()\nif phase_id == 'bad': write('package.json', 'broken')";
    let plan = json!({"phases": [
        {"phase_id": "bad", "deliverables": ["src/bad.txt", "package.json"], "max_attempts": 1},
        {"phase_id": "good", "deliverables": ["src/good.txt"]}]});
    let config = "workspace: {setup: \"grep -q '{}' package.json\"}\n";
    let project = Project::new().file("package.json", "{}").commit("manifest");
    let project = project.agent_with(agent, config).plan(plan);
    project.drain().exited(3);
    assert_eq!(project.landed(), ["good"]);
    assert!(failure(&project, "bad").contains("workspace.setup failed"));
}

fn with_submodules() -> Project {
    let project = Project::new();
    let allow = ["-c", "protocol.file.allow=always"];
    for (name, inner) in [("inner", None), ("lib", Some("inner"))] {
        let at = project.outside(name).display().to_string();
        project.git(["init", "-q", "-b", "main", &at]);
        fs::write(project.outside(name).join("file.txt"), name).unwrap();
        if let Some(inner) = inner {
            let from = project.outside(inner).display().to_string();
            let add = ["-C", &at, allow[0], allow[1], "submodule", "add", "-q", &from, "nested/in"];
            project.git(add);
        }
        project.git(["-C", &at, "add", "-A"]);
        project.git(["-C", &at, "commit", "-q", "-m", name]);
    }
    let from = project.outside("lib").display().to_string();
    project.git([allow[0], allow[1], "submodule", "add", "-q", &from, "deps/lib"]);
    project.git([allow[0], allow[1], "submodule", "update", "-q", "--init", "--recursive"]);
    project.commit("submodules")
}

/// Makefiles do this, and in a clone it brings the files.
#[test]
fn submodules_can_be_updated_in_setup_and_in_ci() {
    let update = "git submodule update --init --recursive && test -f deps/lib/nested/in/file.txt && git submodule status --recursive && test -z \\\"$(git status --porcelain)\\\"";
    let config =
        format!("workspace: {{setup: \"{update}\"}}\nci: {{command: [sh, -c, \"{update}\"]}}\n");
    let project = with_submodules();
    let project = project.agent_with("write_deliverables()", &config).plan(plan(&["one", "two"]));
    project.drain().succeeded();
    assert_eq!(project.landed(), ["one", "two"]);
}

#[test]
fn a_change_in_a_submodule_is_still_noticed() {
    let agent = "write_deliverables()\n\
                 if phase_id == 'one': write('deps/lib/file.txt', 'mine'); subprocess.run(['git', '-C', 'deps/lib', 'commit', '-qam', 'mine'], check=True)";
    let project = with_submodules().agent(agent).plan(plan(&["one", "two"]));
    project.drain().exited(3);
    assert!(failure(&project, "one").contains("deps/lib"), "{}", failure(&project, "one"));
    assert_eq!(project.landed(), ["two"]);
}

/// Removing a state directory costs no attempt.
#[test]
fn a_deleted_slot_is_a_lost_attempt() {
    let agent = "import shutil\nif attempt == 1: os.chdir('/'); shutil.rmtree(os.environ['XDG_STATE_HOME'])\nelse: write_deliverables()";
    let project = Project::new().without_sandbox().agent(agent).plan(plan(&["one"]));
    let ran: Ran = project.drain().succeeded();
    let output = ran.stdout + &ran.stderr;
    assert!(output.contains("was removed while an attempt worked in it"), "{output}");
    // The second one landed, and is the only counted one.
    let log = project.phase("one")["attempt_log"].clone();
    let outcomes = [&log[0]["outcome"], &log[1]["outcome"]];
    assert!(outcomes.contains(&&json!("crashed")) && outcomes.contains(&&json!("landed")), "{log}");
    assert_eq!(project.phase("one")["attempts"], 1);
    assert_eq!(project.landed(), ["one"]);
}
