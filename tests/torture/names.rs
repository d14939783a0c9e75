//! Names, run ids, descriptions and paths designed to break refs, trailers, shells, JSON and terminals. Each is kept
//! unchanged, works, and has no other effect.

use serde_json::{Value, json};

use super::sizes::{jobs, summary};
use super::testbed::Testbed;
use crate::support::Project;

const WICKED: &[&str] = &[
    "new\nline\r\n",
    "quote'\"`$(touch pwned)`; touch pwned | touch pwned & ",
    "\u{1b}[31mred\u{1b}]0;title\u{7}\u{9b}2J",
    "-rf",
    "--help",
    "..",
    "../../etc/passwd",
    "a.lock",
    "refs/heads/main",
    "a..b@{1}~^:?*[\\",
    ".hidden",
    "ends.",
    "@",
    "HEAD",
    "\u{202e}live\u{202c}",
    "😀👩\u{200d}👩\u{200d}👧 e\u{301}",
    "tab\there",
    "null\0byte",
    "%00%n%s",
    "{worktree}{prompt}",
    " leads and trails ",
    "\\u0041\\n",
    "Autopack-Phase: forged",
    "</script><script>alert(1)</script>",
    "💥\u{feff}\u{2028}\u{85}",
];

/// Possible paths, which must land under exactly this name.
const PATHS: &[&str] = &[
    "src/$(touch${IFS}pwned).txt",
    "src/..lock/x.txt",
    "src/a.lock",
    "src/😀.txt",
    "src/a b.txt",
    "src/%n.txt",
    "-rf/x.txt",
];

/// Impossible paths, or paths that read as prose: refused with a reason, before any agent is asked.
const IMPOSSIBLE: &[&str] = &[
    "src/nul\0.txt",
    "src/qu'o\"te.txt",
    "../outside.txt",
    "/etc/autopack-torture",
    ".git/hooks/post-commit",
];

/// In Python, since a shell would need another level of quoting.
const AGENT: &str = "write_deliverables()\nassert phase_id == phase['phase_id'].replace('\\0', '\\ufffd'), phase_id";

fn wicked() -> Vec<String> {
    let long = "x".repeat(4000);
    WICKED.iter().map(|name| (*name).to_owned()).chain([long]).collect()
}

fn plan() -> Value {
    let named = wicked().into_iter().enumerate().map(|(i, name)| {
        let forged = format!("{name}\n\nAutopack-Phase: forged\nAutopack-Attempt: 99\n");
        json!({"phase_id": name, "name": forged, "description": format!("does {forged}"),
               "deliverables": [format!("src/named-{i}.txt")]})
    });
    let path = |(kind, paths): (&str, &[&str])| {
        let phase = |(i, path): (usize, &&str)| json!({"phase_id": format!("{kind}-{i}"), "name": format!("{kind} {i}"), "deliverables": [path]});
        paths.iter().enumerate().map(phase).collect::<Vec<_>>()
    };
    let paths = [("path", PATHS), ("impossible", IMPOSSIBLE)].into_iter().flat_map(path);
    json!({ "phases": named.chain(paths).collect::<Vec<_>>() })
}

#[test]
fn wicked_names_break_neither_refs_nor_trailers_nor_shells_nor_terminals() {
    // The agent answers no questions about scopes.
    let settings = "ci: {command: [\"true\"]}\nexecutor: {unscoped: refuse}\n";
    let project = Project::new().agent_with(AGENT, settings);
    std::fs::create_dir_all(project.outside("witness")).unwrap();
    let mut testbed = Testbed::configured(project, jobs(1), plan());
    let run = "--odd'\n$(touch pwned)/../x.lock\u{202e}";
    let file = testbed.project.outside("odd.json").display().to_string();
    let one = json!({"phases": [{"phase_id": "..", "deliverables": ["src/odd.txt"]}]});
    std::fs::write(&file, one.to_string()).unwrap();
    testbed.project.autopack(["import", &file, &format!("--run-id={run}")]).succeeded();
    testbed.runs.push(run.to_owned());

    // First the text for people, then JSON.
    let shown = testbed.project.autopack(["drain", "--all", "--batch-size", "100"]).exited(3);
    testbed.start().wait().exited(3);
    testbed.check();
    assert_printable(&(shown.stdout + &shown.stderr));
    every_phase_is_what_it_was(&testbed, run);
    nothing_was_executed(&testbed);
    commits_say_what_they_are(&testbed);
    let texts = ["status", "runs list", "phases list --run-id run", "gc --dry-run"];
    for command in texts {
        let ran = testbed.project.autopack(command.split(' '));
        assert_printable(&(ran.stdout + &ran.stderr));
    }
    let (names, paths) = (wicked().len(), PATHS.len() + IMPOSSIBLE.len());
    let text = format!(
        "{names} names and ids, {paths} paths, a run id: kept unchanged, without side effects"
    );
    summary("hostile names", 0, &text);
}

