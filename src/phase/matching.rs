//! Whether a path is covered by a pattern, and how closely.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::path::shape::has_wildcard;

/// How closely a pattern covers a path: the greater, the closer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Closeness {
    /// Components of the path that the pattern accounts for.
    depth: usize,
    /// Of two that account for as many, the one without wildcards is closer.
    literal: bool,
}

/// A pattern, ready to be compared with many paths. A trailing slash makes no difference.
#[derive(Debug)]
pub(super) struct Matcher {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Literal(String),
    Glob(GlobSet),
    /// A glob for a single component, at any depth.
    Component(GlobSet),
}

impl Matcher {
    /// A pattern that counts from the repository's root.
    pub fn new(pattern: &str) -> Self {
        let pattern = pattern.strip_suffix('/').unwrap_or(pattern);
        if !has_wildcard(pattern) {
            return Self { kind: Kind::Literal(pattern.to_owned()) };
        }
        // What lies below a match is covered anyway; without these, `src/**` is as close as `src`.
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

    /// A pattern that protects: a glob without a slash (`.git*`) holds for every component.
    pub fn protecting(pattern: &str) -> Self {
        let name = pattern.strip_suffix('/').unwrap_or(pattern);
        if has_wildcard(name) && !name.contains('/') {
            return Self { kind: Kind::Component(globs(name)) };
        }
        Self::new(pattern)
    }

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

    /// Whether the pattern is this path, not a directory around it and no wildcard.
    pub fn names(&self, path: &str) -> bool {
        matches!(&self.kind, Kind::Literal(literal) if literal == path)
    }

    pub fn covers(&self, path: &str) -> bool {
        self.closeness(path).is_some()
    }
}

/// `[slug]` is a directory of some frameworks and a set of letters to a glob: both are tried. What is no
/// glob after all stands for itself.
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
