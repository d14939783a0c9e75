//! Protected paths of the workspace, closed to all phases except those with `allow_protected: true` that name
//! the path.
//!
//! Lexical, on paths relative to the repository root. Case is ignored, since on some file systems `.GitHub`
//! is `.github`.

use super::matching::Matcher;
use super::repair::{Repair, Unfixable};
use super::spec::{FixedSpec, PathPattern};

/// Spec key that opens protected paths named by the phase.
const KEY: &str = "allow_protected";
/// Autopack's own configuration: a phase must not change the settings of its own checks.
const OWN: [&str; 2] = ["config/autopack.yaml", "config/memory.yaml"];

/// `workspace.protected_paths`, compiled for matching many paths.
#[derive(Debug)]
pub struct ProtectedPaths(Vec<(Matcher, String)>);

impl ProtectedPaths {
    /// Compiles the patterns.
    pub fn new(patterns: &[String]) -> Self {
        let matcher =
            |pattern: &String| (Matcher::protecting(&pattern.to_lowercase()), pattern.clone());
        Self(patterns.iter().map(matcher).collect())
    }

    /// Returns the pattern that protects a path or glob, the closest of several.
    pub fn by(&self, path: &str) -> Option<&str> {
        let path = path.to_lowercase();
        let path = path.trim_end_matches('/');
        let found =
            self.0.iter().filter_map(|(matcher, by)| Some((matcher.closeness(path)?, by.as_str())));
        found.max().map(|(_, by)| by)
    }

    /// Returns the protected paths opened by the phase: its deliverables, and other paths named in its scope.
    pub fn opened<'s>(&self, spec: &'s FixedSpec) -> Vec<&'s PathPattern> {
        let of = |(_, path): (&'static str, &'s PathPattern)| {
            Some(path).filter(|path| !is_own(path.as_str()))
        };
        match spec.allow_protected() {
            true => self.named(spec).into_iter().filter_map(of).collect(),
            false => Vec::new(),
        }
    }

    /// Checks whether the phase may change this protected path: a deliverable covers the path, or the scope
    /// names the path in full. An opened directory does not open paths inside that another pattern protects.
    pub fn is_opened(&self, path: &str, spec: &FixedSpec) -> bool {
        if !spec.allow_protected() || is_own(path) {
            return false;
        }
        let lower = path.to_lowercase();
        let by: Vec<&Matcher> =
            self.0.iter().map(|(matcher, _)| matcher).filter(|m| m.covers(&lower)).collect();
        let opens = |named: &PathPattern| {
            by.iter().all(|m| m.covers(named.as_str().to_lowercase().trim_end_matches('/')))
        };
        let delivers = |named: &&PathPattern| Matcher::new(named.as_str()).covers(path);
        spec.deliverables().iter().filter(delivers).any(opens)
            || spec.scope_paths().iter().any(|named| Matcher::new(named.as_str()).names(path))
    }

    /// Refuses a spec that names closed paths: the agent would get contradictory instructions.
    pub fn refuse(&self, repair: Repair) -> Repair {
        let Ok(spec) = &repair.result else { return repair };
        match self.refused(spec) {
            problems if problems.is_empty() => repair,
            problems => Repair { result: Err(Unfixable(problems.join("; "))), ..repair },
        }
    }

    /// Returns the protected paths named by the phase, with the field. The derived scope of a deliverable
    /// does not count as named.
    fn named<'s>(&self, spec: &'s FixedSpec) -> Vec<(&'static str, &'s PathPattern)> {
        let around = |place: &PathPattern| {
            let place = Matcher::new(place.as_str());
            spec.deliverables().iter().any(|path| place.covers(path.as_str().trim_end_matches('/')))
        };
        let deliverables = spec.deliverables().iter().map(|path| ("deliverables", path));
        let scope = spec
            .scope_paths()
            .iter()
            .filter(|path| !around(path))
            .map(|path| ("scope.paths", path));
        deliverables.chain(scope).filter(|(_, path)| self.by(path.as_str()).is_some()).collect()
    }

    fn refused(&self, spec: &FixedSpec) -> Vec<String> {
        let problem = |(field, path): (&str, &PathPattern)| {
            let path = path.as_str();
            if is_own(path) {
                return Some(format!(
                    "{field}: {path:?} is autopack's own configuration, closed to all phases"
                ));
            }
            let by = self.by(path).filter(|_| !spec.allow_protected())?;
            Some(format!(
                "{field}: {path:?} is protected by {by:?} (workspace.protected_paths): remove the path, or set \
                 `{KEY}: true` in the phase to allow the change"
            ))
        };
        self.named(spec).into_iter().filter_map(problem).collect()
    }
}

fn is_own(path: &str) -> bool {
    OWN.iter().any(|own| own.eq_ignore_ascii_case(path.trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::phase::RawSpec;
    use crate::phase::autofix::{Limits, Unscoped, autofix};

    fn protected() -> ProtectedPaths {
        let patterns = [
            ".git*",
            ".github/",
            ".autopack/",
            "config/autopack.yaml",
            "config/memory.yaml",
            "Infra/prod",
        ];
        ProtectedPaths::new(&patterns.map(str::to_owned))
    }

    fn refused(spec: Value) -> Option<String> {
        let limits =
            Limits { workspace: None, max_timeout_seconds: 3600, unscoped: Unscoped::Allow };
        let repair = protected().refuse(autofix(&RawSpec(spec), None, &limits));
        let again =
            protected().refuse(autofix(&RawSpec(Value::clone(&repair.spec)), None, &limits));
        assert_eq!((&again.spec, &again.result), (&repair.spec, &repair.result));
        repair.result.err().map(|why| why.0)
    }

    #[test]
    fn protected_paths_need_the_key_under_any_spelling() {
        for path in [
            ".github/workflows/ci.yml",
            ".github/**",
            ".github/",
            "./.GitHub//workflows/ci.yml",
            ".github\\x.yml",
            ".gitignore",
            "src/.gitattributes",
            "infra/PROD/main.tf",
            "infra/prod/*.tf",
            ".github/workflows/ci.yml (new)",
        ] {
            for spec in [
                json!({"deliverables": [path]}),
                json!({"output_file": path}),
                json!({"scope": {"paths": ["src", path]}}),
            ] {
                let why = refused(spec.clone()).unwrap_or_default();
                assert!(why.contains("`allow_protected: true`"), "{spec}: {why}");
                let mut allowed = spec;
                allowed["allow_protected"] = true.into();
                assert_eq!(refused(allowed), None, "{path}");
            }
        }
        for path in ["src/github/a.py", "infra/producer/a.tf", "docs/"] {
            assert_eq!(refused(json!({"deliverables": [path]})), None, "{path}");
        }
    }

    #[test]
    fn no_key_opens_autopacks_own() {
        for path in ["config/autopack.yaml", "Config/Memory.yaml"] {
            let why = refused(json!({"deliverables": [path], "allow_protected": true}))
                .unwrap_or_default();
            assert!(why.contains("closed to all phases"), "{why}");
        }
        for path in [".git/config", ".autopack/autopack.db"] {
            assert!(refused(json!({"deliverables": [path], "allow_protected": true})).is_some());
        }
    }

    #[test]
    fn each_path_is_named_once_and_its_own_place_is_not() {
        let why = refused(
            json!({"deliverables": [".github/workflows/a.yml", ".github/workflows/b.yml"]}),
        )
        .unwrap();
        assert_eq!(why.matches("is protected by").count(), 2, "{why}");
    }
}
