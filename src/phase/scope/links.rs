//! Resolution of a tree's symbolic links, through every other link on the way, as the kernel does.
//!
//! Pure: the workspace reads the links. A missing target is resolved by name, since a file may appear there
//! later.

use std::collections::{BTreeMap, BTreeSet};

use super::super::path::reserved;

/// Maximum number of links followed for a path. The kernel refuses more (path_resolution(7)).
const FOLLOWED: usize = 40;

/// Symbolic links of a tree: paths from the root and their targets. Bytes, since two names in invalid UTF-8
/// could otherwise collide.
#[derive(Debug, Default)]
pub struct Links(BTreeMap<Vec<u8>, Vec<u8>>);

impl FromIterator<(Vec<u8>, Vec<u8>)> for Links {
    fn from_iter<I: IntoIterator<Item = (Vec<u8>, Vec<u8>)>>(links: I) -> Self {
        Self(links.into_iter().collect())
    }
}

impl Links {
    /// Returns the links that lead out of the repository, or into a reserved directory, through a changed
    /// path: the changed path and the link. A link that leads out without any changed path belongs to the
    /// repository.
    pub fn out_by_way_of(&self, changed: &BTreeSet<&[u8]>) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut ways = BTreeMap::new();
        for link in self.0.keys() {
            let mut walk = Walk { links: self, changed, met: None, at: Vec::new() };
            if walk.leaves(link)
                && let Some(met) = walk.met
            {
                // A link that is itself changed says more than another link through the path.
                match met == *link {
                    true => drop(ways.insert(met, link.clone())),
                    false => drop(ways.entry(met).or_insert_with(|| link.clone())),
                }
            }
        }
        ways
    }
}

/// A link being followed.
struct Walk<'a> {
    links: &'a Links,
    changed: &'a BTreeSet<&'a [u8]>,
    /// First changed path on the way.
    met: Option<Vec<u8>>,
    /// Current position: names from the root, joined.
    at: Vec<u8>,
}

impl Walk<'_> {
    fn leaves(&mut self, link: &[u8]) -> bool {
        let mut to_go: Vec<&[u8]> = link.split(|b| *b == b'/').rev().collect();
        let mut followed = 0;
        while let Some(name) = to_go.pop() {
            match name {
                b"" | b"." => continue,
                b".." if self.at.is_empty() => return true,
                b".." => self.up(),
                name => self.enter(name),
            }
            let Some(target) = self.links.0.get(&self.at).filter(|_| name != b"..") else {
                continue;
            };
            followed += 1;
            if target.starts_with(b"/") {
                return true;
            }
            if followed > FOLLOWED {
                return false;
            }
            self.up();
            to_go.extend(target.split(|b| *b == b'/').rev());
        }
        reserved(&String::from_utf8_lossy(&self.at)).is_some()
    }

    fn up(&mut self) {
        let end = self.at.iter().rposition(|b| *b == b'/').unwrap_or_default();
        self.at.truncate(end);
    }

    fn enter(&mut self, name: &[u8]) {
        if !self.at.is_empty() {
            self.at.push(b'/');
        }
        self.at.extend_from_slice(name);
        if self.met.is_none() && self.changed.contains(self.at.as_slice()) {
            self.met = Some(self.at.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs of `changed by link`, in order.
    fn out(links: &[(&str, &str)], changed: &[&str]) -> Vec<String> {
        let bytes = |(path, to): &(&str, &str)| (path.as_bytes().to_vec(), to.as_bytes().to_vec());
        let links: Links = links.iter().map(bytes).collect();
        let changed = changed.iter().map(|path| path.as_bytes()).collect();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let ways = links.out_by_way_of(&changed);
        ways.iter().map(|(path, link)| format!("{} by {}", text(path), text(link))).collect()
    }

    #[test]
    fn a_link_is_followed_through_others() {
        let chain = [("s/p/q/root", "../../.."), ("s/esc", "p/q/root/../outside")];
        assert_eq!(out(&chain, &["s/p/q/root", "s/esc"]), ["s/esc by s/esc"]);
        assert_eq!(out(&chain, &["s/p/q/root"]), ["s/p/q/root by s/esc"]);
        // A link from before the attempt is not a breach.
        assert_eq!(out(&chain, &["s/other"]), [""; 0]);
        let tracked = [("ext", "/beside"), ("s/l", "../ext/f"), ("s/up", "..")];
        assert_eq!(out(&tracked, &["s/l", "s/up"]), ["s/l by s/l"]);
        let reserved = [("s/up", ".."), ("s/hooks", "up/.git/hooks"), ("s/ok", "up/s/a")];
        assert_eq!(out(&reserved, &["s/hooks", "s/ok", "s/up"]), ["s/hooks by s/hooks"]);
    }

    #[test]
    fn a_link_loop_has_no_target() {
        let circles = [("a", "b/x"), ("b", "a/y"), ("c", "c"), ("d", "d/../..")];
        assert_eq!(out(&circles, &["a", "b", "c", "d"]), [""; 0]);
    }

    #[test]
    fn a_link_may_come_back_deeper_than_it_is_written() {
        // The link alone would leave the repository, but forbidding that is not this module's task.
        assert_eq!(out(&[("d", "x/y"), ("up", "d/../../a")], &["d", "up"]), [""; 0]);
    }
}
