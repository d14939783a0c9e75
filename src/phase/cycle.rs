//! Detection of dependency cycles.

use std::collections::HashSet;
use std::hash::Hash;

/// Search for cycles with a memory of nodes without a path to a cycle. Between calls, edges may be removed but not
/// added.
#[derive(Debug)]
pub struct CycleSearch<'a, T> {
    done: HashSet<&'a T>,
}

impl<T> Default for CycleSearch<'_, T> {
    fn default() -> Self {
        Self { done: HashSet::new() }
    }
}

impl<'a, T: Eq + Hash> CycleSearch<'a, T> {
    /// Returns a cycle reachable from `start`, with the start repeated at the end. `need` returns the nth dependency of
    /// a node.
    ///
    /// Depth first with an explicit stack, since a chain may be as long as the backlog.
    pub fn find(
        &mut self,
        start: &'a T,
        need: impl Fn(&T, usize) -> Option<&'a T>,
    ) -> Option<Vec<&'a T>> {
        let mut path: Vec<(&T, usize)> = vec![(start, 0)];
        let mut on_path: HashSet<&T> = HashSet::from([start]);
        while let Some((id, next)) = path.last_mut() {
            let id = *id;
            let Some(need) = need(id, *next).filter(|_| !self.done.contains(id)) else {
                on_path.remove(id);
                self.done.insert(id);
                path.pop();
                continue;
            };
            *next += 1;
            if on_path.insert(need) {
                path.push((need, 0));
                continue;
            }
            let from = path.iter().position(|(id, _)| *id == need).unwrap_or(0);
            let mut cycle: Vec<&T> = path[from..].iter().map(|(id, _)| *id).collect();
            cycle.push(need);
            return Some(cycle);
        }
        None
    }
}

/// Names shown of a cycle, and the number of these names at the end.
const SHOWN: usize = 10;
const ENDS: usize = 3;

/// Returns the names of a cycle, joined by arrows; the middle of a long cycle is left out.
pub fn describe<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let Some(more) = names.len().checked_sub(SHOWN).filter(|more| *more > 1) else {
        return names.join(" -> ");
    };
    let (start, end) = (&names[..SHOWN - ENDS], &names[names.len() - ENDS..]);
    format!("{} -> ... {more} more ... -> {}", start.join(" -> "), end.join(" -> "))
}

/// Returns the first cycle in walking order, with the start repeated at the end.
pub fn find<'a, T: Eq + Hash>(
    order: impl IntoIterator<Item = &'a T>,
    needs: impl Fn(&T) -> &'a [T],
) -> Option<Vec<&'a T>> {
    let mut search = CycleSearch::default();
    order.into_iter().find_map(|start| search.find(start, |id, n| needs(id).get(n)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn circle(edges: &[(u32, u32)]) -> Option<Vec<u32>> {
        let mut graph: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        edges.iter().for_each(|(id, need)| graph.entry(*id).or_default().push(*need));
        let needs = |id: &u32| graph.get(id).map(Vec::as_slice).unwrap_or_default();
        find(graph.keys(), needs).map(|cycle| cycle.into_iter().copied().collect())
    }

    #[test]
    fn a_long_cycle_is_shortened() {
        let names: Vec<String> = (0..5000).map(|n| n.to_string()).collect();
        let shown = describe(names.iter().map(String::as_str));
        let expected =
            "0 -> 1 -> 2 -> 3 -> 4 -> 5 -> 6 -> ... 4990 more ... -> 4997 -> 4998 -> 4999";
        assert_eq!(shown, expected);
        assert_eq!(describe(["a", "b", "a"]), "a -> b -> a");
    }

    #[test]
    fn only_the_circle_itself_is_shown() {
        // 0 waits for the cycle, and the cycle waits for 5.
        assert_eq!(circle(&[(0, 1), (1, 2), (2, 5), (2, 3), (3, 1)]), Some(vec![1, 2, 3, 1]));
        assert_eq!(circle(&[(4, 4)]), Some(vec![4, 4]));
    }

    #[test]
    fn a_diamond_and_a_long_chain_are_no_circle() {
        assert_eq!(circle(&[(1, 2), (1, 3), (2, 4), (3, 4)]), None);
        assert_eq!(circle(&(0..50_000).map(|n| (n, n + 1)).collect::<Vec<_>>()), None);
    }
}
