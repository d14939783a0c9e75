//! The user's pager: shows a text on the terminal.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use super::child_env::Env;
use super::which::{ProgramLookup, find};

/// Failure of the pager.
#[derive(Debug, thiserror::Error)]
#[error("cannot show the output with the pager {pager:?}: {why}; use --no-pager")]
pub struct PagerError {
    pager: String,
    why: String,
}

/// Returns the pager to use, as a shell command: the configured pager, else `less` if installed. `None` means plain
/// output.
pub fn choose(configured: Option<OsString>, env: &Env) -> Option<OsString> {
    let path = env.get(OsStr::new("PATH")).map(OsString::as_os_str);
    let less = || match find(OsStr::new("less"), Path::new("/"), path) {
        ProgramLookup::Program(_) => Some(OsString::from("less -R")),
        _ => None,
    };
    configured.or_else(less).filter(|pager| !pager.is_empty() && pager != "cat")
}

/// Shows a text and waits until the pager is closed. `env` is autopack's environment.
///
/// # Errors
///
/// If the pager cannot be started, or is not installed.
pub async fn show(pager: &OsStr, env: &Env, text: &[u8]) -> Result<(), PagerError> {
    let failed = |why: String| PagerError { pager: pager.to_string_lossy().into_owned(), why };
    let cannot = |error: io::Error| failed(error.to_string());
    // Ctrl-C is for the pager.
    let _interrupts = signal(SignalKind::interrupt()).map_err(cannot)?;
    #[expect(clippy::disallowed_methods, reason = "a pager needs our terminal and our group")]
    let mut command = Command::new("sh");
    command.arg("-c").arg(pager).stdin(Stdio::piped()).stdout(Stdio::inherit());
    // As git does: short texts stay on the screen, without a pager.
    if !env.contains_key(OsStr::new("LESS")) {
        command.env("LESS", "FRX");
    }
    let mut child = command.spawn().map_err(cannot)?;
    if let Some(mut stdin) = child.stdin.take() {
        // The user may close the pager before the end.
        let _ = stdin.write_all(text).await;
    }
    let status: ExitStatus = child.wait().await.map_err(cannot)?;
    match status.code() {
        // Codes of the shell for programs that are not there or cannot run.
        Some(code @ 126..=127) => Err(failed(format!("exit status {code}"))),
        _ => Ok(()),
    }
}
