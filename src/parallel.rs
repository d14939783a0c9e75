//! Work on the parts of a list, on all processors.

use std::panic::resume_unwind;
use std::thread;

/// Returns the result of each part of a list, in order. Parts have `few` items or more, except the last: a thread costs time, too.
pub fn of_parts<T: Sync, R: Send>(
    items: &[T],
    few: usize,
    work: impl Fn(&[T]) -> R + Sync,
) -> Vec<R> {
    // The number of processors is asked for only if it matters: it is read from files.
    let threads = match items.len() > few {
        true => thread::available_parallelism().map_or(1, usize::from),
        false => 1,
    };
    let mut parts = items.chunks(items.len().div_ceil(threads).max(few).max(1));
    let Some(first) = parts.next() else { return Vec::new() };
    let work = &work;
    thread::scope(|scope| {
        let begin =
            |part| (part, thread::Builder::new().spawn_scoped(scope, move || work(part)).ok());
        let others: Vec<_> = parts.map(begin).collect();
        let mut results = vec![work(first)];
        results.extend(others.into_iter().map(|(part, thread)| match thread {
            Some(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            // No further thread is available.
            None => work(part),
        }));
        results
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_items() {
        let items: Vec<u32> = (0..1_000).collect();
        for few in [0, 1, 64, 2_000] {
            let parts = of_parts(&items, few, <[u32]>::to_vec);
            assert!(few < 1_000 || parts.len() == 1);
            assert_eq!(parts.concat(), items);
        }
        assert_eq!(of_parts(&[] as &[u32], 1, <[u32]>::len), [] as [usize; 0]);
    }
}
