//! Features of a phase, known before an attempt and used by the estimate. Pure.

use super::file_kind::{Kind, kind};
use crate::phase::{Complexity, FixedSpec, Sample};

/// Longer descriptions count as this length.
const MOST_DESCRIPTION_CHARS: u64 = 10_000;
/// Description length is counted in whole units of this many characters.
const CHARS_PER_UNIT: u64 = 5;
/// Size limit per file; agents read and quote only parts of larger files.
const MOST_KIB: f64 = 256.0;

/// Properties of a phase used by the estimate.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// Category as written in the plan.
    pub category: &'a str,
    /// Complexity of the phase.
    pub complexity: Complexity,
    /// Paths of the deliverables.
    pub deliverables: &'a [&'a str],
    /// Current size of each deliverable in bytes, `None` for a new file. Deliverables beyond the end of the list count
    /// as new.
    pub existing_bytes: &'a [Option<u64>],
    /// Length of the description in characters.
    pub description_chars: u64,
}

/// Categories of plans, matched by prefix: `docs` and `documentation` are the same category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Integration of components or services.
    Integration,
    /// User interface.
    Frontend,
    /// Security.
    Security,
    /// Refactoring.
    Refactoring,
    /// Configuration.
    Configuration,
    /// Documentation.
    Documentation,
    /// Tests.
    Testing,
    /// Implementation, backend, and all other names.
    Other,
}

/// Numeric features of a [`Task`].
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// Category.
    pub category: Category,
    /// Complexity.
    pub complexity: Complexity,
    /// Number of new deliverables, by [`Kind`].
    pub new: [f64; Kind::ALL.len()],
    /// Number of existing deliverables, by [`Kind`].
    pub existing: [f64; Kind::ALL.len()],
    /// Total size of the existing deliverables, in KiB.
    pub existing_kib: f64,
    /// Length of the description, in units of five characters.
    pub description: f64,
}

impl Category {
    /// Returns the category for a name in a plan.
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
    /// Computes the features of a task.
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

    /// Computes the features of a phase; `existing_bytes` as in [`Task::existing_bytes`].
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

    /// Computes the features of a sample. In samples from older versions, missing sizes count as new files, a missing
    /// description as empty.
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

/// Parses the complexity of a sample: one of three words in samples of autopack, any text in samples of other systems.
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
    fn existing_files_are_distinguished_from_new_files() {
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
