//! What a drain does when a disk is full: nothing is claimed until there is room again.
//!
//! The lines are through by then, and what they were at is queued again without a charge. A new attempt would spend
//! tokens on work that cannot be kept, so that it is not by trying that the drain finds out, but by asking the file system.

use crate::drain::{Drain, Halt};

/// A quota, or a limit on one file, is a full disk that shows no shortage: so often is it tried again.
const IN_VAIN: u32 = 5;

impl Drain<'_> {
    /// `None`: there is room, and the drain may go on.
    pub(in crate::drain) async fn wait_for_space(&mut self, why: String) -> Option<Halt> {
        if self.site.shortage().is_none() {
            self.full_in_vain += 1;
            if self.full_in_vain > IN_VAIN {
                let what = "free some space, or raise the quota, and start the drain again";
                return Some(Halt::Systemic(format!("{why}; {what}")));
            }
        }
        let mut looks = 0;
        // 2, 4, 8 looks, a second each, where the file system itself has room.
        while self.site.shortage().is_some() || looks < 1 << self.full_in_vain {
            if !self.site.wait_for_space(&why, &self.stop).await {
                return Some(Halt::Interrupted);
            }
            looks += 1;
        }
        self.site.say_space_again();
        None
    }

    /// An attempt went through.
    pub(in crate::drain) fn space_found(&mut self) {
        self.full_in_vain = 0;
        self.site.say_space_again();
    }
}
