//! Scope check. Input: a spec and the paths changed by an attempt. Output: breaches.
//!
//! Lexical, on paths relative to the repository root; `links` follows links. The workspace measures the
//! changes.

mod links;

use std::collections::HashSet;
use std::fmt;

use super::companion;
use super::matching::{Closeness, Matcher};
use super::path::reserved;
use super::proposal::exact_paths;
use super::proposal::restricted::restriction;
use super::protected::ProtectedPaths;
use super::spec::{FixedSpec, PathPattern};

pub use links::Links;

/// A path that differs between the attempt's base and its result. A rename is a deletion and an addition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Path relative to the repository root, with `/` between components.
    pub path: String,
    /// Kind of change.
    pub kind: ChangeKind,
    /// Target, if the path is now a symbolic link.
    pub symlink_target: Option<String>,
    /// A symbolic link that leads out of the repository through this path: the path itself, or an unchanged
    /// link.
    pub lets_out: Option<String>,
}

/// Kind of change to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// The path is new.
    Added,
    /// The content changed.
    Modified,
    /// The path is gone.
    Deleted,
    /// A file became a symbolic link or a submodule, or the reverse.
    TypeChanged,
    /// The file mode changed.
    ModeChanged,
}

/// A change the phase was not allowed to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Changed path.
    pub path: String,
    /// Rule broken by the change.
    pub reason: BreachReason,
}

/// Rule broken by a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BreachReason {
    /// Outside the phase's scope.
    OutOfScope,
    /// Protected by this pattern.
    Protected(String),
    /// Read-only by this pattern.
    ReadOnly(String),
    /// The link leads out of the repository, to this target.
    SymlinkOutside(String),
    /// This other link now leads out of the repository through the path.
    LetsOut(String),
}

impl Breach {
    /// Checks whether the breach is about protection rather than about the extent of the scope.
    pub fn is_protected(&self) -> bool {
        matches!(self.reason, BreachReason::Protected(_))
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, reason } = self;
        match reason {
            BreachReason::OutOfScope => write!(f, "{path}: outside the scope"),
            BreachReason::Protected(by) => write!(f, "{path}: protected by `{by}`"),
            BreachReason::ReadOnly(by) => write!(f, "{path}: read-only context by `{by}`"),
            BreachReason::SymlinkOutside(target) => {
                write!(f, "{path}: a symbolic link out of the repository, to {target}")
            }
            BreachReason::LetsOut(link) => {
                write!(
                    f,
                    "{path}: the symbolic link {link} leads out of the repository through this path"
                )
            }
        }
    }
}

/// Returns the changes that break the phase's rules, in the given order. `protected` applies to every phase
/// of the workspace; `existed` tells whether a path existed at the attempt's base.
pub fn breaches(
    spec: &FixedSpec,
    changes: &[Change],
    protected: &[String],
    existed: &dyn Fn(&str) -> bool,
) -> Vec<Breach> {
    let protected = ProtectedPaths::new(protected);
    let rules = Rules::new(spec, &protected);
    let breach = |change: &Change| {
        let reason = rules.reason(change, existed)?;
        Some(Breach { path: change.path.clone(), reason })
    };
    changes.iter().filter_map(breach).collect()
}

