//! Describes an agent's tool calls in a few words, for the progress view.
//!
//! ```text
//! Edit  {"file_path": "/slot/src/a.rs"}         -> editing src/a.rs
//! shell {"command": ["bash", "-lc", "ls -l"]}   -> running ls -l
//! Grep  {"pattern": "fn x", "path": "src"}      -> searching fn x
//! ```
//!
//! Agents name their tools and inputs differently, so the verb is guessed from the tool's name, and the target
//! is searched under several keys.

use std::path::Path;

use serde_json::Value;

use super::signal::{JsonAccess, ToolUse};
use super::tool_purpose::{purpose, purpose_of_command};

/// Keys of a tool's input for a path, of all agents, as JSON pointers.
const PATH_KEYS: [&str; 8] = [
    "/file_path",
    "/filePath",
    "/path",
    "/absolute_path",
    "/notebook_path",
    "/target_file",
    "/dir_path",
    "/uri",
];
/// Keys for a shell command.
const COMMAND_KEYS: [&str; 3] = ["/command", "/cmd", "/script"];
/// Keys for the target of a search.
const SEARCH_KEYS: [&str; 4] = ["/pattern", "/query", "/url", "/prompt"];
/// Maximum number of characters kept of a description.
const LONGEST: usize = 120;

/// Describes a tool use; `worktree` is stripped from paths.
pub(crate) fn tool_use(id: &str, name: &str, input: &Value, worktree: &Path) -> ToolUse {
    let command = command(input).filter(|_| input.text("/path").is_none());
    ToolUse {
        id: id.to_owned(),
        key: format!("{name} {input}"),
        words: words(name, input, worktree),
        purpose: match command {
            Some(command) => purpose_of_command(unwrapped(&command)),
            None => purpose(name, input),
        },
    }
}

/// Describes a command run for the agent.
pub(crate) fn command_use(id: &str, command: &str) -> ToolUse {
    ToolUse {
        id: id.to_owned(),
        key: command.to_owned(),
        words: running(command),
        purpose: purpose_of_command(unwrapped(command)),
    }
}

/// Returns a tool's command, if any.
fn command(input: &Value) -> Option<String> {
    COMMAND_KEYS.iter().find_map(|key| input.text(key)).or_else(|| argv(input))
}

/// Describes a tool by its command, or else by a verb and a target: `Grep` becomes `searching`, and the target is
/// the pattern.
fn words(name: &str, input: &Value, worktree: &Path) -> String {
    let first = |keys: &[&str]| keys.iter().find_map(|key| input.text(key));
    if let Some(command) = command(input) {
        // An editor's own "command" is a verb: the path is more informative.
        if input.text("/path").is_none() {
            return running(&command);
        }
    }
    let lower = name.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let verb = match () {
        () if has(&["edit", "write", "replace", "patch", "create", "insert"]) => "editing",
        () if has(&["read", "view", "open"]) => "reading",
        () if has(&["list", "ls"]) => "listing",
        () if has(&["grep", "glob", "search", "find"]) => "searching",
        () if has(&["fetch", "web"]) => "looking up",
        () => "using",
    };
    let target = match (verb, first(&PATH_KEYS), first(&SEARCH_KEYS)) {
        ("searching" | "looking up", _, Some(search)) => search,
        ("using", _, _) => name.to_owned(),
        (_, Some(path), _) => relative(&path, worktree),
        (_, None, Some(search)) => search,
        _ => name.to_owned(),
    };
    one_line(&format!("{verb} {target}"))
}

/// Returns the last argument of a command given as a list: the script of `bash -lc SCRIPT`.
fn argv(input: &Value) -> Option<String> {
    let argv = input.list("/command").iter().map(Value::as_str).collect::<Option<Vec<_>>>()?;
    (!argv.is_empty()).then(|| argv.last().copied().unwrap_or_default().to_owned())
}

/// Describes a running command.
pub(crate) fn running(command: &str) -> String {
    one_line(&format!("running {}", unwrapped(command)))
}

/// Describes an edit of files.
pub(crate) fn editing(paths: &[&str], worktree: &Path) -> String {
    let paths: Vec<String> = paths.iter().map(|path| relative(path, worktree)).collect();
    one_line(&format!("editing {}", paths.join(", ")))
}

/// Returns the script inside `/bin/bash -lc "..."`, or the command unchanged.
fn unwrapped(command: &str) -> &str {
    let shell = ["-lc ", "-c "].iter().find_map(|flag| {
        let (before, rest) = command.split_once(flag)?;
        let program = before.trim().rsplit('/').next()?;
        ["bash", "sh", "zsh"].contains(&program).then_some(rest)
    });
    let inner = shell.unwrap_or(command).trim();
    let quoted = |quote| inner.strip_prefix(quote).and_then(|inner| inner.strip_suffix(quote));
    match shell {
        Some(_) => quoted('"').or_else(|| quoted('\'')).unwrap_or(inner),
        None => inner,
    }
}

fn relative(path: &str, worktree: &Path) -> String {
    let inside = Path::new(path).strip_prefix(worktree).ok().and_then(Path::to_str);
    inside.filter(|path| !path.is_empty()).unwrap_or(path).to_owned()
}

/// Returns the first line that is not empty, shortened.
fn one_line(text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    match first.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{} ...", &first[..at]),
        None if lines.next().is_some() => format!("{first} ..."),
        None => first.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tools_are_named_by_what_they_do() {
        let words = |name: &str, input: Value| words(name, &input, Path::new("/slot"));
        assert_eq!(words("Edit", json!({"file_path": "/slot/src/a.rs"})), "editing src/a.rs");
        assert_eq!(words("write", json!({"filePath": "/else/a.rs"})), "editing /else/a.rs");
        assert_eq!(words("Bash", json!({"command": "cargo test\necho"})), "running cargo test ...");
        assert_eq!(words("shell", json!({"command": ["bash", "-lc", "ls -l"]})), "running ls -l");
        assert_eq!(words("Read", json!({"file_path": "a"})), "reading a");
        assert_eq!(words("Grep", json!({"pattern": "fn x", "path": "src"})), "searching fn x");
        assert_eq!(words("text_editor", json!({"command": "view", "path": "a"})), "editing a");
        assert_eq!(words("TodoWrite", json!({})), "editing TodoWrite");
        assert_eq!(words("Task", json!(null)), "using Task");
        assert_eq!(running("/bin/bash -lc \"cargo fmt\""), "running cargo fmt");
        assert_eq!(running("git -c a=b log"), "running git -c a=b log");
        assert_eq!(running(&"é".repeat(500)).chars().count(), 124);
    }
}
