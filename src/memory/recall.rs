//! Fusion of vector and full-text results into a single ranking.
//!
//! Reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009): ranks can be added, scores of different kinds cannot.

use std::collections::{HashMap, HashSet};

use super::memory_entry::EntryId;

/// Reduces the difference between the first places; 60 is the paper's value.
const DAMPING: f32 = 60.0;

/// Search that found an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MatchSource {
    /// Found by vector.
    Vector,
    /// Found by full text.
    Lexical,
    /// Found by both.
    Both,
}

impl MatchSource {
    /// Returns the name used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vector => "vector",
            Self::Lexical => "lexical",
            Self::Both => "both",
        }
    }
}

/// Place of an entry in the fused ranking.
#[derive(Clone, Debug, PartialEq)]
pub struct RankedEntry {
    /// Id of the entry.
    pub id: EntryId,
    /// Fused score; 1.0 is first in both.
    pub score: f32,
    /// Search that found the entry.
    pub via: MatchSource,
}

/// Fuses two lists; inputs and result are best first. Entries in `unindexed` share words with the query, but are not in the
/// full-text index: they count as found by it in the same place.
pub fn fuse(
    vector: &[EntryId],
    lexical: &[EntryId],
    unindexed: &HashSet<EntryId>,
) -> Vec<RankedEntry> {
    let mut fused: HashMap<&EntryId, (f32, MatchSource)> = HashMap::new();
    for (list, via) in [(vector, MatchSource::Vector), (lexical, MatchSource::Lexical)] {
        for (rank, id) in list.iter().enumerate() {
            let share = (DAMPING + 1.0) / (DAMPING + 1.0 + rank as f32) / 2.0;
            let (share, via) = match unindexed.contains(id) {
                true => (share * 2.0, MatchSource::Both),
                false => (share, via),
            };
            fused
                .entry(id)
                .and_modify(|(score, found_by)| {
                    *score += share;
                    *found_by = MatchSource::Both;
                })
                .or_insert((share, via));
        }
    }
    let mut ranked: Vec<RankedEntry> = fused
        .into_iter()
        .map(|(id, (score, via))| RankedEntry { id: id.clone(), score, via })
        .collect();
    // Ids are random: of two entries that are first in one list each, the one found by vector comes first.
    let is_lexical = |entry: &RankedEntry| entry.via == MatchSource::Lexical;
    ranked.sort_by(|a, b| {
        let by_score = b.score.total_cmp(&a.score);
        by_score.then_with(|| is_lexical(a).cmp(&is_lexical(b))).then_with(|| a.id.cmp(&b.id))
    });
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &[&str]) -> Vec<EntryId> {
        names.iter().map(|name| EntryId::from_stored(*name)).collect()
    }

    #[test]
    fn entries_found_by_both_rank_before_entries_found_by_one() {
        let ranked = fuse(&ids(&["a", "b", "c"]), &ids(&["d", "b"]), &HashSet::new());
        let order: Vec<&str> = ranked.iter().map(|ranked| ranked.id.as_str()).collect();
        assert_eq!(order, ["b", "a", "d", "c"]);
        assert_eq!(ranked[0].via, MatchSource::Both);
        assert_eq!(ranked[2].via, MatchSource::Lexical);
    }

    #[test]
    fn first_in_both_scores_one() {
        assert_eq!(fuse(&ids(&["a"]), &ids(&["a"]), &HashSet::new())[0].score, 1.0);
        assert!(fuse(&[], &[], &HashSet::new()).is_empty());
    }

    #[test]
    fn of_entries_first_in_one_list_each_the_one_found_by_vector_is_first() {
        for (vector, lexical) in [("a", "b"), ("b", "a")] {
            let ranked = fuse(&ids(&[vector]), &ids(&[lexical]), &HashSet::new());
            assert_eq!(ranked[0].id.as_str(), vector);
        }
    }

    #[test]
    fn entries_outside_the_full_text_index_rank_as_if_found_by_both() {
        let outside = HashSet::from_iter(ids(&["other"]));
        let ranked = fuse(&ids(&["other", "own"]), &ids(&["own"]), &outside);
        assert_eq!((ranked[0].id.as_str(), ranked[0].score), ("other", 1.0));
        assert_eq!(ranked[0].via, MatchSource::Both);
        let ranked = fuse(&ids(&["own", "other"]), &ids(&["own"]), &outside);
        assert_eq!(ranked[0].id.as_str(), "own");
    }
}
