//! A HOME of links, for a view without mounts: a private directory with links to the entries of the user's HOME, and
//! real directories on the way to an agent's state.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::process::child_env::Env;
use crate::process::view::agent_needs::AgentNeeds;

/// Fills the empty directory `private` with links to the entries of `home`. The state in `own` (paths relative to HOME)
/// is left out, for private copies.
///
/// # Errors
///
/// If a directory or link cannot be created.
pub(super) fn link_home(
    needs: &AgentNeeds,
    own: &[&str],
    (home, env): (&Path, &Env),
    private: &Path,
) -> io::Result<()> {
    let mut inner = BTreeSet::from([PathBuf::new()]);
    for path in own {
        let above = Path::new(path).ancestors().skip(1);
        inner.extend(above.map(Path::to_owned));
    }
    // Parents sort before their children.
    for directory in &inner {
        let real = match directory.to_str() {
            Some("") | None => home.to_owned(),
            Some(name) => needs.locate(name, home, env),
        };
        fs::create_dir_all(private.join(directory))?;
        let Ok(entries) = fs::read_dir(&real) else { continue };
        for entry in entries.flatten() {
            let path = directory.join(entry.file_name());
            // A lock of the user's session would block the agent.
            let is_lock = |own: &str| {
                path.to_str().is_some_and(|path| path.strip_suffix(".lock") == Some(own))
            };
            let is_own = own.iter().any(|own| Path::new(own) == path || is_lock(own));
            if !is_own && !inner.contains(&path) {
                symlink(entry.path(), private.join(&path))?;
            }
        }
    }
    Ok(())
}

/// Returns the changes of the environment for a HOME of links; `None` removes a variable.
pub(super) fn linked_environment(
    needs: &AgentNeeds,
    env: &Env,
    private: &Path,
) -> Vec<(OsString, Option<OsString>)> {
    let mut changes = vec![("HOME".into(), Some(private.as_os_str().to_owned()))];
    for variable in &needs.home_variables {
        let name = OsString::from(variable.name);
        if !env.contains_key(&name) || changes.iter().any(|(known, _)| *known == name) {
            continue;
        }
        // Without the variable, the state is at its usual place below HOME.
        let moved = variable.below.is_empty().then(|| private.join(variable.directory).into());
        changes.push((name, moved));
    }
    changes
}
