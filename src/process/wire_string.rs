//! Strings of the operating system in JSON: plain text where they are Unicode, else a list of bytes.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A string of the operating system, nearly always valid Unicode.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum WireString {
    Plain(String),
    Bytes(Vec<u8>),
}

impl From<OsString> for WireString {
    fn from(text: OsString) -> Self {
        text.into_string().map_or_else(|non_utf8| Self::Bytes(non_utf8.into_vec()), Self::Plain)
    }
}

impl From<WireString> for OsString {
    fn from(text: WireString) -> Self {
        match text {
            WireString::Plain(plain) => plain.into(),
            WireString::Bytes(bytes) => OsString::from_vec(bytes),
        }
    }
}

/// A path that survives JSON even if it is not Unicode.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WirePath(PathBuf);

impl WirePath {
    /// Returns the path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// Returns the bytes of the path.
    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(self.0.as_os_str().as_bytes())
    }
}

impl From<PathBuf> for WirePath {
    fn from(path: PathBuf) -> Self {
        Self(path)
    }
}

impl From<&Path> for WirePath {
    fn from(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl From<&PathBuf> for WirePath {
    fn from(path: &PathBuf) -> Self {
        Self(path.clone())
    }
}

impl From<&str> for WirePath {
    fn from(path: &str) -> Self {
        Self(path.into())
    }
}

impl Serialize for WirePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WireString::from(self.0.clone().into_os_string()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for WirePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        WireString::deserialize(deserializer).map(|text| Self(OsString::from(text).into()))
    }
}
