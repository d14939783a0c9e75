//! Configuration files hidden by a file of the same name.

use std::fmt;
use std::path::Path;

use serde_yaml::Value;

/// A hidden file with settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HiddenFile {
    /// The file, relative to the workspace if inside.
    pub name: String,
    /// The file read by autopack.
    pub read: String,
}

impl fmt::Display for HiddenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} hides {}", self.read, self.name)
    }
}

impl HiddenFile {
    /// Advice for the user.
    pub const REMEDY: &'static str = "only the first is read; put all keys into one of them";
}

/// Whether `path` has keys, and differs from the file `read` and from the shipped file. A file with wrong syntax counts as
/// having keys.
pub(super) fn has_settings(path: &Path, read: &Path, shipped: &str) -> bool {
    let Ok(text) = std::fs::read_to_string(path) else { return false };
    let is_same =
        path.canonicalize().is_ok_and(|path| read.canonicalize().is_ok_and(|read| read == path));
    let is_empty = || match serde_yaml::from_str(&text) {
        Ok(Value::Null) => true,
        Ok(Value::Mapping(keys)) => keys.is_empty(),
        _ => false,
    };
    !is_same && text.trim() != shipped.trim() && !is_empty()
}
