//! Chooses the Python interpreter for a project's tests, by its installed modules.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use super::ci_plan::Site;
use super::imports::{self, Interpreter, Misplaced, SearchedFiles};
use crate::process::{self, Tool};

const PROBE_TIMEOUT: Duration = Duration::from_secs(20);
/// Finds modules without importing them, since importing would run the project's code.
const PROBE: &str = "import importlib.util as u\n\
    print(*(n for n in ('pytest', 'pytest_timeout', 'django') if u.find_spec(n)))";

/// A Python interpreter and its relevant modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Python {
    /// Relative to the working directory if inside the copy: copies differ, but the command stays the same.
    pub program: String,
    pub has_timeout: bool,
}

impl Python {
    pub(super) const PYTEST: &str = "pytest";
    pub(super) const DJANGO: &str = "django";
}

/// Modules of this machine's Pythons, each examined once per drain, and files without the checkout's path.
#[derive(Debug, Default)]
pub struct Pythons {
    known: Mutex<HashMap<(String, &'static str), Python>>,
    misplaced: Mutex<HashMap<(PathBuf, Interpreter), Misplaced>>,
    pub(super) searched: SearchedFiles,
}

impl Pythons {
    /// Returns the first Python with this module: the copy's virtual environments (in the project's directory
    /// `site.dir`, then at the `top`), the user's, `$VIRTUAL_ENV`, then `python3`.
    pub(super) async fn having(
        &self,
        module: &'static str,
        site: &Site<'_>,
        top: &Path,
    ) -> Option<Python> {
        for program in candidates(site, top) {
            if let Some(python) = self.look(&program, module, site).await {
                return Some(python);
            }
        }
        None
    }

    pub(super) fn first(&self, site: &Site<'_>, top: &Path) -> String {
        candidates(site, top).into_iter().next().unwrap_or_else(|| "python3".to_owned())
    }

    /// Asks a Python for a module. Only found modules are remembered: a missing module may be installed by a later
    /// phase.
    async fn look(&self, program: &str, module: &'static str, site: &Site<'_>) -> Option<Python> {
        let key = (program.to_owned(), module);
        let known = self.known.lock().ok().and_then(|known| known.get(&key).cloned());
        if known.is_some() {
            return known;
        }
        let python = probe(program, module, site).await?;
        if let Ok(mut known) = self.known.lock() {
            known.insert(key, python.clone());
        }
        Some(python)
    }

    /// Returns imports of this Python from the user's checkout; `None` if all come from the copy.
    pub(super) async fn misplaced(
        &self,
        python: &Interpreter,
        site: &Site<'_>,
    ) -> Option<Misplaced> {
        // Each copy may have its own environment.
        let key = (site.dir.to_owned(), python.clone());
        let known = self.misplaced.lock().ok().and_then(|known| known.get(&key).cloned());
        let found = match known {
            Some(known) => known,
            None => {
                let found = imports::probe(python, site).await;
                if let Ok(mut known) = self.misplaced.lock() {
                    known.insert(key, found.clone());
                }
                found
            }
        };
        (!found.is_empty()).then_some(found)
    }
}

fn candidates(site: &Site<'_>, top: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let up = site.dir.strip_prefix(top).map_or(0, |below| below.components().count());
    let places = [String::new(), "../".repeat(up)];
    let places = if up == 0 { &places[..1] } else { &places[..] };
    for place in places {
        for folder in [".venv", "venv"] {
            let relative = format!("{place}{folder}/bin/python");
            if site.dir.join(&relative).exists() {
                found.push(relative);
            }
        }
    }
    let get = |name: &str| site.env.get(OsStr::new(name)).map(PathBuf::from);
    let folders = [Some(site.workspace.join(".venv")), get("VIRTUAL_ENV"), get("CONDA_PREFIX")];
    for python in folders.into_iter().flatten().map(|folder| folder.join("bin/python")) {
        match python.to_str() {
            Some(python) if Path::new(python).exists() => found.push(python.to_owned()),
            _ => {}
        }
    }
    found.extend(["python3".to_owned(), "python".to_owned()]);
    found
}

async fn probe(program: &str, module: &str, site: &Site<'_>) -> Option<Python> {
    let path = match program.contains('/') {
        true => site.dir.join(program).into_os_string(),
        false => OsString::from(program),
    };
    let mut tool = Tool::new(path, site.dir, PROBE_TIMEOUT).args(["-c", PROBE]);
    tool.clear_env = true;
    tool.env = site.env.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
    let output = process::output(tool).await.ok().filter(process::Output::success)?.text();
    let has = |module: &str| output.split_whitespace().any(|found| found == module);
    // With this variable set, pytest would not know the plugin's option.
    let plugins = !site.env.contains_key(&OsString::from("PYTEST_DISABLE_PLUGIN_AUTOLOAD"));
    has(module).then(|| Python {
        program: program.to_owned(),
        has_timeout: plugins && has("pytest_timeout"),
    })
}
