//! Shared parts of end-to-end tests: the builder of projects, stand-ins for external programs, and real data.

use std::fs;
use std::path::{Path, PathBuf};

pub mod agent_task;
pub mod big_run;
pub mod browser;
pub mod by_hand;
pub mod claude;
pub mod clones;
pub mod database;
pub mod dice;
pub mod docker;
pub mod environment;
pub mod fake_agent;
pub mod forge;
pub mod golden;
pub mod hook_server;
pub mod json_schema;
pub mod link;
pub mod meeting;
pub mod model_server;
pub mod page_commands;
pub mod postgres;
pub mod preload;
pub mod process;
pub mod project;
pub mod qdrant;
pub mod ran;
pub mod skip;
pub mod stubborn;
pub mod terminal;

pub use project::Project;
pub use ran::Ran;
pub use skip::{has, has_pytest, skip, succeeds};

/// Writes an executable script.
pub fn executable(file: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(file.parent().expect("a file has a parent")).expect("directories");
    fs::write(file, text).expect("a file");
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).expect("it is ours");
}

/// A file of the real data used by some tests: from `AUTOPACK_SHARED_DATA`, else from `../shared/data`. The data is not part of
/// the repository; without it the test is skipped, or fails where `data` is required.
#[track_caller]
pub fn shared_file(file: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let directory = std::env::var_os("AUTOPACK_SHARED_DATA").map_or_else(beside, PathBuf::from);
    let path = directory.join(file);
    if !path.is_file() {
        skip("data", format_args!("{} does not exist", path.display()));
        return None;
    }
    Some(path)
}
