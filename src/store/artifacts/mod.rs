//! Files of attempts at a server, for other machines: what was stored after the end, and what is told while an attempt runs.
//!
//! Nothing here waits for the writers' lock or lengthens a transaction of the queue. A write that is lost with the server is
//! noticed by its absence, and done again.

pub mod followed_logs;
pub mod stored_files;

/// Selects the row of an attempt; the parameters 1 to 3 are run, phase and number.
macro_rules! attempt_row {
    () => {
        "(SELECT a.id FROM attempts a JOIN phases p ON p.id = a.phase JOIN runs r ON r.id = p.run
           WHERE r.run_id = ?1 AND p.phase_id = ?2 AND a.attempt = ?3)"
    };
}
use attempt_row;