struct Rules<'a> {
    spec: &'a FixedSpec,
    workspace: &'a ProtectedPaths,
    protected: Vec<(Matcher, &'a str)>,
    read_only: Vec<(Matcher, &'a str)>,
    paths: Vec<(Matcher, &'a str)>,
    /// Paths of the scope that are files, proposed or requested by an agent: they open nothing below.
    exact: HashSet<&'a str>,
    deliverables: Vec<(Matcher, &'a str)>,
}

impl<'a> Rules<'a> {
    fn new(spec: &'a FixedSpec, workspace: &'a ProtectedPaths) -> Self {
        let plain = |list: &'a [PathPattern]| {
            list.iter().map(|p| (Matcher::new(p.as_str()), p.as_str())).collect()
        };
        let protecting = |pattern: &'a str| (Matcher::protecting(pattern), pattern);
        Self {
            spec,
            workspace,
            protected: spec.protected.iter().map(|p| protecting(p.as_str())).collect(),
            read_only: plain(&spec.read_only),
            paths: plain(&spec.scope_paths),
            exact: exact_paths(spec),
            deliverables: plain(&spec.deliverables),
        }
    }

    fn reason(&self, change: &Change, existed: &dyn Fn(&str) -> bool) -> Option<BreachReason> {
        let path = change.path.as_str();
        if let Some(dir) = reserved(path) {
            return Some(BreachReason::Protected(dir.to_owned()));
        }
        if let Some(reason) = way_out(change) {
            return Some(reason);
        }
        if let Some(by) = self.workspace.by(path)
            && !self.workspace.is_opened(path, self.spec)
        {
            return Some(BreachReason::Protected(by.to_owned()));
        }
        if self.is_closed_to_issues(path) {
            return Some(BreachReason::OutOfScope);
        }
        // A path named in full is allowed, regardless of other patterns.
        if self.deliverables.iter().any(|(matcher, _)| matcher.names(path)) {
            return None;
        }
        self.by_closeness(path, existed)
    }

    /// Decides by the closest of the phase's own patterns; at equal closeness by the stricter.
    fn by_closeness(&self, path: &str, existed: &dyn Fn(&str) -> bool) -> Option<BreachReason> {
        let deliverable = closest(&self.deliverables, path);
        let opens = |matcher: &Matcher, by: &str| !self.exact.contains(by) || matcher.names(path);
        let paths = self.paths.iter().filter(|(matcher, by)| opens(matcher, by));
        let in_paths =
            paths.filter_map(|(matcher, by)| Some((matcher.closeness(path)?, *by))).max();
        let allowed = deliverable.max(in_paths);
        let beats = |by: &(Closeness, &str)| allowed.is_none_or(|(close, _)| by.0 >= close);
        let protected = closest(&self.protected, path).filter(beats);
        let read_only = closest(&self.read_only, path).filter(beats);
        // A phase protects existing files; new files beside them are part of its work.
        if let Some((close, by)) = protected.filter(|_| existed(path))
            && read_only.is_none_or(|(other, _)| close >= other)
        {
            return Some(BreachReason::Protected(by.to_owned()));
        }
        if self.is_companion(path) {
            return None;
        }
        if let Some((_, by)) = read_only {
            return Some(BreachReason::ReadOnly(by.to_owned()));
        }
        let in_scope = allowed.is_some() || self.is_unscoped();
        (!in_scope).then_some(BreachReason::OutOfScope)
    }

    /// Checks for files that run commands or choose dependencies: issues of other people never open them by a
    /// directory, only by their full name.
    fn is_closed_to_issues(&self, path: &str) -> bool {
        let mut named = self.deliverables.iter().chain(&self.paths);
        self.spec.is_from_tracker()
            && !self.is_unscoped()
            && restriction(path).is_some()
            && !named.any(|(matcher, _)| matcher.names(path))
    }

    /// Checks for a test file of a deliverable.
    fn is_companion(&self, path: &str) -> bool {
        let files = self.spec.deliverables.iter().filter(|d| !d.is_dir() && !d.is_glob());
        files.into_iter().any(|file| companion::is_test_for(path, file.as_str()))
    }

    /// Checks whether the phase runs without a scope, so that only protection applies.
    fn is_unscoped(&self) -> bool {
        self.paths.is_empty() && self.deliverables.is_empty()
    }
}

fn closest<'a>(patterns: &[(Matcher, &'a str)], path: &str) -> Option<(Closeness, &'a str)> {
    patterns.iter().filter_map(|(matcher, by)| Some((matcher.closeness(path)?, *by))).max()
}

/// Checks both the link alone and the link followed through others: either may apply at checkout.
fn way_out(change: &Change) -> Option<BreachReason> {
    let (path, lets_out) = (change.path.as_str(), change.lets_out.as_deref());
    match &change.symlink_target {
        Some(target) if lets_out == Some(path) || leaves(path, target) => {
            Some(BreachReason::SymlinkOutside(target.clone()))
        }
        _ => lets_out.map(|link| BreachReason::LetsOut(link.to_owned())),
    }
}

/// Checks whether a link at `path` to `target` leads out of the repository or into a reserved directory.
fn leaves(path: &str, target: &str) -> bool {
    if target.starts_with('/') {
        return true;
    }
    let mut at: Vec<&str> = path.split('/').collect();
    at.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if at.pop().is_none() {
                    return true;
                }
            }
            part => at.push(part),
        }
    }
    reserved(&at.join("/")).is_some()
}

#[cfg(test)]
mod tests;
