//! Finds links in `node_modules` that lead into the user's checkout: from `npm link`, or workspace links with absolute
//! paths.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::ci_place::CiPlace;

/// Search depth for the directories of workspace members.
const DEPTH: usize = 2;

/// Describes the first package that node would load from the user's checkout, with the remedy, for people.
pub fn find_checkout_link(place: &CiPlace<'_>) -> Option<String> {
    let (copy, checkout) = (place.dir.canonicalize().ok()?, place.workspace.canonicalize().ok()?);
    let leaks = |path: &Path| {
        let real = path.canonicalize().ok()?;
        (real.starts_with(&checkout) && !real.starts_with(&copy)).then_some(real)
    };
    let mut found = None;
    for modules in node_modules(&copy, DEPTH) {
        for package in packages(&modules) {
            found = found.or_else(|| Some((package.clone(), leaks(&package)?)));
        }
    }
    let (package, leads) = found?;
    let shown = package.strip_prefix(&copy).unwrap_or(&package);
    Some(format!(
        "ci would test your checkout instead of the change: {} in CI's copy is a link to {}; remove the link (`npm unlink`) \
         and install the package from its lock file, or let workspace.setup install the dependencies in the copy (`npm ci`)",
        shown.display(),
        leads.display()
    ))
}

fn node_modules(dir: &Path, depth: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (path, name) in directories(dir) {
        if name == "node_modules" {
            found.push(path);
        } else if depth > 0 && !name.starts_with('.') {
            found.extend(node_modules(&path, depth - 1));
        }
    }
    found
}

fn directories(dir: &Path) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| (entry.path(), entry.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// Returns the packages that are symbolic links.
fn packages(modules: &Path) -> Vec<PathBuf> {
    let mut dirs = vec![modules.to_owned()];
    dirs.extend(
        directories(modules)
            .into_iter()
            .filter(|(_, name)| name.starts_with('@'))
            .map(|(path, _)| path),
    );
    let links = |dir: &PathBuf| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()))
            .map(|entry| entry.path())
            .collect::<Vec<_>>()
    };
    dirs.iter().flat_map(links).collect()
}
