//! Footprints: the areas a phase may write, coarse enough to compare quickly. Phases with overlapping
//! footprints do not run at the same time.
//!
//! Deliverables and scope paths count. Read-only paths do not, nor do test files that may be added for a
//! deliverable, unless another phase delivers one (conflicting additions are found at landing). `scope` decides the paths a phase may change.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::autofix::scope_of;
use super::companion::{shared_directory, stem, tested_stem};
use super::spec::{FixedSpec, PathPattern};

/// Directory of areas for tests; no path of a repository.
const COMPANIONS: &str = ":tests";
/// The whole repository.
const ROOT: &str = ".";

/// Directories and files, sorted, none of them inside another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Footprint(Vec<String>);

impl Footprint {
    /// Returns the footprint of a phase. A phase without a scope may write anywhere; while its scope is being proposed,
    /// nothing is written.
    pub fn of(spec: &FixedSpec) -> Self {
        if spec.needs_scope() {
            return Self(Vec::new());
        }
        let named = spec.deliverables.iter().chain(&spec.scope_paths);
        Self::around(named.map(PathPattern::as_str))
    }

    /// Returns the footprint of a phase whose scope was derived from its deliverables: the deliverables, and what else is in
    /// the scope. The directories of the deliverables may hold work of other phases, and a landing finds a conflict. A phase
    /// may write tests of its deliverables too, so it overlaps with a phase that delivers such a test.
    pub fn of_deliverables(spec: &FixedSpec) -> Self {
        if spec.deliverables.is_empty() {
            return Self::of(spec);
        }
        let derived: Vec<&str> = spec
            .deliverables
            .iter()
            .map(|path| scope_of(path.as_str()).trim_end_matches('/'))
            .collect();
        let is_other = |path: &&str| !derived.contains(&path.trim_end_matches('/'));
        let others = spec.scope_paths.iter().map(PathPattern::as_str).filter(is_other);
        let mut footprint =
            Self::around(spec.deliverables.iter().map(PathPattern::as_str).chain(others));
        if footprint.0 != [ROOT] {
            footprint.0.extend(spec.deliverables.iter().filter_map(companion_area));
            footprint.0.sort();
        }
        footprint
    }

    /// Returns the footprint that overlaps with all others.
    pub fn everything() -> Self {
        Self(vec![ROOT.to_owned()])
    }

    fn around<'a>(patterns: impl Iterator<Item = &'a str>) -> Self {
        let mut areas: Vec<&str> = patterns.map(area).collect();
        if areas.is_empty() || areas.contains(&ROOT) {
            return Self::everything();
        }
        // Compared component by component, so that a directory directly precedes its contents.
        areas.sort_by(|a, b| a.split('/').cmp(b.split('/')));
        let mut kept: Vec<String> = Vec::with_capacity(areas.len());
        for area in areas {
            if !kept.last().is_some_and(|last| contains(last, area)) {
                kept.push(area.to_owned());
            }
        }
        Self(kept)
    }

    /// Checks whether two footprints overlap.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().any(|area| other.0.iter().any(|of| related(area, of)))
    }

    /// Checks whether the footprint contains a file.
    #[cfg(test)]
    fn covers(&self, path: &str) -> bool {
        self.0.iter().any(|area| contains(area, path))
    }
}

/// A set of footprints. An overlap check costs a lookup for each parent directory.
#[derive(Clone, Debug, Default)]
pub struct FootprintSet(BTreeSet<String>);

impl FootprintSet {
    /// Checks whether the set contains no footprint.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks whether the set overlaps with every footprint.
    pub fn is_everything(&self) -> bool {
        self.0.contains(ROOT)
    }

    /// Adds a footprint.
    pub fn add(&mut self, footprint: &Footprint) {
        self.0.extend(footprint.0.iter().cloned());
    }

    /// Checks whether any footprint in the set overlaps with this footprint.
    pub fn overlaps(&self, footprint: &Footprint) -> bool {
        footprint.0.iter().any(|area| self.is_taken(area))
    }

    /// Checks whether the area, a parent or a child is in the set.
    fn is_taken(&self, area: &str) -> bool {
        if area == ROOT || self.is_everything() {
            return !self.is_empty();
        }
        let ends = area.match_indices('/').map(|(at, _)| at).chain([area.len()]);
        if ends.into_iter().any(|end| self.0.contains(&area[..end])) {
            return true;
        }
        let children = format!("{area}/");
        self.0.range(children.clone()..).next().is_some_and(|next| next.starts_with(&children))
    }
}

