//! Paths of a slot outside the diff: caches kept by a reset (`workspace.keep`), copies from the
//! user's checkout (`workspace.link`), and files left everywhere by interpreters.
//!
//! A directory with files of the commit is no cache, whatever its name: a module may well be named
//! `target`.

use std::path::{Component, Path};

use globset::{GlobBuilder, GlobMatcher};

use crate::config::WorkspaceSettings;
use crate::git::error::{Result, WorkspaceError};
use crate::git::trees::Tree;

/// Never part of a change, even if a repository forgets to ignore them.
const INTERPRETER_FILES: &[&str] = &["__pycache__/", "*.pyc", ".DS_Store"];

/// The patterns, interpreted like those of `git clean -e`.
#[derive(Clone, Debug)]
pub(crate) struct DiffExclusions {
    keep: Vec<Pattern>,
    pub links: Vec<String>,
    /// Dependency directories linked automatically.
    pub dependencies: Vec<String>,
}

#[derive(Clone, Debug)]
struct Pattern {
    text: String,
    glob: GlobMatcher,
    /// Whether the pattern has a slash before its end and so matches from the top. Other patterns match a name at any
    /// depth.
    anchored: bool,
    directories_only: bool,
}

impl DiffExclusions {
    pub fn new(settings: &WorkspaceSettings) -> Result<Self> {
        let keep = settings.keep.iter().map(|text| Pattern::new(text)).collect::<Result<_>>()?;
        let links = settings.link.iter().map(|path| link(path)).collect::<Result<_>>()?;
        Ok(Self { keep, links, dependencies: Vec::new() })
    }

    fn linked(&self) -> impl Iterator<Item = &String> {
        self.links.iter().chain(&self.dependencies)
    }

    /// Whether a path outside the commit stays in place.
    pub fn stays(&self, path: &[u8], is_directory: bool, tree: &Tree) -> bool {
        if is_directory && tree.is_directory(path) {
            return false;
        }
        self.linked().any(|link| link.as_bytes() == path)
            || self.keep.iter().any(|pattern| pattern.matches(path, is_directory))
    }

    /// Whether a listed path is a file left by an interpreter, not needed in a commit.
    pub fn is_interpreter_file(path: &str) -> bool {
        path.split('/').any(|name| name == "__pycache__" || name == ".DS_Store")
            || path.ends_with(".pyc")
    }

    /// Returns the patterns as ignore patterns, for `info/exclude`.
    pub fn exclude_lines(&self, tree: &Tree) -> Vec<u8> {
        let mut text = Vec::new();
        for line in
            INTERPRETER_FILES.iter().copied().chain(self.keep.iter().map(|p| p.text.as_str()))
        {
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
        }
        for directory in
            tree.directories().filter(|path| self.keep.iter().any(|p| p.matches(path, true)))
        {
            text.push(b'!');
            push_literal(&mut text, directory);
        }
        for link in self.linked() {
            push_literal(&mut text, link.as_bytes());
        }
        text
    }
}

/// Adds a line matching exactly this path from the top; none if the path cannot be written in a line.
fn push_literal(text: &mut Vec<u8>, path: &[u8]) {
    if path.contains(&b'\n') {
        // The line is never incomplete: `!` alone is a pattern without matches.
        text.push(b'\n');
        return;
    }
    text.push(b'/');
    for byte in path {
        if b"\\*?[ ".contains(byte) {
            text.push(b'\\');
        }
        text.push(*byte);
    }
    text.push(b'\n');
}

impl Pattern {
    fn new(text: &str) -> Result<Self> {
        let bad = |why: &str| WorkspaceError::BadSetting {
            key: "workspace.keep",
            pattern: text.to_owned(),
            why: why.to_owned(),
        };
        let bare = text.trim_end_matches('/');
        if bare.is_empty() || text.contains('\n') {
            return Err(bad("is not a path or a pattern"));
        }
        if text.starts_with(['!', '#']) {
            return Err(bad("starts with ! or #; neither is supported here"));
        }
        let anchored = bare.contains('/');
        let glob = GlobBuilder::new(bare.trim_start_matches('/'))
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|error| bad(&format!("is not a pattern: {}", error.kind())))?;
        Ok(Self {
            text: text.to_owned(),
            glob: glob.compile_matcher(),
            anchored,
            directories_only: text.ends_with('/'),
        })
    }

    fn matches(&self, path: &[u8], is_directory: bool) -> bool {
        if self.directories_only && !is_directory {
            return false;
        }
        let path = if self.anchored { path } else { name_of(path) };
        self.glob.is_match(crate::git::path_bytes::from_bytes(path))
    }
}

fn name_of(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or(path)
}

/// Returns a path in the user's checkout, as components joined by `/`.
fn link(path: &str) -> Result<String> {
    let bad = |why: &str| WorkspaceError::BadSetting {
        key: "workspace.link",
        pattern: path.to_owned(),
        why: why.to_owned(),
    };
    let mut parts = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::CurDir => {}
            _ => return Err(bad("leaves the repository; name a path inside it")),
        }
    }
    match parts.first().map(String::as_str) {
        None => Err(bad("is not a path")),
        Some(".git" | ".autopack") => Err(bad("cannot be linked")),
        Some(_) => Ok(parts.join("/")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outside(keep: &[&str]) -> DiffExclusions {
        let keep = keep.iter().map(|s| (*s).to_owned()).collect();
        DiffExclusions::new(&WorkspaceSettings { keep, ..WorkspaceSettings::default() }).unwrap()
    }

    #[test]
    fn names_match_at_any_depth_and_paths_from_the_top() {
        let rules = outside(&["target", "/build", "a/b/", "*.cache"]);
        let stays = |path: &str, dir| rules.stays(path.as_bytes(), dir, &Tree::default());
        assert!(stays("target", true) && stays("x/y/target", true) && stays("x/target", false));
        assert!(stays("build", true) && !stays("x/build", true));
        assert!(stays("a/b", true) && !stays("a/b", false) && !stays("x/a/b", true));
        assert!(stays("deep/x.cache", false) && !stays("x.cached", false));
    }

    #[test]
    fn links_out_of_the_repository_are_refused() {
        for path in ["../x", "/etc", "", ".", ".git/config"] {
            let link = vec![path.to_owned()];
            let settings = WorkspaceSettings { link, ..WorkspaceSettings::default() };
            assert!(DiffExclusions::new(&settings).is_err(), "{path}");
        }
    }
}
