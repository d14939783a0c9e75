//! Single refs and checked-out branches, read from files instead of by a git process.
//!
//! Only plain cases are read here, in the same order as git: the ref's own file, then `packed-refs`. For everything else
//! (symbolic refs, other ref formats, worktrees in the making) there is no answer, and git is asked.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Larger files are left to git, which searches them without reading them.
const LARGEST_PACKED: u64 = 1024 * 1024;

/// Reads refs of a repository; `None` if git must be asked. A missing ref is `Some(None)`.
pub(crate) struct RefFiles<'a> {
    common_dir: &'a Path,
    hex_length: usize,
}

impl<'a> RefFiles<'a> {
    /// Opens the refs; `None` for a repository with another ref format.
    pub fn open(common_dir: &'a Path, sha256: bool) -> Option<Self> {
        let is_plain = !common_dir.join("reftable").exists() && common_dir.join("refs").is_dir();
        is_plain.then_some(Self { common_dir, hex_length: if sha256 { 64 } else { 40 } })
    }

    /// Returns the values of these refs, in this order.
    pub fn values<const N: usize>(&self, names: [&str; N]) -> Option<[Option<String>; N]> {
        let mut values = [const { None }; N];
        for (value, name) in values.iter_mut().zip(names) {
            *value = self.loose(name)?;
        }
        // A ref packed in between is missing above, and present here.
        if values.iter().any(Option::is_none) {
            self.add_packed(&names, &mut values)?;
        }
        Some(values)
    }

    /// Whether a worktree has this branch checked out.
    pub fn is_checked_out(&self, branch: &str) -> Option<bool> {
        let mut heads = vec![self.common_dir.join("HEAD")];
        match fs::read_dir(self.common_dir.join("worktrees")) {
            Ok(worktrees) => {
                for worktree in worktrees {
                    heads.push(worktree.ok()?.path().join("HEAD"));
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(_) => return None,
        }
        let mut is_checked_out = false;
        for head in heads {
            // Git of long ago made `HEAD` a symbolic link.
            if fs::symlink_metadata(&head).ok()?.is_symlink() {
                return None;
            }
            let text = fs::read_to_string(&head).ok()?;
            match text.trim_end().strip_prefix("ref: ") {
                None if self.is_id(text.trim_end()) => {}
                None => return None,
                Some(name) if name == branch => is_checked_out = true,
                // Fails for a symbolic ref, which may lead to the branch.
                Some(name) => drop(self.loose(name)?),
            }
        }
        Some(is_checked_out)
    }

    fn loose(&self, name: &str) -> Option<Option<String>> {
        match fs::read_to_string(self.common_dir.join(name)) {
            Ok(text) => {
                let id = text.trim_end();
                self.is_id(id).then(|| Some(id.to_owned()))
            }
            // A directory has the name of the ref, or a file has the name of its parent.
            Err(error) => matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::NotADirectory
            )
            .then_some(None),
        }
    }

    fn add_packed<const N: usize>(
        &self,
        names: &[&str; N],
        values: &mut [Option<String>; N],
    ) -> Option<()> {
        let file = self.common_dir.join("packed-refs");
        match fs::metadata(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Some(()),
            found if found.as_ref().is_ok_and(|found| found.len() <= LARGEST_PACKED) => {}
            _ => return None,
        }
        let packed = fs::read(&file).ok()?;
        for line in packed.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#")) {
            let Some(end) = line.iter().position(|byte| *byte == b' ') else { continue };
            let (id, name) = (&line[..end], &line[end + 1..]);
            if let Some(wanted) = names.iter().position(|wanted| wanted.as_bytes() == name) {
                let id = std::str::from_utf8(id).ok().filter(|id| self.is_id(id))?;
                values[wanted].get_or_insert_with(|| id.to_owned());
            }
        }
        Some(())
    }

    fn is_id(&self, text: &str) -> bool {
        text.len() == self.hex_length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789012345678901234567890123456789";
    const OTHER: &str = "abcdefabcdefabcdefabcdefabcdefabcdefabcd";

    fn repository() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        write(&dir, "HEAD", "ref: refs/heads/main\n");
        write(&dir, "refs/heads/main", &format!("{ID}\n"));
        dir
    }

    fn write(dir: &tempfile::TempDir, path: &str, text: &str) {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn own_files_come_before_packed_refs() {
        let dir = repository();
        write(
            &dir,
            "packed-refs",
            &format!(
                "# pack-refs with: peeled\n{OTHER} refs/heads/main\n{OTHER} refs/tags/v1\n^{ID}\n"
            ),
        );
        let refs = RefFiles::open(dir.path(), false).unwrap();
        let values = refs.values(["refs/heads/main", "refs/tags/v1", "refs/tags/v2", "refs/heads"]);
        let values = values.unwrap();
        assert_eq!(values[0].as_deref(), Some(ID));
        assert_eq!(values[1].as_deref(), Some(OTHER));
        assert_eq!((&values[2], &values[3]), (&None, &None));
    }

    #[test]
    fn symbolic_and_damaged_refs_are_left_to_git() {
        let dir = repository();
        write(&dir, "refs/heads/alias", "ref: refs/heads/main\n");
        write(&dir, "refs/heads/empty", "");
        let refs = RefFiles::open(dir.path(), false).unwrap();
        assert!(refs.values(["refs/heads/alias"]).is_none());
        assert!(refs.values(["refs/heads/empty"]).is_none());
        // An id of the other hash.
        assert!(RefFiles::open(dir.path(), true).unwrap().values(["refs/heads/main"]).is_none());
        fs::create_dir(dir.path().join("reftable")).unwrap();
        assert!(RefFiles::open(dir.path(), false).is_none());
    }

    #[test]
    fn checked_out_branches_of_all_worktrees_are_found() {
        let dir = repository();
        let refs = RefFiles::open(dir.path(), false).unwrap();
        let held = |branch| refs.is_checked_out(branch);
        assert_eq!((held("refs/heads/main"), held("refs/heads/x")), (Some(true), Some(false)));
        write(&dir, "worktrees/w/HEAD", "ref: refs/heads/x\n");
        assert_eq!(held("refs/heads/x"), Some(true));
        write(&dir, "worktrees/w/HEAD", &format!("{ID}\n"));
        assert_eq!(held("refs/heads/x"), Some(false));
        // A branch that is another name of a branch, and a worktree in the making.
        write(&dir, "refs/heads/alias", "ref: refs/heads/x\n");
        write(&dir, "worktrees/w/HEAD", "ref: refs/heads/alias\n");
        assert_eq!(held("refs/heads/x"), None);
        fs::remove_file(dir.path().join("worktrees/w/HEAD")).unwrap();
        assert_eq!(held("refs/heads/main"), None);
    }
}
