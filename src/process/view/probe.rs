//! Tries a mode by running a program in it: kernel versions and settings tell too little.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use super::spec::{Mount, ViewMode, ViewSpec};
use crate::config::Env;
use crate::process::job::{Job, JobEnd};
use crate::process::run_job::run;
use crate::process::stop::StopReceiver;

/// Time for a program that does nothing.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Tries a mode, once in the life of this process.
///
/// # Errors
///
/// Why the mode does not work on this machine.
pub async fn probe(mode: ViewMode) -> Result<(), String> {
    static NAMESPACES: OnceCell<Result<(), String>> = OnceCell::const_new();
    static LANDLOCK: OnceCell<Result<(), String>> = OnceCell::const_new();
    let known = match mode {
        ViewMode::Off => return Ok(()),
        ViewMode::Namespaces => &NAMESPACES,
        ViewMode::Landlock => &LANDLOCK,
    };
    let mut spec = ViewSpec::new(mode);
    spec.landlock.readable.push("/".into());
    known.get_or_init(|| run_in(spec, &["true"])).await.clone()
}

/// Tries whether overlays can be mounted with their changes in `directory`, which must exist.
///
/// # Errors
///
/// Why overlays do not work there.
pub async fn probe_overlay(directory: &Path) -> Result<(), String> {
    let at = tempfile::Builder::new().prefix("probe-").tempdir_in(directory);
    let at = at.map_err(|error| format!("cannot write in {}: {error}", directory.display()))?;
    let [lower, upper, work] = ["lower", "upper", "work"].map(|name| at.path().join(name));
    for path in [&lower, &upper, &work] {
        fs::create_dir(path)
            .map_err(|error| format!("cannot create {}: {error}", path.display()))?;
    }
    let overlay = Mount::Overlay {
        lower: (&lower).into(),
        upper: (&upper).into(),
        work: (&work).into(),
        target: (&lower).into(),
    };
    let spec = ViewSpec { mounts: vec![overlay], ..ViewSpec::new(ViewMode::Namespaces) };
    let tried = run_in(spec, &["true"]).await;
    // The kernel makes a directory without permissions, which could not be removed.
    let _ = fs::set_permissions(work.join("work"), Permissions::from_mode(0o700));
    tried
}

/// Tries whether a program in a view of namespaces can create a user namespace, as the sandboxes of agents do.
///
/// # Errors
///
/// Why it cannot.
pub async fn probe_nesting() -> Result<(), String> {
    let spec = ViewSpec { allows_mounts: true, ..ViewSpec::new(ViewMode::Namespaces) };
    run_in(spec, &["unshare", "-Ur", "true"]).await
}

async fn run_in(spec: ViewSpec, argv: &[&str]) -> Result<(), String> {
    let path = Env::of_process().key("PATH").unwrap_or_else(|| "/usr/bin:/bin".to_owned());
    let env = [("PATH".into(), path.into())].into();
    let job = Job { view: Some(Arc::new(spec)), ..Job::new(argv, "/", env, TIMEOUT) };
    match run(job, &StopReceiver::never()).await {
        Ok(ended) if ended.end == JobEnd::Exited(0) => Ok(()),
        Ok(ended) => Err(format!("a program without any task ended with {:?}", ended.end)),
        Err(error) => Err(error.to_string()),
    }
}
