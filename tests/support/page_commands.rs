//! The commands of a page: lines in blocks of `sh`. An exit code is 0, or the N of `exits N` in the comment.

use std::path::Path;
use std::process::{Command, Stdio};

use regex::Regex;

use super::Project;

/// A line of a block.
#[derive(Debug)]
pub struct PageCommand {
    pub command: String,
    pub exits: i32,
}

/// The commands of a page, in order. A line that ends with a backslash goes on in the next one.
pub fn page_commands(page: &str) -> Vec<PageCommand> {
    let exits = Regex::new(r"exits (\d+)").unwrap();
    let text = page_blocks(page, "sh").join("\n").replace("\\\n", "");
    let parsed = text.lines().map(|line| {
        let (command, comment) = line.split_once(" # ").unwrap_or((line, ""));
        let exits = exits.captures(comment).map_or(0, |found| found[1].parse().unwrap());
        PageCommand { command: command.trim().to_owned(), exits }
    });
    parsed.filter(|line| !line.command.is_empty()).collect()
}

/// The blocks of a language, in order, without their last line break.
pub fn page_blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let blocks = page.split("\n```").skip(1).step_by(2);
    blocks.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).collect()
}

/// A shell with the binary on its PATH, in the environment of a project.
pub fn page_shell(project: &Project, line: &str) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_autopack")).parent().unwrap();
    let mut shell = Command::new("sh");
    let background = line.strip_suffix('&').map(|line| format!("{line}& wait $!"));
    shell.args(["-c", &background.unwrap_or_else(|| line.to_owned())]);
    shell.current_dir(project.root()).env_clear().stdin(Stdio::null());
    let mut path = std::env::var("PATH").unwrap_or_default();
    for (name, value) in project.command::<&str>([]).get_envs() {
        let value = value.unwrap_or_default();
        if name == "PATH" {
            path = value.to_string_lossy().into_owned();
        }
        shell.env(name, value);
    }
    shell.env("PATH", format!("{}:{path}", binary.display())).env("GIT_PAGER", "cat");
    shell
}

/// Runs a command of a page, and checks its exit code.
pub fn run_page_command(project: &Project, line: &PageCommand) {
    let output = page_shell(project, &line.command).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(output.status.code(), Some(line.exits), "`{}` said:\n{said}", line.command);
}

#[test]
fn commands_are_read_with_their_exit_codes() {
    let page = "# Page\n\n```sh\na b   # exits 3\nlong \\\n  line\n```\n\n```yaml\nx: y\n```\n\n```sh\nc # d\n```\n";
    let lines: Vec<_> =
        page_commands(page).into_iter().map(|line| (line.command, line.exits)).collect();
    let line = |command: &str, exits| (command.to_owned(), exits);
    assert_eq!(lines, [line("a b", 3), line("long   line", 0), line("c", 0)]);
    assert_eq!(page_blocks(page, "yaml"), ["x: y"]);
}
