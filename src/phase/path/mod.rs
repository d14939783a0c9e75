//! Paths as people write them, made into paths of the repository.
//!
//! [`normalize`] works on one path, [`entry`] finds the path in an entry of a list (behind its [`bullet`], by how it
//! begins: `lead`), [`text`] finds paths in prose, [`shape`] knows what a path looks like. All of it is lexical:
//! nothing here asks a file system.

pub mod bullet;
pub mod entry;
#[cfg(any(test, fuzzing))]
pub mod invariants;
mod lead;
pub mod shape;
pub mod text;

use std::fmt;

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Inside the repository, relative to its root.
    Inside(String),
    /// The repository's root itself.
    Root,
}

/// A path that no phase can be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escape {
    /// As written.
    pub path: String,
    pub why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Absolute,
    Parent,
    Drive,
    Home,
    Nul,
    /// Under `.git` or `.autopack`.
    Reserved(&'static str),
}

impl fmt::Display for Escape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ", self.path)?;
        match self.why {
            Why::Absolute => f.write_str("is an absolute path outside the workspace"),
            Why::Parent => f.write_str("leaves the repository through `..`"),
            Why::Drive => f.write_str("is on a drive, outside the workspace"),
            Why::Home => f.write_str("is in a home directory"),
            Why::Nul => f.write_str("holds a NUL character"),
            Why::Reserved(dir) => write!(f, "is under {dir}, which no phase may touch"),
        }
    }
}

/// Makes `path` relative to the repository's root: `/` between components, none of them `.`, `..` or
/// empty. A trailing `/` stays. `workspace` is the root's absolute path, where it is known.
pub fn normalize(path: &str, workspace: Option<&str>) -> Result<Place, Why> {
    if is_normal(path) {
        return Ok(Place::Inside(path.to_owned()));
    }
    if path.contains('\0') {
        return Err(Why::Nul);
    }
    let slashed = path.replace('\\', "/");
    if is_home(&slashed) {
        return Err(Why::Home);
    }
    let drive = has_drive(&slashed);
    let absolute = drive || slashed.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    let mut climbs = false;
    let root: Vec<&str> = workspace.map(components).unwrap_or_default();
    if !absolute {
        parts.extend(&root);
    }
    for part in slashed.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                climbs = true;
                // What `**` stands for is not known, so neither is what lies above it.
                if parts.pop().is_none_or(|popped| popped.contains("**")) {
                    return Err(Why::Parent);
                }
            }
            part => parts.push(part),
        }
    }
    let outside = || match (drive, climbs && !absolute) {
        (true, _) => Why::Drive,
        (_, true) => Why::Parent,
        _ => Why::Absolute,
    };
    if absolute && root.is_empty() {
        return Err(outside());
    }
    let inside = parts.strip_prefix(root.as_slice()).ok_or_else(outside)?;
    if inside.is_empty() {
        return Ok(Place::Root);
    }
    let mut relative = inside.join("/");
    if slashed.ends_with('/') {
        relative.push('/');
    }
    // `x/../~/a` is what it hides.
    if is_home(&relative) { Err(Why::Home) } else { Ok(Place::Inside(relative)) }
}

/// The reserved directory that `path` is, or lies under: no phase may be given it, at any depth.
pub fn reserved(path: &str) -> Option<&'static str> {
    // Case does not tell them apart on every file system.
    let is =
        |name: &str| components_of(path).any(|part| part.eq_ignore_ascii_case(name.as_bytes()));
    if !may_hide(path) {
        None
    } else if is(".git") {
        Some(".git")
    } else if is(".autopack") {
        Some(".autopack")
    } else {
        None
    }
}

/// A single letter and a colon: `C:\x`, and also `C:x`, which Windows takes for a path on that drive.
pub fn has_drive(path: &str) -> bool {
    let bytes = path.as_bytes();
    bytes.len() > 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':' && bytes[2] != b':'
}

fn is_home(path: &str) -> bool {
    path == "~" || path.starts_with('~') && path.contains('/')
}

fn components(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect()
}

/// Whether there is nothing to do, told without allocating: most paths are written well.
fn is_normal(path: &str) -> bool {
    let dotted = |part: &[u8]| matches!(part, b"." | b"..");
    path.bytes().all(is_plain)
        && !matches!(path.as_bytes(), [] | [b'/', ..])
        && !has_pair(path, b"//")
        && (!may_hide(path) || !components_of(path).any(dotted))
}

/// Letters that are themselves in every path: nothing ends a token at them or strips them from within.
fn is_plain(byte: u8) -> bool {
    PLAIN[usize::from(byte)]
}

/// Looked up, since every path is asked letter by letter.
static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let letter = byte as u8;
        plain[byte] = letter.is_ascii_alphanumeric() || matches!(letter, b'_' | b'-' | b'.' | b'/');
        byte += 1;
    }
    plain
};

/// Whether two letters stand side by side. Over bytes, as [`components_of`] and for its reason.
fn has_pair(path: &str, pair: &[u8; 2]) -> bool {
    path.as_bytes().array_windows().any(|two| two == pair)
}

/// Whether any component begins with a dot: few do, so that its parts need not be looked at.
fn may_hide(path: &str) -> bool {
    path.starts_with('.') || has_pair(path, b"/.")
}

/// What stands between the slashes. Over bytes: on texts this short, searching costs more than looking at each.
fn components_of(path: &str) -> impl Iterator<Item = &[u8]> {
    path.as_bytes().split(|byte| *byte == b'/')
}

/// At the last slash, which is in neither part.
fn split_last(path: &str) -> Option<(&str, &str)> {
    let at = path.bytes().rposition(|byte| byte == b'/')?;
    Some((&path[..at], &path[at + 1..]))
}

/// The directory that holds `path`, without a trailing slash; nothing for what lies at the root.
pub fn parent(path: &str) -> Option<&str> {
    split_last(path.strip_suffix('/').unwrap_or(path)).map(|(parent, _)| parent)
}

/// The last component.
pub fn file_name(path: &str) -> &str {
    let path = path.strip_suffix('/').unwrap_or(path);
    split_last(path).map_or(path, |(_, name)| name)
}

#[cfg(test)]
mod tests;
