//! Return of freed memory to the system.
//!
//! A drain runs for a night and needs many times more memory at the start, while reading every spec, than later. The
//! GNU C library keeps freed memory in several arenas if a block still in use follows.

/// Returns whether any memory was given back. Other C libraries than GNU's do this by themselves.
pub(super) fn give_back() -> bool {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` locks the allocator's arenas and moves no block in use.
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
