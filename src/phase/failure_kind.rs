//! Kinds of failures: the words that the store keeps, scripts read and the runbook explains.

use serde::{Deserialize, Serialize};

/// Kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// A changed path is outside the scope.
    ScopeBreach,
    /// A changed path is protected.
    ProtectedPath,
    /// The diff contains a secret.
    SecretInDiff,
    /// A deliverable is missing.
    MissingDeliverable,
    /// The attempt changed nothing.
    NoChange,
    /// Tests or the command failed.
    CiFailed,
    /// CI timed out.
    CiTimeout,
    /// The runner found no tests.
    CiNoTests,
    /// The runner could not load the tests.
    CiCollectionError,
    /// CI cannot start with the changes of this attempt, but can without them.
    CiCannotStart,
    /// The agent reached `timeout_seconds`.
    AgentTimeout,
    /// The agent was silent for `idle_timeout_seconds`.
    AgentStalled,
    /// The agent or its provider ended with an error.
    AgentFailed,
    /// The agent repeated the same action.
    AgentLooped,
    /// The attempt or the phase exceeded its budget.
    OverBudget,
    /// The spec cannot be repaired.
    Unfixable,
    /// Too many crashes, rate limits or moved bases.
    GaveUp,
    /// A failure recorded by an imported database, in its own words.
    Imported,
}

impl FailureKind {
    /// Every kind, in the order of declaration.
    pub const ALL: [Self; 18] = [
        Self::ScopeBreach,
        Self::ProtectedPath,
        Self::SecretInDiff,
        Self::MissingDeliverable,
        Self::NoChange,
        Self::CiFailed,
        Self::CiTimeout,
        Self::CiNoTests,
        Self::CiCollectionError,
        Self::CiCannotStart,
        Self::AgentTimeout,
        Self::AgentStalled,
        Self::AgentFailed,
        Self::AgentLooped,
        Self::OverBudget,
        Self::Unfixable,
        Self::GaveUp,
        Self::Imported,
    ];

    /// Returns the stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ScopeBreach => "scope_breach",
            Self::ProtectedPath => "protected_path",
            Self::SecretInDiff => "secret_in_diff",
            Self::MissingDeliverable => "missing_deliverable",
            Self::NoChange => "no_change",
            Self::CiFailed => "ci_failed",
            Self::CiTimeout => "ci_timeout",
            Self::CiNoTests => "ci_no_tests",
            Self::CiCollectionError => "ci_collection_error",
            Self::CiCannotStart => "ci_cannot_start",
            Self::AgentTimeout => "agent_timeout",
            Self::AgentStalled => "agent_stalled",
            Self::AgentFailed => "agent_failed",
            Self::AgentLooped => "agent_looped",
            Self::OverBudget => "over_budget",
            Self::Unfixable => "unfixable",
            Self::GaveUp => "gave_up",
            Self::Imported => "imported",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserializer;
    use serde::de::value::Error;
    use serde::de::{Error as _, Visitor};

    use super::*;

    /// Takes the names of all variants from the derived `Deserialize`, which lists them all.
    struct Variants<'a>(&'a mut &'static [&'static str]);

    impl<'de> Deserializer<'de> for Variants<'_> {
        type Error = Error;

        fn deserialize_enum<V: Visitor<'de>>(
            self,
            _name: &'static str,
            variants: &'static [&'static str],
            _visitor: V,
        ) -> Result<V::Value, Error> {
            *self.0 = variants;
            Err(Error::custom("only the names are wanted"))
        }

        fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
            Err(Error::custom("an enum is expected"))
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any
        }
    }

    #[test]
    fn all_lists_every_variant_under_its_stored_name() {
        let mut declared: &[&str] = &[];
        FailureKind::deserialize(Variants(&mut declared)).unwrap_err();
        assert_eq!(FailureKind::ALL.map(FailureKind::as_str), declared);
    }
}
