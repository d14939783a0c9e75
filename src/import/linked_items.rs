//! Items with links to each other: parents, blockers and groups.
//!
//! A parent is a phase that waits for its children. An open group with children is no phase: items that wait for the
//! group wait for its children, and its children wait for whatever blocks the group.

use std::collections::{HashMap, HashSet};

use serde_json::json;

use super::backlog_item::BacklogItem;
use super::drafting::PlanDraftBuilder;
use super::markdown::item_text::UniqueIds;
use super::source_place::SourcePosition;
use super::standing::SourceStatus;

/// An item with its links, as ids written in the source.
pub(super) struct LinkedItem {
    pub place: SourcePosition,
    pub item: BacklogItem,
    /// Further ids of the item.
    pub aliases: Vec<String>,
    pub parent: String,
    pub children: Vec<String>,
    /// Items that wait for this one.
    pub blocks: Vec<String>,
    /// Whether the item is a group, such as an epic.
    pub is_group: bool,
}

impl LinkedItem {
    /// An item without links, except its dependencies.
    pub fn new(place: SourcePosition, item: BacklogItem) -> Self {
        let (aliases, children, blocks) = (Vec::new(), Vec::new(), Vec::new());
        let parent = String::new();
        Self { place, item, aliases, parent, children, blocks, is_group: false }
    }
}

/// Adds items as phases. `plain` is the form in which ids are compared. Groups are counted as `group`.
pub(super) fn add_linked(
    mut items: Vec<LinkedItem>,
    run: Option<&str>,
    plain: fn(&str) -> String,
    group: &str,
    draft: &mut PlanDraftBuilder,
) {
    let known = unique_ids(&mut items, plain, draft);
    let links = ItemLinks::new(&items, &known, plain);
    for LinkedItem { place, mut item, .. } in items {
        if links.is_group(&item.id) {
            draft.leave_out(run, &item.id, group);
            continue;
        }
        item.depends_on = links.needs(&item.id);
        // A settled parent waits for nothing any more.
        let is_open = matches!(item.status, SourceStatus::Open | SourceStatus::Unknown(_));
        for child in links.children_before(&item.id).filter(|_| is_open) {
            if !item.depends_on.contains(child) {
                item.depends_on.push(child.clone());
            }
            item.extra.insert("allow_no_change".to_owned(), json!(true));
        }
        draft.item(place, item, run);
    }
}

/// Makes ids unique and returns the ids by their plain form; the first item with an id has it.
fn unique_ids(
    items: &mut [LinkedItem],
    plain: fn(&str) -> String,
    draft: &mut PlanDraftBuilder,
) -> HashMap<String, String> {
    let mut ids = UniqueIds::default();
    let mut known = HashMap::new();
    for linked in items {
        let written = std::mem::take(&mut linked.item.id);
        let id = ids.next(&written);
        if id != written {
            draft.warn(format!("{}: the id {written} is used twice; this is `{id}`", linked.place));
        }
        for name in linked.aliases.iter().chain([&written]) {
            known.entry(plain(name)).or_insert_with(|| id.clone());
        }
        linked.item.id = id;
    }
    known
}

/// The links of all items, by id.
struct ItemLinks {
    needs: HashMap<String, Vec<String>>,
    children: HashMap<String, Vec<String>>,
    parents: HashMap<String, String>,
    groups: HashSet<String>,
}

impl ItemLinks {
    fn new(
        items: &[LinkedItem],
        known: &HashMap<String, String>,
        plain: fn(&str) -> String,
    ) -> Self {
        // Unknown ids stay as written, to be noted.
        let resolve = |id: &String| known.get(&plain(id)).unwrap_or(id).clone();
        let mut needs: HashMap<String, Vec<String>> = HashMap::new();
        let mut children: HashMap<String, Vec<String>> = HashMap::new();
        let mut parents = HashMap::new();
        let mut belong = |child: String, parent: String| {
            if child != parent && !parents.contains_key(&child) {
                children.entry(parent.clone()).or_default().push(child.clone());
                parents.insert(child, parent);
            }
        };
        for LinkedItem { item, parent, children, blocks, .. } in items {
            needs.entry(item.id.clone()).or_default().extend(item.depends_on.iter().map(resolve));
            for blocked in blocks.iter().map(resolve) {
                needs.entry(blocked).or_default().push(item.id.clone());
            }
            if !parent.is_empty() {
                belong(item.id.clone(), resolve(parent));
            }
            for child in children.iter().filter_map(|child| known.get(&plain(child))) {
                belong(child.clone(), item.id.clone());
            }
        }
        let is_group = |linked: &&LinkedItem| {
            let is_open =
                matches!(linked.item.status, SourceStatus::Open | SourceStatus::Unknown(_));
            linked.is_group && is_open && children.contains_key(&linked.item.id)
        };
        let groups = items.iter().filter(is_group).map(|linked| linked.item.id.clone()).collect();
        Self { needs, children, parents, groups }
    }

