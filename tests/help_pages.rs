//! `--help` of each verb: its length, its width, and where the global options are.

use crate::support::Project;
use crate::support::golden::COLUMNS;

/// Longest help of a verb, in lines.
const LINES: usize = 40;

/// Words of each verb, and of its own verbs.
fn verbs(project: &Project, of: &[String]) -> Vec<Vec<String>> {
    let help = help(project, of);
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return vec![of.to_vec()] };
    let names = list.lines().take_while(|line| !line.is_empty());
    // Continued lines are indented further.
    let names = names.filter(|line| !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    let below = names
        .filter(|name| *name != "help")
        .flat_map(|name| verbs(project, &[of, &[name.to_owned()]].concat()));
    std::iter::once(of.to_vec()).chain(below).collect()
}

fn help(project: &Project, of: &[String]) -> String {
    project.autopack([of, &["--help".to_owned()]].concat()).succeeded().stdout
}

#[test]
fn help_of_each_verb_fits_a_screen() {
    let project = Project::bare_folder();
    let all = verbs(&project, &[]);
    assert!(all.len() > 35, "{all:?}");
    let mut long = Vec::new();
    for verb in all.iter().filter(|verb| !verb.is_empty()) {
        let text = help(&project, verb);
        let lines = text.lines().count();
        let width = text.lines().map(unicode_width::UnicodeWidthStr::width).max().unwrap_or(0);
        if lines > LINES || width > COLUMNS {
            long.push(format!("{verb:?}: {lines} lines, {width} columns"));
        }
        assert!(text.ends_with("\nGlobal options: see `autopack --help`\n"), "{verb:?}: {text}");
        assert!(!text.contains("--workspace"), "{verb:?}: {text}");
    }
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn global_options_are_in_the_help_of_autopack_and_work_in_each_place() {
    let project = Project::new();
    let text = help(&project, &[]);
    for option in ["--workspace", "--config-dir", "--database-url", "--log-format", "--color"] {
        assert!(text.contains(&format!("{option} <")), "{text}");
    }
    let before = project.autopack(["--database-url", "sqlite:///other.db", "status"]).exited(1);
    let after = project.autopack(["status", "--database-url", "sqlite:///other.db"]).exited(1);
    assert!(before.stderr.contains("other.db"), "{before:?}");
    assert_eq!(before.stderr, after.stderr);
    project.autopack(["phases", "list", "-q", "-v"]).exited(2);
}

/// The description stands between the first line and the usage.
#[test]
fn help_of_log() {
    insta::with_settings!({snapshot_path => "snapshots/golden", prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("help_log", help(&Project::bare_folder(), &["log".to_owned()]));
    });
}
