//! Issues of beads and their parents: selects the phases and finds the dependencies of each phase.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::group_nodes::GroupUses;
use super::item_fields::ItemFields;
use super::source_place::SourcePosition;
use super::standing::SourceStatus;

/// An issue and the position in the source.
pub(super) struct Issue {
    pub place: SourcePosition,
    pub fields: Map<String, Value>,
    pub id: String,
    pub status: SourceStatus,
    /// Ids of issues that block this issue.
    pub blockers: Vec<String>,
    pub parent: Option<String>,
}

/// Issues by id, and the children of each.
pub(super) struct IssueTree<'a> {
    by_id: HashMap<&'a str, &'a Issue>,
    children: HashMap<&'a str, Vec<&'a str>>,
    /// Groups that are phases.
    kept: HashSet<&'a str>,
}

impl<'a> IssueTree<'a> {
    pub fn new(issues: &'a [Issue]) -> Self {
        let mut children: HashMap<&str, Vec<&str>> = HashMap::new();
        for issue in issues {
            if let Some(parent) = issue.parent.as_deref().filter(|parent| *parent != issue.id) {
                children.entry(parent).or_default().push(&issue.id);
            }
        }
        let by_id = issues.iter().map(|issue| (issue.id.as_str(), issue)).collect();
        let mut tree = Self { by_id, children, kept: HashSet::new() };
        tree.kept = tree.find_kept(issues);
        tree
    }

    fn find_kept(&self, issues: &'a [Issue]) -> HashSet<&'a str> {
        let mut uses = GroupUses::default();
        let is_group = |id: &&String| self.by_id.get(id.as_str()).is_some_and(|i| self.is_group(i));
        for issue in issues.iter().filter(|issue| !self.is_group(issue)) {
            let around = self.ancestors(issue);
            let blockers = around.iter().flat_map(|above| &above.blockers);
            for blocker in issue.blockers.iter().chain(blockers).filter(is_group) {
                uses.add(blocker);
            }
        }
        let members = |group: &str| {
            let mut found = Vec::new();
            self.add_phases(group, &mut HashSet::new(), &mut found);
            found.len()
        };
        uses.kept(members)
    }

    pub fn is_phase(&self, issue: &Issue) -> bool {
        !self.is_group(issue) || self.kept.contains(issue.id.as_str())
    }

    pub fn children(&self, id: &str) -> &[&'a str] {
        self.children.get(id).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether an issue is an open epic with children.
    pub fn is_group(&self, issue: &Issue) -> bool {
        let kind = ItemFields(&issue.fields).text("issue_type");
        let is_open = matches!(issue.status, SourceStatus::Open | SourceStatus::Unknown(_));
        kind.eq_ignore_ascii_case("epic") && is_open && !self.children(&issue.id).is_empty()
    }

    /// The parents of an issue, the nearest first. Ends at a cycle.
    pub fn ancestors(&self, issue: &'a Issue) -> Vec<&'a Issue> {
        let mut found: Vec<&Issue> = Vec::new();
        let mut next = issue.parent.as_deref();
        while let Some(parent) = next.and_then(|id| self.by_id.get(id)) {
            if parent.id == issue.id || found.iter().any(|other| other.id == parent.id) {
                break;
            }
            found.push(parent);
            next = parent.parent.as_deref();
        }
        found
    }

    /// Replaces a group by the children, also for nested groups.
    fn add_phases(&self, id: &str, seen: &mut HashSet<String>, into: &mut Vec<String>) {
        if !seen.insert(id.to_owned()) {
            return;
        }
        match self.by_id.get(id).filter(|issue| !self.is_phase(issue)) {
            Some(_) => {
                self.children(id).iter().for_each(|child| self.add_phases(child, seen, into))
            }
            None => into.push(id.to_owned()),
        }
    }

    /// Whether a child comes after the group.
    fn waits(&self, child: &str, group: &Issue) -> bool {
        let child = self.by_id.get(child).filter(|_| self.is_group(group));
        child.is_some_and(|child| child.blockers.contains(&group.id))
    }

    /// The dependencies of an issue, as phases.
    pub fn dependencies(&self, issue: &'a Issue, ancestors: &[&'a Issue]) -> Vec<String> {
        let mut seen = HashSet::from([issue.id.clone()]);
        let mut found = Vec::new();
        for blocker in &issue.blockers {
            match *blocker == issue.id {
                // A cycle, which is reported.
                true => found.push(blocker.clone()),
                false => self.add_phases(blocker, &mut seen, &mut found),
            }
        }
        for child in self.children(&issue.id).iter().filter(|child| !self.waits(child, issue)) {
            self.add_phases(child, &mut seen, &mut found);
        }
        for ancestor in ancestors {
            let is_inside = |id: &str| {
                let inside = self.by_id.get(id);
                inside.is_some_and(|other| {
                    other.id == ancestor.id
                        || self.ancestors(other).iter().any(|above| above.id == ancestor.id)
                })
            };
            // An epic may name its own children as blockers.
            for blocker in ancestor.blockers.iter().filter(|blocker| !is_inside(blocker)) {
                self.add_phases(blocker, &mut seen, &mut found);
            }
        }
        found
    }
}