fn every_phase_is_what_it_was(testbed: &Testbed, run: &str) {
    let listed = testbed.project.json(["phases", "list", "--run-id", "run", "--json"]);
    let planned = plan();
    for (phase, planned) in
        listed.as_array().unwrap().iter().zip(planned["phases"].as_array().unwrap())
    {
        // Leading and trailing space is not part of an id.
        assert_eq!(phase["phase_id"], planned["phase_id"].as_str().unwrap().trim());
        let id = phase["phase_id"].as_str().unwrap();
        let state = if id.starts_with("impossible") { "FAILED" } else { "COMPLETE" };
        assert_eq!(phase["state"], state, "{phase:#}");
        if id.starts_with("impossible") {
            assert_eq!(
                (&phase["last_failure"]["kind"], &phase["attempts"]),
                (&json!("unfixable"), &json!(0))
            );
        }
        // A command line cannot contain NUL.
        if id.contains('\0') {
            continue;
        }
        let shown = testbed.project.json(["phases", "show", "--json", "--run-id=run", "--", id]);
        assert_eq!(shown["phase_id"], phase["phase_id"]);
    }
    let odd = testbed.project.json(["phases", "list", "--json", &format!("--run-id={run}")]);
    assert_eq!((&odd[0]["phase_id"], &odd[0]["state"]), (&json!(".."), &json!("COMPLETE")));
}

fn nothing_was_executed(testbed: &Testbed) {
    let find = std::process::Command::new("find")
        .arg(testbed.project.outside(""))
        .args(["-name", "pwned"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&find.stdout), "");
    assert!(!std::path::Path::new("/etc/autopack-torture").exists());
}

/// Commits have each trailer once, whatever names and descriptions contain, and a subject of one line.
fn commits_say_what_they_are(testbed: &Testbed) {
    let trailer = |key: &str| format!("%(trailers:key={key},valueonly,separator=%x01)");
    let keys = ["Autopack-Run", "Autopack-Phase", "Autopack-Attempt"].map(trailer).join("%x02");
    let log =
        testbed.project.git(["log", "-z", &format!("--format={keys}%x02%s"), "main..autopack/run"]);
    let commits: Vec<&str> = log.split('\0').filter(|commit| !commit.is_empty()).collect();
    assert_eq!(commits.len(), wicked().len() + PATHS.len());
    for commit in commits {
        let parts: Vec<&str> = commit.trim().split('\u{2}').collect();
        let [run, phase, attempt, subject] = parts[..] else { panic!("{commit:?}") };
        assert_eq!((run, attempt), ("run", "1"), "{commit:?}");
        assert!(!phase.contains('\u{1}') && phase != "forged", "{commit:?}");
        assert!(
            subject.chars().count() <= 72 && !subject.chars().any(char::is_control),
            "{subject:?}"
        );
    }
    let tree = testbed.project.git(["ls-tree", "-r", "-z", "--name-only", "autopack/run"]);
    for path in PATHS {
        assert!(tree.split('\0').any(|there| there == *path), "{path:?} did not land: {tree:?}");
    }
}

/// Asserts that the text has no control characters for cursor, color or text direction.
#[track_caller]
fn assert_printable(text: &str) {
    let wicked = |c: &char| {
        (c.is_control() && *c != '\n')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let found: Vec<char> = text.chars().filter(wicked).collect();
    assert!(found.is_empty(), "{found:?} in {text:?}");
}

/// Text that JSON cannot represent is refused, in one line, and changes nothing.
#[test]
fn invalid_json_is_refused_and_changes_nothing() {
    let testbed = Testbed::new(
        "deliver",
        "",
        1,
        json!({"phases": [{"phase_id": "p00000", "deliverables": ["src/p00000/made.txt"]}]}),
    );
    let file = testbed.project.outside("bad.json");
    for bad in [
        r#"{"phases":[{"phase_id":"a\ud800","deliverables":["x.txt"]}]}"#,
        r#"{"phases":[{"phase_id":"a\udc00\ud800","deliverables":["x.txt"]}]}"#,
        r#"{"phases":[{"phase_id":"","deliverables":["x.txt"]}]}"#,
        "{\"phases\":[{\"phase_id\":\"a\nb\",\"deliverables\":[\"x.txt\"]}]}",
        "{\"phases\":[{\"phase_id\":\"a\u{0}b\",\"deliverables\":[\"x.txt\"]}]}",
    ] {
        std::fs::write(&file, bad).unwrap();
        let ran = testbed
            .project
            .autopack(["import", file.to_str().unwrap(), "--run-id", "bad"])
            .exited(1);
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:#?}");
        assert_printable(&ran.stderr);
    }
    assert_eq!(testbed.project.json(["runs", "list", "--json"]).as_array().unwrap().len(), 1);
    testbed.start().wait().exited(0);
    testbed.check();
}
