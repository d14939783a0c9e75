//! Chooses the Python interpreter for a project's tests, by its installed modules.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use super::ci_place::CiPlace;
use super::imports::{Interpreter, MisplacedModules, SearchedFiles, find_misplaced_modules};
use crate::process::{self, Tool};

const PROBE_TIMEOUT: Duration = Duration::from_secs(20);
/// Finds modules without importing them, since importing would run the project's code.
const PROBE: &str = "import sys, importlib.util as u\n\
    print(*(n for n in sys.argv[1:] if u.find_spec(n)))";

/// A Python interpreter with the wanted modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Python {
    /// Relative to the working directory if inside the copy: copies differ, but the command stays the same.
    pub program: String,
    /// The installed modules among those asked for.
    modules: Vec<&'static str>,
}

impl Python {
    pub fn has(&self, module: &str) -> bool {
        self.modules.contains(&module)
    }
}

/// Modules to look for: the first is necessary.
type ModuleNames = &'static [&'static str];

/// Modules of this machine's Pythons, each examined once per drain, and files without the checkout's path.
#[derive(Debug, Default)]
pub struct Pythons {
    known: Mutex<HashMap<(String, ModuleNames), Python>>,
    misplaced: Mutex<HashMap<(PathBuf, Interpreter), MisplacedModules>>,
    pub(super) searched: SearchedFiles,
}

impl Pythons {
    /// Returns the first Python with the first of these modules: the copy's virtual environments (in the project's directory
    /// `place.dir`, then at the `top`), the user's, `$VIRTUAL_ENV`, then `python3`.
    pub(super) async fn find_with(
        &self,
        modules: ModuleNames,
        place: &CiPlace<'_>,
        top: &Path,
    ) -> Option<Python> {
        for program in list_candidates(place, top) {
            if let Some(python) = self.ask(&program, modules, place).await {
                return Some(python);
            }
        }
        None
    }

    pub(super) fn first_python(&self, place: &CiPlace<'_>, top: &Path) -> String {
        list_candidates(place, top).into_iter().next().unwrap_or_else(|| "python3".to_owned())
    }

    /// Asks a Python for modules. Only found modules are remembered: a missing module may be installed by a later
    /// phase.
    async fn ask(
        &self,
        program: &str,
        modules: ModuleNames,
        place: &CiPlace<'_>,
    ) -> Option<Python> {
        let key = (program.to_owned(), modules);
        let known = self.known.lock().ok().and_then(|known| known.get(&key).cloned());
        if known.is_some() {
            return known;
        }
        let python = probe(program, modules, place).await?;
        if let Ok(mut known) = self.known.lock() {
            known.insert(key, python.clone());
        }
        Some(python)
    }

    /// Returns imports of this Python from the user's checkout; `None` if all come from the copy.
    pub(super) async fn find_misplaced(
        &self,
        python: &Interpreter,
        place: &CiPlace<'_>,
    ) -> Option<MisplacedModules> {
        // Each copy may have its own environment.
        let key = (place.dir.to_owned(), python.clone());
        let known = self.misplaced.lock().ok().and_then(|known| known.get(&key).cloned());
        let found = match known {
            Some(known) => known,
            None => {
                let found = find_misplaced_modules(python, place).await;
                if let Ok(mut known) = self.misplaced.lock() {
                    known.insert(key, found.clone());
                }
                found
            }
        };
        (!found.is_empty()).then_some(found)
    }
}

fn list_candidates(place: &CiPlace<'_>, top: &Path) -> Vec<String> {
    let mut candidates = Vec::new();
    let up = place.dir.strip_prefix(top).map_or(0, |below| below.components().count());
    let prefixes = [String::new(), "../".repeat(up)];
    let prefixes = if up == 0 { &prefixes[..1] } else { &prefixes[..] };
    for prefix in prefixes {
        for environment in [".venv", "venv"] {
            let relative = format!("{prefix}{environment}/bin/python");
            if place.dir.join(&relative).exists() {
                candidates.push(relative);
            }
        }
    }
    let get = |name: &str| place.env.get(OsStr::new(name)).map(PathBuf::from);
    let below = place.dir.strip_prefix(top).unwrap_or(Path::new(""));
    let users = [place.workspace.join(below), place.workspace.to_owned()];
    let users = users.iter().flat_map(|dir| [".venv", "venv"].map(|name| dir.join(name)));
    let named = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(get);
    for python in users.chain(named).map(|dir| dir.join("bin/python")) {
        match python.to_str() {
            Some(python) if Path::new(python).exists() => candidates.push(python.to_owned()),
            _ => {}
        }
    }
    candidates.extend(["python3".to_owned(), "python".to_owned()]);
    candidates
}

async fn probe(program: &str, modules: ModuleNames, place: &CiPlace<'_>) -> Option<Python> {
    let path = match program.contains('/') {
        true => place.dir.join(program).into_os_string(),
        false => OsString::from(program),
    };
    let args = ["-c", PROBE].iter().chain(modules);
    let mut tool = Tool::new(path, place.dir, PROBE_TIMEOUT).args(args);
    tool.clear_env = true;
    tool.env = place.env.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
    let output = process::output(tool).await.ok().filter(process::Output::success)?.text();
    let has = |module: &&str| output.split_whitespace().any(|word| word == *module);
    let present: Vec<&str> = modules.iter().copied().filter(has).collect();
    let is_whole = modules.first().is_some_and(|first| present.contains(first));
    is_whole.then(|| Python { program: program.to_owned(), modules: present })
}
