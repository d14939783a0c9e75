//! Pause of a drain on a full disk: no phase is claimed until space is free again.
//!
//! By then all workers have finished, and their phases are queued again without a charge. A new attempt would spend
//! tokens on work with no room on disk, so the drain polls the file system instead of trying.

use crate::drain::{Drain, Halt};

/// Largest number of retries in a row on a disk reported as full despite free space, as with a quota or a file
/// size limit.
const IN_VAIN: u32 = 5;

impl Drain<'_> {
    /// Waits for free space. Returns `None` to continue the drain.
    pub(in crate::drain) async fn wait_for_space(&mut self, why: String) -> Option<Halt> {
        if self.site.shortage().is_none() {
            self.full_in_vain += 1;
            if self.full_in_vain > IN_VAIN {
                let what = "free some space, or raise the quota, and start the drain again";
                return Some(Halt::Systemic(format!("{why}; {what}")));
            }
        }
        let mut looks = 0;
        // Polls 2, 4, 8... times at one second each if the file system itself has room.
        while self.site.shortage().is_some() || looks < 1 << self.full_in_vain {
            if !self.site.wait_for_space(&why, &self.stop).await {
                return Some(Halt::Interrupted);
            }
            looks += 1;
        }
        self.site.say_space_again();
        None
    }

    /// Resets the retry counter after an attempt without a full disk.
    pub(in crate::drain) fn space_found(&mut self) {
        self.full_in_vain = 0;
        self.site.say_space_again();
    }
}
