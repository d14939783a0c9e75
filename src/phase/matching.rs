//! Matching of paths against patterns, with the closeness of the match.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::path::shape::has_wildcard;

/// How closely a pattern covers a path; greater is closer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Closeness {
    /// Number of path components matched by the pattern.
    depth: usize,
    /// At equal depth, a pattern without wildcards is closer.
    literal: bool,
}

/// A compiled pattern for matching many paths. A trailing slash makes no difference.
#[derive(Debug)]
pub(super) struct Matcher {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Literal(String),
    Glob(GlobSet),
    /// A glob for a single component at any depth.
    Component(GlobSet),
}

impl Matcher {
    /// Compiles a pattern relative to the repository root.
    pub fn new(pattern: &str) -> Self {
        let pattern = pattern.strip_suffix('/').unwrap_or(pattern);
        if !has_wildcard(pattern) {
            return Self { kind: Kind::Literal(pattern.to_owned()) };
        }
        // Paths below a match are covered anyway; without these suffixes, `src/**` is as close as `src`.
        let pattern = pattern.trim_end_matches("/*").trim_end_matches("/**");
        let kept = if pattern.is_empty() { "**" } else { pattern };
        Self {
            kind: if has_wildcard(kept) {
                Kind::Glob(globs(kept))
            } else {
                Kind::Literal(kept.to_owned())
            },
        }
    }

    /// Compiles a protecting pattern: a glob without a slash (`.git*`) applies to every component.
    pub fn protecting(pattern: &str) -> Self {
        let name = pattern.strip_suffix('/').unwrap_or(pattern);
        if has_wildcard(name) && !name.contains('/') {
            return Self { kind: Kind::Component(globs(name)) };
        }
        Self::new(pattern)
    }

    /// Returns how closely the pattern covers a path, or `None` for no match.
    pub fn closeness(&self, path: &str) -> Option<Closeness> {
        match &self.kind {
            Kind::Literal(literal) => {
                let rest = path.strip_prefix(literal.as_str())?;
                let boundary = rest.is_empty() || rest.starts_with('/');
                boundary.then(|| Closeness { depth: literal.split('/').count(), literal: true })
            }
            Kind::Glob(globs) => {
                let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
                let at = ends.clone().position(|end| globs.is_match(&path[..end]))?;
                Some(Closeness { depth: at + 1, literal: false })
            }
            Kind::Component(globs) => {
                let at = path.split('/').position(|part| globs.is_match(part))?;
                Some(Closeness { depth: at + 1, literal: false })
            }
        }
    }

    /// Checks whether the pattern is exactly this path, not a parent directory or a wildcard.
    pub fn names(&self, path: &str) -> bool {
        matches!(&self.kind, Kind::Literal(literal) if literal == path)
    }

    /// Checks whether the pattern covers a path.
    pub fn covers(&self, path: &str) -> bool {
        self.closeness(path).is_some()
    }
}

/// Builds the globs of a pattern. `[slug]` is a directory in some frameworks and a set of letters in a glob,
/// so both are tried. An invalid glob matches literally.
fn globs(pattern: &str) -> GlobSet {
    let literal = pattern.replace('[', "\u{1}").replace(']', "[]]").replace('\u{1}', "[[]");
    let mut set = GlobSetBuilder::new();
    for pattern in [pattern, &literal, &globset::escape(pattern)] {
        if let Ok(glob) =
            GlobBuilder::new(pattern).literal_separator(true).backslash_escape(false).build()
        {
            set.add(glob);
        }
    }
    set.build().unwrap_or_else(|_| GlobSet::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_at_component_boundaries() {
        for (pattern, path, covered) in [
            ("src/foo", "src/foo/a.py", true),
            ("src/foo/", "src/foo/a.py", true),
            ("src/foo", "src/foo", true),
            ("src/foo", "src/foobar/a.py", false),
            ("src/foo/a.py", "src/foo/a.pyc", false),
            ("src/*.py", "src/a.py", true),
            ("src/*.py", "src/x/a.py", false),
            ("src/**/*.py", "src/a.py", true),
            ("src/**/*.py", "src/x/y/a.py", true),
            ("src/*/tests", "src/x/tests/test_a.py", true),
            ("electron/**", "electron/main.ts", true),
            ("**/hello.py", "hello.py", true),
            ("**/hello.py", "a/b/hello.py", true),
            ("**/hello.py", "a/b/othello.py", false),
            ("*.md", "README.md", true),
            ("*.md", "docs/x.md", false),
            ("app/[slug]/*.tsx", "app/[slug]/page.tsx", true),
            ("app/[slug]/page.tsx", "app/[slug]/page.tsx", true),
            ("v/*[0-9]*_*.py", "v/a1b_x.py", true),
            ("v/*[0-9]*_*.py", "v/ab_x.py", false),
            ("src/{a,b}.py", "src/b.py", true),
        ] {
            assert_eq!(Matcher::new(pattern).covers(path), covered, "{pattern} {path}");
        }
    }

    #[test]
    fn a_protecting_glob_holds_for_every_component() {
        let git = Matcher::protecting(".git*");
        for path in [".gitignore", "a/b/.gitmodules", "vendor/.git/config", ".github/x.yml"] {
            assert!(git.covers(path), "{path}");
        }
        assert!(!git.covers("src/git/a.py"));
        assert!(!git.covers("src/x.gitignore"));
    }

    #[test]
    fn the_deeper_pattern_is_closer_and_names_are_closer_than_wildcards() {
        let close = |pattern: &str| Matcher::new(pattern).closeness("src/foo/x/a.py");
        assert!(close("src/foo") > close("src"));
        assert!(close("src/foo") > close("src/**"));
        assert!(close("src/foo") > close("src/*"));
        assert!(close("src/**/a.py") > close("src/foo"));
        assert_eq!(close("lib"), None);
    }
}
