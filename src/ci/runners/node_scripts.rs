//! Finds scripts of `package.json` that watch files and never end, including scripts called by other scripts.
//!
//! `CI=1` is enough for runners that watch by default. A runner with an explicit watch option is told to end by
//! arguments, if every script on the way passes them on; otherwise the script cannot be ended.

use std::path::Path;

use serde_json::Value;

use super::node_project::manifest;

/// Most calls followed, for scripts with many calls of each other.
const MOST_CALLS: usize = 500;

/// Whether and how a script ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptEnd {
    /// Ends by itself, as far as known from the words.
    EndsAlone,
    /// Ends with these extra arguments, which reach this command of this script.
    EndsWithArguments { arguments: Vec<String>, script: String, command: String },
    /// Never ends.
    Endless { script: String, command: String },
}

impl ScriptEnd {
    /// Explains to people why CI cannot run the script.
    pub fn refusal(&self) -> Option<String> {
        match self {
            Self::EndsAlone | Self::EndsWithArguments { .. } => None,
            Self::Endless { script, command } => Some(format!(
                "the script {script} of package.json runs `{command}`, which waits for changes and cannot be told to end; \
                 set ci.command in autopack.yaml to a command that ends"
            )),
        }
    }
}

/// Returns whether and how the script with this name ends.
pub fn script_end(dir: &Path, name: &str) -> ScriptEnd {
    let manifest = manifest(dir);
    Scripts { all: &manifest["scripts"], calls: Vec::new(), left: MOST_CALLS }.end(name, &[])
}

struct Scripts<'a> {
    all: &'a Value,
    /// Scripts being examined; a recursive call adds no new end.
    calls: Vec<String>,
    /// Remaining number of calls to follow.
    left: usize,
}

