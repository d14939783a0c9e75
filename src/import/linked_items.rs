//! Items with links to each other: parents, blockers and groups.
//!
//! A parent is a phase and waits for the children. An open group with children is no phase: items waiting for the group
//! wait for the children, and the children wait for every blocker of the group. See `group_nodes` for large groups.

use std::collections::{HashMap, HashSet};

use serde_json::json;

use super::backlog_item::BacklogItem;
use super::drafting::PlanDraftBuilder;
use super::group_nodes::GroupUses;
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
    /// Items waiting for this item.
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

/// Drops items with the ids of earlier items, with a warning. A tracker lists an issue twice only in joined exports. An
/// issue settled in one export is settled.
pub(super) fn without_repeats(
    items: Vec<LinkedItem>,
    plain: fn(&str) -> String,
    draft: &mut PlanDraftBuilder,
) -> Vec<LinkedItem> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut kept: Vec<LinkedItem> = Vec::with_capacity(items.len());
    for again in items {
        let id = plain(&again.item.id);
        let Some(first) = places.get(&id).map(|at| &mut kept[*at]) else {
            places.insert(id, kept.len());
            kept.push(again);
            continue;
        };
        if is_open(&first.item) {
            first.item.status = again.item.status;
        }
        let (place, id, first) = (again.place, again.item.id, &first.place);
        draft.warn(format!("{place}: {id} is listed before, at {first}; not imported again"));
    }
    kept
}

fn is_open(item: &BacklogItem) -> bool {
    matches!(item.status, SourceStatus::Open | SourceStatus::Unknown(_))
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
        if links.is_group(&item.id) && !links.is_kept(&item.id) {
            draft.leave_out(run, &item.id, group);
            continue;
        }
        item.depends_on = links.needs(&item.id);
        // A settled parent waits for nothing any more.
        let children = if is_open(&item) { links.children_before(&item.id) } else { Vec::new() };
        if !children.is_empty() {
            item.extra.insert("allow_no_change".to_owned(), json!(true));
        }
        let known: HashSet<String> = item.depends_on.iter().cloned().collect();
        item.depends_on.extend(children.into_iter().filter(|child| !known.contains(child)));
        draft.item(place, item, run);
    }
}

/// Makes ids unique and returns the ids by their plain form. The first item with an id keeps the id.
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
    /// Groups that are phases.
    kept: HashSet<String>,
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
            linked.is_group && is_open(&linked.item) && children.contains_key(&linked.item.id)
        };
        let groups = items.iter().filter(is_group).map(|linked| linked.item.id.clone()).collect();
        let mut links = Self { needs, children, parents, groups, kept: HashSet::new() };
        links.kept = links.find_kept(items);
        links
    }

    fn find_kept(&self, items: &[LinkedItem]) -> HashSet<String> {
        let mut uses = GroupUses::default();
        for LinkedItem { item, .. } in items.iter().filter(|linked| !self.is_group(&linked.item.id))
        {
            for need in self.links_of(&item.id).filter(|need| self.is_group(need)) {
                uses.add(need);
            }
        }
        let members = |group: &str| {
            let mut found = Vec::new();
            self.expand(group, &mut HashSet::new(), &mut found);
            found.len()
        };
        uses.kept(members).into_iter().map(str::to_owned).collect()
    }

    fn is_kept(&self, id: &str) -> bool {
        self.kept.contains(id)
    }

    fn is_group(&self, id: &str) -> bool {
        self.groups.contains(id)
    }

    /// The links of an item as written, and the links of the groups around the item.
    fn links_of<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a String> {
        let mut seen = HashSet::new();
        let mut at = Some(id);
        let holders = std::iter::from_fn(move || {
            let holder = at.filter(|holder| seen.insert(*holder))?;
            at = self.parents.get(holder).map(String::as_str).filter(|id| self.is_group(id));
            Some(holder)
        });
        holders.flat_map(|holder| self.needs.get(holder).into_iter().flatten())
    }

    /// The dependencies of an item.
    fn needs(&self, id: &str) -> Vec<String> {
        let mut found = Vec::new();
        for need in self.links_of(id) {
            self.expand(need, &mut HashSet::new(), &mut found);
        }
        let mut unique = HashSet::new();
        found.retain(|need| need != id && unique.insert(need.clone()));
        found
    }

    /// Replaces a group by the children, unless the group is kept.
    fn expand<'a>(&'a self, id: &'a str, seen: &mut HashSet<&'a str>, found: &mut Vec<String>) {
        match self.children.get(id).filter(|_| self.is_group(id) && !self.is_kept(id)) {
            None => found.push(id.to_owned()),
            Some(children) if seen.insert(id) => {
                children.iter().for_each(|child| self.expand(child, seen, found));
            }
            Some(_) => {}
        }
    }

    /// The phases of the children of an item. Children waiting for the item are left out, because they come after the
    /// item.
    fn children_before<'a>(&'a self, id: &'a str) -> Vec<String> {
        let (mut found, mut seen) = (Vec::new(), HashSet::from([id]));
        for child in self.children.get(id).into_iter().flatten() {
            // The children of other items may be groups, which are no phases.
            match self.is_kept(id) {
                true => self.expand(child, &mut seen, &mut found),
                false => found.push(child.clone()),
            }
        }
        let comes_after = |child: &String| {
            self.needs.get(child).is_some_and(|needs| needs.iter().any(|need| need == id))
        };
        found.retain(|child| !comes_after(child));
        found
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
    fn a_large_group_that_blocks_a_large_group_is_a_phase() {
        let mut items = vec![
            linked("root", "", &[], &[], false),
            linked("e", "", &["root"], &[], true),
            linked("f", "", &["e"], &[], true),
        ];
        items.extend((0..40).map(|n| linked(&format!("e{n}"), "e", &[], &[], false)));
        items.extend((0..40).map(|n| linked(&format!("f{n}"), "f", &[], &[], false)));
        items.push(linked("after", "", &["f"], &[], false));
        let edges = edges(items);
        let members = (0..40).map(|n| format!("e{n}")).collect::<Vec<_>>().join(" ");
        assert_eq!(edges[1], format!("e: root {members}"));
        assert_eq!(edges[2], "e0: root");
        assert_eq!(edges[42], "f0: e");
        let members = (0..40).map(|n| format!("f{n}")).collect::<Vec<_>>().join(" ");
        assert_eq!(edges[82], format!("after: {members}"));
        assert_eq!(edges.len(), 83);
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
