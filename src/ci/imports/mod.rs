//! Makes Python import from the tested copy, never from the user's checkout.
//!
//! An editable install (`pip install -e .`, `uv sync`, `poetry install`) leaves the checkout's absolute path in the
//! environment: as a `.pth` file, an egg link, a symbolic link, or the table of a finder. Every Python started by a
//! command, however deep in a script or Makefile, reads `sitecustomize.py` from the first directory on `PYTHONPATH`:
//! the file installed here redirects these paths into the copy. Cases out of reach (`python -I`, an unknown kind of
//! finder) are detected once per drain and end the drain; so do absolute paths into the checkout in the files of build
//! tools, in test code and in scripts. In the command itself, such paths are mapped to the copy.

mod build_tool;
mod checkout_mentions;
mod checkout_paths;
mod command_paths;
mod interpreters;
mod node_links;
mod python_probe;
mod searched_files;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) use build_tool::BuildTool;
pub(super) use command_paths::CommandPaths;
pub(super) use python_probe::{Interpreter, MisplacedModules, find_misplaced_modules};
pub(super) use searched_files::SearchedFiles;

use super::ci_place::CiPlace;
use super::ci_plan::CiPlan;
use super::pythons::Pythons;
use crate::process::child_env::Env;

const GUARD: &str = include_str!("sitecustomize.py");

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
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let beside = dir.join(format!("sitecustomize.{}.{number}.tmp", std::process::id()));
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
pub async fn find_misplaced_imports(
    place: &CiPlace<'_>,
    plan: &CiPlan,
    pythons: &Pythons,
) -> Option<String> {
    let named = checkout_paths::find_checkout_path(place, plan)
        .or_else(|| node_links::find_checkout_link(place))
        .or_else(|| checkout_mentions::find_checkout_mention(place, plan, &pythons.searched));
    if named.is_some() {
        return named;
    }
    let plan = &plan.moved(&CommandPaths::new(place.workspace, place.env, place.dir));
    let here = plan.directory(place.dir);
    let mut env = place.env.clone();
    if let Some(source) = &plan.python_path {
        prepend(&mut env, &place.dir.join(source));
    }
    let inside = CiPlace { dir: &here, workspace: place.workspace, env: &env };
    for python in interpreters::find_interpreters(plan, &inside) {
        let Some(found) = pythons.find_misplaced(&python, &inside).await else { continue };
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
