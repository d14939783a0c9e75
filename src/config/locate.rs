//! Line numbers of keys in a YAML text.
//!
//! The parser knows the line: a walk down the path that rejects the last key yields an error with its
//! location.

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

/// Returns the line of the key at the end of `path`, from 1.
pub fn line_of(text: &str, path: &[String]) -> Option<usize> {
    let (last, _) = path.split_last()?;
    let walk = Walk { path };
    let error = walk.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    // Any other error is unrelated to the key.
    error.to_string().contains(&marker(last)).then(|| error.location().map(|at| at.line()))?
}

fn marker(key: &str) -> String {
    format!("found {key:?}")
}

/// Walks down a mapping; the result is returned as an error.
struct Walk<'a> {
    path: &'a [String],
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.path.split_first() else { return Ok(()) };
        while let Some(hit) = map.next_key_seed(Key { wanted: first, last: rest.is_empty() })? {
            match hit {
                true => map.next_value_seed(Walk { path: rest })?,
                false => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

struct Key<'a> {
    wanted: &'a str,
    last: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<bool, E> {
        match key == self.wanted {
            true if self.last => Err(E::custom(marker(key))),
            hit => Ok(hit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# comment
a:
  b: [1, 2]
  \"c d\":   # e: 1
    e: |
      b: not this one
    f: 1
b: { c: 1,
  g: 2 }
7: seven
";

    #[test]
    fn finds_keys_in_block_flow_and_quotes() {
        let line = |path: &[&str]| {
            line_of(TEXT, &path.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(line(&["a"]), Some(2));
        assert_eq!(line(&["a", "b"]), Some(3));
        assert_eq!(line(&["a", "c d"]), Some(4));
        assert_eq!(line(&["a", "c d", "f"]), Some(7));
        assert_eq!(line(&["b"]), Some(8));
        assert_eq!(line(&["b", "g"]), Some(9));
        assert_eq!(line(&["7"]), Some(10));
        assert_eq!(line(&["a", "x"]), None);
        assert_eq!(line(&["a", "b", "x"]), None);
        assert_eq!(line(&[]), None);
    }
}