    fn is_group(&self, id: &str) -> bool {
        self.groups.contains(id)
    }

    /// The items that an item waits for: its own blockers, and those of the groups around it.
    fn needs(&self, id: &str) -> Vec<String> {
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        let mut at = Some(id);
        while let Some(holder) = at.filter(|holder| seen.insert(*holder)) {
            for need in self.needs.get(holder).into_iter().flatten() {
                self.expand(need, &mut HashSet::new(), &mut found);
            }
            at =
                self.parents.get(holder).map(String::as_str).filter(|parent| self.is_group(parent));
        }
        let mut unique = HashSet::new();
        found.retain(|need| need != id && unique.insert(need.clone()));
        found
    }

    /// Replaces a group by its children.
    fn expand<'a>(&'a self, id: &'a str, seen: &mut HashSet<&'a str>, found: &mut Vec<String>) {
        match self.children.get(id).filter(|_| self.is_group(id)) {
            None => found.push(id.to_owned()),
            Some(children) if seen.insert(id) => {
                children.iter().for_each(|child| self.expand(child, seen, found));
            }
            Some(_) => {}
        }
    }

    /// The children of an item, except those that wait for it: they come after it.
    fn children_before(&self, id: &str) -> impl Iterator<Item = &String> {
        let comes_after = move |child: &&String| {
            self.needs.get(*child).is_some_and(|needs| needs.iter().any(|need| need == id))
        };
        let children = self.children.get(id).into_iter().flatten();
        children.filter(move |child| !comes_after(child))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::import::format::Input;
    use crate::import::{Existing, ReadOptions};

    fn linked(
        id: &str,
        parent: &str,
        needs: &[&str],
        blocks: &[&str],
        is_group: bool,
    ) -> LinkedItem {
        let place = SourcePosition::File("a".into());
        let all = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        let item = BacklogItem { depends_on: all(needs), ..BacklogItem::new(id, id) };
        LinkedItem {
            parent: parent.to_owned(),
            blocks: all(blocks),
            is_group,
            ..LinkedItem::new(place, item)
        }
    }

    fn edges(items: Vec<LinkedItem>) -> Vec<String> {
        let input = Input::of_bytes(Path::new("a.csv"), b"");
        let mut draft = PlanDraftBuilder::new(&input, "csv", &ReadOptions::default());
        add_linked(items, None, str::to_lowercase, "epics", &mut draft);
        let plan = draft.finish().unwrap().resolve(&Existing::default()).unwrap();
        let edge = |phase: &crate::phase::plan::PlanPhase| {
            let needs: Vec<&str> = phase.depends_on.iter().map(|id| id.as_str()).collect();
            format!("{}: {}", phase.phase_id, needs.join(" "))
        };
        plan.runs[0].phases.iter().map(edge).collect()
    }

    #[test]
    fn parents_wait_for_children_unless_the_children_wait_for_them() {
        let items = vec![
            linked("a", "", &[], &["C"], false),
            linked("b", "A", &[], &[], false),
            linked("c", "a", &["a"], &[], false),
            linked("d", "gone", &["x"], &[], false),
            linked("a", "", &[], &[], false),
        ];
        assert_eq!(edges(items), ["a: b", "b: ", "c: a", "d: ", "a-2: "]);
    }

    #[test]
    fn groups_pass_their_links_to_their_children() {
        let items = vec![
            linked("e", "", &["x"], &[], true),
            linked("f", "e", &[], &[], true),
            linked("b", "f", &[], &[], false),
            linked("c", "e", &["b"], &[], false),
            linked("x", "", &[], &[], false),
            linked("y", "", &["e"], &[], false),
            linked("lone", "", &[], &[], true),
        ];
        assert_eq!(edges(items), ["b: x", "c: b x", "x: ", "y: b c", "lone: "]);
    }

    #[test]
    fn circles_of_parents_end() {
        let items = vec![
            linked("a", "b", &[], &[], true),
            linked("b", "a", &[], &[], true),
            linked("c", "", &["a"], &[], false),
        ];
        assert_eq!(edges(items), ["c: "]);
    }
}
