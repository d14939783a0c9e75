//! Changes that count as an agent's, and work that does not: committed elsewhere, stashed, secret.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::support::Project;

fn phase(id: &str, scope: &[&str]) -> serde_json::Value {
    json!({"phase_id": id, "deliverables": [format!("src/{id}.txt")], "max_attempts": 1, "scope": {"paths": scope}})
}

/// A file with CRLF, committed before the attribute was: git sees it as changed in each fresh checkout.
fn with_crlf() -> Project {
    let project = Project::new()
        .file("tools/run.bat", "echo one\r\necho two\r\n")
        .file("tools/other.bat", "echo three\r\n")
        .commit("as windows has it");
    project.write(".gitattributes", "*.bat text eol=crlf\n");
    project.git(["add", ".gitattributes"]);
    project.git(["commit", "-q", "-m", "attributes"]);
    project
}

#[test]
fn a_file_that_git_would_normalize_is_no_change() {
    // Touched without a change, so that git has to read the content.
    let agent = "write_deliverables(); os.utime('tools/run.bat', (1, 1))";
    let plan = json!({"phases": [phase("one", &["src/"]), phase("two", &["src/", "tools/"])]});
    let project = with_crlf().agent(agent).plan(plan);
    project.drain().succeeded();
    assert_eq!(project.landed(), ["one", "two"]);
    let changed = project.git(["diff", "--name-only", "main", "autopack/run"]);
    assert_eq!(changed, "src/one.txt\nsrc/two.txt\n");
}

#[test]
fn a_file_edited_by_an_agent_lands_with_its_own_normalization() {
    let agent = "write_deliverables()\nopen('tools/run.bat', 'ab').write(b'echo more\\r\\n')\nos.utime('tools/other.bat', (1, 1))";
    let project =
        with_crlf().agent(agent).plan(json!({"phases": [phase("one", &["src/", "tools/"])]}));
    project.drain().succeeded();
    let changed = project.git(["diff", "--name-only", "main", "autopack/run"]);
    assert_eq!(changed, "src/one.txt\ntools/run.bat\n");
    let landed = project.git(["cat-file", "blob", "autopack/run:tools/run.bat"]);
    assert_eq!(landed, "echo one\necho two\necho more\n");
}

/// Files that git stores in another form than in the worktree.
#[test]
fn attribute_conversions_are_no_changes_and_land_as_git_stores_them() {
    let utf16 = |text: &str| -> Vec<u8> {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect()
    };
    for (attributes, before, after, kept) in [
        (
            "* text=auto\n",
            b"one\r\ntwo\r\n".to_vec(),
            b"one\r\ntwo\r\nmore\r\n".to_vec(),
            "one\r\ntwo\r\nmore\r\n",
        ),
        ("* text=auto eol=crlf\n", b"one\r\n".to_vec(), b"one\r\nmore\r\n".to_vec(), "one\nmore\n"),
        ("*.c ident\n", b"$Id$\n".to_vec(), b"$Id: 0123 $\nmore\n".to_vec(), "$Id$\nmore\n"),
        ("*.c working-tree-encoding=UTF-16\n", utf16("one\n"), utf16("one\nmore\n"), "one\nmore\n"),
    ] {
        let project = Project::new();
        let commits = attributes.starts_with("* text=auto\n");
        for name in ["src/edited.c", "src/left.c", "lib/other.c"] {
            fs::create_dir_all(project.path(name).parent().unwrap()).unwrap();
            fs::write(project.path(name), &before).unwrap();
        }
        // With CRLF in the commit, as by an editor of another system.
        let project = if commits { project.commit("before") } else { project };
        let project = project.file(".gitattributes", attributes).commit("attributes");
        let agent = format!(
            "write_deliverables()\nfor path in ['src/left.c', 'lib/other.c']: os.utime(path, (1, 1))\n\
             if phase_id == 'two': open('src/edited.c', 'wb').write(bytes({after:?}))"
        );
        let plan = json!({"phases": [phase("one", &["src/"]), phase("two", &["src/"])]});
        let project = project.agent(&agent).plan(plan);
        project.drain().succeeded();
        let changed = project.git(["diff", "--name-only", "main", "autopack/run"]);
        assert_eq!(changed, "src/edited.c\nsrc/one.txt\nsrc/two.txt\n", "{attributes}");
        let landed = project.git(["cat-file", "blob", "autopack/run:src/edited.c"]);
        assert_eq!(landed, kept, "{attributes}");
    }
}