/// Returns an area beside all paths: a test overlaps with each file that it may be a test of, and these do not overlap with
/// each other.
fn companion_area(deliverable: &PathPattern) -> Option<String> {
    let path = deliverable.as_str();
    if deliverable.is_glob() || path.ends_with('/') {
        return None;
    }
    Some(match (tested_stem(path), shared_directory(path)) {
        (Some(of), None) => format!("{COMPANIONS}/{of}"),
        (Some(of), Some(directory)) => format!("{COMPANIONS}/{of}/{directory}"),
        (None, directory) => {
            format!("{COMPANIONS}/{}/{}/{path}", stem(path)?, directory.unwrap_or(ROOT))
        }
    })
}

/// Returns the fixed prefix of a pattern. A glob counts as the directory around it.
fn area(pattern: &str) -> &str {
    let pattern = pattern.trim_end_matches('/');
    let fixed = match PathPattern(pattern.to_owned()).is_glob() {
        // In a glob, a bracket is always a set of letters.
        true => {
            let end = pattern.find(['*', '?', '{', '[']).unwrap_or(pattern.len());
            pattern[..end].rsplit_once('/').map_or("", |(directory, _)| directory)
        }
        false => pattern,
    };
    if fixed.is_empty() { ROOT } else { fixed }
}

fn related(a: &str, b: &str) -> bool {
    contains(a, b) || contains(b, a)
}

