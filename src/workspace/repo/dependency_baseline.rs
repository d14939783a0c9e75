//! Dependency directories of the user's checkout before the first agent of this process.
//!
//! An agent can write there by an absolute path, such as a package missing in a clean clone. So after the first
//! agent started, changed directories are not copied again, and new directories are not copied at all. The next
//! drain starts from the current state.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::machine_now;
use crate::workspace::dependencies::stamp;

/// Stamps of the directories by path, shared by all slots of the process.
#[derive(Clone, Default)]
pub(crate) struct DependencyBaseline(Arc<Mutex<BaselineState>>);

#[derive(Default)]
struct BaselineState {
    /// Start of the first agent, in milliseconds since 1970.
    first_agent: Option<i64>,
    stamps: BTreeMap<String, String>,
}

/// The state of a dependency directory to copy.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DependencySource {
    /// The current state in the user's checkout, with its stamp.
    Current(String),
    /// The state with this stamp: the directory changed since.
    Earlier(String),
    /// None: the directory appeared after an agent started.
    New,
}

impl DependencyBaseline {
    fn state(&self) -> MutexGuard<'_, BaselineState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the start of an agent.
    pub fn note_agent(&self) {
        self.state().first_agent.get_or_insert(machine_now().0);
    }

    /// Whether a directory appeared after the first agent started.
    pub fn is_new(&self, root: &Path, path: &str) -> bool {
        let state = self.state();
        let Some(first_agent) = state.first_agent else { return false };
        !state.stamps.contains_key(path) && changed(&root.join(path)) >= first_agent
    }

    /// Decides which state of a directory to copy.
    pub fn source(&self, root: &Path, path: &str) -> DependencySource {
        if self.is_new(root, path) {
            return DependencySource::New;
        }
        let current = stamp(root, path);
        let mut state = self.state();
        let has_agent = state.first_agent.is_some();
        match state.stamps.get(path) {
            Some(earlier) if has_agent && *earlier != current => {
                DependencySource::Earlier(earlier.clone())
            }
            _ => {
                state.stamps.insert(path.to_owned(), current.clone());
                DependencySource::Current(current)
            }
        }
    }
}

/// Returns the time of the last change of a directory, in milliseconds since 1970; 0 if missing.
fn changed(dir: &Path) -> i64 {
    fs::symlink_metadata(dir)
        .map_or(0, |found| found.ctime() * 1000 + found.ctime_nsec() / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(root: &Path, package: &str) {
        let dir = root.join(package);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("package.json"), "{}").unwrap();
    }

    #[test]
    fn changes_count_until_the_first_agent_starts() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        let baseline = DependencyBaseline::default();
        let source = || baseline.source(root, "node_modules");
        install(root, "node_modules/one");
        let DependencySource::Current(first) = source() else { panic!() };
        install(root, "node_modules/two");
        let DependencySource::Current(second) = source() else { panic!() };
        assert_ne!(first, second);
        baseline.note_agent();
        assert_eq!(source(), DependencySource::Current(second.clone()));
        install(root, "node_modules/ghost");
        assert_eq!(source(), DependencySource::Earlier(second.clone()));
        fs::remove_dir_all(root.join("node_modules/ghost")).unwrap();
        assert_eq!(source(), DependencySource::Current(second));
        install(root, "web/node_modules/ghost");
        assert_eq!(baseline.source(root, "web/node_modules"), DependencySource::New);
        assert!(baseline.is_new(root, "web/node_modules"));
    }
}
