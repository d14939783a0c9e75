//! Asks a Python interpreter which modules it would import from the user's checkout.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use super::super::ci_place::CiPlace;
use crate::process::{self, Tool};

const PROBE: &str = include_str!("probe.py");
const PROBE_TIMEOUT: Duration = Duration::from_secs(30);

/// A Python interpreter and the options that affect imports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Interpreter {
    /// A name on PATH, or a path; relative if inside the copy.
    pub program: String,
    pub options: Vec<String>,
}

impl Interpreter {
    pub fn plain(program: impl Into<String>) -> Self {
        Self { program: program.into(), options: Vec::new() }
    }

    /// Whether the options make Python ignore PYTHONPATH.
    pub fn is_isolated(&self) -> bool {
        !self.options.is_empty()
    }

    pub fn display(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.options);
        words.map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

/// Modules imported from the user's checkout, by package and path; `*` stands for a whole directory.
pub type MisplacedModules = BTreeMap<String, String>;

/// Returns the modules that this Python would import from the user's checkout.
pub async fn find_misplaced_modules(python: &Interpreter, place: &CiPlace<'_>) -> MisplacedModules {
    let program = match python.program.contains('/') {
        true => place.dir.join(&python.program).into_os_string(),
        false => OsString::from(&python.program),
    };
    let args = python.options.iter().map(String::as_str).chain(["-c", PROBE]);
    let mut tool = Tool::new(program, place.dir, PROBE_TIMEOUT).args(args);
    tool.clear_env = true;
    tool.env = place.env.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
    match process::output(tool).await {
        Ok(output) if output.success() => {
            // The user's own sitecustomize may print text first.
            let text = output.text();
            let line = text.lines().next_back().unwrap_or_default();
            serde_json::from_str(line).unwrap_or_default()
        }
        // An interpreter that cannot start cannot test the wrong files either.
        Ok(_) | Err(_) => MisplacedModules::new(),
    }
}
