//! What a phase may change: its spec and the paths that an attempt changed -> breaches.
//!
//! Lexical, on paths relative to the repository's root; `links` follows links. Measuring the changes is the workspace's work.

mod links;

use std::fmt;

use super::companion;
use super::matching::{Closeness, Matcher};
use super::path::reserved;
use super::protected::ProtectedPaths;
use super::spec::{FixedSpec, PathPattern};

pub use links::Links;

/// One path that differs between the attempt's base and what it left. A rename is a deletion and an addition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Relative to the repository's root, `/` between components.
    pub path: String,
    pub kind: ChangeKind,
    /// Where it points, where it is a symbolic link now.
    pub symlink_target: Option<String>,
    /// A symbolic link that leads out of the repository by way of this path: itself, or one that was not changed.
    pub lets_out: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    Added,
    Modified,
    Deleted,
    /// A file became a symbolic link, a submodule, or the other way round.
    TypeChanged,
    ModeChanged,
}

/// A change that the phase was not allowed to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    pub path: String,
    pub reason: BreachReason,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BreachReason {
    OutOfScope,
    /// By this pattern.
    Protected(String),
    /// By this pattern.
    ReadOnly(String),
    /// The link leads out of the repository, to this target.
    SymlinkOutside(String),
    /// Another link, this one, now leads out of the repository by way of the path.
    LetsOut(String),
}

impl Breach {
    /// Whether it is about protection rather than about the scope's extent.
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
                write!(f, "{path}: a link that leaves the repository, to {target}")
            }
            BreachReason::LetsOut(link) => {
                write!(f, "{path}: the link {link} leaves the repository through it")
            }
        }
    }
}

/// The changes that break the phase's rules, in the order given. `protected` holds for every phase of the
/// workspace; `existed` tells whether a path was there at the attempt's base.
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
        // What the author names in full is meant, whatever else covers it.
        if self.deliverables.iter().any(|(matcher, _)| matcher.names(path)) {
            return None;
        }
        self.by_closeness(path, existed)
    }

    /// The closest of the phase's own patterns decides; of equally close ones the more careful.
    fn by_closeness(&self, path: &str, existed: &dyn Fn(&str) -> bool) -> Option<BreachReason> {
        let deliverable = closest(&self.deliverables, path);
        let allowed = deliverable.max(closest(&self.paths, path));
        let beats = |by: &(Closeness, &str)| allowed.is_none_or(|(close, _)| by.0 >= close);
        let protected = closest(&self.protected, path).filter(beats);
        let read_only = closest(&self.read_only, path).filter(beats);
        // A phase protects what is there; what it adds beside it is its work.
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

    /// A test file for a deliverable.
    fn is_companion(&self, path: &str) -> bool {
        let files = self.spec.deliverables.iter().filter(|d| !d.is_dir() && !d.is_glob());
        files.into_iter().any(|file| companion::is_test_for(path, file.as_str()))
    }

    /// Allowed to run without a scope: only protection holds.
    fn is_unscoped(&self) -> bool {
        self.paths.is_empty() && self.deliverables.is_empty()
    }
}

fn closest<'a>(patterns: &[(Matcher, &'a str)], path: &str) -> Option<(Closeness, &'a str)> {
    patterns.iter().filter_map(|(matcher, by)| Some((matcher.closeness(path)?, *by))).max()
}

/// Read alone or followed through others: either may hold where it is checked out.
fn way_out(change: &Change) -> Option<BreachReason> {
    let (path, lets_out) = (change.path.as_str(), change.lets_out.as_deref());
    match &change.symlink_target {
        Some(target) if lets_out == Some(path) || leaves(path, target) => {
            Some(BreachReason::SymlinkOutside(target.clone()))
        }
        _ => lets_out.map(|link| BreachReason::LetsOut(link.to_owned())),
    }
}

/// Whether a link at `path` to `target` leads out of the repository, or into what is reserved.
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
