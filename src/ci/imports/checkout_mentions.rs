//! Finds the path of the user's checkout in files that CI runs or reads besides manifests: test code, Makefiles,
//! scripts, `.env`. Files linked from the checkout count like tracked files.
//!
//! Only paths that the copy has too are found: a path that no commit contains cannot replace the change. Documents and
//! data are not searched, and neither are scripts that no other searched file names.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::ci_place::CiPlace;
use super::super::ci_plan::CiPlan;
use super::super::project_files::{FOREIGN, FOREIGN_PROJECTS};
use super::build_tool::BuildTool;
use super::checkout_paths::tools;
use super::command_paths::{is_made, spellings};
use super::searched_files::SearchedFiles;
use crate::file_stamp::FileStamp;
use crate::process::{PathMatch, PathReplacement};

/// Files above this size are skipped: nobody writes them by hand.
const MOST_BYTES: u64 = 512 * 1024;
/// Most files of a copy to search.
const MOST_FILES: usize = 50_000;
/// Hidden directories with files for CI.
const HIDDEN: [&str; 2] = [".ci", ".config"];
const DIRECTING: [&str; 27] = [
    ".envrc",
    ".justfile",
    ".rspec",
    "CMakeLists.txt",
    "Gemfile",
    "GNUmakefile",
    "Justfile",
    "Makefile",
    "Procfile",
    "Rakefile",
    "Taskfile.yaml",
    "Taskfile.yml",
    "build.gradle",
    "build.gradle.kts",
    "build.rs",
    "composer.json",
    "conftest.py",
    "deno.json",
    "gradle.properties",
    "justfile",
    "makefile",
    "noxfile.py",
    "phpunit.xml",
    "pom.xml",
    "setup.py",
    "sitecustomize.py",
    "tasks.py",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Part of every CI run of its tool.
    Directing,
    /// Run by CI only if another file or the command names the file.
    Script,
}

/// A searched file.
struct Candidate {
    path: PathBuf,
    role: Role,
}

/// Describes the first such path, with the remedy, for people.
pub fn find_checkout_mention(
    place: &CiPlace<'_>,
    plan: &CiPlan,
    searched: &SearchedFiles,
) -> Option<String> {
    let (copy, root) = (place.dir.canonicalize().ok()?, place.workspace.canonicalize().ok()?);
    if copy == root {
        return None;
    }
    let home = place.env.get(OsStr::new("HOME")).map(Path::new);
    let spellings = spellings(&[place.workspace, &root], home);
    let search = Search { copy: &copy, paths: PathReplacement::new(&spellings, &copy) };
    let candidates = candidates(&copy, tools(plan));
    let mut scripts = Vec::new();
    for candidate in &candidates {
        let Some(stamp) = stamp(&candidate.path) else { continue };
        if searched.knows(&candidate.path, stamp) {
            continue;
        }
        let Ok(text) = fs::read(&candidate.path) else { continue };
        if search.paths.apply(&text).is_none() {
            searched.note(&candidate.path, stamp);
            continue;
        }
        let Some(found) = search.first_path(&text) else { continue };
        match candidate.role {
            Role::Directing => return Some(search.described(&candidate.path, &found)),
            Role::Script => scripts.push((candidate, found)),
        }
    }
    let command = plan.display();
    let run = scripts.into_iter().find(|(script, _)| is_named(script, &command, &candidates));
    run.map(|(script, found)| search.described(&script.path, &found))
}

struct Search<'a> {
    copy: &'a Path,
    paths: PathReplacement,
}

impl Search<'_> {
    /// Returns the first line with a path that the copy has too, and the path as written.
    fn first_path(&self, text: &[u8]) -> Option<(usize, String)> {
        let text = String::from_utf8_lossy(text);
        text.lines().enumerate().filter(|(_, line)| !is_comment(line)).find_map(|(at, line)| {
            let mut seen = None;
            self.paths.apply_with(line.as_bytes(), |found: &PathMatch<'_>| {
                let is_ours = found.path().is_some_and(|path| {
                    let below = path.strip_prefix(self.copy).unwrap_or(&path);
                    !is_made(below) && path.symlink_metadata().is_ok()
                });
                if seen.is_none() && is_ours {
                    seen = Some((at + 1, found.written()));
                }
                None
            });
            seen
        })
    }

    fn described(&self, file: &Path, (line, path): &(usize, String)) -> String {
        let shown = file.strip_prefix(self.copy).unwrap_or(file);
        format!(
            "ci would test your checkout instead of the change: line {line} of {} names {path}; write a relative path",
            shown.display()
        )
    }
}

