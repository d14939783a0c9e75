//! Deterministic shuffle: the same seed gives the same order. Pure.

/// Returns the items in random order (Fisher-Yates).
pub fn shuffled<T: Copy>(items: &[T], seed: u64) -> Vec<T> {
    let mut items = items.to_vec();
    let mut state = seed;
    for at in (1..items.len()).rev() {
        items.swap(at, (next(&mut state) % (at as u64 + 1)) as usize);
    }
    items
}

/// Returns the next number of splitmix64 (Steele, Lea and Flood 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffle_keeps_all_items_in_an_order_of_the_seed() {
        let items: Vec<u32> = (0..50).collect();
        let mut one = shuffled(&items, 1);
        assert_eq!(one, shuffled(&items, 1));
        assert_ne!(one, shuffled(&items, 2));
        assert_ne!(one, items);
        one.sort_unstable();
        assert_eq!(one, items);
        assert!(shuffled::<u32>(&[], 1).is_empty());
    }
}
