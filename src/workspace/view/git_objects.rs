//! Objects that the slot's git borrows: shown read-only, at paths inside of the view.
//!
//! The slot's `.git` is written by the agent, so nothing is read from it: autopack knows what it let the slot borrow.
//! Each `objects/info/alternates` is covered by a file with the paths of the view.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::mount_list::{MountList, bind};
use super::path_expansion::resolve;
use super::placeholders::{EntryKind, kind_below};
use super::private_directory::PrivateDirectory;
use super::view_place::ViewPlace;
use crate::git::error::Result;
use crate::git::path_bytes::{from_bytes, to_bytes};
use crate::process::view::spec::Access;

/// Git's limit for alternates of alternates.
const DEEPEST: usize = 5;
const ALTERNATES: &str = "info/alternates";

/// Object directories of a view, each with its path there.
struct ShownObjects<'a> {
    directory: &'a Path,
    objects: Vec<PathBuf>,
}

impl ShownObjects<'_> {
    fn path_of(&mut self, objects: &Path) -> PathBuf {
        let known = self.objects.iter().position(|known| known == objects);
        let number = known.unwrap_or_else(|| {
            self.objects.push(objects.to_owned());
            self.objects.len() - 1
        });
        self.directory.join(number.to_string())
    }
}

/// Shows the borrowed objects below `directory`.
pub(super) fn show_objects(
    list: &mut MountList,
    place: &ViewPlace,
    private: &PrivateDirectory,
    directory: &Path,
) -> Result<()> {
    let mut shown = ShownObjects { directory, objects: Vec::new() };
    for (number, git) in place.borrowing.iter().enumerate() {
        let mut text = Vec::new();
        for objects in with_alternates(&git.borrows) {
            text.extend_from_slice(to_bytes(&shown.path_of(&objects)));
            text.push(b'\n');
        }
        let file = git.below.join("objects").join(ALTERNATES);
        // The agent may have put a link in its place.
        if kind_below(&place.copy, &file) == Some(EntryKind::File) {
            let written = private.file(&format!("alternates-{number}"), &text)?;
            list.add(bind(&written, &place.checkout.join(&file), Access::ReadOnly));
        }
    }
    let empty = private.file("no-alternates", b"")?;
    for (number, objects) in shown.objects.iter().enumerate() {
        let target = directory.join(number.to_string());
        list.add(bind(objects, &target, Access::ReadOnly));
        // All of them are in the slot's list, and their paths mean nothing in the view.
        if objects.join(ALTERNATES).is_file() {
            list.add(bind(&empty, &target.join(ALTERNATES), Access::ReadOnly));
        }
    }
    Ok(())
}

/// Returns the existing object directories, and those that they borrow from, in order.
pub(super) fn with_alternates(borrows: &[PathBuf]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    let mut open: Vec<(PathBuf, usize)> =
        borrows.iter().rev().map(|objects| (resolve(objects), 0)).collect();
    while let Some((objects, level)) = open.pop() {
        if found.contains(&objects) || !objects.is_dir() {
            continue;
        }
        if level < DEEPEST {
            let more = read_alternates(&objects).unwrap_or_default();
            open.extend(more.iter().rev().map(|path| (resolve(path), level + 1)));
        }
        found.push(objects);
    }
    found
}

/// Reads the alternates of an object directory of the user's (gitrepository-layout(5)).
fn read_alternates(objects: &Path) -> io::Result<Vec<PathBuf>> {
    let text = fs::read(objects.join(ALTERNATES))?;
    let lines = text.split(|byte| *byte == b'\n');
    Ok(lines
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
        .map(|line| objects.join(from_bytes(&unquoted(line))))
        .collect())
}

/// Decodes a path in quotes, as written by git for unusual names.
fn unquoted(line: &[u8]) -> Vec<u8> {
    let Some(inner) = line.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) else {
        return line.to_vec();
    };
    let mut plain = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'\\' {
            plain.push(*first);
            continue;
        }
        let digits: Vec<u8> =
            rest.iter().take(3).take_while(|b| (b'0'..=b'7').contains(*b)).copied().collect();
        if digits.len() == 3 {
            plain.push(
                digits
                    .iter()
                    .fold(0u8, |all, digit| all.wrapping_mul(8).wrapping_add(digit - b'0')),
            );
            rest = &rest[3..];
        } else if let [escape, after @ ..] = rest {
            plain.push(match escape {
                b'n' => b'\n',
                b't' => b'\t',
                other => *other,
            });
            rest = after;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternates_of_alternates_are_found_once() {
        let temp = tempfile::tempdir().unwrap();
        let top = temp.path().canonicalize().unwrap();
        for name in ["a", "b", "c d", "e"] {
            fs::create_dir_all(top.join(name).join("info")).unwrap();
        }
        let quoted = format!("# comment\n\"{}/c\\040d\"\n../missing\n", top.display());
        fs::write(top.join("a/info/alternates"), "../b\n").unwrap();
        fs::write(top.join("b/info/alternates"), quoted).unwrap();
        fs::write(top.join("c d/info/alternates"), "../a\n../e\n").unwrap();
        let found = with_alternates(&[top.join("a"), top.join("e"), top.join("none")]);
        assert_eq!(found, ["a", "b", "c d", "e"].map(|name| top.join(name)));
    }
}