impl Scripts<'_> {
    fn has(&self, name: &str) -> bool {
        self.all[name].is_string()
    }

    /// Returns the end of a script with these words appended to its last command.
    fn end(&mut self, name: &str, arguments: &[String]) -> ScriptEnd {
        if !self.has(name) || self.calls.iter().any(|call| call == name) || self.left == 0 {
            return ScriptEnd::EndsAlone;
        }
        self.left -= 1;
        self.calls.push(name.to_owned());
        let own = self.all[name].as_str().unwrap_or_default();
        let end = self.end_of_line(name, own, arguments);
        // Package managers run these hooks before and after the script, without its arguments.
        let hooks = [format!("pre{name}"), format!("post{name}")];
        let hooks = hooks.iter().map(|hook| end_without_arguments(self.end(hook, &[])));
        let end = hooks.into_iter().fold(end, worse_end);
        self.calls.pop();
        end
    }

    fn end_of_line(&mut self, script: &str, line: &str, arguments: &[String]) -> ScriptEnd {
        let mut commands = commands(line);
        let Some(last) = commands.len().checked_sub(1) else { return ScriptEnd::EndsAlone };
        commands[last].extend(arguments.iter().cloned());
        let mut end = ScriptEnd::EndsAlone;
        for (at, command) in commands.iter().enumerate() {
            let one = self.end_of_command(script, command);
            // Arguments appended to the line reach only its last command.
            end = worse_end(end, if at == last { one } else { end_without_arguments(one) });
        }
        end
    }

    fn end_of_command(&mut self, script: &str, words: &[String]) -> ScriptEnd {
        let words = without_launchers(words);
        let Some((program, rest)) = words.split_first() else { return ScriptEnd::EndsAlone };
        match program.as_str() {
            "npm" | "pnpm" | "yarn" | "bun" => self.end_of_manager(script, program, rest),
            "run-s" | "run-p" | "npm-run-all" => {
                let names = rest.iter().filter(|word| !word.starts_with('-'));
                let called: Vec<String> = names.flat_map(|name| self.matching(name)).collect();
                let ends = called.iter().map(|name| end_without_arguments(self.end(name, &[])));
                ends.fold(ScriptEnd::EndsAlone, worse_end)
            }
            "concurrently" => {
                let lines = rest.iter().filter(|word| !word.starts_with('-'));
                let ends = lines.map(|line| {
                    let end = match line.strip_prefix("npm:") {
                        Some(name) => self.end(name, &[]),
                        None => self.end_of_line(script, line, &[]),
                    };
                    end_without_arguments(end)
                });
                ends.fold(ScriptEnd::EndsAlone, worse_end)
            }
            "sh" | "bash" | "dash" => match rest {
                [options, line, ..] if options.starts_with('-') && options.ends_with('c') => {
                    end_without_arguments(self.end_of_line(script, line, &[]))
                }
                _ => ScriptEnd::EndsAlone,
            },
            _ => end_of_runner(script, words),
        }
    }

    /// Handles `npm run unit -- --watch`, `yarn unit`, `pnpm exec vitest`.
    fn end_of_manager(&mut self, script: &str, manager: &str, words: &[String]) -> ScriptEnd {
        let elsewhere = |word: &String| {
            let options = ["-w", "-r", "-C", "-F", "--prefix", "--filter", "--cwd"];
            options.contains(&word.as_str())
                || ["--workspace", "--recursive", "--filter=", "--prefix="]
                    .iter()
                    .any(|start| word.starts_with(start))
        };
        let own: Vec<&String> = words.iter().take_while(|word| *word != "--").collect();
        if own.iter().any(|word| elsewhere(word)) {
            return ScriptEnd::EndsAlone;
        }
        let start = words.iter().take_while(|word| word.starts_with('-')).count();
        let Some((verb, rest)) = words[start..].split_first() else { return ScriptEnd::EndsAlone };
        let (name, rest) = match verb.as_str() {
            "run" | "run-script" => {
                let skipped = rest.iter().take_while(|word| word.starts_with('-')).count();
                match rest[skipped..].split_first() {
                    Some((name, rest)) => (name.as_str(), rest),
                    None => return ScriptEnd::EndsAlone,
                }
            }
            "exec" | "x" | "dlx" => return self.end_of_command(script, rest),
            "t" => ("test", rest),
            verb if verb == "test" && manager == "bun" => {
                let watches = rest.iter().any(|word| word == "--watch");
                return if watches {
                    waits(script, &words[start..], manager)
                } else {
                    ScriptEnd::EndsAlone
                };
            }
            verb => (verb, rest),
        };
        if !self.has(name) {
            // yarn and pnpm run programs in the same way as scripts.
            return match manager {
                "yarn" | "pnpm" => end_of_runner(script, &words[start..]),
                _ => ScriptEnd::EndsAlone,
            };
        }
        let separated = rest.iter().any(|word| word == "--");
        let arguments: Vec<String> = rest.iter().filter(|word| *word != "--").cloned().collect();
        match self.end(name, &arguments) {
            // Only npm consumes arguments without a separator itself.
            ScriptEnd::EndsWithArguments { mut arguments, script, command }
                if manager == "npm" && !separated =>
            {
                arguments.insert(0, "--".to_owned());
                ScriptEnd::EndsWithArguments { arguments, script, command }
            }
            end => end,
        }
    }

    /// Returns the scripts named by an argument of `run-s`, with or without `*`.
    fn matching(&self, pattern: &str) -> Vec<String> {
        let Some((start, end)) = pattern.split_once('*') else { return vec![pattern.to_owned()] };
        let end = end.trim_start_matches('*');
        let names = self.all.as_object().into_iter().flat_map(|scripts| scripts.keys());
        names.filter(|name| name.starts_with(start) && name.ends_with(end)).cloned().collect()
    }
}

/// Returns the worse end of two running scripts: the end that keeps CI waiting.
fn worse_end(one: ScriptEnd, other: ScriptEnd) -> ScriptEnd {
    match (&one, &other) {
        (ScriptEnd::Endless { .. }, _)
        | (ScriptEnd::EndsWithArguments { .. }, ScriptEnd::EndsAlone) => one,
        _ => other,
    }
}

