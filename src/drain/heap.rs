//! Memory that was freed goes back to the system.
//!
//! A drain runs for a night, and what it needs at its start, when it reads every spec, is many times what it needs later. The
//! GNU C library keeps what was freed, in an arena for each few threads, wherever something still in use lies behind it.

/// Whether there was something to give back. Other C libraries than GNU's see to it themselves.
pub(super) fn give_back() -> bool {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes the locks of the allocator that it trims, and nothing that is in use is moved.
    let given = unsafe { libc::malloc_trim(0) } == 1;
    #[cfg(not(target_env = "gnu"))]
    let given = false;
    given
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn what_lies_before_something_in_use_is_given_back() {
        let mut all: Vec<Vec<u8>> = (0..4_000).map(|_| vec![1; 2_048]).collect();
        let in_use = all.pop();
        drop(all);
        assert!(give_back());
        assert_eq!(in_use.map(|kept| kept.len()), Some(2_048));
    }
}
