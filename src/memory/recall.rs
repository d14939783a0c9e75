//! Fusion of vector and full-text results into a single ranking.
//!
//! Reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009): ranks can be added, scores of different kinds cannot.

use std::collections::HashMap;

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

/// Fuses two lists; inputs and result are best first.
pub fn fuse(vector: &[EntryId], lexical: &[EntryId]) -> Vec<RankedEntry> {
    let mut fused: HashMap<&EntryId, (f32, MatchSource)> = HashMap::new();
    for (list, via) in [(vector, MatchSource::Vector), (lexical, MatchSource::Lexical)] {
        for (rank, id) in list.iter().enumerate() {
            let share = (DAMPING + 1.0) / (DAMPING + 1.0 + rank as f32) / 2.0;
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
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
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
        let ranked = fuse(&ids(&["a", "b", "c"]), &ids(&["d", "b"]));
        let order: Vec<&str> = ranked.iter().map(|ranked| ranked.id.as_str()).collect();
        assert_eq!(order, ["b", "a", "d", "c"]);
        assert_eq!(ranked[0].via, MatchSource::Both);
        assert_eq!(ranked[2].via, MatchSource::Lexical);
    }

    #[test]
    fn first_in_both_scores_one() {
        assert_eq!(fuse(&ids(&["a"]), &ids(&["a"]))[0].score, 1.0);
        assert!(fuse(&[], &[]).is_empty());
    }
}
