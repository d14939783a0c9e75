//! Conversion of paths as people write them into paths of the repository.
//!
//! [`normalize`] converts a single path, [`entry`] finds the path in an entry of a list (after its
//! [`bullet`], by its beginning: `lead`), [`text`] finds paths in prose, and [`shape`] recognizes paths by
//! their letters. All checks are lexical: no file system access.

pub mod bullet;
pub mod entry;
#[cfg(any(test, fuzzing))]
pub mod invariants;
mod lead;
pub mod shape;
pub mod text;

use std::fmt;

/// Normalized location of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NormalizedPath {
    /// Inside the repository, relative to its root.
    Inside(String),
    /// The repository root itself.
    Root,
}

/// A path no phase may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escape {
    /// Path as written.
    pub path: String,
    /// Why the path is refused.
    pub why: PathError,
}

/// Reason why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// Absolute and outside the workspace.
    Absolute,
    /// Leaves the repository through `..`.
    Parent,
    /// On a Windows drive.
    Drive,
    /// In a home directory.
    Home,
    /// Contains a NUL character.
    Nul,
    /// Under `.git` or `.autopack`.
    Reserved(&'static str),
}

impl fmt::Display for Escape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ", self.path)?;
        match self.why {
            PathError::Absolute => f.write_str("is an absolute path outside the workspace"),
            PathError::Parent => f.write_str("leaves the repository through `..`"),
            PathError::Drive => f.write_str("is on a drive, outside the workspace"),
            PathError::Home => f.write_str("is in a home directory"),
            PathError::Nul => f.write_str("contains a NUL character"),
            PathError::Reserved(dir) => write!(f, "is under {dir}, closed to all phases"),
        }
    }
}

/// Makes `path` relative to the repository root, with `/` between components and none of them `.`, `..` or
/// empty. A trailing `/` stays. `workspace` is the absolute path of the root, if known.
///
/// # Errors
///
/// Returns the reason if the path leaves the repository.
pub fn normalize(path: &str, workspace: Option<&str>) -> Result<NormalizedPath, PathError> {
    if is_normal(path) {
        return Ok(NormalizedPath::Inside(path.to_owned()));
    }
    if path.contains('\0') {
        return Err(PathError::Nul);
    }
    let slashed = path.replace('\\', "/");
    if is_home(&slashed) {
        return Err(PathError::Home);
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
                // `**` stands for any number of components, so its parent is unknown.
                if parts.pop().is_none_or(|popped| popped.contains("**")) {
                    return Err(PathError::Parent);
                }
            }
            part => parts.push(part),
        }
    }
    let outside = || match (drive, climbs && !absolute) {
        (true, _) => PathError::Drive,
        (_, true) => PathError::Parent,
        _ => PathError::Absolute,
    };
    if absolute && root.is_empty() {
        return Err(outside());
    }
    let inside = parts.strip_prefix(root.as_slice()).ok_or_else(outside)?;
    if inside.is_empty() {
        return Ok(NormalizedPath::Root);
    }
    let mut relative = inside.join("/");
    if slashed.ends_with('/') {
        relative.push('/');
    }
    // `x/../~/a` hides `~/a`.
    if is_home(&relative) { Err(PathError::Home) } else { Ok(NormalizedPath::Inside(relative)) }
}

/// Returns the reserved directory at or above `path`, at any depth. Reserved directories are closed to all
/// phases.
pub fn reserved(path: &str) -> Option<&'static str> {
    // Compared without case, since some file systems ignore case.
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

/// Checks for a drive: a letter and a colon, as in `C:\x` and also `C:x`, a path on this drive for Windows.
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

/// Checks without allocation whether normalization would change nothing, as for most paths.
fn is_normal(path: &str) -> bool {
    PathSigns::of(path).is_some_and(|signs| signs.is_normal(path))
}

/// Signs of a path of [plain](is_plain) letters, all found in one pass.
struct PathSigns {
    /// Whether the path is empty, begins with a slash or has two in a row.
    has_empty_part: bool,
    /// Whether any component begins with a dot. Few do, so most paths need no further check.
    may_hide: bool,
}

impl PathSigns {
    /// Returns the signs, or `None` if a letter is not plain.
    fn of(path: &str) -> Option<Self> {
        let (mut behind_slashes, mut previous) = (0, LetterKind::SLASH);
        for byte in path.bytes() {
            let kind = LETTERS[usize::from(byte)];
            if kind == LetterKind::OTHER {
                return None;
            }
            // All bits behind a slash, else none.
            behind_slashes |= kind & (previous >> 2).wrapping_neg();
            previous = kind;
        }
        Some(Self {
            has_empty_part: path.is_empty() || behind_slashes & LetterKind::SLASH != 0,
            may_hide: behind_slashes & LetterKind::DOT != 0,
        })
    }

    fn is_normal(&self, path: &str) -> bool {
        let dotted = |part: &[u8]| matches!(part, b"." | b"..");
        !self.has_empty_part && (!self.may_hide || !components_of(path).any(dotted))
    }
}

/// Checks for letters that are part of every path: they neither end a token nor are stripped.
fn is_plain(byte: u8) -> bool {
    LETTERS[usize::from(byte)] != LetterKind::OTHER
}

/// Kinds of letters, a bit each.
struct LetterKind;

impl LetterKind {
    const OTHER: u8 = 0;
    const WORD: u8 = 1;
    const DOT: u8 = 2;
    const SLASH: u8 = 4;
}

/// Lookup table, since every letter of every path is checked.
static LETTERS: [u8; 256] = {
    let mut letters = [LetterKind::OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        letters[byte] = match byte as u8 {
            b'.' => LetterKind::DOT,
            b'/' => LetterKind::SLASH,
            b'_' | b'-' => LetterKind::WORD,
            letter if letter.is_ascii_alphanumeric() => LetterKind::WORD,
            _ => LetterKind::OTHER,
        };
        byte += 1;
    }
    letters
};

/// Checks for two adjacent letters. Over bytes, for the same reason as [`components_of`].
fn has_pair(path: &str, pair: &[u8; 2]) -> bool {
    path.as_bytes().array_windows().any(|two| two == pair)
}

/// Checks whether any component begins with a dot. Few do, so most paths need no further check.
fn may_hide(path: &str) -> bool {
    path.starts_with('.') || has_pair(path, b"/.")
}

/// Returns the components between slashes. Over bytes: on such short texts, a substring search is slower than
/// a scan.
fn components_of(path: &str) -> impl Iterator<Item = &[u8]> {
    path.as_bytes().split(|byte| *byte == b'/')
}

/// Splits at the last slash, excluding the slash itself.
fn split_last(path: &str) -> Option<(&str, &str)> {
    let at = path.bytes().rposition(|byte| byte == b'/')?;
    Some((&path[..at], &path[at + 1..]))
}

/// Returns the parent directory of `path` without a trailing slash, or `None` at the root.
pub fn parent(path: &str) -> Option<&str> {
    split_last(path.strip_suffix('/').unwrap_or(path)).map(|(parent, _)| parent)
}

/// Returns the last component.
pub fn file_name(path: &str) -> &str {
    let path = path.strip_suffix('/').unwrap_or(path);
    split_last(path).map_or(path, |(_, name)| name)
}

#[cfg(test)]
mod tests;
