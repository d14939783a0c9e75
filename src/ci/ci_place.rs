//! Place and environment of a CI run.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::process::which;

/// Place and environment of a CI run.
#[derive(Clone, Copy, Debug)]
pub struct CiPlace<'a> {
    /// Directory of the tested copy; runners are searched and commands run here.
    pub dir: &'a Path,
    /// The user's checkout, which may contain the `.venv` to use.
    pub workspace: &'a Path,
    /// The whole environment of the CI process.
    pub env: &'a BTreeMap<OsString, OsString>,
}

impl CiPlace<'_> {
    /// Whether a program is on CI's PATH, or exists at this path.
    pub(super) fn has_program(&self, program: &str) -> bool {
        let path = self.env.get(OsStr::new("PATH")).map(OsString::as_os_str);
        matches!(which::find(program.as_ref(), self.dir, path), which::ProgramLookup::Program(_))
    }
}
