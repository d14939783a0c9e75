//! Builds the auto-fixer with the limits of configuration and workspace.

use std::path::Path;

use crate::config::Settings;
use crate::phase::autofix::{Limits, autofix};
use crate::phase::protected::ProtectedPaths;
use crate::phase::{Failure, RawSpec, Repair};

/// Returns the auto-fixer. A workspace path that is not UTF-8 is ignored, because specs cannot contain such paths.
pub fn fixer(
    settings: &Settings,
    workspace: &Path,
) -> impl Fn(&RawSpec, Option<&Failure>) -> Repair + Send + Sync + use<> {
    let workspace = workspace.to_str().map(str::to_owned);
    let max_timeout_seconds = settings.ci.max_timeout_seconds;
    let unscoped = settings.executor.unscoped;
    let protected = ProtectedPaths::new(&settings.workspace.protected_paths);
    move |raw, last_failure| {
        let workspace = workspace.as_deref();
        let limits = Limits { workspace, max_timeout_seconds, unscoped };
        protected.refuse(autofix(raw, last_failure, &limits))
    }
}
