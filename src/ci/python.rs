//! Which Python runs a project's tests, and what it has installed.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use super::plan::Site;
use crate::process::{self, Tool};

const PROBE_TIMEOUT: Duration = Duration::from_secs(20);
/// Looks without importing: importing would run code of the project.
const PROBE: &str = "import importlib.util as u\n\
    print(*(n for n in ('pytest', 'pytest_timeout') if u.find_spec(n)))";

/// A Python that has pytest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Python {
    /// Relative to the slot where it lies in the slot: slots differ, the command does not.
    pub program: String,
    pub has_timeout: bool,
}

/// What the Pythons of this machine have, found out once each in a drain.
#[derive(Debug, Default)]
pub struct Pythons {
    with_pytest: Mutex<HashMap<String, Python>>,
}

impl Pythons {
    /// The first of the slot's `.venv`, the user's, `$VIRTUAL_ENV` and `python3` that has pytest.
    pub(super) async fn with_pytest(&self, site: &Site<'_>) -> Option<Python> {
        for program in candidates(site) {
            if let Some(python) = self.look(&program, site).await {
                return Some(python);
            }
        }
        None
    }

    pub(super) fn first(&self, site: &Site<'_>) -> String {
        candidates(site).into_iter().next().unwrap_or_else(|| "python3".to_owned())
    }

    /// What is missing now may be installed a phase later, so only what is there is remembered.
    async fn look(&self, program: &str, site: &Site<'_>) -> Option<Python> {
        let known = self.with_pytest.lock().ok().and_then(|known| known.get(program).cloned());
        if known.is_some() {
            return known;
        }
        let python = probe(program, site).await?;
        if let Ok(mut known) = self.with_pytest.lock() {
            known.insert(program.to_owned(), python.clone());
        }
        Some(python)
    }
}

fn candidates(site: &Site<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for folder in [".venv", "venv"] {
        let relative = format!("{folder}/bin/python");
        if site.dir.join(&relative).exists() {
            found.push(relative);
        }
    }
    let venv = site.env.get(&OsString::from("VIRTUAL_ENV")).map(Path::new);
    let folders = [Some(site.workspace.join(".venv")), venv.map(Path::to_path_buf)];
    for python in folders.into_iter().flatten().map(|folder| folder.join("bin/python")) {
        match python.to_str() {
            Some(python) if Path::new(python).exists() => found.push(python.to_owned()),
            _ => {}
        }
    }
    found.extend(["python3".to_owned(), "python".to_owned()]);
    found
}

async fn probe(program: &str, site: &Site<'_>) -> Option<Python> {
    let path = match program.contains('/') {
        true => site.dir.join(program).into_os_string(),
        false => OsString::from(program),
    };
    let mut tool = Tool::new(path, site.dir, PROBE_TIMEOUT).args(["-c", PROBE]);
    tool.clear_env = true;
    tool.env = site.env.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
    let output = process::output(tool).await.ok().filter(process::Output::success)?.text();
    let has = |module: &str| output.split_whitespace().any(|found| found == module);
    // With this set, pytest would not know the plugin's option.
    let plugins = !site.env.contains_key(&OsString::from("PYTEST_DISABLE_PLUGIN_AUTOLOAD"));
    has("pytest").then(|| Python {
        program: program.to_owned(),
        has_timeout: plugins && has("pytest_timeout"),
    })
}
