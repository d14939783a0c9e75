//! Makes Python import from the tested copy, never from the user's checkout.
//!
//! An editable install (`pip install -e .`, `uv sync`, `poetry install`) leaves the checkout's absolute path in the
//! environment: as a `.pth` file, an egg link, a symbolic link, or the table of a finder. Every Python started by a
//! command, however deep in a script or Makefile, reads `sitecustomize.py` from the first directory on `PYTHONPATH`:
//! the file installed here redirects these paths into the copy. Cases out of reach (`python -I`, an unknown kind of
//! finder) are detected once per drain and end the drain; so do absolute paths into the checkout in the files of build
//! tools, in test code and in scripts. In the command itself, such paths are mapped to the copy.

mod checkout_mentions;
mod checkout_paths;
mod command_paths;
mod interpreters;
mod node_links;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

pub(super) use checkout_mentions::SearchedFiles;
pub(super) use command_paths::CommandPaths;
pub(super) use interpreters::Interpreter;

use super::ci_plan::{CiPlan, Site};
use super::pythons::Pythons;
use crate::process::child_env::Env;
use crate::process::{self, Tool};

const GUARD: &str = include_str!("sitecustomize.py");
const PROBE: &str = include_str!("probe.py");
const PROBE_TIMEOUT: Duration = Duration::from_secs(30);

/// Makes every Python started with `env` import packages from `AUTOPACK_WORKTREE` if they are installed from
/// `AUTOPACK_WORKSPACE`. `dir` belongs to autopack and is written anew each time, since an agent may have changed the
/// files.
///
/// # Errors
/// If the directory cannot be written.
pub fn guard_imports(env: &mut Env, dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let file = dir.join("sitecustomize.py");
    if fs::read(&file).ok().as_deref() != Some(GUARD.as_bytes()) {
        // Another process may read the file at this moment.
        let beside = dir.join(format!("sitecustomize.{}.tmp", std::process::id()));
        fs::write(&beside, GUARD)?;
        fs::rename(&beside, &file)?;
    }
    // Byte code compiled by someone else.
    match fs::remove_dir_all(dir.join("__pycache__")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    prepend(env, dir);
    Ok(())
}

/// Puts a directory first on Python's path.
pub(super) fn prepend(env: &mut Env, dir: &Path) {
    let name = OsString::from("PYTHONPATH");
    let mut path = dir.as_os_str().to_owned();
    if let Some(more) = env.get(&name).filter(|more| !more.is_empty()) {
        path.push(":");
        path.push(more);
    }
    env.insert(name, path);
}

/// Describes imports by which this plan would test the user's checkout, with the remedy, for people. Each Python is
/// asked once per drain.
pub async fn misplaced_imports(
    site: &Site<'_>,
    plan: &CiPlan,
    pythons: &Pythons,
) -> Option<String> {
    let named = checkout_paths::misplaced(site, plan)
        .or_else(|| node_links::misplaced(site))
        .or_else(|| checkout_mentions::misplaced(site, plan, &pythons.searched));
    if named.is_some() {
        return named;
    }
    let plan = &plan.moved(&CommandPaths::new(site.workspace, site.env, site.dir));
    let here = plan.directory(site.dir);
    let mut env = site.env.clone();
    if let Some(source) = &plan.python_path {
        prepend(&mut env, &site.dir.join(source));
    }
    let inside = Site { dir: &here, workspace: site.workspace, env: &env };
    for python in interpreters::of(plan, &inside) {
        let Some(found) = pythons.misplaced(&python, &inside).await else { continue };
        let mut packages = found.iter();
        let (package, path) = packages.next()?;
        let what = match package.as_str() {
            "*" => format!("python modules from {path}"),
            package => format!("the python package {package} from {path}"),
        };
        let why = match python.is_isolated() {
            true => format!("without {}, Python would import from CI's copy", python.options.join(" ")),
            false => "install the project into a .venv in your checkout, since CI gets a copy of .venv, or let workspace.setup \
                      install the project in CI's copy (`pip install -e .` in a new environment)"
                .to_owned(),
        };
        return Some(format!(
            "ci would test your checkout instead of the change: {} imports {what}; {why}",
            python.display()
        ));
    }
    None
}

/// Package and path; `*` stands for a whole directory.
pub(super) type Misplaced = BTreeMap<String, String>;

pub(super) async fn probe(python: &Interpreter, site: &Site<'_>) -> Misplaced {
    let program = match python.program.contains('/') {
        true => site.dir.join(&python.program).into_os_string(),
        false => OsString::from(&python.program),
    };
    let args = python.options.iter().map(String::as_str).chain(["-c", PROBE]);
    let mut tool = Tool::new(program, site.dir, PROBE_TIMEOUT).args(args);
    tool.clear_env = true;
    tool.env = site.env.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
    match process::output(tool).await {
        Ok(output) if output.success() => {
            // The user's own sitecustomize may print text first.
            let text = output.text();
            let line = text.lines().next_back().unwrap_or_default();
            serde_json::from_str(line).unwrap_or_default()
        }
        // An interpreter that cannot start cannot test the wrong files either.
        Ok(_) | Err(_) => Misplaced::new(),
    }
}