/// The end of a script if no arguments reach it.
fn end_without_arguments(end: ScriptEnd) -> ScriptEnd {
    match end {
        ScriptEnd::EndsWithArguments { script, command, .. } => {
            ScriptEnd::Endless { script, command }
        }
        end => end,
    }
}

fn waits(script: &str, words: &[String], manager: &str) -> ScriptEnd {
    let command = std::iter::once(manager).chain(words.iter().map(String::as_str));
    let command = command.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    ScriptEnd::Endless { script: script.to_owned(), command }
}

fn end_of_runner(script: &str, words: &[String]) -> ScriptEnd {
    let runs = |program: &str| words.iter().any(|word| word.rsplit('/').next() == Some(program));
    let says = |options: &[&str]| words.iter().any(|word| options.contains(&word.as_str()));
    let with_arguments = |ending: &[&str]| ScriptEnd::EndsWithArguments {
        arguments: ending.iter().map(|word| (*word).to_owned()).collect(),
        script: script.to_owned(),
        command: words.join(" "),
    };
    let watches = says(&["--watch", "-w", "--watch=true"]);
    if matches!(words[0].rsplit('/').next(), Some("nodemon" | "ptw" | "pytest-watch")) {
        return waits(script, words, "");
    }
    if runs("jest") || runs("react-scripts") {
        let watches = says(&["--watch", "--watchAll", "--watch=true", "--watchAll=true"]);
        let ends = says(&["--watch=false", "--watchAll=false"]);
        return if watches && !ends {
            with_arguments(&["--watch=false", "--watchAll=false"])
        } else {
            ScriptEnd::EndsAlone
        };
    }
    if runs("vitest") {
        let watches = watches || says(&["watch", "dev"]);
        return if watches && !says(&["--run"]) {
            with_arguments(&["--run"])
        } else {
            ScriptEnd::EndsAlone
        };
    }
    if runs("mocha") {
        return if watches && !says(&["--no-watch"]) {
            with_arguments(&["--no-watch"])
        } else {
            ScriptEnd::EndsAlone
        };
    }
    if runs("karma") && says(&["start"]) && !says(&["--single-run"]) {
        return with_arguments(&["--single-run"]);
    }
    if runs("ng") && says(&["test", "t"]) && !says(&["--watch=false", "--no-watch"]) {
        return with_arguments(&["--watch=false"]);
    }
    let is_watcher = runs("tsc") && watches
        || runs("node") && says(&["--test"]) && says(&["--watch"])
        || runs("deno") && says(&["test"]) && says(&["--watch"])
        || runs("cypress") && says(&["open"]);
    if is_watcher { waits(script, words, "") } else { ScriptEnd::EndsAlone }
}

/// Removes launchers: `NODE_ENV=test cross-env CI=1 npx -y vitest` is `vitest`.
fn without_launchers(mut words: &[String]) -> &[String] {
    while let Some((word, rest)) = words.split_first() {
        let is_launcher = matches!(
            word.as_str(),
            "env" | "cross-env" | "npx" | "exec" | "time" | "dotenv" | "--"
        ) || word.starts_with('-')
            || word.split_once('=').is_some_and(|(name, _)| {
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            });
        if !is_launcher {
            break;
        }
        words = rest;
    }
    words
}

/// Splits a line into simple commands and their words, without quotes.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (_, '\\') => word.get_or_insert_default().extend(chars.next()),
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '&' | '|' | ';' | '\n' | '(' | ')') => {
                commands.last_mut().into_iter().for_each(|last| last.extend(word.take()));
                commands.push(Vec::new());
            }
            (None, c) if c.is_whitespace() => {
                commands.last_mut().into_iter().for_each(|last| last.extend(word.take()));
            }
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    commands.last_mut().into_iter().for_each(|last| last.extend(word.take()));
    commands.retain(|words| !words.is_empty());
    commands
}

#[cfg(test)]
#[path = "node_scripts_tests.rs"]
mod tests;