/// Checks whether `path` is `area` or inside it.
fn contains(area: &str, path: &str) -> bool {
    area == ROOT
        || path.strip_prefix(area).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::companion::is_test_for;
    use super::super::matching::Matcher;
    use super::*;

    fn footprint(patterns: &[&str]) -> Footprint {
        Footprint::around(patterns.iter().copied())
    }

    #[test]
    fn areas_meet_at_component_boundaries() {
        for (a, b, overlap) in [
            ("src", "src/a.py", true),
            ("src/a.py", "src/a.py", true),
            ("src/foo/", "src/foo", true),
            ("src/foo", "src/foobar", false),
            ("src/a", "src/b", false),
            ("src/a", "src/a.b", false),
            ("src/*.py", "src/sub/x.rs", true),
            ("src/**/x.py", "docs", false),
            ("*.md", "src/a.py", true),
            ("app/[slug]/page.tsx", "app/about", false),
            ("app/[slug]/*.tsx", "app/about", true),
            ("src/{a/x,b}.py", "src/c", true),
        ] {
            let (one, other) = (footprint(&[a]), footprint(&[b]));
            assert_eq!(one.overlaps(&other), overlap, "{a} {b}");
        }
    }

    #[test]
    fn without_a_scope_it_is_everywhere() {
        let free = footprint(&[]);
        assert_eq!(free, Footprint::everything());
        assert!(free.overlaps(&footprint(&["a/b"])) && free.overlaps(&free));
        assert!(free.covers("any/file"));
    }

    #[test]
    fn nested_areas_are_listed_once() {
        let listed = footprint(&["a/b/c.py", "a.x", "a/b", "a", "a-b/c", "b.md"]);
        assert_eq!(listed.0, ["a", "a-b/c", "a.x", "b.md"]);
        assert_eq!(footprint(&["src/**", "src/a.py"]), footprint(&["src/"]));
    }

    #[test]
    fn read_only_paths_are_not_in_the_footprint() {
        let mut spec = FixedSpec::sample("p", "src/a.py");
        spec.read_only = vec![PathPattern("docs".to_owned())];
        assert!(!Footprint::of(&spec).overlaps(&footprint(&["docs"])));
    }

    #[test]
    fn a_derived_scope_excludes_by_deliverables() {
        let spec = |deliverable: &str, scope: &[&str]| {
            let mut spec = FixedSpec::sample("p", deliverable);
            spec.scope_paths = scope.iter().map(|path| PathPattern((*path).to_owned())).collect();
            spec
        };
        let (one, other) = (spec("src/foo/a.py", &["src/foo"]), spec("src/foo/b.py", &["src/foo"]));
        assert!(Footprint::of(&one).overlaps(&Footprint::of(&other)));
        assert!(!Footprint::of_deliverables(&one).overlaps(&Footprint::of_deliverables(&other)));
        assert!(Footprint::of_deliverables(&one).overlaps(&footprint(&["src/foo/a.py"])));
        let wider = spec("src/foo/a.py", &["src/foo/", "src/bar"]);
        let areas = [":tests/a/foo/src/foo/a.py", "src/bar", "src/foo/a.py"];
        assert_eq!(Footprint::of_deliverables(&wider).0, areas);
        let mut scope_only = spec("x", &["src/foo"]);
        scope_only.deliverables.clear();
        assert_eq!(Footprint::of_deliverables(&scope_only), Footprint::of(&scope_only));
    }

    #[test]
    fn a_test_excludes_the_phases_that_may_write_it() {
        let of = |file: &str| {
            let mut spec = FixedSpec::sample("p", file);
            spec.scope_paths = vec![PathPattern(scope_of(file).to_owned())];
            Footprint::of_deliverables(&spec)
        };
        for (test, file) in [
            ("src/foo/test_a.py", "src/foo/a.py"),
            ("tests/test_a.py", "src/foo/a.py"),
            ("tests/foo/test_a.py", "src/foo/a.py"),
            ("pkg/__tests__/index.test.ts", "pkg/src/index.ts"),
            ("tests/a.rs", "src/a.rs"),
            ("src/test/java/x/ATest.java", "src/main/java/x/A.java"),
        ] {
            assert!(is_test_for(test, file), "{test} {file}");
            assert!(of(test).overlaps(&of(file)), "{test} {file}");
        }
        for (one, other) in [
            ("one/index.test.ts", "two/index.test.ts"),
            ("one/index.test.ts", "two/index.ts"),
            ("src/a/mod.rs", "src/b/mod.rs"),
            ("tests/test_a.py", "src/b.py"),
        ] {
            assert!(!of(one).overlaps(&of(other)), "{one} {other}");
        }
    }

    fn component() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "[ab]{1,2}",
            1 => Just("a.py".to_owned()),
            1 => Just("*".to_owned()),
            1 => Just("**".to_owned()),
            1 => Just("a*.py".to_owned()),
            1 => Just("[ab]".to_owned()),
            1 => Just("{a,b}".to_owned()),
        ]
    }

    fn pattern() -> impl Strategy<Value = String> {
        (prop::collection::vec(component(), 1..4), any::<bool>())
            .prop_map(|(parts, dir)| parts.join("/") + if dir { "/" } else { "" })
    }

    fn patterns() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(pattern(), 0..4)
    }

    fn of(patterns: &[String]) -> Footprint {
        Footprint::around(patterns.iter().map(String::as_str))
    }

    proptest! {
        #[test]
        fn overlap_is_mutual_and_everything_overlaps_with_itself(a in patterns(), b in patterns()) {
            let (a, b) = (of(&a), of(&b));
            prop_assert_eq!(a.overlaps(&b), b.overlaps(&a));
            prop_assert!(a.overlaps(&a));
            prop_assert!(Footprint::everything().overlaps(&a));
        }

        #[test]
        fn shared_writable_paths_overlap(a in patterns(), b in patterns(), path in "[ab]{1,2}(/[ab]{1,2}){0,2}(/a\\.py)?") {
            let may = |patterns: &[String]| patterns.iter().any(|p| Matcher::new(p).covers(&path));
            if may(&a) && may(&b) {
                prop_assert!(of(&a).overlaps(&of(&b)), "{a:?} {b:?} {path}");
            }
            if may(&a) {
                prop_assert!(of(&a).covers(&path), "{a:?} {path}");
            }
        }

        #[test]
        fn separate_directories_never_overlap(a in prop::collection::vec(pattern(), 1..4), b in prop::collection::vec(pattern(), 1..4)) {
            let children = |directory: &str, all: &[String]| {
                of(&all.iter().map(|p| format!("{directory}/{p}")).collect::<Vec<_>>())
            };
            prop_assert!(!children("left", &a).overlaps(&children("lefty", &b)));
        }

        #[test]
        fn a_set_overlaps_like_any_of_its_footprints(all in prop::collection::vec(patterns(), 0..5), a in patterns()) {
            let (all, a) = (all.iter().map(|one| of(one)).collect::<Vec<_>>(), of(&a));
            let mut set = FootprintSet::default();
            all.iter().for_each(|one| set.add(one));
            prop_assert_eq!(set.overlaps(&a), all.iter().any(|one| one.overlaps(&a)));
        }

        #[test]
        fn a_companion_overlaps_with_its_subject(
            test in "((src|lib|tests|test|a|b)/){0,3}(test_[ab]|[ab]_test|[ab]Test|[ab])\\.py",
            file in "((src|lib|main|a|b)/){0,3}[ab]\\.py",
        ) {
            let of = |file: &str| {
                let mut spec = FixedSpec::sample("p", file);
                spec.scope_paths = vec![PathPattern(scope_of(file).to_owned())];
                Footprint::of_deliverables(&spec)
            };
            if is_test_for(&test, &file) {
                prop_assert!(of(&test).overlaps(&of(&file)), "{test} {file}");
            }
        }

        #[test]
        fn serialization_round_trips(a in patterns()) {
            let a = of(&a);
            let text = serde_json::to_string(&a).unwrap();
            prop_assert_eq!(serde_json::from_str::<Footprint>(&text).unwrap(), a);
        }
    }
}
