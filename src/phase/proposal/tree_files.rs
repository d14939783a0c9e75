//! The files of a commit, as a proposal is checked against them.

use std::collections::BTreeSet;

/// Paths of a commit: files and symbolic links.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeFiles {
    files: BTreeSet<String>,
    links: BTreeSet<String>,
}

impl TreeFiles {
    /// Creates a tree of all `files`, links included, and of those that are symbolic links.
    pub fn new(
        files: impl IntoIterator<Item = String>,
        links: impl IntoIterator<Item = String>,
    ) -> Self {
        Self { files: files.into_iter().collect(), links: links.into_iter().collect() }
    }

    /// Returns all files, in order.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &str> {
        self.files.iter().map(String::as_str)
    }

    /// Returns the number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Checks for a tree without files.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Checks for a file or link.
    pub fn has_file(&self, path: &str) -> bool {
        self.files.contains(path)
    }

    /// Checks for a file, a link, or a directory with files; a trailing `/` is ignored.
    pub fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        self.has_file(path) || self.has_directory(path)
    }

    /// Checks for a directory with files.
    pub fn has_directory(&self, path: &str) -> bool {
        self.below(path).next().is_some()
    }

    /// Returns the files in a directory and its subdirectories.
    pub fn below(&self, directory: &str) -> impl Iterator<Item = &str> {
        let prefix = format!("{}/", directory.trim_end_matches('/'));
        let from = self.files.range(prefix.clone()..).map(String::as_str);
        from.take_while(move |file| file.starts_with(&prefix))
    }

    /// Returns the symbolic link at or above a path.
    pub fn link_above<'p>(&self, path: &'p str) -> Option<&'p str> {
        let path = path.trim_end_matches('/');
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        ends.map(|end| &path[..end]).find(|at| self.links.contains(*at))
    }

    /// Returns the file above a path: a file that would have to be a directory.
    pub fn file_above<'p>(&self, path: &'p str) -> Option<&'p str> {
        let ends = path.trim_end_matches('/').match_indices('/').map(|(at, _)| at);
        ends.map(|end| &path[..end]).find(|at| self.has_file(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> TreeFiles {
        let files = ["src/a.rs", "src/deep/b.rs", "src-old/c.rs", "lib"];
        TreeFiles::new(files.map(str::to_owned), ["lib".to_owned()])
    }

    #[test]
    fn directories_are_the_parents_of_files() {
        let tree = tree();
        assert!(tree.has_directory("src") && tree.has_directory("src/deep/") && tree.has("src/"));
        assert!(!tree.has_directory("src/a.rs") && !tree.has_directory("sr"));
        assert_eq!(tree.below("src").collect::<Vec<_>>(), ["src/a.rs", "src/deep/b.rs"]);
    }

    #[test]
    fn links_and_files_in_the_way_are_found() {
        let tree = tree();
        assert_eq!(tree.link_above("lib/x.rs"), Some("lib"));
        assert_eq!(tree.link_above("src/a.rs"), None);
        assert_eq!(tree.file_above("src/a.rs/x"), Some("src/a.rs"));
        assert_eq!(tree.file_above("src/a.rs"), None);
    }
}
