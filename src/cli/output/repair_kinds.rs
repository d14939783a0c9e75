//! Repairs counted by the repaired field.

use std::collections::BTreeMap;

use crate::phase::repair::repair_kind;
use crate::phase::words::first_few;
use crate::progress::shown_id;

/// Fields listed; the rest are counted.
const LISTED: usize = 8;

/// Number of repairs of each field.
#[derive(Default)]
pub struct RepairKinds(BTreeMap<String, u64>);

impl RepairKinds {
    /// Counts the repairs of a phase.
    pub fn add(&mut self, fixes: &[String]) {
        for fix in fixes {
            *self.0.entry(repair_kind(fix).to_owned()).or_default() += 1;
        }
    }

    /// Lists the fields, the most frequent first: `deliverables 12, scope.paths 3`. `None` without repairs.
    pub fn describe(&self) -> Option<String> {
        let mut kinds: Vec<(&String, &u64)> = self.0.iter().collect();
        kinds.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
        let kinds: Vec<String> =
            kinds.iter().map(|(kind, n)| format!("{} {n}", shown_id(kind))).collect();
        (!kinds.is_empty()).then(|| first_few(&kinds, LISTED))
    }
}
