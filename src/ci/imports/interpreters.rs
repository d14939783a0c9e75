//! Finds the Python interpreters started by a command, as far as its words tell; else the usual interpreters of a
//! script.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::path::Path;

use super::super::ci_place::CiPlace;
use super::super::ci_plan::CiPlan;
use super::super::command_line;
use super::python_probe::Interpreter;
use crate::process::which::{self, ProgramLookup};

/// Most bytes of a first line (shebang).
const SHEBANG: u64 = 512;

/// Returns each interpreter once, starting with those named by the command.
pub fn find_interpreters(plan: &CiPlan, place: &CiPlace<'_>) -> Vec<Interpreter> {
    let mut found = Vec::new();
    let mut is_scripted = false;
    for command in command_line::commands(&plan.command) {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let words = words.split_at(words.iter().take_while(|word| word.contains('=')).count()).1;
        match words.split_first() {
            Some((word, rest)) if is_python(word) => {
                let options =
                    rest.iter().take_while(|word| word.starts_with('-') && **word != "-m");
                found
                    .push(Interpreter { program: (*word).to_owned(), options: isolating(options) });
            }
            Some((word, _)) if matches!(base_name(word), "pytest" | "py.test") => {
                found.extend(of_script(word, place));
            }
            Some((&("cd" | "export" | "source" | "."), _)) | None => {}
            Some(_) => is_scripted = true,
        }
    }
    if is_scripted {
        found.extend(usual_interpreters(place));
    }
    let mut seen: Vec<Interpreter> = Vec::new();
    for python in found {
        if !seen.contains(&python) {
            seen.push(python);
        }
    }
    seen
}

/// Returns the interpreters that a script or Makefile would find, if the copy contains any Python.
fn usual_interpreters(place: &CiPlace<'_>) -> Vec<Interpreter> {
    if !has_python(place.dir) {
        return Vec::new();
    }
    let get = |name: &str| place.env.get(OsStr::new(name)).map(Path::new);
    let mut found: Vec<Interpreter> = [".venv", "venv"]
        .into_iter()
        .map(|venv| format!("{venv}/bin/python"))
        .filter(|python| place.dir.join(python).exists())
        .map(Interpreter::plain)
        .collect();
    let active = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(get);
    let active = active.map(|venv| venv.join("bin/python")).filter(|python| python.exists());
    found.extend(active.filter_map(|python| python.to_str().map(Interpreter::plain)));
    let on_path = |name: &&str| matches!(find(name, place), ProgramLookup::Program(_));
    found.extend(["python3", "python"].into_iter().filter(on_path).map(Interpreter::plain));
    found.extend(of_script("pytest", place));
    found
}

const PYTHON_FILES: [&str; 7] = [
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "requirements.txt",
    "Pipfile",
    "tox.ini",
    "manage.py",
];

/// Looks in the directory and one level below.
fn has_python(dir: &Path) -> bool {
    let has = |dir: &Path| PYTHON_FILES.iter().any(|name| dir.join(name).is_file());
    let entries = || fs::read_dir(dir).into_iter().flatten().flatten();
    has(dir)
        || entries().any(|entry| {
            let path = entry.path();
            path.extension().is_some_and(|ending| ending == "py") || has(&path)
        })
}

/// Returns the interpreter named in the first line of a script such as `pytest` in a virtual environment.
fn of_script(word: &str, place: &CiPlace<'_>) -> Option<Interpreter> {
    let ProgramLookup::Program(script) = find(word, place) else { return None };
    let mut start = Vec::new();
    fs::File::open(script).ok()?.take(SHEBANG).read_to_end(&mut start).ok()?;
    let text = String::from_utf8_lossy(&start);
    let mut lines = text.lines();
    let line = lines.next()?.strip_prefix("#!")?.trim();
    // `'''exec' "/long/path/bin/python" "$0" "$@"`
    let line = match lines.next().and_then(|line| line.strip_prefix("'''exec' ")) {
        Some(long) => long.split(" \"$0\"").next()?.trim_matches('"'),
        None => line,
    };
    let mut words = line.split_whitespace();
    let program = match words.next()? {
        program if base_name(program) == "env" => words.next()?,
        program => program,
    };
    is_python(program)
        .then(|| Interpreter { program: program.to_owned(), options: isolating(words) })
}

fn find(word: &str, place: &CiPlace<'_>) -> ProgramLookup {
    let path = place.env.get(&OsString::from("PATH"));
    which::find(OsStr::new(word), place.dir, path.map(OsString::as_os_str))
}

/// Returns the options before a script or module by which Python ignores PYTHONPATH.
fn isolating<'a>(options: impl Iterator<Item = impl AsRef<str> + 'a>) -> Vec<String> {
    let ignores = |option: &str| {
        let letters = option.strip_prefix('-').unwrap_or_default();
        letters.chars().all(|c| c.is_ascii_alphabetic()) && letters.contains(['I', 'E'])
    };
    options.map(|option| option.as_ref().to_owned()).filter(|option| ignores(option)).collect()
}

fn is_python(word: &str) -> bool {
    let version = base_name(word).strip_prefix("python").or(base_name(word).strip_prefix("pypy"));
    version.is_some_and(|version| version.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

fn base_name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}
