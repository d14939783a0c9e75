//! Identifiers of runs and phases, and points in time.
//!
//! An id is stored exactly as written by its author. For paths and git refs, use
//! [`file_name`](RunId::file_name), a safe name that is still unique per id.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::words::hex;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps an id as written.
            pub fn new(id: impl Into<String>) -> Self {
                Self(id.into())
            }

            /// Returns the id as written.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Returns the id as a component of a path or of a git ref.
            pub fn file_name(&self) -> String {
                file_name(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// Id of a backlog.
    RunId
);
id!(
    /// Id of a phase within its run.
    PhaseId
);

/// Milliseconds since the Unix epoch by the wall clock: for people and records, never for leases.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMs(pub i64);

impl UnixMs {
    /// Returns the time since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

const LONGEST_PLAIN_NAME: usize = 100;
const SLUG_CHARS: usize = 60;

/// Derives an id from the name of a phase without an id: `Add Health Check!` becomes `add-health-check`.
pub fn slug(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let slug = words.map(str::to_lowercase).collect::<Vec<_>>().join("-");
    if slug.is_empty() { "phase".to_owned() } else { slug }
}

/// Returns plain ids unchanged, and for all others a slug followed by a hash of the whole id.
fn file_name(id: &str) -> String {
    if is_plain(id) {
        return id.to_owned();
    }
    let slug: String = id
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(SLUG_CHARS)
        .collect();
    let digest = Sha256::digest(id.as_bytes());
    let hash = hex(&digest[..6]);
    match slug.trim_matches('-') {
        "" => format!("id-{hash}"),
        slug => format!("{slug}-{hash}"),
    }
}

/// Checks whether the id is valid as a file name and as a component of a ref (git-check-ref-format(1)).
fn is_plain(id: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=LONGEST_PLAIN_NAME).contains(&id.len())
        && id.chars().all(allowed)
        && !id.contains("..")
        && !id.starts_with(['.', '-'])
        && !id.ends_with('.')
        && !id.ends_with(".lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_ids_stand_for_themselves() {
        for id in ["a", "phase-1", "A.b_c", &"x".repeat(100)] {
            assert_eq!(PhaseId::new(id).file_name(), id);
        }
    }

    #[test]
    fn other_ids_become_distinct_plain_names() {
        let long = "x".repeat(101);
        let odd = ["", "..", "a..b", ".a", "a.", "x.lock", "a/b", "a b", "-x", "é", "a\nb", &long];
        let mut names: Vec<String> = odd.iter().map(|id| RunId::new(*id).file_name()).collect();
        assert!(names.iter().all(|name| is_plain(name)), "{names:?}");
        names.sort();
        names.dedup();
        assert_eq!(names.len(), odd.len());
    }
}
