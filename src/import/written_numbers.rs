//! Numbers as written: an id `22.10` is not 22.1, and neither `0x1F` nor `1e3` is meant as a number in an id.
//!
//! YAML and JSON parse such ids as numbers. In the position of a name, the original text is kept; elsewhere the value
//! stays a number.

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_yaml::Value as Yaml;

use super::depends;

/// Role of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// An id or a name.
    Name,
    /// Within an object under a key for dependencies.
    Within,
    Plain,
}

const NAMES: [&str; 9] = [
    "phase_id",
    "id",
    "task_id",
    "run_id",
    "name",
    "title",
    "task_name",
    "phase_name",
    "display_name",
];

impl Position {
    /// Returns the role of the value under this key.
    pub(super) fn of(key: &str) -> Self {
        match NAMES.contains(&key) || depends::is_spelling(key) {
            true => Self::Name,
            false => Self::Plain,
        }
    }

    /// Returns the role of values in an object with this role, without regard to their keys.
    pub(super) fn inside(self) -> Self {
        if self == Self::Plain { Self::Plain } else { Self::Within }
    }

    /// Returns the role under this key, in an object with values of this role.
    pub(super) fn under(self, key: &str) -> Self {
        match Self::of(key) {
            Self::Plain => self,
            named => named,
        }
    }
}

/// Checks whether a number printed like this was written differently.
pub(super) fn is_another(number: &str, written: &str) -> bool {
    number != written
}

/// Scalars of a YAML document as written, in the shape of the value.
#[derive(Debug)]
pub(super) enum ScalarTexts {
    Scalar(String),
    List(Vec<ScalarTexts>),
    /// Pairs of keys and values.
    Object(Vec<(ScalarTexts, ScalarTexts)>),
}

impl ScalarTexts {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Scalar(text) => Some(text),
            Self::List(_) | Self::Object(_) => None,
        }
    }
}

/// Reads a document again, following the known value.
pub(super) struct ScalarTextSeed<'v>(pub &'v Yaml);

impl<'de> DeserializeSeed<'de> for ScalarTextSeed<'_> {
    type Value = ScalarTexts;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<ScalarTexts, D::Error> {
        match self.0 {
            Yaml::Sequence(items) => deserializer.deserialize_seq(Walk::List(items)),
            Yaml::Mapping(fields) => deserializer.deserialize_map(Walk::Object(fields)),
            Yaml::Tagged(_) => Err(D::Error::custom("a tag")),
            // YAML returns the original spelling of a scalar requested as text.
            Yaml::Null | Yaml::Bool(_) | Yaml::Number(_) | Yaml::String(_) => {
                deserializer.deserialize_str(Walk::Scalar)
            }
        }
    }
}

enum Walk<'v> {
    Scalar,
    List(&'v [Yaml]),
    Object(&'v serde_yaml::Mapping),
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ScalarTexts;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the value that was read before")
    }

    fn visit_str<E>(self, text: &str) -> Result<ScalarTexts, E> {
        Ok(ScalarTexts::Scalar(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<ScalarTexts, E> {
        Ok(ScalarTexts::Scalar(String::new()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<ScalarTexts, A::Error> {
        let Self::List(items) = self else { return Err(A::Error::custom("no list")) };
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            list.extend(access.next_element_seed(ScalarTextSeed(item))?);
        }
        Ok(ScalarTexts::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<ScalarTexts, A::Error> {
        let Self::Object(fields) = self else { return Err(A::Error::custom("no object")) };
        let mut object = Vec::with_capacity(fields.len());
        for (key, value) in fields {
            if let Some(key) = access.next_key_seed(ScalarTextSeed(key))? {
                object.push((key, access.next_value_seed(ScalarTextSeed(value))?));
            }
        }
        Ok(ScalarTexts::Object(object))
    }
}
