//! Waits for a `git gc` of the user's running at the same time.
//!
//! Gc removes objects without a ref at its start; with `--prune=now` also objects written a moment
//! ago and named by a ref only now. So writers of objects and a ref wait for gc to end, and write
//! the objects again if gc came in between.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::Repo;

const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Number of checks. A gc of a large repository takes minutes; we do not wait this long.
const CHECKS: u32 = 3000;
/// Maximum age of a lock file, as in git: an older file is stale, even if another process has the same process id by
/// now.
const LEFT_BEHIND: Duration = Duration::from_secs(12 * 60 * 60);

/// Lock file of a gc whose wait timed out: not waited for again.
#[derive(Clone, Default)]
pub(crate) struct AbandonedGcWait(Arc<Mutex<Option<SystemTime>>>);

impl Repo {
    /// Waits for a running gc to end. Returns whether there was one.
    pub(crate) async fn wait_for_gc(&self) -> bool {
        let mut checks = 0;
        while let Some(begun) = running(&self.gc_file()) {
            if self.gc_in_vain.is(begun) {
                return true;
            }
            if checks == CHECKS {
                self.gc_in_vain.set(begun);
                return true;
            }
            if checks == 0 {
                tracing::info!("git gc is running in your repository; waiting for up to a minute");
            }
            tokio::time::sleep(LOOK_AGAIN).await;
            checks += 1;
        }
        checks > 0
    }

    fn gc_file(&self) -> PathBuf {
        self.common_dir.join("gc.pid")
    }
}

impl AbandonedGcWait {
    fn is(&self, begun: SystemTime) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) == Some(begun)
    }

    fn set(&self, begun: SystemTime) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun);
    }
}

/// Returns the start time of the gc recorded in this file; a killed gc leaves the file behind.
fn running(file: &Path) -> Option<SystemTime> {
    let begun = std::fs::metadata(file).ok()?.modified().ok()?;
    if begun.elapsed().is_ok_and(|age| age > LEFT_BEHIND) {
        return None;
    }
    let text = std::fs::read_to_string(file).ok()?;
    let pid: i32 = text.split_whitespace().next()?.parse().ok()?;
    // A process of another user counts too; 0 and negative ids are process groups.
    let lives = pid > 0 && matches!(kill(Pid::from_raw(pid), None), Ok(()) | Err(Errno::EPERM));
    lives.then_some(begun)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(dir: &Path, text: &str) -> PathBuf {
        let file = dir.join("gc.pid");
        std::fs::write(&file, text).unwrap();
        file
    }

    #[test]
    fn a_gc_runs_as_long_as_its_process_and_half_a_day_at_most() {
        let dir = tempfile::tempdir().unwrap();
        let file = named(dir.path(), &format!("{} here", std::process::id()));
        assert!(running(&file).is_some());
        let long_ago = SystemTime::now() - LEFT_BEHIND - Duration::from_secs(60);
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(long_ago).unwrap();
        assert!(running(&file).is_none(), "somebody has its process id by now");
        for text in ["", "0 here", "-1 here", "x here", "2147483647 here"] {
            assert!(running(&named(dir.path(), text)).is_none(), "{text:?}");
        }
        assert!(running(&dir.path().join("none")).is_none());
    }

    /// The first process belongs to root; other users may not signal root's processes.
    #[test]
    fn a_gc_of_another_user_runs() {
        let dir = tempfile::tempdir().unwrap();
        assert!(running(&named(dir.path(), "1 here")).is_some());
    }
}