/// Returns the stamp of a file to search; `None` for other files.
fn stamp(file: &Path) -> Option<FileStamp> {
    let at = fs::symlink_metadata(file).ok()?;
    let is_searched = at.is_file() && at.len() <= MOST_BYTES;
    is_searched.then(|| FileStamp::from(&at))
}

fn candidates(copy: &Path, tools: &[BuildTool]) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut open = vec![copy.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            let (Some(name), Ok(kind)) = (name.to_str(), entry.file_type()) else { continue };
            if kind.is_dir() && is_searched_dir(name) {
                open.push(path);
            } else if kind.is_file() {
                let below = path.strip_prefix(copy).unwrap_or(&path);
                found.extend(role(below, name, tools).map(|role| Candidate { path, role }));
            }
        }
        if found.len() > MOST_FILES {
            break;
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

fn is_searched_dir(name: &str) -> bool {
    let is_hidden = name.starts_with('.') && !HIDDEN.contains(&name);
    !is_hidden && !FOREIGN.contains(&name) && !FOREIGN_PROJECTS.contains(&name)
}

fn role(below: &Path, name: &str, tools: &[BuildTool]) -> Option<Role> {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let tool = match extension {
        "py" => Some(BuildTool::Python),
        "js" | "jsx" | "mjs" | "cjs" | "ts" | "tsx" | "mts" | "cts" => Some(BuildTool::Node),
        "go" => Some(BuildTool::Go),
        "rs" => Some(BuildTool::Cargo),
        _ => None,
    };
    if tool.is_some_and(|tool| !tools.contains(&tool)) {
        return None;
    }
    let is_config = tool == Some(BuildTool::Node)
        && [".config", ".setup"].iter().any(|end| stem.ends_with(end));
    let is_sample = ["example", "sample", "template", "dist"].contains(&extension);
    let is_env = (name == ".env" || name.starts_with(".env.")) && !is_sample;
    // Compilers read all sources.
    let is_compiled = matches!(tool, Some(BuildTool::Go | BuildTool::Cargo));
    if is_env
        || is_config
        || is_compiled
        || DIRECTING.contains(&name)
        || matches!(extension, "mk" | "cmake")
    {
        return Some(Role::Directing);
    }
    let is_code = tool.is_some()
        || matches!(
            extension,
            "sh" | "bash"
                | "zsh"
                | "rb"
                | "pl"
                | "php"
                | "java"
                | "kt"
                | "kts"
                | "scala"
                | "groovy"
                | "ex"
                | "exs"
                | "lua"
                | "c"
                | "h"
                | "cc"
                | "cpp"
                | "hpp"
                | "cs"
                | "swift"
        );
    let in_tests = below
        .iter()
        .any(|part| matches!(part.to_str(), Some("tests" | "test" | "__tests__" | "spec")));
    let is_test = in_tests
        || name.starts_with("test_")
        || ["_test", ".test", ".spec", "Test", "_spec"].iter().any(|end| stem.ends_with(end));
    match (is_code, is_test) {
        (true, true) => Some(Role::Directing),
        (true, false) => Some(Role::Script),
        // A program such as `bin/test`.
        (false, _) if extension.is_empty() && !name.starts_with('.') => Some(Role::Script),
        (false, _) => None,
    }
}

fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    let is_directive = line.starts_with("#include") || line.starts_with("#define");
    !is_directive && ["#", "//", "/*", "* "].iter().any(|sign| line.starts_with(sign))
}

/// Whether the command or another searched file names the script, by its file name or as a module.
fn is_named(script: &Candidate, command: &str, candidates: &[Candidate]) -> bool {
    let Some(name) = script.path.file_name().and_then(OsStr::to_str) else { return false };
    let module = match name.rsplit_once('.') {
        Some((stem, "py" | "js" | "jsx" | "mjs" | "cjs" | "ts" | "tsx" | "mts" | "cts" | "rb")) => {
            stem
        }
        _ => name,
    };
    let module = match module {
        "__init__" | "index" => {
            script.path.parent().and_then(Path::file_name).and_then(OsStr::to_str).unwrap_or(name)
        }
        module => module,
    };
    let names = |text: &str| has_word(text, module);
    let others = candidates.iter().filter(|other| other.path != script.path);
    names(command)
        || others
            .filter(|other| stamp(&other.path).is_some())
            .filter_map(|other| fs::read(&other.path).ok())
            .any(|text| names(&String::from_utf8_lossy(&text)))
}

fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}
