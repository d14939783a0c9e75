//! Health check of the sandbox: the mode that a drain would use.

use super::Finding;
use crate::attempt::Views;
use crate::config::{SandboxMode, SandboxSettings};
use crate::process::view::ViewMode;

/// Tries the configured mode of the sandbox.
pub async fn check_sandbox(settings: &SandboxSettings) -> Finding {
    let hint = "set sandbox.mode: auto to use what works here";
    match Views::try_mode(settings).await {
        Err(error) => Finding::fail(error.to_string(), hint),
        Ok(views) => {
            let detail = views.describe(settings);
            let detail = detail.strip_prefix("sandbox: ").unwrap_or(&detail).to_owned();
            match (views.mode, settings.mode) {
                (ViewMode::Off | ViewMode::Landlock, SandboxMode::Auto) => Finding::warn(
                    detail,
                    "allow unprivileged user namespaces on this machine, or read docs/security.md",
                ),
                _ => Finding::ok(detail),
            }
        }
    }
}
