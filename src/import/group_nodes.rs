//! Groups that are kept as phases. Usually the items that wait for a group wait for each of its members; where that makes
//! too many dependencies, the group itself stands between: it waits for its members, and the others wait for it.

use std::collections::{HashMap, HashSet};

/// Dependencies through a group above which the group is kept.
const DEPENDENCIES: usize = 1000;

/// Uses of groups, by id.
#[derive(Default)]
pub(super) struct GroupUses<'a> {
    waiting: HashMap<&'a str, usize>,
}

impl<'a> GroupUses<'a> {
    /// Counts an item that waits for a group.
    pub fn add(&mut self, group: &'a str) {
        *self.waiting.entry(group).or_default() += 1;
    }

    /// Returns the groups to keep. `members` counts the phases of a group.
    pub fn kept(self, members: impl Fn(&str) -> usize) -> HashSet<&'a str> {
        let is_kept = |(group, waiting): &(&str, usize)| {
            *waiting > 1 && waiting.saturating_mul(members(group)) > DEPENDENCIES
        };
        self.waiting.into_iter().filter(is_kept).map(|(group, _)| group).collect()
    }
}
