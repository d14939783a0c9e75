//! Agents whose remains break the code that reads or removes them: their phase fails, and the drain goes on.

use std::os::unix::process::CommandExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::recovery::with_git;
use crate::support::{Project, Ran, skip};

/// A script spoils the first phase; the others do their work.
fn spoiler(script: &str) -> Project {
    let body = format!("if phase_id == 'spoiler':\n    {script}\nwrite_deliverables()\n");
    let phase = |id: &str| {
        json!({"phase_id": id, "name": id, "deliverables": [format!("src/{id}")],
            "scope": {"paths": [format!("src/{id}.d/")]}})
    };
    Project::new()
        .agent_with(&body, "ci: {command: [\"true\"]}\nexecutor: {max_attempts: 1}\n")
        .plan(json!({"phases": [phase("spoiler"), phase("next")]}))
}

fn failure(project: &Project, id: &str) -> Value {
    project.phase(id)["attempt_log"][0]["failure"].clone()
}

/// The spoiler failed once, for the right reason; all later phases landed.
#[track_caller]
fn assert_only_the_spoiler_failed(project: &Project, ran: Ran) {
    ran.exited(3);
    let states = project.states();
    assert_eq!((states["spoiler"].as_str(), states["next"].as_str()), ("FAILED", "COMPLETE"));
    assert_eq!(failure(project, "spoiler")["kind"], "scope_breach");
}

#[test]
fn links_that_leave_the_repository_through_other_links_do_not_land() {
    let project = Project::new();
    std::fs::create_dir(project.outside("beside")).unwrap();
    std::fs::create_dir(project.path("src")).unwrap();
    std::os::unix::fs::symlink("../../beside", project.path("src/out")).unwrap();
    std::os::unix::fs::symlink("here/../../README.md", project.path("src/old")).unwrap();
    let scripts = json!({
        // Each of its links is inside, taken alone.
        "chain": "mkdir -p src/l/p/q; ln -s ../../../.. src/l/p/q/root; ln -s p/q/root/../outside src/l/esc",
        "tracked": "mkdir src/ch; ln -s ../out/f src/ch/l",
        // An old link leads out by way of a new one.
        "turned": "ln -s .. src/here",
        "inside": "mkdir -p src/in/a; echo x >src/in/a/f; ln -s a src/in/b; ln -s b/../b/f src/in/c",
    });
    let body = format!(
        "subprocess.run(['sh', '-ec', {scripts}[phase_id]], check=True)\nwrite(f'src/{{phase_id}}.txt')\n"
    );
    let phases: Vec<Value> = scripts.as_object().unwrap().keys().map(|id| {
        json!({"phase_id": id, "name": id, "scope": {"paths": ["src/"]}, "deliverables": [format!("src/{id}.txt")]})
    }).collect();
    let project = project
        .commit("links")
        .agent_with(&body, "ci: {command: [\"true\"]}\nexecutor: {max_attempts: 1}\n")
        .plan(json!({"phases": phases}));
    project.drain().exited(3);
    assert_eq!(project.landed(), ["inside"]);
    let breaches = |id: &str| failure(&project, id)["detail"]["breaches"].to_string();
    for (id, expected) in [
        ("chain", "src/l/esc: a symbolic link out of the repository, to p/q/root/../outside"),
        ("tracked", "src/ch/l: a symbolic link out of the repository, to ../out/f"),
        (
            "turned",
            "src/here: the symbolic link src/old leads out of the repository through this path",
        ),
    ] {
        assert!(breaches(id).contains(expected), "{id}: {}", breaches(id));
    }
}

fn with_few_files<const N: usize>(project: &Project, args: [&str; N]) -> Ran {
    let autopack = project.command(args);
    let set = autopack.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -n 1024; exec \"$0\" \"$@\""]).arg(autopack.get_program());
    shell.args(autopack.get_args()).env_clear().envs(set).current_dir(project.root());
    Ran::of(shell.output().unwrap(), project.root())
}

#[test]
fn endlessly_nested_directories_fail_their_phase_and_are_removed() {
    let project = spoiler(
        "for _ in range(2500): os.mkdir('d'); os.chdir('d')\n    os.chdir(os.environ['AUTOPACK_WORKTREE'])",
    );
    // More levels than files may be open, and than a path can have.
    let ran = with_few_files(&project, ["drain", "--run-id", "run"]);
    assert_only_the_spoiler_failed(&project, ran);
    with_few_files(&project, ["gc"]).succeeded();
    let left = std::fs::read_dir(project.path(".autopack/slots")).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(project.slots().is_empty(), "{:?}", project.slots());
}

