//! What is known of a phase before its attempt, in the numbers that an estimate is made of. Pure.

use super::file_kind::{Kind, kind};
use crate::phase::{Complexity, FixedSpec, Sample};

/// A longer description asks for more, up to a point.
const MOST_DESCRIPTION_CHARS: u64 = 10_000;
/// Characters that make a token's worth of description; whole ones count.
const CHARS_PER_UNIT: u64 = 5;
/// Of one file; an agent reads and quotes parts of a larger one.
const MOST_KIB: f64 = 256.0;

/// A phase, as an estimate sees it.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    pub category: &'a str,
    pub complexity: Complexity,
    pub deliverables: &'a [&'a str],
    /// For each deliverable the size of what stands there, `None` where nothing does. Shorter: not known, taken as new.
    pub existing_bytes: &'a [Option<u64>],
    pub description_chars: u64,
}

/// What the categories of plans come to, by the beginning of their names: `docs` and `documentation` are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    Integration,
    Frontend,
    Security,
    Refactoring,
    Configuration,
    Documentation,
    Testing,
    /// Implementation, backend, and whatever else.
    Other,
}

/// A [`Task`] in numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    pub category: Category,
    pub complexity: Complexity,
    /// Deliverables that are new, by [`Kind`].
    pub new: [f64; Kind::ALL.len()],
    /// Deliverables that were there before, by [`Kind`].
    pub existing: [f64; Kind::ALL.len()],
    /// What those that were there hold.
    pub existing_kib: f64,
    /// Fives of characters.
    pub description: f64,
}

impl Category {
    pub fn of(name: &str) -> Self {
        let name = name.trim().to_ascii_lowercase();
        let begins = |begin: &str| name.starts_with(begin);
        match () {
            () if begins("integration") => Self::Integration,
            () if begins("frontend") => Self::Frontend,
            () if begins("security") => Self::Security,
            () if begins("refactor") => Self::Refactoring,
            () if begins("config") || begins("setup") => Self::Configuration,
            () if begins("doc") && !begins("docker") => Self::Documentation,
            () if begins("test") => Self::Testing,
            () => Self::Other,
        }
    }
}

impl Features {
    pub fn of(task: &Task<'_>) -> Self {
        let mut features = Self {
            category: Category::of(task.category),
            complexity: task.complexity,
            new: [0.0; Kind::ALL.len()],
            existing: [0.0; Kind::ALL.len()],
            existing_kib: 0.0,
            description: (task.description_chars.min(MOST_DESCRIPTION_CHARS) / CHARS_PER_UNIT)
                as f64,
        };
        for (at, path) in task.deliverables.iter().enumerate() {
            let of_kind = kind(path) as usize;
            match task.existing_bytes.get(at).copied().flatten() {
                None => features.new[of_kind] += 1.0,
                Some(bytes) => {
                    features.existing[of_kind] += 1.0;
                    features.existing_kib += (bytes as f64 / 1024.0).min(MOST_KIB);
                }
            }
        }
        features
    }

    /// `existing` as in [`Task::existing_bytes`].
    pub fn of_spec(spec: &FixedSpec, existing_bytes: &[Option<u64>]) -> Self {
        let deliverables: Vec<&str> =
            spec.deliverables().iter().map(|path| path.as_str()).collect();
        Self::of(&Task {
            category: spec.category(),
            complexity: spec.complexity(),
            deliverables: &deliverables,
            existing_bytes,
            description_chars: spec.description().chars().count() as u64,
        })
    }

    /// What was not recorded with an older sample counts as new, and as without a description.
    pub fn of_sample(sample: &Sample) -> Self {
        let deliverables: Vec<&str> = sample.deliverables.iter().map(String::as_str).collect();
        Self::of(&Task {
            category: &sample.category,
            complexity: complexity(&sample.complexity),
            deliverables: &deliverables,
            existing_bytes: sample.existing_bytes.as_deref().unwrap_or_default(),
            description_chars: sample.description_chars.unwrap_or_default(),
        })
    }
}

/// As samples have it: ours are one of the three words, another system's may be anything.
fn complexity(name: &str) -> Complexity {
    match name.trim().to_ascii_lowercase().as_str() {
        "low" | "simple" => Complexity::Low,
        "high" | "critical" => Complexity::High,
        _ => Complexity::Medium,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_told_from_what_is_new() {
        let features = Features::of(&Task {
            category: "Frontend_build",
            complexity: Complexity::Low,
            deliverables: &["a.py", "b.py", "tests/test_a.py"],
            existing_bytes: &[Some(2_048), None],
            description_chars: 104,
        });
        assert_eq!(features.category, Category::Frontend);
        assert_eq!((features.new[0], features.existing[0], features.new[1]), (1.0, 1.0, 1.0));
        assert_eq!((features.existing_kib, features.description), (2.0, 20.0));
    }
}
