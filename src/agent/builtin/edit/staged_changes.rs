//! Plans the changes requested by a model on the present files: all of them, or a refusal.

use std::collections::BTreeMap;

use super::{Hunk, Refusal, apply_hunks, replace, whole};

/// A requested change of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::agent::builtin) enum FileChange {
    /// Writes the whole file, existing or not.
    Write {
        path: String,
        content: String,
    },
    Replace {
        path: String,
        old: String,
        new: String,
    },
    /// Adds a new file.
    Add {
        path: String,
        content: String,
    },
    Update {
        path: String,
        to: Option<String>,
        hunks: Vec<Hunk>,
    },
    Delete {
        path: String,
    },
}

/// A file before and after the change; `None` means no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::agent::builtin) struct Staged {
    pub path: String,
    pub before: Option<String>,
    pub after: Option<String>,
    /// The original path of a moved file; the mode is kept.
    pub from: Option<String>,
}

/// Plans changes without writing. `read` returns the file at a path, if any.
pub(in crate::agent::builtin) fn plan(
    changes: &[FileChange],
    read: &mut dyn FnMut(&str) -> Result<Option<String>, Refusal>,
) -> Result<Vec<Staged>, Refusal> {
    let mut stage = Stage { read, files: BTreeMap::new(), order: Vec::new() };
    for change in changes {
        stage.change(change).map_err(|why| Refusal(format!("{}: {why}", change.path())))?;
    }
    let files = stage.order.iter().filter_map(|path| stage.files.remove(path));
    let staged: Vec<Staged> = files.filter(|file| file.before != file.after).collect();
    match staged.is_empty() {
        true => Err(Refusal::new("nothing would change")),
        false => Ok(staged),
    }
}

impl FileChange {
    pub(in crate::agent::builtin) fn path(&self) -> &str {
        match self {
            Self::Write { path, .. }
            | Self::Replace { path, .. }
            | Self::Add { path, .. }
            | Self::Update { path, .. }
            | Self::Delete { path } => path,
        }
    }
}

struct Stage<'a> {
    read: &'a mut dyn FnMut(&str) -> Result<Option<String>, Refusal>,
    files: BTreeMap<String, Staged>,
    order: Vec<String>,
}

impl Stage<'_> {
    fn change(&mut self, change: &FileChange) -> Result<(), Refusal> {
        match change {
            FileChange::Write { path, content } => {
                let file = self.file(path)?;
                file.after = Some(whole::whole(file.after.as_deref(), content));
            }
            FileChange::Replace { path, old, new } => {
                let file = self.file(path)?;
                file.after = Some(replace::replace(present(file)?, old, new)?);
            }
            FileChange::Add { path, content } => {
                let file = self.file(path)?;
                if file.after.is_some() {
                    return Err(Refusal::new("it already exists; change it instead"));
                }
                file.after = Some(content.clone());
            }
            FileChange::Update { path, to, hunks } => self.update(path, to.as_deref(), hunks)?,
            FileChange::Delete { path } => {
                let file = self.file(path)?;
                present(file)?;
                file.after = None;
            }
        }
        Ok(())
    }

    fn update(&mut self, path: &str, to: Option<&str>, hunks: &[Hunk]) -> Result<(), Refusal> {
        let file = self.file(path)?;
        let text = present(file)?;
        let text = match hunks.is_empty() {
            true if to.is_none() => return Err(Refusal::new("the patch contains no change to it")),
            true => text.to_owned(),
            false => apply_hunks::apply(text, hunks)?,
        };
        let Some(to) = to.filter(|to| *to != path) else {
            file.after = Some(text);
            return Ok(());
        };
        file.after = None;
        let target = self.file(to)?;
        if target.after.is_some() {
            return Err(Refusal(format!("it cannot move to {to}, which already exists")));
        }
        (target.after, target.from) = (Some(text), Some(path.to_owned()));
        Ok(())
    }

    fn file(&mut self, path: &str) -> Result<&mut Staged, Refusal> {
        if !self.files.contains_key(path) {
            let before = (self.read)(path)?;
            let after = before.clone();
            self.order.push(path.to_owned());
            let file = Staged { path: path.to_owned(), before, after, from: None };
            self.files.insert(path.to_owned(), file);
        }
        Ok(self.files.get_mut(path).expect("the entry was inserted above"))
    }
}

fn present(file: &Staged) -> Result<&str, Refusal> {
    file.after
        .as_deref()
        .ok_or_else(|| Refusal::new("there is no such file; to create it use `write`"))
}

#[cfg(test)]
mod tests {
    use super::super::parse_patch;
    use super::*;

    fn planned(patch: &str) -> Result<Vec<Staged>, Refusal> {
        let mut read = |path: &str| {
            Ok(match path {
                "a" => Some("one\n".to_owned()),
                "b" => Some("two\n".to_owned()),
                _ => None,
            })
        };
        plan(&parse_patch(patch)?, &mut read)
    }

    fn staged(path: &str, before: Option<&str>, after: Option<&str>) -> Staged {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Staged { path: path.to_owned(), before: owned(before), after: owned(after), from: None }
    }

    #[test]
    fn files_are_staged_together() {
        let patch = "*** Begin Patch\n*** Update File: a\n-one\n+ONE\n*** Delete File: b\n*** Add File: c\n+new\n*** End Patch";
        assert_eq!(
            planned(patch).unwrap(),
            [
                staged("a", Some("one\n"), Some("ONE\n")),
                staged("b", Some("two\n"), None),
                staged("c", None, Some("new\n")),
            ]
        );
        let moved = planned("*** Update File: a\n*** Move to: d\n@@\n-one\n+1").unwrap();
        assert_eq!(moved[0], staged("a", Some("one\n"), None));
        assert_eq!(moved[1], Staged { from: Some("a".into()), ..staged("d", None, Some("1\n")) });
    }

    #[test]
    fn one_file_that_does_not_fit_refuses_all() {
        let why = |patch| planned(patch).unwrap_err().0;
        let patch = "*** Update File: a\n-one\n+ONE\n*** Update File: b\n-three\n+3\n";
        assert!(why(patch).starts_with("b: hunk 1 of 1: its lines are not in the file"));
        assert!(why("*** Add File: a\n+x").starts_with("a: it already exists"));
        assert!(why("*** Delete File: x").starts_with("x: there is no such file"));
        assert!(why("*** Update File: a\n*** Move to: b").contains("cannot move to b"));
        assert!(
            why("*** Update File: a\n-one\n+2\n*** Update File: a\n-2\n+one")
                .contains("nothing would change")
        );
    }
}
