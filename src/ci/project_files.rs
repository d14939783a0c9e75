//! Files of a project, and directories whose files are not the project's own.

use std::fs;
use std::path::Path;

/// Directories with installed or built files, whose tests are not the project's.
pub const FOREIGN: [&str; 8] =
    ["node_modules", "target", "venv", "env", "site-packages", "__pycache__", "build", "vendor"];
/// Directories whose projects are third-party code, examples or test data.
pub const FOREIGN_PROJECTS: [&str; 8] =
    ["examples", "example", "docs", "fixtures", "testdata", "templates", "third_party", "dist"];

/// Makes a directory with these files, for tests.
#[cfg(test)]
pub fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

/// Returns the text of a file; empty if there is no such file.
pub fn read_text(dir: &Path, name: &str) -> String {
    let bytes = fs::read(dir.join(name)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