#[test]
fn a_mode_change_lands_inside_the_scope_and_is_a_breach_outside() {
    let agent = "write_deliverables()\nos.chmod('src/run.sh' if phase_id == 'one' else 'lib/run.sh', 0o755)";
    let plan = json!({"phases": [phase("one", &["src/"]), phase("two", &["src/"])]});
    let project = Project::new().file("src/run.sh", "true\n").file("lib/run.sh", "true\n");
    let project = project.commit("scripts").agent(agent).plan(plan);
    project.drain();
    assert_eq!(project.landed(), ["one"]);
    assert_eq!(project.phase("two")["last_failure"]["kind"], "scope_breach");
    let modes = project.git(["ls-tree", "autopack/run", "src/run.sh", "lib/run.sh"]);
    let modes: Vec<&str> = modes.lines().map(|line| &line[..6]).collect();
    assert_eq!(modes, ["100644", "100755"]);
}

/// Written like `git pack-refs`.
#[test]
fn a_repository_with_more_than_ten_thousand_refs_is_drained() {
    let project = Project::new();
    let head = project.git(["rev-parse", "HEAD"]).trim().to_owned();
    let mut refs: Vec<String> =
        (0..6_000).map(|n| format!("{head} refs/remotes/origin/topic-{n:05}\n")).collect();
    refs.extend((0..6_000).map(|n| format!("{head} refs/tags/v{n:05}\n")));
    let text = format!("# pack-refs with: peeled fully-peeled sorted \n{}", refs.concat());
    fs::write(project.path(".git/packed-refs"), text).unwrap();
    let ci = "ci: {command: git rev-parse -q --verify refs/tags/v00001}\n";
    let plan = json!({"phases": [phase("one", &["src/"])]});
    let project = project.agent_with("write_deliverables()", ci).plan(plan);
    project.drain().succeeded();
    assert_eq!(project.landed(), ["one"]);
}

/// Outcome of the only attempt of a phase, and the place of its files.
fn failed(agent: &str) -> (Project, String) {
    let project = Project::new().file("src/old.txt", "old\n").commit("old");
    let project = project.agent(agent).plan(json!({"phases": [phase("one", &["src/"])]}));
    project.drain();
    let failure = project.phase("one")["last_failure"].clone();
    assert!(project.landed().is_empty(), "{failure}");
    (project, failure["message"].as_str().unwrap_or_default().to_owned())
}

fn patches(project: &Project) -> Vec<String> {
    let directory = project.path(".autopack/attempts/run/one/1");
    let names = fs::read_dir(directory).unwrap().flatten();
    let mut names: Vec<String> =
        names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name.ends_with(".patch"));
    names.sort();
    names
}

fn kept(project: &Project, name: &str) -> String {
    project.read(&format!(".autopack/attempts/run/one/1/{name}"))
}

const GIT: &str = "def git(*args): subprocess.run(['git', *args], check=True)\n";

#[test]
fn commits_on_another_branch_are_kept_and_reported() {
    let agent = format!(
        "{GIT}git('checkout', '-q', '-b', 'topic/x'); write_deliverables(); git('add', '-A'); git('commit', '-qm', 'mine'); git('checkout', '-q', '-')"
    );
    let (project, message) = failed(&agent);
    assert_eq!(patches(&project), ["branch-topic-x.patch"]);
    assert!(message.contains("committed on branch topic/x"), "{message}");
    assert!(kept(&project, "branch-topic-x.patch").contains("+made by the agent"));
    // `git apply` accepts it as a patch.
    let patch = project.path(".autopack/attempts/run/one/1/branch-topic-x.patch");
    project.git(["apply", "--check", patch.to_str().unwrap()]);
}

#[test]
fn stashed_work_is_kept_with_untracked_files() {
    let agent =
        format!("{GIT}write_deliverables(); write('src/old.txt', 'new\\n'); git('stash', '-u')");
    let (project, message) = failed(&agent);
    assert_eq!(patches(&project), ["stashed.patch"]);
    assert!(message.contains("stashed"), "{message}");
    let patch = kept(&project, "stashed.patch");
    assert!(patch.contains("+made by the agent") && patch.contains("+new"), "{patch}");
}

#[test]
fn commits_removed_by_reset_are_kept() {
    for expire in ["", "; import shutil; shutil.rmtree('.git/logs')"] {
        let agent = format!(
            "{GIT}write_deliverables(); git('add', '-A'); git('commit', '-qm', 'mine'); git('reset', '-q', '--hard', 'HEAD~1'){expire}"
        );
        let (project, message) = failed(&agent);
        let patches = patches(&project);
        assert!(patches.len() == 1 && patches[0].starts_with("commit-"), "{patches:?} {message}");
        assert!(kept(&project, &patches[0]).contains("+made by the agent"));
    }
}