#[test]
fn content_that_may_block_a_push_does_not_land() {
    // HFS+ takes this for `.git`: the character has no width, and is omitted from names.
    let project = spoiler("write('src/spoiler.d/.g\\u200cit/config')");
    let ran = project.drain();
    assert_only_the_spoiler_failed(&project, ran);
}

#[test]
fn a_change_without_a_possible_patch_is_still_judged() {
    // As git does for files between 2 and 4 GiB.
    let meddling = r#"case "$sub $*" in "diff-tree "*--binary*)
  if [ -e "$GIT_WORK_TREE/core" ] || [ -e "$GIT_WORK_TREE/src/next" ]; then
    echo "fatal: Out of memory, malloc failed (tried to allocate 18446744072636792941 bytes)" >&2; exit 128
  fi ;;
esac"#;
    let project =
        with_git(spoiler("pathlib.Path('core').write_bytes(bytes(range(256)))"), meddling);
    let ran = project.drain();
    let output = ran.stdout.clone() + &ran.stderr;
    assert!(output.contains("the kept patch has no binary files"), "{output}");
    assert_only_the_spoiler_failed(&project, ran);
    let breach = failure(&project, "spoiler")["message"].to_string();
    assert!(breach.contains("core: outside the scope"), "{breach}");
    let patch = project.read(".autopack/attempts/run/spoiler/1/changes.patch");
    assert!(patch.contains("made by the agent"), "{patch}");
}

/// A drain by a user bound by permissions, which root is not.
fn drain_as_somebody(project: &Project) -> Option<Ran> {
    let mut drain = project.command(["drain", "--run-id", "run"]);
    let root = project.root();
    let directory = root.parent().unwrap();
    if nix::unistd::Uid::effective().is_root() {
        own(directory, "65534:65534");
        drain.uid(65534).gid(65534);
    }
    let output = drain.output();
    if nix::unistd::Uid::effective().is_root() {
        own(directory, "0:0");
    }
    match output {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            skip("other-user", format_args!("user 65534 cannot start the program: {error}"));
            None
        }
        output => Some(Ran::of(output.unwrap(), project.root())),
    }
}

fn own(directory: &Path, whose: &str) {
    let chown = std::process::Command::new("chown").args(["-hR", whose]).arg(directory).status();
    assert!(chown.unwrap().success());
}

/// The first phase's work is complete, and then this script changes permissions.
fn permission_changer(script: &str) -> Project {
    spoiler(&format!(
        "write_deliverables(); subprocess.run(['sh', '-c', {script:?}], check=True); sys.exit(0)"
    ))
}

#[track_caller]
fn assert_permissions_stop_nobody(project: Project) {
    let Some(ran) = drain_as_somebody(&project) else { return };
    ran.succeeded();
    assert_eq!(project.landed(), ["spoiler", "next"]);
}

#[test]
fn a_slot_without_permissions_is_still_judged() {
    assert_permissions_stop_nobody(permission_changer("chmod 000 ."));
}

#[test]
fn a_read_only_slot_is_still_judged() {
    assert_permissions_stop_nobody(permission_changer("chmod -R a-w src ."));
}

#[test]
fn a_slots_directory_without_permissions_is_made_accessible() {
    assert_permissions_stop_nobody(permission_changer("chmod 000 ..").without_sandbox());
}

#[test]
fn a_read_only_attempts_directory_is_made_writable() {
    assert_permissions_stop_nobody(permission_changer(
        "chmod a-w \"$(dirname \"$AUTOPACK_RESULT_FILE\")\"",
    ));
}

#[test]
fn attempt_directories_without_permissions_are_made_accessible() {
    assert_permissions_stop_nobody(
        permission_changer("chmod 000 \"$AUTOPACK_WORKSPACE/.autopack/attempts\"")
            .without_sandbox(),
    );
}

#[test]
fn a_missing_attempts_directory_is_recreated() {
    assert_permissions_stop_nobody(
        permission_changer("rm -rf \"$AUTOPACK_WORKSPACE/.autopack/attempts\"").without_sandbox(),
    );
}

#[test]
fn missing_slot_git_directories_fail_their_phase() {
    for directory in ["", "/objects"] {
        let remove = format!("rm -rf \"$AUTOPACK_WORKTREE.git{directory}\"");
        let project = spoiler(&format!("subprocess.run(['sh', '-c', {remove:?}], check=True)"));
        let project = project.without_sandbox();
        let ran = project.drain();
        assert_only_the_spoiler_failed(&project, ran);
    }
}
