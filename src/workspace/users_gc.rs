//! A `git gc` of the user's that runs beside us.
//!
//! It removes what no ref named when it looked; with `--prune=now` also what was written a moment ago and is named by
//! now. So whoever writes objects and then a ref waits for it, and writes them once more where it came in between.

use std::time::Duration;

use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::repo::Repo;

const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// A gc of a large repository takes minutes; nothing of ours waits that long for it.
const LOOKS: u32 = 3000;

impl Repo {
    /// Whether one had to be waited for.
    pub(super) async fn until_gc_is_over(&self) -> bool {
        let mut looks = 0;
        while looks < LOOKS && self.gc_runs() {
            tokio::time::sleep(LOOK_AGAIN).await;
            looks += 1;
        }
        looks > 0
    }

    /// It names itself in a file, which one that was killed leaves behind.
    fn gc_runs(&self) -> bool {
        let Ok(text) = std::fs::read_to_string(self.common_dir.join("gc.pid")) else {
            return false;
        };
        let pid = text.split_whitespace().next().and_then(|pid| pid.parse().ok());
        pid.is_some_and(|pid| kill(Pid::from_raw(pid), None).is_ok())
    }
}