#[test]
fn work_in_a_second_worktree_is_kept() {
    let elsewhere = tempfile::tempdir().unwrap();
    let at = elsewhere.path().join("second").display().to_string();
    for commit in ["", "git('add', '-A'); git('commit', '-qm', 'mine'); "] {
        let agent = format!(
            "{GIT}here = os.getcwd(); git('worktree', 'add', '-q', '-f', '-b', 'w', '{at}'); os.chdir('{at}'); write_deliverables(); {commit}os.chdir(here)"
        );
        let (project, message) = failed(&agent);
        assert_eq!(patches(&project), ["worktree-second.patch"], "{message}");
        assert!(kept(&project, "worktree-second.patch").contains("+made by the agent"));
        // In a view, the directory is a private one.
        let _ = fs::remove_dir_all(Path::new(&at));
    }
}

/// Merged, amended, on a detached head: the files have all changes, so there is no message.
#[test]
fn tests_present_in_the_files_are_not_lost() {
    let agent = format!(
        "{GIT}write_deliverables(); git('add', '-A'); git('commit', '-qm', 'a'); write('src/one.txt', 'again\\n'); git('commit', '-qa', '--amend', '-m', 'b'); git('checkout', '-q', '-b', 'x'); write('src/more.txt'); git('add', '-A'); git('commit', '-qm', 'c'); git('checkout', '-q', '--detach')"
    );
    let project = Project::new().agent(&agent).plan(json!({"phases": [phase("one", &["src/"])]}));
    let ran = project.drain().succeeded();
    assert!(!ran.stdout.contains("not part of the change"), "{ran:?}");
    assert!(patches(&project).is_empty());
}

/// Settings in the agent's own git have no effect when autopack's reads the agent's commits.
#[test]
fn reading_what_was_committed_runs_nothing() {
    let agent = format!(
        "{GIT}write('.git/evil', '#!/bin/sh\\ntouch \"$MARKER\"\\n'); os.chmod('.git/evil', 0o755); evil = os.getcwd() + '/.git/evil'\n\
        git('checkout', '-q', '-b', 'x'); write_deliverables(); write('src/.gitattributes', '*.txt diff=e filter=e\\n'); git('add', '-A'); git('commit', '-qm', 'mine'); git('checkout', '-q', '-')\n\
        for key in ['core.fsmonitor', 'diff.external', 'diff.e.command', 'diff.e.textconv', 'filter.e.clean', 'core.pager', 'core.sshCommand']: git('config', key, evil)"
    );
    let project = Project::new();
    let marker = project.outside("ran");
    let project = project
        .env("MARKER", marker.display().to_string())
        .agent(&agent)
        .plan(json!({"phases": [phase("one", &["src/"])]}));
    project.drain();
    assert!(patches(&project).contains(&"branch-x.patch".to_owned()));
    assert!(!marker.exists());
}

fn holds(directory: &Path, secret: &str) -> bool {
    let grep = std::process::Command::new("grep").args(["-rqaF", secret]).arg(directory).status();
    grep.unwrap().success()
}

/// Neither in files nor in objects, where the next agent would find it.
#[test]
fn a_refused_secret_does_not_stay_in_the_slot() {
    let secret = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
    for (agent, why) in [
        ("write_deliverables(secret)", "secret_in_diff"),
        ("write_deliverables(secret); write('outside.txt')", "scope_breach"),
        ("write('src/x', secret); subprocess.run(['git', 'stash', '-u'])", "no_change"),
    ] {
        let agent = format!(
            "secret = 'ghp_' + '0123456789abcdefghijABCDEFGHIJ012345\\n'\nif phase_id == 'one': {agent}\nelse: write_deliverables()"
        );
        let plan = json!({"phases": [phase("one", &["src/"])]});
        let project = Project::new().agent(&agent).plan(plan);
        project.drain();
        let failure = &project.phase("one")["last_failure"];
        assert_eq!(failure["kind"], why);
        assert!(!holds(&project.outside("state"), secret), "{why}");
        let objects = files(&project.outside("state"));
        assert!(!objects.iter().any(|path| path.contains("/objects/")), "{why}: {objects:?}");
        assert!(!holds(&project.path(".autopack"), secret), "{why}");
    }
}

fn files(directory: &Path) -> Vec<String> {
    let find = std::process::Command::new("find").arg(directory).args(["-type", "f"]).output();
    String::from_utf8_lossy(&find.unwrap().stdout).lines().map(str::to_owned).collect()
}
