//! Dependencies between issues, without cycles: the text of an issue cannot keep others from coming in.

use std::collections::{HashMap, HashSet};

use super::TrackerIssues;

/// Returns the blockers of each issue, in the order of the issues. A dependency that would close a cycle is left out
/// and reported as (waiting, needed).
pub(super) fn without_cycles(
    found: &TrackerIssues,
    mut report: impl FnMut(u64, u64),
) -> Vec<Vec<u64>> {
    let mut needs: HashMap<u64, Vec<u64>> = HashMap::new();
    let all = found.issues.iter().map(|issue| {
        let wanted = found.blockers.get(&issue.number).into_iter().flatten().copied();
        for needed in wanted {
            if needed == issue.number || waits_for(&needs, needed, issue.number) {
                report(issue.number, needed);
            } else {
                needs.entry(issue.number).or_default().push(needed);
            }
        }
        needs.get(&issue.number).cloned().unwrap_or_default()
    });
    all.collect()
}

/// Checks whether `first` waits for `last`, perhaps through others.
fn waits_for(needs: &HashMap<u64, Vec<u64>>, first: u64, last: u64) -> bool {
    let (mut open, mut seen) = (vec![first], HashSet::new());
    while let Some(number) = open.pop() {
        if number == last {
            return true;
        }
        if seen.insert(number) {
            open.extend(needs.get(&number).into_iter().flatten());
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dependency_that_closes_a_cycle_is_left_out() {
        let found = TrackerIssues::of_blockers(&[(1, &[2, 1]), (2, &[3]), (3, &[1, 4])]);
        let mut left_out = Vec::new();
        let kept = without_cycles(&found, |waiting, needed| left_out.push((waiting, needed)));
        assert_eq!(kept, [vec![2], vec![3], vec![4]]);
        assert_eq!(left_out, [(1, 1), (3, 1)]);
    }
}
